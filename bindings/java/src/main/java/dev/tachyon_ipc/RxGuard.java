// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

/** The next message, in place. What is not committed comes again with the next receive. */
public final class RxGuard extends RxMsgView implements AutoCloseable {
    RxGuard(TachyonBus bus) {
        super(bus, null, 0);
    }

    /** Its room is the producer's again. */
    public void commit() {
        bus.held(this, bus).giveBack();
    }

    /** Commits, unless that is done. */
    @Override
    public void close() {
        if (bus.guard == this) commit();
    }
}
