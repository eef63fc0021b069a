// SPDX-License-Identifier: Apache-2.0
using System;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;

namespace TachyonIpc {

/// <summary>What <see cref="Bus"/> and <see cref="RpcBus"/> share. One thread at a time
/// sends or receives; any may dispose, abort or ask for the state.</summary>
public abstract unsafe partial class Connection : IDisposable {
    internal IntPtr Handle { get; private set; } // a closed one after the finalizer
    // What the last call has left in it.
    internal uint LastTypeId => *(uint*)(Handle + Tachyon.AtTypeId);
    internal int LastCount => *(int*)(Handle + Tachyon.AtCount);
    internal long LastSize => *(long*)(Handle + Tachyon.AtSize);
    internal long LastStride => *(long*)(Handle + Tachyon.AtStride);
    internal ulong LastId => *(ulong*)(Handle + Tachyon.AtId);
    internal ulong LastEpoch => *(ulong*)(Handle + Tachyon.AtEpoch);

    internal ulong Turn; // of the guard in force, 0: none; an older one is stale
    internal ulong LastTurn;
    static int exitWatched;
    static volatile bool exits;
    static int kept; // rings that a Dispose() has left to the finalizer
    int owners = 1;     // Dispose() closes when they are 0; less: it is closed
    int users = 1;      // of the ring's memory: calls for a guard, and we until closed
    int lent; // 1: a guard has shown it, and a span may outlive guard and Dispose()

    internal Connection() {
        Handle = Loaded(Native.new_RawBus);
        if (Handle == IntPtr.Zero)
            throw new TachyonException(TachyonError.Mem, "no memory for a bus");
        // mono does not exit before the threads that wait, which a signal wakes up.
        if (Interlocked.Exchange(ref exitWatched, 1) == 0)
            AppDomain.CurrentDomain.ProcessExit += (sender, e) => {
                exits = true;
                Native.EndWaits();
            };
    }

    /// Around what may be the first call into the native library.
    internal static T Loaded<T>(Func<T> call) {
        try {
            return call();
        } catch (Exception e) when (e is DllNotFoundException ||
                                    e is BadImageFormatException ||
                                    e is EntryPointNotFoundException) {
            throw new DllNotFoundException(
                "TachyonIpc cannot load libtachyon_csharp.so, or it is another " +
                "version's: put the one that comes with TachyonIpc.dll beside it, or " +
                "its directory into LD_LIBRARY_PATH; Linux only. " + e.Message, e);
        }
    }

    /// <summary>Closes, if that was forgotten, and unmaps.</summary>
    ~Connection() {
        if (Handle == IntPtr.Zero)
            return;
        Close();
        if (lent != 0)
            Leave();
        IntPtr gone = Handle;
        Handle = (IntPtr)Native.Ended(); // for what is finalized later, and uses us
        Turn = 0;
        Native.delete_RawBus(gone);
    }

    /// <summary>Version of the native library.</summary>
    public static string LibraryVersion =>
        Marshal.PtrToStringAnsi(Loaded(Native.version));

    /// <summary>Of the connection, as this end sees it.</summary>
    public TachyonState State => (TachyonState)Check(Native.RawBus_State(Handle));

    /// <summary>How many looks a call takes before it sleeps.</summary>
    public uint Spin {
        get => *(uint*)(Handle + Tachyon.AtSpin);
        set => *(uint*)(Handle + Tachyon.AtSpin) = value;
    }

    /// <summary>Bytes of the longest message that can be sent.</summary>
    public long MaxPayload => Check(Native.RawBus_MaxPayload(Handle));

    /// <summary>A descriptor for poll: readable when there may be something to do. It
    /// is the bus's: neither read nor close it.</summary>
    public int Fileno => (int)Check(Native.RawBus_Fileno(Handle));

    /// <summary>Who is at the other end, as the kernel says.</summary>
    public Peer Peer => Checked(new Peer(Native.RawBus_Peer(Handle), true));

    /// <summary>True: never sleep while waiting.</summary>
    public void SetPollingMode(bool pureSpin) {
        Native.RawBus_SetPollingMode(Handle, pureSpin ? 1 : 0);
        Checked(0);
    }

    /// <summary>Ends the stream in the middle: the peer gets what was flushed, and then
    /// Aborted instead of Closed. Disposing is still needed.</summary>
    public void Abort() {
        Native.RawBus_Abort(Handle);
        GC.KeepAlive(this);
    }

    /// <summary>Ends the stream, and every call that waits, from any thread. What was
    /// committed is flushed. The ring is unmapped at once, or once a guard has shown it
    /// by the finalizer. Harmless when repeated, unless <see cref="AddRef"/> was called.
    /// </summary>
    public void Dispose() {
        if (Interlocked.Decrement(ref owners) != 0)
            return;
        Close();
        // Each has descriptors, which are few; the collector counts managed bytes only.
        if (lent != 0 && Interlocked.Increment(ref kept) % 64 == 0)
            GC.Collect();
    }

    /// <summary>Asks for one more Dispose.</summary>
    public void AddRef() {
        if (Interlocked.Increment(ref owners) <= 1)
            throw new TachyonDisposedException(GetType().Name);
    }

    void Close() {
        bool first = Interlocked.Exchange(ref owners, int.MinValue / 2) >= 0;
        Native.RawBus_Close(Handle);
        if (first)
            Leave();
        GC.KeepAlive(this);
    }

    // ---- The ring's memory ----

    internal virtual void Map() { }
    internal virtual void Unmap() { }

    void Leave() {
        if (Interlocked.Decrement(ref users) == 0 &&
            Interlocked.CompareExchange(ref users, int.MinValue / 2, 0) == 0)
            Unmap();
    }

