// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ReadOnlyBufferException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

final class BadInputTest {
    /** A call, and what it throws: a class, or the name of an error of the core. */
    private record Bad(String name, Object expected, Executable call) {
        void check() {
            Throwable e = assertThrows(Throwable.class, call, name);
            if (expected instanceof Class<?> type)
                assertInstanceOf(type, e, name);
            else
                assertEquals(expected, e instanceof TachyonException t ? t.getName() : e, name);
            assertFalse(e instanceof TachyonException && e.getMessage().isEmpty(), name);
        }
    }

    private static Bad bad(String name, Object expected, Executable call) {
        return new Bad(name, expected, call);
    }

    private static void check(Bad... table) {
        assertAll(Arrays.stream(table).map(row -> row::check));
    }

    private static final String INVALID = "TACHYON_ERR_INVALID_SZ";
    private static final Class<?> NULL = NullPointerException.class;
    private static final Class<?> ILLEGAL = IllegalArgumentException.class;

    @Test
    void opening() {
        Options uids = new Options();
        uids.allowUid(-1);
        check(
                bad("null path", NULL, () -> TachyonBus.listen(null, 4096)),
                bad("null path", NULL, () -> TachyonRpcBus.rpcConnect(null)),
                bad("empty path", INVALID, () -> TachyonBus.connect("")),
                bad("NUL in the path", ILLEGAL, () -> TachyonBus.connect("a\0b")),
                bad("long path", INVALID, () -> TachyonBus.connect("p".repeat(108))),
                bad("huge path", INVALID, () -> TachyonBus.connect("p".repeat(1 << 24))),
                bad("no directory", "TACHYON_ERR_NETWORK",
                        () -> TachyonBus.listen("/nonexistent/\ud83d\ude80", 4096)),
                bad("no capacity", INVALID, () -> TachyonBus.listen(Pair.path(), 0)),
                bad("odd capacity", INVALID, () -> TachyonBus.listen(Pair.path(), 5000)),
                bad("negative", ILLEGAL, () -> TachyonBus.listen(Pair.path(), -4096)),
                bad("huge", INVALID, () -> TachyonBus.listen(Pair.path(), Long.MAX_VALUE)),
                bad("negative", ILLEGAL, () -> TachyonRpcBus.rpcListen(Pair.path(), 4096, -1)),
                bad("null role", NULL, () -> new Options().setRole(null)),
                bad("null types", NULL, () -> new Options().setTypes(null)),
                bad("NUL in the types", ILLEGAL, () -> new Options().setTypes("a\0b")),
                bad("no types", INVALID, () -> {
                    Options strict = new Options();
                    strict.setTypesRequired(true);
                    TachyonBus.listen(Pair.path(), 4096, strict);
                }),
                bad("timeout", BusTimeoutException.class, () -> {
                    uids.setTimeout(Duration.ofSeconds(-1));
                    TachyonBus.listen(Pair.path(), 4096, uids);
                }));
    }

    @Test
    void a_null_path_is_no_file_of_that_name() {
        for (Executable call : new Executable[] {() -> TachyonBus.listen(null, 4096),
            () -> TachyonBus.connect(null), () -> TachyonRpcBus.rpcListen(null, 4096, 4096)})
            assertEquals("the path is null", assertThrows(NullPointerException.class, call)
                    .getMessage());
        for (String name : new String[] {"null", "null.tachyon-lock"})
            assertFalse(Files.exists(Path.of(name)), name);
    }

    @Test
    void refused() {
        String path = Pair.path();
        Options mine = Pair.options(Pair.LONG), theirs = Pair.options(Pair.LONG);
        mine.setSchema(1);
        theirs.setSchema(-1);
        Thread listener = new Thread(() ->
                assertThrows(BusInterruptedException.class,
                        () -> TachyonBus.listen(path, 4096, mine)));
        listener.start();
        check(bad("schema", AbiMismatchException.class, () -> TachyonBus.connect(path, theirs)),
                bad("RPC", AbiMismatchException.class, () -> TachyonRpcBus.rpcConnect(path, mine)),
                bad("in use", "TACHYON_ERR_ADDR_IN_USE", () -> TachyonBus.listen(path, 4096)));
        listener.interrupt();
    }

    @Test
    void sending() {
        try (Pair pair = Pair.of(4096)) {
            TachyonBus tx = pair.tx();
            tx.send(new byte[0], 0);
            ByteBuffer eight = ByteBuffer.allocate(8);
            check(
                    bad("null", NULL, () -> tx.send((byte[]) null, 1)),
                    bad("null", NULL, () -> tx.send((ByteBuffer) null, 1, null)),
                    bad("too large", INVALID, () -> tx.send(new byte[4096], 1)),
                    bad("larger", INVALID, () -> tx.send(new byte[1 << 22], 1)),
                    bad("too large", INVALID, () -> tx.acquireTx(4096 - 127)),
                    bad("negative", ILLEGAL, () -> tx.acquireTx(-1)),
                    bad("huge", INVALID, () -> tx.acquireTx(Long.MAX_VALUE)),
                    bad("more than an int", INVALID, () -> tx.acquireTx((1L << 32) + 8)),
                    bad("no items", INVALID, () -> tx.sendBatch(eight, 0, 1, null)),
                    bad("half items", INVALID, () -> tx.sendBatch(eight, 3, 1, null)),
                    bad("negative", ILLEGAL, () -> tx.sendBatch(eight, -8, 1, null)),
                    bad("null", NULL, () -> tx.sendBatch(null, 8, 1, null)),
                    bad("no item", INVALID, () -> tx.reserveBatch(0, 1, Pair.LONG)),
                    bad("no room", INVALID, () -> tx.reserveBatch(8, 0, Pair.LONG)),
                    bad("negative", ILLEGAL, () -> tx.reserveBatch(-8, 1, Pair.LONG)),
                    bad("negative", ILLEGAL, () -> tx.reserveBatch(8, -1, Pair.LONG)),
                    bad("too large", INVALID, () -> tx.reserveBatch(4096, 1, Pair.LONG)),
                    bad("receives", "TACHYON_ERR_BUSY", () -> tx.recv((Duration) null)),
                    bad("node", INVALID, () -> tx.setNumaNode(-1)),
                    bad("node", INVALID, () -> tx.setNumaNode(Integer.MAX_VALUE)));
            assertEquals(1, tx.stats().getMessages());
        }
    }

