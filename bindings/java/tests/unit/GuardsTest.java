// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.ReadOnlyBufferException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

final class GuardsTest {
    private final Pair pair = Pair.of(4096);
    private final TachyonBus tx = pair.tx(), rx = pair.rx();

    @AfterEach
    void close() {
        pair.close();
    }

    private void commit(long value, int typeId) {
        try (TxGuard guard = tx.acquireTx(8)) {
            guard.getData().putLong(value);
            guard.commitUnflushed(8, typeId);
        }
    }

    @Test
    void a_message_is_read_where_it_was_written() {
        try (TxGuard guard = tx.acquireTx(64)) {
            assertEquals(64, guard.getData().capacity());
            assertEquals(ByteOrder.nativeOrder(), guard.getData().order());
            guard.getData().putLong(0, 42).putLong(8, -1);
            guard.commit(16, TypeId.of(3, 7));
        }
        try (RxGuard guard = rx.acquireRx(100)) {
            assertEquals(16, guard.getActualSize());
            assertEquals(16, guard.getData().remaining());
            assertEquals(42, guard.getData().getLong());
            assertEquals(-1, guard.getData().getLong(8));
            assertEquals(3, TypeId.routeId(guard.getTypeId()));
            assertEquals(7, TypeId.msgType(guard.getTypeId()));
            assertThrows(ReadOnlyBufferException.class, () -> guard.getData().put((byte) 1));
        }
    }

    @Test
    void what_is_not_flushed_is_not_seen() {
        commit(1, 1);
        assertThrows(TachyonException.class, () -> rx.acquireRx(Duration.ZERO));
        tx.flush();
        assertEquals(1, rx.acquireRx(Pair.LONG).getData().getLong());
    }

    @Test
    void what_is_not_committed_is_not_sent() {
        TxGuard dropped = tx.acquireTx(8);
        dropped.close();
        assertThrows(IllegalStateException.class, () -> dropped.commit(8, 1));
        tx.acquireTx(8).rollback();
        commit(5, 1);
        tx.flush();
        assertEquals(5, rx.acquireRx(0).getData().getLong());
    }

    @Test
    void what_is_not_released_comes_again() {
        commit(1, 1);
        commit(2, 1);
        tx.flush();
        RxGuard first = rx.acquireRx(Pair.LONG);
        RxGuard again = rx.acquireRx(Pair.LONG);
        assertEquals(1, again.getData().getLong());
        assertThrows(IllegalStateException.class, first::commit);
        assertThrows(IllegalStateException.class, first::getData);
        first.close(); /* is no longer the one that is out */
        again.commit();
        assertThrows(IllegalStateException.class, again::commit);
        again.close();
        assertEquals(2, rx.acquireRx(Pair.LONG).getData().getLong());
    }

    @Test
    void a_guard_that_is_done_does_nothing_more() {
        TxGuard old = tx.acquireTx(8);
        TxGuard guard = tx.acquireTx(8); /* replaces it */
        assertThrows(IllegalStateException.class, () -> old.commit(8, 1));
        assertThrows(IllegalStateException.class, old::getData);
        old.close();
        guard.commit(8, 1);
        for (Runnable call : List.<Runnable>of(() -> guard.commit(8, 1), guard::rollback,
                guard::getData, () -> guard.commitUnflushed(8, 1)))
            assertThrows(IllegalStateException.class, call::run);
        guard.close();
        assertEquals(1, tx.stats().getMessages());
    }

    @Test
    void a_commit_of_too_much_keeps_the_guard() {
        try (TxGuard guard = tx.acquireTx(8)) {
            var e = assertThrows(TachyonException.class, () -> guard.commit(65, 1));
            assertEquals("TACHYON_ERR_INVALID_SZ", e.getName());
            assertThrows(IllegalArgumentException.class, () -> guard.commit(-1, 1));
            guard.commit(0, 1);
        }
        assertEquals(0, rx.acquireRx(Pair.LONG).getActualSize());
    }

    @Test
    void a_batch_is_taken_and_released_as_one() {
        for (int i = 0; i < 10; i++) commit(i, i + 1);
        tx.flush();
        RxBatchGuard batch = rx.drainBatch(1000, 100);
        assertEquals(10, batch.getCount());
        List<Long> values = new ArrayList<>();
        for (RxMsgView message : batch) {
            values.add(message.getData().getLong());
            assertEquals(values.size(), message.getTypeId());
        }
        assertEquals(List.of(0L, 1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L, 9L), values);
        assertThrows(IndexOutOfBoundsException.class, () -> batch.get(10));
        assertThrows(IndexOutOfBoundsException.class, () -> batch.get(-1));
        RxMsgView kept = batch.get(3);
        batch.commit();
        batch.close();
        assertThrows(IllegalStateException.class, kept::getData);
        assertThrows(IllegalStateException.class, () -> batch.get(0));
        assertThrows(IllegalStateException.class, batch::commit);
        assertEquals(10, rx.stats().getMessages());
    }

    @Test
    void a_batch_has_at_most_what_was_asked_for() {
        for (int i = 0; i < 5; i++) commit(i, 1);
        tx.flush();
        try (RxBatchGuard batch = rx.drainBatch(3, Pair.LONG)) {
            assertEquals(3, batch.getCount());
        }
        assertEquals(3, rx.acquireRx(Pair.LONG).getData().getLong());
    }

