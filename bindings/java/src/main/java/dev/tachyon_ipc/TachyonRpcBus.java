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
        TachyonRpcBus bus = new TachyonRpcBus();
        bus.open(t -> bus.listenAt(path, forward, back, options));
        return bus;
    }

    public static TachyonRpcBus rpcConnect(String path) {
        return rpcConnect(path, null);
    }

    public static TachyonRpcBus rpcConnect(String path, Options options) {
        TachyonRpcBus bus = new TachyonRpcBus();
        bus.open(t -> bus.connectTo(path, options));
        return bus;
    }

    /** Sends a request; the id under which its reply comes. */
    public long call(byte[] data, int msgType) {
        return call(data, msgType, null);
    }

    public long call(byte[] data, int msgType, Duration timeout) {
        long from = address(ByteBuffer.wrap(data));
        long id = call(from, data.length, msgType, 0);
        return await(id, timeout, t -> call(from, data.length, msgType, t));
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
        long size = nextReply(id, 0);
        return copy(await(size, timeout, t -> nextReply(id, t)));
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
        return copy(await(nextRequest(0), timeout, this::nextRequest));
    }

    public void reply(long id, byte[] data, int msgType) {
        reply(id, data, msgType, null);
    }

    public void reply(long id, byte[] data, int msgType, Duration timeout) {
        long from = address(ByteBuffer.wrap(data));
        long result = reply(id, from, data.length, msgType, 0);
        await(result, timeout, t -> reply(id, from, data.length, msgType, t));
    }

    private RpcRxGuard copy(long size) {
        byte[] data = new byte[(int) size];
        ByteBuffer copy = scratch(data.length).clear();
        copyHeld(address(copy), size);
        copy.get(0, data);
        ByteBuffer heap = ByteBuffer.wrap(data).order(ByteOrder.nativeOrder());
        return new RpcRxGuard(heap, getId(), getTypeId());
    }
}
