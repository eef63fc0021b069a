// SPDX-License-Identifier: Apache-2.0
using System;
using System.Threading;

namespace TachyonIpc {

// One listener, many peers: Options.MaxPeers.
public abstract partial class Connection {
    /// <summary>Lets peers in and out, and waits until one has come or gone. For any
    /// thread, beside the one that sends or receives. A bus that waits in another call
    /// does not need it. InvalidSz: the bus has a single peer; Busy: another thread waits
    /// in it.</summary>
    public Event Accept(TimeSpan? timeout = null, CancellationToken token = default) {
        using (Watch wait = Until(token, Seconds(timeout)))
            for (;;) {
                var happened = new Event(Native.RawBus_Accept(Handle, wait.Left), true);
                if (happened.Kind != 0)
                    return happened;
                long result = -(long)happened.Reason;
                happened.Dispose();
                if (!wait.Again(result))
                    Check(result, token);
            }
    }

    /// <summary>Who is connected, in no order; for any thread. InvalidSz: the bus has a
    /// single peer.</summary>
    public PeerInfo[] Peers() {
        IntPtr list = Native.RawBus_Peers(Handle);
        if (list == IntPtr.Zero)
            Check(-(long)Native.RawBus_ErrorHere(Handle));
        GC.KeepAlive(this);
        using (var peers = new Peers(list, true)) {
            var all = new PeerInfo[peers.Count];
            for (uint i = 0; i < all.Length; ++i)
                all[i] = peers.At(i);
            return all;
        }
    }

    /// <summary>Disconnects a peer; for any thread. It finds the end of the stream, or
    /// Lagged once a broadcast goes on without it, and the event Left follows. InvalidSz:
    /// none of this number is connected.</summary>
    public void DropPeer(uint peer) => Check(Native.RawBus_DropPeer(Handle, peer));

    /// <summary>Number of the peer whose message or request was received last; 0: none
    /// yet, or the bus has a single peer.</summary>
    public uint Sender => (uint)Check(Native.RawBus_Sender(Handle));
}

public sealed partial class Bus {
    /// <summary>Where this end of a broadcast stands, for
    /// <see cref="Options.StartPosition"/> and <see cref="Options.StartEpoch"/> of a later
    /// connection; on the thread that uses the bus.</summary>
    public (ulong Position, ulong Epoch) Position =>
        ((ulong)Check(Native.RawBus_Position(Handle)), LastEpoch);
}
}
