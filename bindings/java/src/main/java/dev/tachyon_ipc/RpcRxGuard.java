// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import java.nio.ByteBuffer;

/** A request or a reply: a copy, so that the next one may come whenever it likes. */
public final class RpcRxGuard extends View implements AutoCloseable {
    private final ByteBuffer data;
    private final long correlationId;
    private final int msgType;

    RpcRxGuard(ByteBuffer data, long correlationId, int msgType) {
        this.data = data;
        this.correlationId = correlationId;
        this.msgType = msgType;
    }

    @Override
    public ByteBuffer getData() {
        return data;
    }

    public long getCorrelationId() {
        return correlationId;
    }

    public int getMsgType() {
        return msgType;
    }

    /** There is nothing to give back. */
    public void commit() {}

    @Override
    public void close() {}
}
