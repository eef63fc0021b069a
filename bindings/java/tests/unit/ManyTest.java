// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.FutureTask;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;

/** One listener, many peers. */
@Timeout(60)
final class ManyTest {
    private static Options listening(Role role) {
        Options options = new Options();
        options.setRole(role);
        options.setMaxPeers(8);
        return options;
    }

    /** One more that is connected, as who listens has noticed. */
    private static TachyonBus joined(TachyonBus to, String path, Consumer<Options> more) {
        Options options = Pair.options(Pair.LONG);
        more.accept(options);
        var connecting = CompletableFuture.supplyAsync(() -> TachyonBus.connect(path, options));
        Event joined = to.accept(Pair.LONG);
        assertEquals(EventKind.EVENT_JOINED, joined.getKind());
        assertEquals(ProcessHandle.current().pid(), joined.getPid());
        return connecting.join();
    }

    private static void fails(ErrorCode code, Executable call) {
        assertEquals(code.swigValue(), assertThrows(TachyonException.class, call).getCode());
    }

    @Test
    void producers_send_to_one_consumer() {
        String path = Pair.path();
        try (TachyonBus rx = TachyonBus.listen(path, 4096, listening(Role.ROLE_CONSUMER));
                TachyonBus a = joined(rx, path, o -> o.setName("a"));
                TachyonBus b = joined(rx, path, o -> o.setName("b"))) {
            Map<Integer, String> names = new HashMap<>();
            for (PeerInfo peer : rx.peers()) names.put(peer.getPeer(), peer.getName());
            assertEquals(2, names.size());
            for (int i = 0; i < 50; i++) {
                a.send(new byte[] {(byte) i}, 'a');
                b.send(new byte[] {(byte) i}, 'b');
            }
            Map<String, Integer> next = new HashMap<>(Map.of("a", 0, "b", 0));
            for (int i = 0; i < 100; i++) {
                byte[] data = rx.recv(Pair.LONG);
                String name = names.get(rx.sender());
                assertEquals(name.charAt(0), rx.getTypeId());
                assertEquals((int) data[0], next.merge(name, 1, Integer::sum) - 1);
            }
            fails(ErrorCode.ERR_INVALID_SZ, () -> rx.acquireRx(Duration.ZERO));
            fails(ErrorCode.ERR_INVALID_SZ, () -> rx.drainBatch(8, Duration.ZERO));
            a.close();
            b.abort();
            assertThrows(BusTimeoutException.class, () -> rx.recv(Pair.SOON));
            Map<Integer, ErrorCode> reasons = new HashMap<>();
            for (int i = 0; i < 2; i++) {
                Event left = rx.accept(Pair.LONG);
                assertEquals(EventKind.EVENT_LEFT, left.getKind());
                assertEquals(names.get(left.getPeer()), left.getName());
                reasons.put((int) left.getName().charAt(0), left.getReason());
            }
            assertEquals(Map.of((int) 'a', ErrorCode.ERR_CLOSED, (int) 'b',
                    ErrorCode.ERR_ABORTED), reasons);
            assertEquals(List.of(), rx.peers());
        }
    }

    @Test
    void readers_share_a_broadcast() {
        String path = Pair.path();
        Options free = listening(Role.ROLE_PRODUCER);
        free.setWithoutPeers(WithoutPeers.WITHOUT_PEERS_FREE_RUN);
        try (TachyonBus tx = TachyonBus.listen(path, 4096, free)) {
            tx.send(new byte[] {1}, 1);
            TachyonBus early = joined(tx, path, o -> o.setStart(Start.START_OLDEST));
            assertArrayEquals(new byte[] {1}, early.recv(Pair.LONG));
            long position = early.position();
            try (TxGuard guard = tx.acquireTx(1)) {
                guard.commit(1, 2);
            }
            TachyonBus late = joined(tx, path, o -> {
                o.setStart(Start.START_POSITION);
                o.setStartPosition(position);
                o.setStartEpoch(early.getEpoch());
            });
            try (early; late) {
                early.recv(Pair.LONG);
                try (RxGuard guard = late.acquireRx(Pair.LONG)) {
                    assertEquals(2, guard.getTypeId());
                }
                int dropped = tx.peers().stream().mapToInt(PeerInfo::getPeer).max().orElse(0);
                tx.dropPeer(dropped);
                assertThrows(BusClosedException.class, () -> late.recv(Pair.LONG));
                tx.flush();
                assertEquals(dropped, tx.accept(Pair.LONG).getPeer());
                fails(ErrorCode.ERR_INVALID_SZ, () -> tx.dropPeer(dropped));
                assertEquals(1, tx.peers().size());
            }
        }
    }

    @Test
    void one_that_is_slow_is_let_go() {
        String path = Pair.path();
        Options options = listening(Role.ROLE_PRODUCER);
        options.setSlowPeer(SlowPeer.SLOW_DISCONNECT);
        options.setSlowAfter(Duration.ofMillis(1));
        options.setWithoutPeers(WithoutPeers.WITHOUT_PEERS_FREE_RUN);
        assertEquals(Duration.ofMillis(1), options.getSlowAfter());
        try (TachyonBus tx = TachyonBus.listen(path, 4096, options);
                TachyonBus slow = joined(tx, path, o -> o.setStart(Start.START_OLDEST))) {
            for (int i = 0; i < 300; i++) tx.send(new byte[32], 1);
            assertEquals(ErrorCode.ERR_LAGGED, tx.accept(Pair.LONG).getReason());
            fails(ErrorCode.ERR_LAGGED, () -> {
                for (;;) slow.recv(Pair.LONG);
            });
        }
    }