    @Test
    void receiving() {
        try (Pair pair = Pair.of(4096)) {
            pair.tx().send(new byte[8], 1);
            TachyonBus rx = pair.rx();
            ByteBuffer direct = ByteBuffer.allocateDirect(64);
            check(
                    bad("null", NULL, () -> rx.recv((ByteBuffer) null, null)),
                    bad("heap", ILLEGAL, () -> rx.recv(ByteBuffer.allocate(64), null)),
                    bad("read-only", ReadOnlyBufferException.class,
                            () -> rx.recv(direct.asReadOnlyBuffer(), null)),
                    bad("no room", INVALID, () -> rx.recv(direct.slice(64, 0), null)),
                    bad("no item", INVALID, () -> rx.recvBatch(direct, 0, null)),
                    bad("other item", INVALID, () -> rx.recvBatch(direct, 7, null)),
                    bad("negative", ILLEGAL, () -> rx.recvBatch(direct, -1, null)),
                    bad("no messages", ILLEGAL, () -> rx.drainBatch(0, 1)),
                    bad("negative", ILLEGAL, () -> rx.drainBatch(Integer.MIN_VALUE, Pair.LONG)),
                    bad("negative spin", ILLEGAL, () -> rx.acquireRx(-1)),
                    bad("sends", "TACHYON_ERR_BUSY", () -> rx.send(new byte[1], 1)));
            assertEquals(8, rx.recv(Pair.LONG).length);
        }
    }

    @Test
    void closed_or_never_open() {
        Pair pair = Pair.of(4096);
        TxGuard guard = pair.tx().acquireTx(8);
        pair.close();
        pair.close();
        Class<?> closed = BusClosedException.class;
        check(bad("commit", closed, () -> guard.commit(8, 1)),
                bad("rollback", closed, guard::rollback));
        assertEquals(8, guard.getData().capacity());
        for (TachyonBus bus : new TachyonBus[] {pair.tx(), pair.rx(), new TachyonBus()}) {
            check(
                    bad("send", closed, () -> bus.send(new byte[1], 1)),
                    bad("send", closed, () -> bus.send(ByteBuffer.allocateDirect(1), 1, Pair.LONG)),
                    bad("sendBatch", closed,
                            () -> bus.sendBatch(ByteBuffer.allocate(8), 8, 1, null)),
                    bad("recv", closed, () -> bus.recv((Duration) null)),
                    bad("recvBatch", closed,
                            () -> bus.recvBatch(ByteBuffer.allocateDirect(8), 8, null)),
                    bad("acquireTx", closed, () -> bus.acquireTx(8)),
                    bad("reserveBatch", closed, () -> bus.reserveBatch(8, 1, null)),
                    bad("acquireRx", closed, () -> bus.acquireRx(1)),
                    bad("drainBatch", closed, () -> bus.drainBatch(1, Pair.LONG)),
                    bad("flush", closed, bus::flush),
                    bad("stats", closed, bus::stats),
                    bad("peer", closed, bus::peer),
                    bad("maxPayload", closed, bus::maxPayload),
                    bad("polling", closed, () -> bus.setPollingMode(1)),
                    bad("node", closed, () -> bus.setNumaNode(0)));
            bus.abort();
            bus.close();
        }
        assertEquals(TachyonState.STATE_DISCONNECTED, pair.tx().getState());
        assertEquals(TachyonState.STATE_UNINITIALIZED, new TachyonBus().getState());
        check(bad("call", closed, () -> new TachyonRpcBus().call(new byte[1], 1)),
                bad("serve", closed, () -> new TachyonRpcBus().serve()),
                bad("call", NULL, () -> new TachyonRpcBus().call(null, 1)));
    }

    @Test
    void every_error_has_its_name_and_text() {
        for (ErrorCode error : ErrorCode.values()) {
            if (error == ErrorCode.SUCCESS) continue;
            TachyonException e = TachyonException.of(error.swigValue(), "text");
            assertEquals("TACHYON_" + error, e.getName());
            assertEquals(error.swigValue(), e.getCode());
            assertFalse(Tachyon.strerror(error).isEmpty());
        }
        assertTrue(TachyonException.of(9, "").getStackTrace().length == 0);
        assertTrue(TachyonException.of(17, "").getStackTrace().length > 0);
        assertTrue(Stream.of(9, 13, 14, 15, 16, 17, 23).map(code -> TachyonException.of(code, ""))
                .noneMatch(e -> e.getClass() == TachyonException.class));
    }
}
