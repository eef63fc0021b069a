// SPDX-License-Identifier: Apache-2.0
using System;
using System.Runtime.InteropServices;
using System.Threading;

namespace TachyonIpc {

/// <summary>One end of a connection that carries messages in one direction: the first
/// send or receive decides which end is which. Times: null waits for ever, zero not at
/// all.</summary>
public sealed unsafe partial class Bus : Connection {
    internal struct View { internal uint Offset, Size, TypeId, Reserved; }
    internal byte* Ring; // mapped twice in a row
    internal View* Views;
    byte[] scratch = new byte[256];

    Bus() { }

    /// <summary>Makes a ring of a power of two of bytes and waits for a peer.</summary>
    public static Bus Listen(string path, ulong capacity, Options options = null,
                             CancellationToken token = default) {
        var bus = new Bus();
        return Open(bus, path, options, token,
                    given => Native.RawBus_Listen(bus.Handle, path, capacity, given));
    }

    /// <summary>Attaches to a listener: in one try, or as options say.</summary>
    public static Bus Connect(string path, Options options = null,
                              CancellationToken token = default) {
        var bus = new Bus();
        return Open(bus, path, options, token,
                    given => Native.RawBus_Connect(bus.Handle, path, given));
    }

    internal override void Map() {
        Ring = (byte*)Native.RawBus_RingMemory(Handle);
        Views = (View*)Native.RawBus_ViewMemory(Handle);
        if (Views != null) // else each of many peers has a ring of its own
            Native.RawBus_Unref(Handle); // they are in the struct, which is ours
    }

    internal override void Unmap() {
        if (Ring != null)
            Native.RawBus_Unref(Handle);
    }

    /// <summary>Prefers a NUMA node for the ring's pages.</summary>
    public void SetNumaNode(int node) => Check(Native.RawBus_SetNumaNode(Handle, node));

    /// <summary>Counters of this end; on the thread that uses the bus.</summary>
    public Stats Stats => Checked(new Stats(Native.RawBus_Stats(Handle), true));

    /// Without waiting, which needs no watch over the token; else with. Less than 0: the
    /// error.
    long Perform(Op op, void* data, long size, long count = 0, uint typeId = 0,
                 TimeSpan? timeout = null, CancellationToken token = default) {
        double seconds = Seconds(timeout);
        if ((size | count) < 0)
            throw new TachyonException(TachyonError.InvalidSz,
                                       "a size or count is " + Math.Min(size, count));
        if (token.IsCancellationRequested)
            throw new TachyonCanceledException(token);
        // A batch is sent in one piece: what does not fit waits.
        bool quick = size <= Quick.MostBytes && op != Op.SendBatch;
        long result = quick ? Quick.Perform(Handle, op, data, size, count, typeId) : 0;
        if (!quick || seconds != 0 && WouldBlock(result))
            using (Watch wait = Until(token, seconds))
                do
                    result = Native.RawBus_Perform(Handle, (int)op, data, (ulong)size,
                                                   (ulong)count, typeId, wait.Left);
                while (wait.Again(result));
        return result;
    }

    static bool WouldBlock(long result) =>
        result == -(long)TachyonError.Empty || result == -(long)TachyonError.Full;

    bool Tried(long result) => !WouldBlock(result) && Check(result) >= 0;

    // ---- Messages, copied ----

    /// <summary>Sends one message, visible at once.</summary>
    public void Send(ReadOnlySpan<byte> data, uint typeId = 0, TimeSpan? timeout = null,
                     CancellationToken token = default) {
        fixed (byte* p = &MemoryMarshal.GetReference(data))
            Check(Perform(Op.Send, p, data.Length, 0, typeId, timeout, token), token);
    }

    /// <summary>Sends one message without waiting. False: the ring is full.</summary>
    public bool TrySend(ReadOnlySpan<byte> data, uint typeId = 0) {
        fixed (byte* p = &MemoryMarshal.GetReference(data))
            return Tried(Perform(Op.Send, p, data.Length, 0, typeId, TimeSpan.Zero));
    }

    /// <summary>Sends items of one size, one message each. Gives how many went: fewer
    /// than all when time, token or stream ended after some.</summary>
    public int SendBatch(ReadOnlySpan<byte> items, int itemSize, uint typeId = 0,
                         TimeSpan? timeout = null, CancellationToken token = default) {
        fixed (byte* p = &MemoryMarshal.GetReference(items))
            return (int)Check(Perform(Op.SendBatch, p, items.Length, itemSize, typeId,
                                      timeout, token), token);
    }

    /// <summary>Makes what was committed visible.</summary>
    public void Flush() => Check(Perform(Op.Flush, null, 0));

    /// <summary>Takes one message into a buffer; gives its size. One that is longer
    /// stays in the ring: InvalidSz.</summary>
    public int Receive(Span<byte> into, out uint typeId, TimeSpan? timeout = null,
                       CancellationToken token = default) {
        fixed (byte* p = &MemoryMarshal.GetReference(into)) {
            long size = Check(Perform(Op.Receive, p, into.Length, 0, 0, timeout, token),
                              token);
            typeId = LastTypeId;
            return (int)size;
        }
    }

    /// <summary>Takes one message.</summary>
    public Message Receive(TimeSpan? timeout = null,
                           CancellationToken token = default) =>
        Received(Check(Take(timeout, token), token));

    /// As for an asynchronous call: without waiting.
    bool TryCopy(out Message message) {
        long size = Take(TimeSpan.Zero, default);
        bool there = Tried(size);
        message = there ? Received(size) : default;
        return there;
    }