    @Test
    void arrays_of_items_go_and_come_in_batches() {
        ByteBuffer items = ByteBuffer.allocateDirect(400), room = ByteBuffer.allocateDirect(408);
        for (int i = 0; i < 50; i++) items.putLong(i * 8, i);
        assertEquals(50, tx.sendBatch(items, 8, 9, null));
        room.position(8);
        assertEquals(50, rx.recvBatch(room, 8, null));
        assertEquals(9, rx.getTypeId());
        assertEquals(items, room);
        byte[] heap = {1, 2, 3, 4};
        assertEquals(2, tx.sendBatch(ByteBuffer.wrap(heap), 2, 1, Pair.LONG));
        assertArrayEquals(new byte[] {1, 2}, rx.recv(Pair.LONG));
    }

    @Test
    void room_for_a_batch_is_written_in_place() {
        TxBatchGuard old = tx.reserveBatch(8, 1, Pair.LONG);
        assertThrows(IndexOutOfBoundsException.class, () -> old.get(1));
        try (TxBatchGuard room = tx.reserveBatch(8, 1000, Duration.ZERO)) {
            int count = room.getCount();
            assertTrue(count > 10 && count < 1000, "" + count);
            assertThrows(IndexOutOfBoundsException.class, () -> room.get(count));
            assertThrows(IllegalStateException.class, () -> old.get(0));
            for (int i = 0; i < count; i++) room.get(i).putLong(i);
            var e = assertThrows(TachyonException.class, () -> room.commit(count + 1, 5));
            assertEquals("TACHYON_ERR_INVALID_SZ", e.getName());
            room.commit(10, 5);
            assertThrows(IllegalStateException.class, () -> room.get(0));
            assertThrows(IllegalStateException.class, () -> room.commit(1, 5));
        }
        tx.reserveBatch(8, 3, null).close(); /* sends nothing */
        tx.flush();
        try (RxBatchGuard batch = rx.drainBatch(1000, Pair.LONG)) {
            assertEquals(10, batch.getCount());
            for (int i = 0; i < 10; i++) {
                assertEquals(i, batch.get(i).getData().getLong());
                assertEquals(5, batch.get(i).getTypeId());
            }
        }
    }

    @Test
    void a_batch_that_is_larger_than_the_ring_waits_for_room() throws Exception {
        ByteBuffer items = ByteBuffer.allocateDirect(64 * 1000);
        Thread sender = new Thread(() -> tx.sendBatch(items, 64, 1, null));
        sender.start();
        ByteBuffer room = ByteBuffer.allocateDirect(64 * 1000);
        for (int got = 0; got < 1000; ) got += rx.recvBatch(room, 64, Pair.LONG);
        sender.join();
        assertEquals(1000, tx.stats().getMessages());
    }

    @Test
    void copies_of_any_size_arrive() {
        try (Pair large = Pair.of(1 << 20)) {
            for (int size : new int[] {0, 1, 31, 32, 33, 4095, 4096, 4097, 500_000}) {
                byte[] data = new byte[size];
                for (int i = 0; i < size; i++) data[i] = (byte) (i * 7 + size);
                large.tx().send(data, size);
                assertArrayEquals(data, large.rx().recv(Pair.LONG));
                assertEquals(size, large.rx().getTypeId());
            }
        }
    }

    @Test
    void a_message_that_is_longer_than_the_room_stays() {
        tx.send(new byte[100], 1);
        ByteBuffer room = ByteBuffer.allocateDirect(99);
        var e = assertThrows(TachyonException.class, () -> rx.recv(room, Pair.LONG));
        assertEquals(ErrorCode.ERR_INVALID_SZ.swigValue(), e.getCode());
        assertEquals(100, rx.recv(Pair.LONG).length);
    }

    @Test
    void the_position_of_a_buffer_counts_and_stays() {
        ByteBuffer direct = ByteBuffer.allocateDirect(16).put(3, (byte) 7).position(3).limit(5);
        ByteBuffer heap = ByteBuffer.wrap(new byte[] {1, 2, 3}).position(1);
        tx.send(direct, 1, null);
        tx.send(heap, 1, Pair.LONG);
        assertArrayEquals(new byte[] {7, 0}, rx.recv(null));
        assertArrayEquals(new byte[] {2, 3}, rx.recv(null));
        assertEquals(3, direct.position());
        assertEquals(1, heap.position());
    }

    @Test
    void from_java_22_on_a_view_is_a_segment_too() throws Exception {
        if (Runtime.version().feature() < 22) {
            assertThrows(NoSuchMethodException.class, () -> TxGuard.class.getMethod("segment"));
            return;
        }
        TxGuard guard = tx.acquireTx(8);
        Object segment = TxGuard.class.getMethod("segment").invoke(guard);
        Class<?> type = Class.forName("java.lang.foreign.MemorySegment");
        assertEquals(8L, type.getMethod("byteSize").invoke(segment));
        guard.getData().put(0, (byte) 9);
        byte[] bytes = (byte[]) type.getMethod("toArray",
                Class.forName("java.lang.foreign.ValueLayout$OfByte")).invoke(segment,
                Class.forName("java.lang.foreign.ValueLayout").getField("JAVA_BYTE").get(null));
        assertEquals(9, bytes[0]);
        guard.commit(8, 1);
        assertNotEquals(0, rx.acquireRx(0).getActualSize());
    }
}