    /// Before a call that gives a guard memory. False: it is mapped for good.
    internal bool Hold() {
        if (lent != 0)
            return false;
        if (Interlocked.Increment(ref users) <= 0) // unmapped
            throw new TachyonDisposedException(GetType().Name);
        return true;
    }

    /// After it: what was not given, or not as the first, needs no hold.
    internal void Drop(bool given) {
        if (!given || Interlocked.Exchange(ref lent, 1) != 0)
            Leave();
    }

    // ---- Opening, waiting, results ----

    internal static T Open<T>(T bus, string path, Options options,
                              CancellationToken token, Func<HandleRef, long> open)
        where T : Connection {
        try {
            Text(path, "path");
            HandleRef given = Options.getCPtr(options);
            if (options != null && given.Handle == IntPtr.Zero)
                throw new TachyonDisposedException(nameof(Options));
            using (bus.Until(token))
                bus.Check(open(given), token);
            bus.Map();
            return bus;
        } catch {
            bus.Dispose();
            throw;
        }
    }

    /// What C can take: it would see the end of it at a NUL.
    internal static string Text(string text, string what) =>
        text == null || text.IndexOf('\0') < 0 ? text
        : throw new TachyonException(TachyonError.InvalidSz, "a NUL in the " + what);

    /// Around a call that waits: the token ends it.
    internal Watch Until(CancellationToken token, double seconds = -1) =>
        new Watch(this, token, seconds);

    static readonly object waits = new object(); // of all: it is seldom taken
    int struck; // waits that their tokens have ended, and that are not over yet

    /// All waits of an object sleep on one descriptor, beside an accept that of another
    /// thread: who is woken for another one wakes that and waits on.
    internal sealed class Watch : IDisposable {
        static readonly Action<object> strike = wait => ((Watch)wait).Strike();
        readonly Connection bus;
        readonly CancellationToken token;
        readonly CancellationTokenRegistration registration;
        readonly double seconds;
        readonly long since;
        bool isStruck;

        internal Watch(Connection bus, CancellationToken token, double seconds) {
            if (token.IsCancellationRequested)
                throw new TachyonCanceledException(token);
            this.bus = bus;
            this.token = token;
            this.seconds = Left = seconds;
            since = seconds > 0 ? Stopwatch.GetTimestamp() : 0;
            if (token.CanBeCanceled)
                registration = token.Register(strike, this);
        }

        void Strike() {
            lock (waits) {
                isStruck = true;
                ++bus.struck;
                Native.RawBus_Interrupt(bus.Handle);
            }
        }

        /// What there is of the time for the next try; always something, if there was.
        internal double Left { get; private set; }

        /// Whether the call was ended for another wait, and goes on.
        internal bool Again(long result) {
            if (result != -(long)TachyonError.Interrupted)
                return false;
            for (;; Thread.Sleep(1)) {
                if (token.IsCancellationRequested || exits)
                    return false;
                if (Volatile.Read(ref bus.struck) == 0)
                    break;
                bus.Pass();
            }
            if (seconds > 0)
                Left = Math.Max(1e-7, seconds - (Stopwatch.GetTimestamp() - since) /
                                                    (double)Stopwatch.Frequency);
            return true;
        }

        public void Dispose() {
            registration.Dispose(); // from here on it does not interrupt
            if (isStruck)
                lock (waits)
                    if (--bus.struck == 0)
                        Native.RawBus_ClearInterrupt(bus.Handle);
            if (Volatile.Read(ref bus.struck) > 0)
                bus.Pass();
        }
    }

    /// For who is still to end: what has woken us may have been for it.
    void Pass() {
        lock (waits)
            if (struck > 0)
                Native.RawBus_Interrupt(Handle);
    }

    /// What a call gave that only a closed one fails. The error in the struct may be
    /// another thread's by now.
    internal T Checked<T>(T value) {
        Check(Handle == IntPtr.Zero ? -(long)TachyonError.Closed
                                    : Native.RawBus_MaxPayload(Handle));
        return value;
    }

    internal long Check(long result, CancellationToken token = default) {
        GC.KeepAlive(this); // no finalizer while the call was running
        return result >= 0 ? result : throw Failure((TachyonError)(-result), token);
    }

    Exception Failure(TachyonError error, CancellationToken token) =>
        error == TachyonError.Interrupted && token.IsCancellationRequested
            ? new TachyonCanceledException(token)
        : error == TachyonError.Closed && owners < 0
            ? new TachyonDisposedException(GetType().Name)
        : TachyonException.Of(error, LastText());

    /// Of what lies there now: another thread may be writing the text of its own error.
    string LastText() {
        if (Handle == IntPtr.Zero)
            return "the bus was never opened";
        var text = new byte[Tachyon.TextBytes];
        Marshal.Copy(Handle + Tachyon.AtText, text, 0, text.Length);
        int end = Array.IndexOf(text, (byte)0);
        return Encoding.UTF8.GetString(text, 0, end < 0 ? text.Length : end);
    }

    internal static double Seconds(TimeSpan? time) {
        long ticks = time.GetValueOrDefault(Timeout.InfiniteTimeSpan).Ticks;
        return ticks >= 0 ? ticks * 1e-7
            : ticks == Timeout.InfiniteTimeSpan.Ticks ? -1
            : throw new TachyonException(
                TachyonError.InvalidSz, "the time-out " + time +
                " is negative; Timeout.InfiniteTimeSpan is for ever");
    }

    // To the nearest tick; FromSeconds() rounds to milliseconds or cuts off, by version.
    internal static TimeSpan Time(double seconds) =>
        seconds < 0 ? Timeout.InfiniteTimeSpan
                    : TimeSpan.FromTicks((long)Math.Round(seconds * 1e7));
}
}
