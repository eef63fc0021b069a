// SPDX-License-Identifier: Apache-2.0
using System;
using System.Runtime.InteropServices;
using System.Threading;

namespace TachyonIpc {

/// <summary>Calls and replies: who connects calls, who listens serves. Requests and
/// replies are copied out of the ring, which has its room back at once.</summary>
public sealed unsafe partial class RpcBus : Connection {
    RpcBus() { }

    /// <summary>Makes a ring for requests and one for replies and waits for a
    /// caller.</summary>
    public static RpcBus Listen(string path, ulong forward, ulong back,
                                Options options = null,
                                CancellationToken token = default) {
        var rpc = new RpcBus();
        return Open(rpc, path, options, token, given =>
            Native.RawRpcBus_Listen(rpc.Handle, path, forward, back, given));
    }

    /// <summary>Attaches to a listener: in one try, or as options say.</summary>
    public static RpcBus Connect(string path, Options options = null,
                                 CancellationToken token = default) {
        var rpc = new RpcBus();
        return Open(rpc, path, options, token,
                    given => Native.RawRpcBus_Connect(rpc.Handle, path, given));
    }

    /// <summary>Counters of this end.</summary>
    public RpcStats Stats =>
        Checked(new RpcStats(Native.RawRpcBus_Stats(Handle), true));

    /// <summary>Sends a request; its id is for <c>Wait</c>.</summary>
    public ulong Call(ReadOnlySpan<byte> payload, uint msgType = 0,
                      TimeSpan? timeout = null, CancellationToken token = default) {
        long result;
        using (Watch wait = Until(token, Seconds(timeout)))
        fixed (byte* p = &MemoryMarshal.GetReference(payload))
            do
                result = Native.RawRpcBus_Call(Handle, p, (ulong)payload.Length, msgType,
                                               wait.Left);
            while (wait.Again(result));
        return (ulong)Check(result, token);
    }

    /// <summary>Waits for the reply to one call, 0: to any.</summary>
    public Message Wait(ulong id = 0, TimeSpan? timeout = null,
                        CancellationToken token = default) {
        long size;
        using (Watch wait = Until(token, Seconds(timeout))) {
            do
                size = Native.RawRpcBus_NextReply(Handle, id, wait.Left);
            while (wait.Again(size));
            return Copy(token, size);
        }
    }

    /// <summary>The same, and <see cref="Connection.Spin"/> is set.</summary>
    public Message Wait(ulong id, uint spin) {
        Spin = spin;
        return Wait(id);
    }

    /// <summary>Waits for the next request.</summary>
    public Message Serve(TimeSpan? timeout = null, CancellationToken token = default) {
        long size;
        using (Watch wait = Until(token, Seconds(timeout))) {
            do
                size = Native.RawRpcBus_NextRequest(Handle, wait.Left);
            while (wait.Again(size));
            return Copy(token, size);
        }
    }

    /// <summary>The same, and <see cref="Connection.Spin"/> is set.</summary>
    public Message Serve(uint spin) {
        Spin = spin;
        return Serve();
    }

    /// <summary>Answers a request.</summary>
    public void Reply(ulong id, ReadOnlySpan<byte> payload, uint msgType = 0,
                      TimeSpan? timeout = null, CancellationToken token = default) {
        long result;
        using (Watch wait = Until(token, Seconds(timeout)))
        fixed (byte* p = &MemoryMarshal.GetReference(payload))
            do
                result = Native.RawRpcBus_Reply(Handle, id, p, (ulong)payload.Length,
                                                msgType, wait.Left);
            while (wait.Again(result));
        Check(result, token);
    }

    /// <summary>Gives a call up; its reply will be dropped.</summary>
    public void Cancel(ulong id) => Check(Native.RawRpcBus_Cancel(Handle, id));

    Message Copy(CancellationToken token, long size) {
        var payload = new byte[Check(size, token)];
        var message = new Message(payload, LastTypeId, LastId);
        fixed (byte* p = payload) // from here on another thread may receive
            Check(Native.RawRpcBus_CopyHeld(Handle, p, (ulong)size));
        return message;
    }
}
}
