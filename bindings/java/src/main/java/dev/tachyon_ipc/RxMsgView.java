// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import java.nio.ByteBuffer;

/** One message in the ring, until its guard is committed. */
public class RxMsgView extends View {
    final TachyonBus bus;
    private final Object guard;
    private final ByteBuffer data;
    private final int typeId;

    RxMsgView(TachyonBus bus, Object guard, int index) {
        this.bus = bus;
        this.guard = guard == null ? this : guard;
        data = bus.message(index);
        typeId = bus.typeOf(index);
    }

    /** Read-only. */
    @Override
    public ByteBuffer getData() {
        return bus.held(guard, data);
    }

    public int getActualSize() {
        return data.capacity();
    }

    public int getTypeId() {
        return typeId;
    }
}