    Message Received(long size) =>
        new Message(scratch.AsSpan(0, (int)size).ToArray(), LastTypeId);

    long Take(TimeSpan? timeout, CancellationToken token) {
        long result, room;
        do { // again with more room, if that was too little: it waits no more
            room = scratch?.Length ?? 0;
            fixed (byte* p = scratch)
                result = Perform(Op.Receive, p, room, 0, 0, timeout, token);
        } while (result == -(long)TachyonError.InvalidSz && LastSize > room &&
                 (scratch = new byte[LastSize]) != null);
        return result;
    }

    /// <summary>Takes messages of one size and type into an array: waits for the first,
    /// then takes what is there. Gives how many.</summary>
    public int ReceiveBatch(Span<byte> into, int itemSize, out uint typeId,
                            TimeSpan? timeout = null,
                            CancellationToken token = default) {
        fixed (byte* p = &MemoryMarshal.GetReference(into)) {
            long count = Check(Perform(Op.ReceiveBatch, p, into.Length, itemSize, 0,
                                       timeout, token), token);
            typeId = LastTypeId;
            return (int)count;
        }
    }

    // ---- Messages in place ----

    /// A call that a guard is for. With `quiet` it is less than 0 when it would block.
    long InPlace(Op op, long size, long count, TimeSpan? timeout,
                 CancellationToken token, bool quiet = false) {
        bool held = Hold();
        long result = -1;
        try {
            result = Perform(op, null, size, count, 0, timeout, token);
        } finally {
            if (held)
                Drop(result >= 0);
        }
        if (result >= 0)
            Turn = ++LastTurn; // a guard that was out is stale
        else if (!quiet || Tried(result))
            Check(result, token);
        return result;
    }

    /// What a guard does in the end.
    internal long End(Op op, long size = 0, long count = 0, uint typeId = 0) =>
        Perform(op, null, size, count, typeId);

    /// <summary>Reserves room for one message without waiting. False: the ring is
    /// full.</summary>
    public bool TryAcquireTx(ulong maxSize, out TxGuard guard) {
        long offset = InPlace(Op.Reserve, (long)Math.Min(maxSize, long.MaxValue), 0,
                              TimeSpan.Zero, default, true);
        guard = offset < 0 ? default : new TxGuard(this, offset, (int)maxSize);
        return offset >= 0;
    }

    /// <summary>Reserves room for one message.</summary>
    public TxGuard AcquireTx(int maxSize, TimeSpan? timeout = null,
                             CancellationToken token = default) =>
        new TxGuard(this, InPlace(Op.Reserve, maxSize, 0, timeout, token), maxSize);

    /// <summary>Reserves room for up to so many messages of one size.</summary>
    public TxBatch AcquireTxBatch(int itemSize, int maxCount, TimeSpan? timeout = null,
                                  CancellationToken token = default) =>
        new TxBatch(this, InPlace(Op.ReserveBatch, itemSize, maxCount, timeout, token),
                    itemSize);

    /// <summary>Shows the next message without waiting. False: there is none.</summary>
    public bool TryReceive(out RxGuard guard) {
        long offset = InPlace(Op.Acquire, 0, 0, TimeSpan.Zero, default, true);
        guard = offset < 0 ? default : new RxGuard(this, offset);
        return offset >= 0;
    }

    /// <summary>Shows the next message; waits for it.</summary>
    public RxGuard AcquireRx(TimeSpan? timeout = null,
                             CancellationToken token = default) =>
        new RxGuard(this, InPlace(Op.Acquire, 0, 0, timeout, token));

    /// <summary>As <see cref="TryReceive"/>, with so many looks; 0: until one
    /// comes.</summary>
    public bool ReceiveSpin(uint maxSpins, out RxGuard guard) {
        for (uint looks = 1; !TryReceive(out guard); ++looks)
            if (looks == maxSpins)
                return false;
        return true;
    }

    /// <summary>As <see cref="AcquireRx"/>, and <see cref="Connection.Spin"/> is set.
    /// </summary>
    public RxGuard ReceiveBlocking(uint spin = 1000) {
        Spin = spin;
        return AcquireRx();
    }

    /// <summary>Shows all messages that are there, at most so many (0: 1024); waits for
    /// the first.</summary>
    public RxBatch AcquireRxBatch(int max = 0, TimeSpan? timeout = null,
                                  CancellationToken token = default) =>
        new RxBatch(this, InPlace(Op.Take, 0, max, timeout, token));

    /// <summary>As <see cref="AcquireRxBatch"/>, and into an array of views that is the
    /// caller's; <see cref="Connection.Spin"/> is set.</summary>
    public RxBatch DrainBatch(MsgView* views, int max, uint spin = 10000) {
        Spin = spin;
        return AcquireRxBatch(Room(views, max)).CopyTo(views);
    }

    /// <summary>The same without waiting. False: there is no message.</summary>
    public bool TryReceiveBatch(MsgView* views, int max, out RxBatch batch) {
        long count = InPlace(Op.Take, 0, Room(views, max), TimeSpan.Zero, default,
                             true);
        batch = count < 0 ? default : new RxBatch(this, count).CopyTo(views);
        return count >= 0;
    }

    static int Room(MsgView* views, int max) =>
        max <= 0
            ? throw new TachyonException(TachyonError.InvalidSz, max + " views")
        : views == null
            ? throw new TachyonException(TachyonError.NullPtr, "views is null")
            : max;
}
}
