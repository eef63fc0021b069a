// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(100)
final class LifetimeTest {
    /** Lines of /proc/self/maps with rings, each of which is mapped twice. */
    private static long rings() throws IOException {
        try (var lines = Files.lines(Path.of("/proc/self/maps"))) {
            return lines.filter(line -> line.contains("/memfd:tachyon ")).count();
        }
    }

    private static long descriptors() throws IOException {
        try (var files = Files.list(Path.of("/proc/self/fd"))) {
            return files.count();
        }
    }

    private interface Condition {
        boolean holds() throws IOException;
    }

    /** Collects until it holds: the cleaner runs on a thread of its own. */
    private static void collectUntil(Condition condition) throws Exception {
        for (int i = 0; i < 200 && !condition.holds(); i++) {
            System.gc();
            Thread.sleep(20);
        }
        assertTrue(condition.holds());
    }

    private static ByteBuffer viewOfADroppedBus() {
        Pair pair = Pair.of(4096);
        pair.tx().send(new byte[] {1, 2, 3}, 1);
        ByteBuffer view = pair.rx().acquireRx(Pair.LONG).getData().slice(1, 2);
        pair.close();
        return view;
    }

    @Test
    void a_view_outlives_its_bus_and_then_the_ring_goes() throws Exception {
        collectUntil(() -> rings() == 0);
        ByteBuffer view = viewOfADroppedBus();
        for (int i = 0; i < 5; i++) {
            System.gc();
            Thread.sleep(20);
        }
        assertTrue(rings() > 0);
        assertEquals(2, view.get(0));
        assertEquals(3, view.get(1));
        view = null;
        collectUntil(() -> rings() == 0);
    }

    @Test
    void close_unmaps_at_once_where_nothing_looks() throws Exception {
        collectUntil(() -> rings() == 0);
        Pair pair = Pair.of(4096);
        pair.tx().send(new byte[8], 1);
        assertEquals(8, pair.rx().recv(Pair.LONG).length);
        assertTrue(rings() > 0);
        pair.close();
        assertEquals(0, rings());
    }

    @Test
    void buses_that_were_never_closed_are_collected() throws Exception {
        collectUntil(() -> rings() == 0);
        long before = descriptors();
        for (int i = 0; i < 50; i++) {
            Pair pair = Pair.of(4096);
            pair.tx().acquireTx(8).getData();
        }
        collectUntil(() -> rings() == 0 && descriptors() <= before + 2);
    }

    @Test
    void many_that_are_closed_or_fail_to_open_leave_no_descriptor() throws Exception {
        long before = descriptors();
        List<TachyonBus> kept = new ArrayList<>();
        for (int i = 0; i < 300; i++) {
            Pair pair = Pair.of(4096);
            pair.close();
            kept.add(pair.tx());
            kept.add(pair.rx());
            assertThrows(TachyonException.class, () -> TachyonBus.connect(Pair.path()));
        }
        assertTrue(descriptors() < before + 10, descriptors() + " descriptors");
        kept.forEach(TachyonBus::close);
    }

    @Test
    void a_view_keeps_no_descriptor() throws Exception {
        long before = descriptors();
        List<ByteBuffer> views = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            Pair pair = Pair.of(4096);
            try (TxGuard tx = pair.tx().acquireTx(1)) {
                tx.getData().put(0, (byte) i);
                tx.commit(1, 1);
            }
            views.add(pair.rx().acquireRx(Pair.LONG).getData());
            pair.close();
        }
        assertTrue(descriptors() < before + 10, descriptors() + " descriptors");
        for (int i = 0; i < 1000; i++) assertEquals((byte) i, views.get(i).get(0));
    }

    @Test
    void a_close_in_the_middle_of_use_is_an_exception() throws Exception {
        for (int i = 0; i < 300; i++) {
            Pair pair = Pair.of(4096);
            Queue<Throwable> thrown = new ConcurrentLinkedQueue<>();
            Runnable[] uses = {
                () -> pair.rx().acquireRx(100).close(),
                () -> pair.tx().acquireTx(16, null).commit(16, 1)};
            List<Thread> threads = new ArrayList<>();
            for (Runnable use : uses) {
                Thread thread = new Thread(() -> {
                    for (;;) use.run();
                });
                thread.setUncaughtExceptionHandler((t, e) -> thrown.add(e));
                thread.start();
                threads.add(thread);
            }
            if (i % 4 == 0) Thread.sleep(1);
            (i % 2 == 0 ? pair.tx() : pair.rx()).close();
            pair.close();
            for (Thread thread : threads) thread.join();
            for (Throwable e : thrown) assertInstanceOf(BusClosedException.class, e);
        }
    }

    @Tag("long") /* touches gigabytes */
    @Test
    void a_ring_larger_than_a_buffer_is_seen_through_windows() {
        for (long capacity : new long[] {1L << 30, 1L << 31}) {
            try (Pair pair = Pair.of(capacity)) {
                byte[] mark = {1, 2, 3, 4};
                int size = (int) Math.min(capacity / 4 * 3, Integer.MAX_VALUE - 8);
                for (int i = 0; i < 4; i++) { /* passes the end of the ring, and the middle */
                    try (TxGuard tx = pair.tx().acquireTx(size, Pair.LONG)) {
                        tx.getData().put(0, mark).put(size - 4, mark);
                        tx.commit(size, i);
                    }
                    try (RxGuard rx = pair.rx().acquireRx(Pair.LONG)) {
                        byte[] first = new byte[4], last = new byte[4];
                        rx.getData().get(0, first).get(size - 4, last);
                        assertArrayEquals(mark, first);
                        assertArrayEquals(mark, last);
                        assertEquals(size, rx.getActualSize());
                    }
                }
            }
        }
    }
}
