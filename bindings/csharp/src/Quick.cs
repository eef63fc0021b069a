// SPDX-License-Identifier: Apache-2.0
using System;
using System.Runtime.CompilerServices;

namespace TachyonIpc {

/// What sends and receives; csharp.i has the same numbers.
enum Op {
    Send, SendBatch, Receive, ReceiveBatch, Reserve, ReserveBatch, Acquire, Take, Commit,
    CommitBatch, Rollback, Release, CommitFlushed, Flush
}

/// The call that does not wait. A P/Invoke of mono takes longer than some messages, since
/// the collector may run meanwhile; its raw internal call is a plain one, and the collector
/// waits for it. So it is for what is short.
static unsafe class Quick {
    internal const long MostBytes = 1 << 16; // some microseconds of copying
    static readonly IntPtr entry = (IntPtr)Native.QuickEntry();

    internal static long Perform(IntPtr bus, Op op, void* data, long size, long count,
                                 uint typeId) =>
        entry != IntPtr.Zero
            ? OnMono(bus, op, data, size, count, typeId)
            : Native.RawBus_Perform(bus, (int)op, data, (ulong)size, (ulong)count,
                                    typeId, 0);

    /// Apart, since another runtime than mono refuses to load the class.
    [MethodImpl(MethodImplOptions.NoInlining)]
    static long OnMono(IntPtr bus, Op op, void* data, long size, long count,
                       uint typeId) =>
        Mono.Perform(entry, bus, op, data, size, count, typeId);
}

static unsafe class Mono {
    [MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern long Perform(IntPtr entry, IntPtr bus, Op op, void* data,
                                        long size, long count, uint typeId);
}
}
