// SPDX-License-Identifier: Apache-2.0
using System;
using System.Runtime.InteropServices;

namespace TachyonIpc {

/// What a guard knows of its bus, which keeps the ring mapped until it is finalized.
readonly unsafe struct Hold {
    readonly Bus bus;
    readonly ulong turn;

    internal Hold(Bus bus) {
        this.bus = bus;
        turn = bus.Turn;
    }

    internal bool IsValid => bus != null && turn != 0 && bus.Turn == turn;

    internal Bus Bus => IsValid ? bus : throw new TachyonException(
        TachyonError.Empty, "the guard is done, or another one has taken its place");

    internal Bus At(int i, int count) =>
        (uint)i < (uint)count ? Bus : throw new TachyonException(
            TachyonError.InvalidSz, "message " + i + " of a batch of " + count);

    /// The result of the call that ends it; InvalidSz leaves it as it is.
    internal void Done(long result) {
        if (result != -(long)TachyonError.InvalidSz)
            bus.Turn = 0;
        bus.Check(result);
    }

    internal void Release() => Done(Bus.End(Op.Release));

    /// After a copy, which is worth nothing if it came too late. What else has ended the
    /// next call says.
    internal void Taken() {
        long result = bus.End(Op.Release);
        bus.Turn = 0;
        if (result == -(long)TachyonError.Lagged)
            bus.Check(result);
    }

    /// For Dispose: no matter when, and what comes of it.
    internal void End(bool sending) {
        if (!IsValid)
            return;
        bus.End(sending ? Op.Rollback : Op.Release);
        bus.Turn = 0;
    }
}

/// <summary>Room for one message in the ring; without a commit nothing is sent.
/// </summary>
public readonly unsafe struct TxGuard : IDisposable {
    readonly Hold hold;
    readonly long offset;
    readonly int size;

    internal TxGuard(Bus bus, long offset, int size) {
        hold = new Hold(bus);
        this.offset = offset;
        this.size = size;
    }

    /// <summary>The bytes, uninitialised; until the guard is done.</summary>
    public Span<byte> Buffer => new Span<byte>(hold.Bus.Ring + offset, size);

    /// <summary>Sends so many bytes, visible at once.</summary>
    public void Commit(int size, uint typeId = 0) =>
        hold.Done(hold.Bus.End(Op.CommitFlushed, size, 0, typeId));

    /// <summary>Sends so many bytes, visible from the next flush on.</summary>
    public void CommitUnflushed(int size, uint typeId = 0) =>
        hold.Done(hold.Bus.End(Op.Commit, size, 0, typeId));

    /// <summary>Gives the room back.</summary>
    public void Rollback() => hold.Done(hold.Bus.End(Op.Rollback));

    /// <summary>Gives the room back, unless the guard is done.</summary>
    public void Dispose() => hold.End(true);
}

/// <summary>Room for messages of one size in the ring.</summary>
public readonly unsafe struct TxBatch : IDisposable {
    readonly Hold hold;
    readonly long offset, stride;
    readonly int size;

    internal TxBatch(Bus bus, long offset, int size) {
        hold = new Hold(bus);
        this.offset = offset;
        this.size = size;
        stride = bus.LastStride;
        Count = bus.LastCount;
    }

    /// <summary>How many there is room for.</summary>
    public int Count { get; }

    /// <summary>The bytes of one, uninitialised.</summary>
    public Span<byte> Buffer(int i) =>
        new Span<byte>(hold.At(i, Count).Ring + offset + i * stride, size);

    /// <summary>Sends the first so many, visible at once.</summary>
    public void Commit(int count, uint typeId = 0) {
        Bus bus = hold.Bus;
        hold.Done(bus.End(Op.CommitBatch, 0, count, typeId));
        bus.Flush();
    }

    /// <summary>Gives the room back, unless the guard is done.</summary>
    public void Dispose() => hold.End(true);
}

/// <summary>One message in the ring. Dispose releases it, as Commit does, which alone
/// says Lagged: of a broadcast, what was read may have been overwritten before.</summary>
public readonly unsafe struct RxGuard : IDisposable {
    readonly Hold hold;
    readonly long offset;

    internal RxGuard(Bus bus, long offset) {
        hold = new Hold(bus);
        this.offset = offset;
        ActualSize = (int)bus.LastSize;
        TypeId = bus.LastTypeId;
    }

    /// <summary>The bytes; until the guard is done.</summary>
    public ReadOnlySpan<byte> Data =>
        new ReadOnlySpan<byte>(hold.Bus.Ring + offset, ActualSize);
    /// <summary>How many.</summary>
    public int ActualSize { get; }
    /// <summary>The message's type.</summary>
    public uint TypeId { get; }
    /// <summary>The upper half of the type.</summary>
    public ushort RouteId => TachyonIpc.TypeId.RouteId(TypeId);
    /// <summary>The lower half of the type.</summary>
    public ushort MsgType => TachyonIpc.TypeId.MsgType(TypeId);

    /// <summary>Copies the message and releases it. Lagged: it may have been
    /// overwritten before.</summary>
    public Message Copy() {
        var message = new Message(Data.ToArray(), TypeId);
        hold.Taken();
        return message;
    }

    /// <summary>Releases the message.</summary>
    public void Commit() => hold.Release();

    /// <summary>Releases the message, unless the guard is done.</summary>
    public void Dispose() => hold.End(false);
}

/// <summary>Messages in the ring. Dispose releases all, as Commit does, which alone
/// says Lagged.</summary>
public readonly unsafe struct RxBatch : IDisposable {
    readonly Hold hold;

    internal RxBatch(Bus bus, long count) {
        hold = new Hold(bus);
        Count = (int)count;
    }

    /// <summary>How many.</summary>
    public int Count { get; }

    /// <summary>The bytes of one; until the guard is done.</summary>
    public ReadOnlySpan<byte> Data(int i) {
        Bus bus = hold.At(i, Count);
        return new ReadOnlySpan<byte>(bus.Ring + bus.Views[i].Offset,
                                      (int)bus.Views[i].Size);
    }

    /// <summary>The type of one.</summary>
    public uint TypeId(int i) => hold.At(i, Count).Views[i].TypeId;

    /// <summary>Releases all.</summary>
    public void Commit() => hold.Release();

    /// <summary>Releases all, unless the guard is done.</summary>
    public void Dispose() => hold.End(false);

    internal RxBatch CopyTo(MsgView* views) {
        for (int i = 0; i < Count; ++i)
            views[i] = new MsgView(Data(i), TypeId(i));
        return this;
    }
}

/// <summary>One message of <see cref="Bus.DrainBatch"/>.</summary>
public readonly unsafe struct MsgView {
    /// <summary>Its bytes, in the ring.</summary>
    public readonly byte* Ptr;
    /// <summary>How many.</summary>
    public readonly int ActualSize;
    /// <summary>Its type.</summary>
    public readonly uint TypeId;

    internal MsgView(ReadOnlySpan<byte> data, uint typeId) {
        fixed (byte* p = &MemoryMarshal.GetReference(data))
            Ptr = p; // in the ring, where nothing moves
        ActualSize = data.Length;
        TypeId = typeId;
    }
}

/// <summary>A message, request or reply that was copied out of the ring.</summary>
public readonly struct Message : IDisposable {
    /// <summary>One to answer with.</summary>
    public Message(byte[] payload, uint typeId = 0, ulong correlationId = 0) {
        Payload = payload;
        TypeId = typeId;
        CorrelationId = correlationId;
    }

    /// <summary>Its bytes.</summary>
    public byte[] Payload { get; }
    /// <summary>Its bytes.</summary>
    public ReadOnlySpan<byte> Data => Payload;
    /// <summary>How many.</summary>
    public int ActualSize => Data.Length;
    /// <summary>Its type.</summary>
    public uint TypeId { get; }
    /// <summary>The upper half of the type.</summary>
    public ushort RouteId => TachyonIpc.TypeId.RouteId(TypeId);
    /// <summary>The lower half of the type.</summary>
    public ushort MsgType => TachyonIpc.TypeId.MsgType(TypeId);
    /// <summary>Of a request or reply.</summary>
    public ulong CorrelationId { get; }
    /// <summary>Does nothing: the ring has its room back already.</summary>
    public void Commit() { }
    /// <summary>Does nothing.</summary>
    public void Dispose() { }
}

/// <summary>A message type of two halves.</summary>
public static class TypeId {
    /// <summary>One of a route and a message type.</summary>
    public static uint Make(ushort route, ushort type) => (uint)route << 16 | type;
    /// <summary>The upper half.</summary>
    public static ushort RouteId(uint id) => (ushort)(id >> 16);
    /// <summary>The lower half.</summary>
    public static ushort MsgType(uint id) => (ushort)id;
}
}
