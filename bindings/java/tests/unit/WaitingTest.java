// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
final class WaitingTest {
    /** Each of these sleeps on a bus of 4096 bytes on which nobody does anything. */
    private static final Map<String, Consumer<Pair>> WAITS = Map.of(
            "recv", p -> p.rx().recv((Duration) null),
            "recv into", p -> p.rx().recv(ByteBuffer.allocateDirect(8), (Duration) null),
            "acquireRx", p -> p.rx().acquireRx(10),
            "drainBatch", p -> p.rx().drainBatch(8, 10),
            "recvBatch", p -> p.rx().recvBatch(ByteBuffer.allocateDirect(8), 8, null),
            "send", p -> endless(() -> p.tx().send(new byte[100], 1)),
            "acquireTx", p -> endless(() -> p.tx().acquireTx(100, null).commit(100, 1)),
            "sendBatch", p -> p.tx().sendBatch(ByteBuffer.allocate(10_000), 10, 1, null));
    private static final Map<String, Consumer<Pair.Rpc>> RPC_WAITS = Map.of(
            "serve", p -> p.callee().serve(),
            "waitResponse", p -> p.caller().waitResponse(p.caller().call(new byte[1], 1)),
            "call", p -> endless(() -> p.caller().call(new byte[100], 1)));

    private static void endless(Runnable call) {
        for (;;) call.run();
    }

    @Test
    void a_time_out_passes_once_also_after_a_larger_message() {
        try (Pair pair = Pair.of(1 << 16)) {
            pair.tx().send(new byte[30_000], 1);
            assertThrows(TachyonException.class,
                    () -> pair.rx().recv(ByteBuffer.allocateDirect(8), Duration.ZERO));
            pair.rx().acquireRx(10).close();
            long start = System.nanoTime();
            assertThrows(BusTimeoutException.class, () -> pair.rx().recv(Duration.ofSeconds(1)));
            assertTrue(System.nanoTime() - start < 1_900_000_000L);
        }
    }

    /** What the call throws when {@code end} strikes 100 ms after it began. */
    private static Throwable struck(Runnable call, Consumer<Thread> end, AtomicBoolean status)
            throws Exception {
        AtomicReference<Throwable> thrown = new AtomicReference<>();
        Thread thread = new Thread(() -> {
            try {
                call.run();
            } catch (Throwable e) {
                thrown.set(e);
            }
            status.set(Thread.currentThread().isInterrupted());
        });
        thread.start();
        Thread.sleep(100);
        assertTrue(thread.isAlive(), "it does not wait: " + thrown);
        end.accept(thread);
        thread.join(10_000);
        assertFalse(thread.isAlive(), "it still waits");
        return thrown.get();
    }

    @Test
    void an_interrupt_ends_every_wait_and_the_bus_lives_on() throws Exception {
        AtomicBoolean status = new AtomicBoolean();
        for (var wait : WAITS.entrySet()) {
            try (Pair pair = Pair.of(4096)) {
                Throwable e = struck(() -> wait.getValue().accept(pair), Thread::interrupt, status);
                boolean part = e == null && wait.getKey().equals("sendBatch");
                if (!part) assertInstanceOf(BusInterruptedException.class, e, wait.getKey());
                assertTrue(status.get(), wait.getKey());
                if (pair.tx().stats().getMessages() > 0) {
                    assertTrue(pair.rx().drainBatch(1024, Duration.ZERO).getCount() > 0);
                } else {
                    pair.tx().send(new byte[8], 1);
                    assertEquals(8, pair.rx().recv(Pair.LONG).length, wait.getKey());
                }
            }
        }
        for (var wait : RPC_WAITS.entrySet()) {
            try (Pair.Rpc pair = Pair.Rpc.of(4096)) {
                Throwable e = struck(() -> wait.getValue().accept(pair), Thread::interrupt, status);
                assertInstanceOf(BusInterruptedException.class, e, wait.getKey());
                assertTrue(status.get(), wait.getKey());
            }
        }
    }

    private static TachyonBus listen(String path, Role role) {
        Options options = new Options();
        options.setRole(role);
        options.setMaxPeers(2);
        return TachyonBus.listen(path, 4096, options);
    }

