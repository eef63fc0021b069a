// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;

/**
 * One end of a bus, which sends or receives. One thread at a time uses it; any thread may
 * close or abort it, which ends a wait, and so does Thread.interrupt(). A time-out that is
 * null or not given: for ever.
 */
public final class TachyonBus extends NativeBus {
    private static final int VIEW_BYTES = 16; /* offset, size, type, nothing */

    private ByteBuffer window; /* of the ring, from windowAt on */
    private long windowAt;
    private ByteBuffer views;
    private final ByteBuffer lastType = lastType();
    Object guard; /* what is handed out in place and not given back */

    TachyonBus() {
        attempt(FLUSH, 0, 0, 0); /* CLOSED; links the way now, not with the first message */
    }

    public static TachyonBus listen(String path, long capacity) {
        return listen(path, capacity, null);
    }

    public static TachyonBus listen(String path, long capacity, Options options) {
        return open(new TachyonBus(), bus -> bus.listenAt(path, capacity, options));
    }

    /** One try; with a time-out in the options, as many as it lets. */
    public static TachyonBus connect(String path) {
        return connect(path, null);
    }

    public static TachyonBus connect(String path, Options options) {
        return open(new TachyonBus(), bus -> bus.connectTo(path, options));
    }

    /** Sends a copy. */
    public void send(byte[] data, int typeId) {
        send(ByteBuffer.wrap(data), typeId, null);
    }

    /** The bytes from position to limit; neither moves. */
    public void send(ByteBuffer data, int typeId, Duration timeout) {
        ByteBuffer from = direct(data);
        try {
            send(address(from), from.remaining(), typeId, timeout);
        } finally {
            keep(from, from != data);
        }
    }

    /** Messages of one size and type; how many went, fewer than all at an error. */
    public int sendBatch(ByteBuffer items, int itemSize, int typeId, Duration timeout) {
        long size = items.remaining();
        long[] sent = {0}; /* bytes */
        return (int) lend(items, at -> {
            long result = outcome(timeout, t -> {
                long count = sendBatch(at + sent[0], size - sent[0], itemSize, typeId, duration(t));
                sent[0] += Math.max(count, 0) * itemSize;
                boolean part = count >= 0 && sent[0] < size; /* the next try says why */
                return part ? -ErrorCode.ERR_INTERRUPTED.swigValue() : count;
            });
            return sent[0] > 0 ? sent[0] / itemSize : check(result);
        });
    }

    /** A copy of the next message; getTypeId() tells its type. */
    public byte[] recv(Duration timeout) {
        ByteBuffer into = takeScratch(0);
        try {
            int size;
            try {
                size = recv(into, timeout);
            } catch (TachyonException e) {
                boolean longer = e.getCode() == ErrorCode.ERR_INVALID_SZ.swigValue()
                        && getSize() > into.capacity();
                if (!longer) throw e;
                into = ByteBuffer.allocateDirect((int) getSize());
                size = recv(into, timeout);
            }
            byte[] data = new byte[size];
            into.get(0, data);
            return data;
        } finally {
            keep(into, true);
        }
    }

    /** Type of the last message that recv() or recvBatch() copied. */
    @Override
    public int getTypeId() {
        int type = lastType.getInt(0);
        Reference.reachabilityFence(this);
        return type;
    }

    /** Into a direct buffer from its position on, which does not move; the size. */
    public int recv(ByteBuffer into, Duration timeout) {
        try {
            return (int) recvInto(addressToWrite(into), into.remaining(), timeout);
        } finally {
            keep(into, false);
        }
    }

    /** Messages of itemSize bytes and one type into a direct buffer; how many. */
    public int recvBatch(ByteBuffer into, int itemSize, Duration timeout) {
        try {
            return (int) recvBatchInto(addressToWrite(into), into.remaining(), itemSize, timeout);
        } finally {
            keep(into, false);
        }
    }

    /** Room for a message, or BufferFullException. */
    public TxGuard acquireTx(long size) {
        return acquireTx(size, Duration.ZERO);
    }

    public TxGuard acquireTx(long size, Duration timeout) {
        return hand(new TxGuard(this, window(reserve(size, timeout), (int) size, false)));
    }

    /** Room for at least one message of that size and at most {@code max}. */
    public TxBatchGuard reserveBatch(int itemSize, int max, Duration timeout) {
        long offset = reserveBatch((long) itemSize, max, timeout);
        return hand(new TxBatchGuard(this, offset, itemSize, getCount(), getStride()));
    }

    /** The next message; looks {@code spin} times before it goes to sleep. */
    public RxGuard acquireRx(int spin) {
        look(spin);
        return acquireRx(null);
    }

    public RxGuard acquireRx(Duration timeout) {
        takeViews(1, timeout);
        return hand(new RxGuard(this));
    }

    /** At least one message and at most {@code max}, of which 1024 are possible. */
    public RxBatchGuard drainBatch(int max, int spin) {
        look(spin);
        return drainBatch(max, null);
    }

    public RxBatchGuard drainBatch(int max, Duration timeout) {
        if (max <= 0) throw new IllegalArgumentException("max is " + max);
        return hand(new RxBatchGuard(this, takeViews(max, timeout)));
    }

    private int takeViews(int max, Duration timeout) {
        long count = take(max, timeout);
        if (views == null) views = viewMemory();
        return (int) count;
    }

    /** Message {@code index} of the last take(). */
    ByteBuffer message(int index) {
        long offset = Integer.toUnsignedLong(views.getInt(index * VIEW_BYTES));
        int size = views.getInt(index * VIEW_BYTES + 4);
        return window(offset, size, true);
    }

    int typeOf(int index) {
        return views.getInt(index * VIEW_BYTES + 8);
    }

    /** That part of the ring; a ByteBuffer may not reach to all of it. */
    ByteBuffer window(long offset, int size, boolean readOnly) {
        if (window == null || offset < windowAt
                || offset + size > windowAt + window.capacity()) {
            ByteBuffer all = ringFrom(0);
            boolean reaches = all.capacity() < Integer.MAX_VALUE;
            windowAt = reaches ? 0 : offset;
            window = reaches ? all : ringFrom(offset);
            if (readOnly) window = window.asReadOnlyBuffer(); /* it keeps the other */
        }
        return window.slice((int) (offset - windowAt), size).order(ByteOrder.nativeOrder());
    }

    /** From now on the one that is out. */
    private <T> T hand(T out) {
        guard = out;
        return out;
    }

    /** {@code data}, while its guard is the one that is out. */
    <T> T held(Object by, T data) {
        if (guard != by) throw new IllegalStateException("committed or rolled back");
        return data;
    }

    void commit(int how, long size, int typeId) {
        check(attempt(how, 0, size, typeId));
        guard = null;
    }

    void giveBack() {
        guard = null;
        check(attempt(RELEASE, 0, 0, 0));
    }
}
