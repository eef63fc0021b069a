// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import java.util.Iterator;
import java.util.Objects;
import java.util.stream.IntStream;

/** Messages in place, released all at once. */
public final class RxBatchGuard implements Iterable<RxMsgView>, AutoCloseable {
    private final TachyonBus bus;
    private final int count;

    RxBatchGuard(TachyonBus bus, int count) {
        this.bus = bus;
        this.count = count;
    }

    public int getCount() {
        return count;
    }

    public RxMsgView get(int index) {
        return new RxMsgView(bus.held(this, bus), this, Objects.checkIndex(index, count));
    }

    @Override
    public Iterator<RxMsgView> iterator() {
        return IntStream.range(0, count).mapToObj(this::get).iterator();
    }

    /** Their room is the producer's again. */
    public void commit() {
        bus.held(this, bus).giveBack();
    }

    /** Commits, unless that is done. */
    @Override
    public void close() {
        if (bus.guard == this) commit();
    }
}
