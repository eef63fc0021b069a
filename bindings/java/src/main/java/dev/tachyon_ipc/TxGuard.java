// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import java.nio.ByteBuffer;

/** Room for one message in the ring. What is not committed is rolled back by close(). */
public final class TxGuard extends View implements AutoCloseable {
    private final TachyonBus bus;
    private final ByteBuffer data;

    TxGuard(TachyonBus bus, ByteBuffer data) {
        this.bus = bus;
        this.data = data;
    }

    @Override
    public ByteBuffer getData() {
        return bus.held(this, data);
    }

    /** Sends the first {@code size} bytes, and all that was committed unflushed. */
    public void commit(long size, int typeId) {
        bus.held(this, bus).commit(TachyonBus.COMMIT_FLUSH, size, typeId);
    }

    /** Seen by the peer after the next flush, the latest is that of the 32nd message. */
    public void commitUnflushed(long size, int typeId) {
        bus.held(this, bus).commit(TachyonBus.COMMIT, size, typeId);
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