    @Test
    void accept_waits_beside_others() throws Exception {
        String path = Pair.path();
        TachyonBus rx = TachyonBus.listen(path, 4096, listening(Role.ROLE_CONSUMER));
        assertThrows(BusTimeoutException.class, () -> rx.accept(Pair.SOON));
        fails(ErrorCode.ERR_EMPTY, () -> rx.accept(Duration.ZERO));
        FutureTask<byte[]> receiving = new FutureTask<>(() -> rx.recv((Duration) null));
        new Thread(receiving).start();
        for (int i = 0; i < 20; i++) {
            FutureTask<Event> accepting = new FutureTask<>(() -> rx.accept(null));
            Thread thread = new Thread(accepting);
            thread.start();
            Thread.sleep(i);
            thread.interrupt();
            Throwable why = assertThrows(Exception.class, accepting::get).getCause();
            assertEquals(BusInterruptedException.class, why.getClass());
            assertFalse(receiving.isDone());
        }
        try (TachyonBus tx = joined(rx, path, o -> {})) {
            tx.send(new byte[] {5}, 1);
            assertArrayEquals(new byte[] {5}, receiving.get());
        }
        rx.close();
        assertThrows(BusClosedException.class, () -> rx.accept(null));
        assertThrows(BusClosedException.class, rx::peers);
        assertThrows(BusClosedException.class, () -> rx.dropPeer(1));
        assertThrows(BusClosedException.class, rx::sender);
        assertThrows(BusClosedException.class, rx::position);
    }

    @Test
    void callers_call_one_callee() {
        String path = Pair.path();
        Options many = new Options();
        many.setMaxPeers(2);
        try (TachyonRpcBus callee = TachyonRpcBus.rpcListen(path, 4096, 4096, many)) {
            var connecting = CompletableFuture.supplyAsync(() -> List.of(
                    TachyonRpcBus.rpcConnect(path, Pair.options(Pair.LONG)),
                    TachyonRpcBus.rpcConnect(path, Pair.options(Pair.LONG))));
            int[] numbers = {callee.accept(Pair.LONG).getPeer(), callee.accept(Pair.LONG).getPeer()};
            List<TachyonRpcBus> callers = connecting.join();
            for (int i = 0; i < 2; i++) {
                long id = callers.get(i).call(new byte[] {1}, i);
                RpcRxGuard request = callee.serve(Pair.LONG);
                assertEquals(i, request.getMsgType());
                assertEquals(numbers[i], callee.sender());
                callee.reply(request.getCorrelationId(), new byte[] {2}, i + 10);
                assertEquals(i + 10, callers.get(i).waitResponse(id).getMsgType());
            }
            assertEquals(2, callee.peers().size());
            callee.dropPeer(numbers[1]);
            assertThrows(BusClosedException.class,
                    () -> callers.get(1).waitResponse(callers.get(1).call(new byte[1], 1)));
            assertThrows(BusTimeoutException.class, () -> callee.serve(Pair.SOON)); // drained
            assertEquals(numbers[1], callee.accept(Pair.LONG).getPeer());
            callers.forEach(TachyonRpcBus::close);
        }
    }

    @Test
    void wrong_options_are_refused() {
        List<Consumer<Options>> wrong = List.of(o -> o.setMaxPeers(1 << 20),
                o -> o.setRole(Role.ROLE_NONE), o -> o.setSlowAfter(null),
                o -> o.setKeepPlace(null));
        for (Consumer<Options> one : wrong) {
            Options options = listening(Role.ROLE_PRODUCER);
            options.setSlowPeer(SlowPeer.SLOW_DISCONNECT);
            options.setSlowAfter(Duration.ofSeconds(1));
            one.accept(options);
            fails(ErrorCode.ERR_INVALID_SZ, () -> TachyonBus.listen(Pair.path(), 4096, options));
        }
        Options options = new Options();
        assertThrows(NullPointerException.class, () -> options.setSlowPeer(null));
        assertThrows(IllegalArgumentException.class, () -> options.setName("a\0b"));
        options.setName("x".repeat(32));
        fails(ErrorCode.ERR_INVALID_SZ, () -> TachyonBus.connect(Pair.path(), options));
        try (Pair pair = Pair.of(4096)) { // each has a single peer
            fails(ErrorCode.ERR_INVALID_SZ, () -> pair.rx().accept(Pair.LONG));
            fails(ErrorCode.ERR_INVALID_SZ, () -> pair.rx().peers());
            fails(ErrorCode.ERR_INVALID_SZ, () -> pair.rx().dropPeer(1));
            fails(ErrorCode.ERR_INVALID_SZ, () -> pair.rx().position());
            assertEquals(0, pair.rx().sender());
        }
    }
}