    /** What the call gives in a thread of its own, while others are interrupted. */
    private static <T> FutureTask<T> beside(Callable<T> call, Runnable wait) throws Exception {
        FutureTask<T> task = new FutureTask<>(call);
        new Thread(task).start();
        for (int i = 0; i < 3; i++) {
            Throwable e = struck(wait, Thread::interrupt, new AtomicBoolean());
            assertInstanceOf(BusInterruptedException.class, e);
        }
        return task;
    }

    @Test
    void an_interrupt_ends_no_wait_of_another_thread() throws Exception {
        String path = Pair.path();
        try (TachyonBus rx = listen(path, Role.ROLE_CONSUMER)) {
            var joined = beside(() -> rx.accept(null), () -> rx.recv((Duration) null));
            try (TachyonBus tx = TachyonBus.connect(path, Pair.options(Pair.LONG))) {
                assertEquals(ProcessHandle.current().pid(), joined.get().getPid());
                var received = beside(() -> rx.recv((Duration) null), () -> rx.accept(null));
                tx.send(new byte[3], 1);
                assertEquals(3, received.get().length);
            }
        }
        try (TachyonBus tx = listen(path, Role.ROLE_PRODUCER)) {
            var joined = beside(() -> tx.accept(null),
                    () -> endless(() -> tx.send(new byte[100], 1)));
            try (TachyonBus rx = TachyonBus.connect(path, Pair.options(Pair.LONG))) {
                joined.get();
                ByteBuffer items = ByteBuffer.allocateDirect(10_000);
                var sent = beside(() -> tx.sendBatch(items, 10, 1, null), () -> tx.accept(null));
                for (int left = 1000; left > 0;) left -= rx.recvBatch(items, 10, Pair.LONG);
                assertEquals(1000, sent.get());
            }
        }
    }

    @Test
    void who_asks_for_it_ends_one_wait() {
        try (Pair pair = Pair.of(4096)) {
            pair.rx().interrupt();
            assertThrows(BusInterruptedException.class, () -> pair.rx().recv((Duration) null));
            assertThrows(BusTimeoutException.class, () -> pair.rx().recv(Pair.SOON));
        }
    }

    @Test
    void an_interrupt_ends_opening() throws Exception {
        AtomicBoolean status = new AtomicBoolean();
        Runnable[] openings = {
            () -> TachyonBus.listen(Pair.path(), 4096),
            () -> TachyonBus.connect(Pair.path(), Pair.options(Pair.LONG)),
            () -> TachyonRpcBus.rpcListen(Pair.path(), 4096, 4096),
            () -> TachyonRpcBus.rpcConnect(Pair.path(), Pair.options(Pair.LONG))};
        for (Runnable opening : openings) {
            Throwable e = struck(opening, Thread::interrupt, status);
            assertInstanceOf(BusInterruptedException.class, e);
            assertTrue(status.get());
        }
    }

    @Test
    void close_and_abort_end_every_wait() throws Exception {
        for (var wait : WAITS.entrySet()) {
            for (var end : List.<Consumer<TachyonBus>>of(TachyonBus::close, TachyonBus::abort)) {
                try (Pair pair = Pair.of(4096)) {
                    boolean sends = wait.getKey().matches("send.*|acquireTx");
                    Throwable e = struck(() -> wait.getValue().accept(pair),
                            t -> end.accept(sends ? pair.tx() : pair.rx()), new AtomicBoolean());
                    if (e != null || !wait.getKey().equals("sendBatch"))
                        assertInstanceOf(BusClosedException.class, e, wait.getKey());
                }
            }
        }
    }

    @Test
    void others_may_look_while_one_receives() throws Exception {
        try (Pair pair = Pair.of(4096)) {
            AtomicBoolean done = new AtomicBoolean();
            Thread polling = new Thread(() -> {
                while (!done.get()) {
                    assertThrows(TachyonException.class, () -> pair.rx().recv(Duration.ZERO));
                }
            });
            polling.start();
            for (int i = 0; i < 20000; i++) {
                assertEquals(4096, pair.rx().stats().getCapacity());
                assertTrue(pair.rx().peer().getPid() > 0);
            }
            done.set(true);
            polling.join();
        }
    }

    @Test
    void a_thread_that_is_interrupted_already_takes_what_is_there() {
        try (Pair pair = Pair.of(4096)) {
            pair.tx().send(new byte[3], 1);
            Thread.currentThread().interrupt();
            assertEquals(3, pair.rx().recv((Duration) null).length);
            assertThrows(BusInterruptedException.class, () -> pair.rx().recv((Duration) null));
            assertTrue(Thread.interrupted());
            assertThrows(BusTimeoutException.class, () -> pair.rx().recv(Pair.SOON));
        }
    }

