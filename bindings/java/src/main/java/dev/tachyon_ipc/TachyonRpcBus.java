// SPDX-License-Identifier: Apache-2.0
package dev.tachyon_ipc;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;

/**
 * One end of a pair of rings: the one that connects calls, the one that listens serves.
 * Threads and time-outs as for a TachyonBus.
 */
public final class TachyonRpcBus extends NativeRpcBus {
    TachyonRpcBus() {}

    public static TachyonRpcBus rpcListen(String path, long forward, long back) {
        return rpcListen(path, forward, back, null);
    }

    public static TachyonRpcBus rpcListen(String path, long forward, long back,
            Options options) {
        return open(new TachyonRpcBus(), bus -> bus.listenAt(path, forward, back, options));
    }

    public static TachyonRpcBus rpcConnect(String path) {
        return rpcConnect(path, null);
    }

    public static TachyonRpcBus rpcConnect(String path, Options options) {
        return open(new TachyonRpcBus(), bus -> bus.connectTo(path, options));
    }

    /** Sends a request; the id under which its reply comes. */
    public long call(byte[] data, int msgType) {
        return call(data, msgType, null);
    }

    public long call(byte[] data, int msgType, Duration timeout) {
        return lend(ByteBuffer.wrap(data), at -> call(at, data.length, msgType, timeout));
    }

    /** The reply to that call; those to others are kept until they are asked for. */
    public RpcRxGuard waitResponse(long id) {
        return waitResponse(id, null);
    }

    public RpcRxGuard waitResponse(long id, int spin) {
        look(spin);
        return waitResponse(id, null);
    }

    public RpcRxGuard waitResponse(long id, Duration timeout) {
        return copy(nextReply(id, timeout));
    }

    /** The next request. */
    public RpcRxGuard serve() {
        return serve(null);
    }

    public RpcRxGuard serve(int spin) {
        look(spin);
        return serve(null);
    }

    public RpcRxGuard serve(Duration timeout) {
        return copy(nextRequest(timeout));
    }

    public void reply(long id, byte[] data, int msgType) {
        reply(id, data, msgType, null);
    }

    public void reply(long id, byte[] data, int msgType, Duration timeout) {
        lend(ByteBuffer.wrap(data), at -> reply(id, at, data.length, msgType, timeout));
    }

    private RpcRxGuard copy(long size) {
        byte[] data = new byte[(int) size];
        ByteBuffer heap = ByteBuffer.wrap(data).order(ByteOrder.nativeOrder());
        RpcRxGuard message = new RpcRxGuard(heap, getId(), getTypeId());
        ByteBuffer copy = takeScratch(data.length);
        copyHeld(address(copy), size); /* from here on another thread may receive */
        copy.get(0, data);
        keep(copy, true);
        return message;
    }
}
