// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import java.nio.ByteBuffer;
import java.util.Objects;

/** Room for messages of one size in the ring. What is not committed close() rolls back. */
public final class TxBatchGuard implements AutoCloseable {
    private final TachyonBus bus;
    private final long offset;
    private final int itemSize;
    private final int count;
    private final long stride;

    TxBatchGuard(TachyonBus bus, long offset, int itemSize, int count, long stride) {
        this.bus = bus;
        this.offset = offset;
        this.itemSize = itemSize;
        this.count = count;
        this.stride = stride;
    }

    public int getCount() {
        return count;
    }

    /** Where message {@code index} is to be written, in native byte order. */
    public ByteBuffer get(int index) {
        long at = offset + Objects.checkIndex(index, count) * stride;
        return bus.held(this, bus).window(at, itemSize, false);
    }

    /** Sends the first {@code count}, and all that was committed unflushed. */
    public void commit(int count, int typeId) {
        bus.held(this, bus).commitBatch(count, typeId);
        bus.guard = null;
        bus.flush();
    }

    public void rollback() {
        bus.held(this, bus).rollback();
        bus.guard = null;
    }

    @Override
    public void close() {
        if (bus.guard == this) rollback();
    }
}