    @Test
    void a_late_interrupt_does_not_end_the_next_wait() throws Exception {
        try (Pair pair = Pair.of(4096)) {
            for (int i = 0; i < 200; i++) {
                Thread receiver = new Thread(() -> {
                    try {
                        pair.rx().recv((Duration) null);
                    } catch (BusInterruptedException e) {
                        assertTrue(Thread.interrupted());
                        pair.rx().recv(Pair.LONG);
                    }
                });
                AtomicReference<Throwable> failed = new AtomicReference<>();
                receiver.setUncaughtExceptionHandler((t, e) -> failed.set(e));
                receiver.start();
                if (i % 2 == 0) receiver.interrupt();
                pair.tx().send(new byte[1], 1);
                if (i % 2 == 1) receiver.interrupt();
                receiver.join();
                assertEquals(null, failed.get());
            }
        }
    }

    /** Neither the buffer nor the message of the first. */
    @Test
    void a_second_thread_is_refused_and_touches_nothing() throws Exception {
        byte[] message = new byte[900], other = new byte[900];
        Arrays.fill(message, (byte) 7);
        try (Pair pair = Pair.of(4096)) {
            AtomicReference<byte[]> received = new AtomicReference<>();
            Throwable thrown = struck(() -> received.set(pair.rx().recv((Duration) null)), t -> {
                while (pair.rx().stats().getSleeps() == 0) Thread.yield();
                for (int i = 0; i < 3; i++) {
                    assertBusy(() -> pair.rx().recv((Duration) null));
                    assertBusy(() -> pair.rx().send(new byte[100_000], 1));
                    System.gc();
                }
                pair.tx().send(message, 1);
            }, new AtomicBoolean());
            assertNull(thrown);
            assertArrayEquals(message, received.get());
            ByteBuffer filler = ByteBuffer.allocateDirect(900);
            assertThrows(TachyonException.class,
                    () -> endless(() -> pair.tx().send(filler, 1, Duration.ZERO)));
            thrown = struck(() -> pair.tx().send(message, 1), t -> {
                while (pair.tx().stats().getSleeps() == 0) Thread.yield();
                assertBusy(() -> pair.tx().send(other, 1));
                pair.rx().drainBatch(9, Pair.LONG).commit();
            }, new AtomicBoolean());
            assertNull(thrown);
            assertArrayEquals(message, pair.rx().recv(Pair.LONG));
        }
    }

    private static void assertBusy(Runnable call) {
        var e = assertThrows(TachyonException.class, call::run);
        assertEquals("TACHYON_ERR_BUSY", e.getName());
    }

    @Test
    void time_outs_are_kept() {
        try (Pair pair = Pair.of(4096); Pair.Rpc rpc = Pair.Rpc.of(4096)) {
            long id = rpc.caller().call(new byte[1], 1);
            for (int i = 0; i < 38; i++) pair.tx().send(new byte[1], 1);
            Runnable[] calls = {
                () -> endless(() -> pair.tx().send(ByteBuffer.allocate(100), 1, Pair.SOON)),
                () -> rpc.caller().waitResponse(id, Pair.SOON)};
            for (Runnable call : calls) {
                long start = System.nanoTime();
                assertThrows(BusTimeoutException.class, call::run);
                assertTrue(System.nanoTime() - start >= Pair.SOON.toNanos());
            }
            assertThrows(BufferFullException.class, () -> pair.tx().acquireTx(100));
            var e = assertThrows(TachyonException.class,
                    () -> rpc.caller().waitResponse(id, Duration.ZERO));
            assertEquals("TACHYON_ERR_EMPTY", e.getName());
            assertThrows(TachyonException.class,
                    () -> rpc.caller().waitResponse(id, Duration.ofSeconds(Long.MIN_VALUE)));
            rpc.callee().reply(rpc.callee().serve().getCorrelationId(), new byte[0], 1);
            rpc.caller().waitResponse(id, Duration.ofSeconds(Long.MAX_VALUE));
        }
        assertThrows(BusTimeoutException.class,
                () -> TachyonBus.listen(Pair.path(), 4096, Pair.options(Pair.SOON)));
        var e = assertThrows(TachyonException.class, () -> TachyonBus.connect(Pair.path()));
        assertEquals("TACHYON_ERR_NETWORK", e.getName());
    }
}
