// SPDX-License-Identifier: Apache-2.0
// Tests.exe [SUBJECT]: a subject is a class in here, a test a public method of it. The
// last
// line counts, and the exit status is 1 when one failed.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Serialization;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using TachyonIpc;
using static Tests;

static class Tests {
    static readonly string directory = Path.Combine(
        Path.GetTempPath(), "tachyon-csharp-" + Process.GetCurrentProcess().Id);
    static int made;
    internal static readonly TimeSpan Short = TimeSpan.FromMilliseconds(50);
    internal static readonly TimeSpan Long = TimeSpan.FromSeconds(20);

    internal static string NewPath() => Path.Combine(directory, "bus" + ++made);
    internal static string Here =>
        Path.GetDirectoryName(typeof(Bus).Assembly.Location);

    // ---- Expectations ----

    internal sealed class Failed : Exception {
        internal Failed(string text) : base(text) { }
    }

    internal static void Equal<T>(T expected, T actual,
                                  [CallerLineNumber] int line = 0) {
        if (!EqualityComparer<T>.Default.Equals(expected, actual))
            throw new Failed(
                "line " + line + ": " + actual + " instead of " + expected);
    }
    internal static void True(bool condition, [CallerLineNumber] int line = 0) =>
        Equal(true, condition, line);

    /// It raises this very class, with this code and this word in its text.
    internal static void Raises<T>(TachyonError error, Action action, string word = "",
                                   [CallerLineNumber] int line = 0)
        where T : Exception {
        try {
            action();
        } catch (Exception e) {
            while (e is AggregateException || e is TargetInvocationException)
                e = e.InnerException;
            if (e.GetType() != typeof(T) || ((ITachyonError)e).Error != error ||
                e.Message == "" || !e.Message.Contains(word))
                throw new Failed("line " + line + ": raises " + e);
            return;
        }
        throw new Failed("line " + line + ": raises nothing");
    }

    internal static byte[] Text(string text) => Encoding.UTF8.GetBytes(text);
    internal static string Text(ReadOnlySpan<byte> bytes) =>
        Encoding.UTF8.GetString(bytes.ToArray());

    // ---- Pairs ----

    internal struct Pair : IDisposable {
        internal Bus Out, In;
        internal Pair(ulong capacity) {
            string path = NewPath();
            Task<Bus> listening = Bus.ListenAsync(path, capacity);
            using (var options = new Options { Timeout = Long })
                Out = Bus.Connect(path, options);
            In = listening.Result;
        }
        public void Dispose() { Out.Dispose(); In.Dispose(); }
    }

    internal struct RpcPair : IDisposable {
        internal RpcBus Caller, Callee;
        internal RpcPair(ulong capacity) {
            string path = NewPath();
            Task<RpcBus> listening = RpcBus.ListenAsync(path, capacity, capacity);
            using (var options = new Options { Timeout = Long })
                Caller = RpcBus.Connect(path, options);
            Callee = listening.Result;
        }
        public void Dispose() { Caller.Dispose(); Callee.Dispose(); }
    }

    /// Runs an action while this thread does something else; waits for its end.
    internal static Task Meanwhile(Action action) =>
        Task.Factory.StartNew(action, TaskCreationOptions.LongRunning);

    internal static Process Run(string program, string arguments) =>
        Process.Start(new ProcessStartInfo(
            "/proc/" + Process.GetCurrentProcess().Id + "/exe",
            "\"" + Path.Combine(Here, program) + "\" " + arguments) {
            UseShellExecute = false, RedirectStandardOutput = true });

    internal static int Rings() =>
        File.ReadLines("/proc/self/maps").Count(line => line.Contains("memfd:tachyon "));
    internal static int Descriptors() => Directory.GetFiles("/proc/self/fd").Length;

    static int Main(string[] arguments) {
        Directory.CreateDirectory(directory);
        if (arguments.Length > 1) { // see AThreadThatWaitsDoesNotKeepTheProcess()
            Bus.ListenAsync(arguments[1], 4096);
            while (!File.Exists(arguments[1]))
                Thread.Sleep(1);
            Thread.Sleep(50);
            return 0;
        }
        int passed = 0, failed = 0;
        try {
            foreach (Type subject in typeof(Tests).Assembly.GetTypes()) {
                if (!subject.Name.EndsWith("Tests") || subject == typeof(Tests) ||
                    (arguments.Length > 0 && subject.Name != arguments[0] + "Tests"))
                    continue;
                foreach (MethodInfo test in subject.GetMethods(
                             BindingFlags.Public | BindingFlags.Static |
                             BindingFlags.DeclaredOnly)) {
                    try {
                        test.Invoke(null, null);
                        ++passed;
                    } catch (TargetInvocationException e) {
                        Console.WriteLine(subject.Name + "." + test.Name + ": " +
                            e.InnerException);
                        ++failed;
                    }
                }
            }
        } finally {
            Directory.Delete(directory, true);
        }
        Console.WriteLine(passed + " passed, " + failed + " failed");
        return failed == 0 && passed > 0 ? 0 : 1;
    }
}

static class MessagesTests {
    public static void OneTooLongForAShortCallComesToo() {
        var sent = new byte[(1 << 16) + 1];
        new Random(1).NextBytes(sent);
        using (var pair = new Pair(1 << 20)) {
            pair.Out.Send(sent, 3);
            using (TxGuard guard = pair.Out.AcquireTx(sent.Length)) {
                sent.CopyTo(guard.Buffer);
                guard.Commit(sent.Length, 4);
            }
            True(pair.Out.TrySend(sent, 5));
            for (uint type = 3; type < 6; ++type) {
                Message message = pair.In.Receive(Short);
                True(message.Data.SequenceEqual(sent));
                Equal(type, message.TypeId);
            }
            Raises<TachyonTimeoutException>(TachyonError.Timeout,
                                            () => pair.In.Receive(sent, out _, Short));
        }
    }

    public static void ArriveAsTheyWereSent() {
        using (var pair = new Pair(1 << 16))
            foreach (
                int size in new[] { 0, 1, 31, 32, 33, 64, 65, 4096, (1 << 16) - 128 }) {
                byte[] data = Enumerable.Range(0, size)
                    .Select(i => (byte)(i * 7)).ToArray();
                pair.Out.Send(data, (uint)size);
                Message message = pair.In.Receive(Long);
                Equal((uint)size, message.TypeId);
                Equal(size, message.ActualSize);
                True(message.Payload.SequenceEqual(data));
            }
    }

    public static void GoIntoABufferOrStayWhenItIsTooShort() {
        using (var pair = new Pair(4096)) {
            pair.Out.Send(Text("hello"), 7);
            Raises<TachyonException>(
                TachyonError.InvalidSz, () => pair.In.Receive(new byte[4], out uint _),
                    "5");
            var room = new byte[8];
            Equal(5, pair.In.Receive(room, out uint type));
            Equal("hello\0\0\0", Text(room));
            Equal(7u, type);
        }
    }

    public static void GoInBatches() {
        using (var pair = new Pair(4096)) {
            Equal(3, pair.Out.SendBatch(Text("aabbcc"), 2, 5));
            pair.Out.Send(Text("ddd"));
            var room = new byte[20];
            Equal(3, pair.In.ReceiveBatch(room, 2, out uint type));
            Equal("aabbcc", Text(room.AsSpan(0, 6)));
            Equal(5u, type);
            Raises<TachyonException>(
                TachyonError.InvalidSz, () =>
                    pair.In.ReceiveBatch(room, 2, out uint _));
            Equal(0, pair.Out.SendBatch(default, 2));
        }
    }

    public static void OfABatchAreCountedWhenTheRingIsFull() {
        using (var pair = new Pair(4096)) {
            int sent = pair.Out.SendBatch(new byte[1000 * 32], 32, 1, TimeSpan.Zero);
            True(sent > 10 && sent < 1000);
            True(!pair.Out.TrySend(new byte[32]));
            Raises<WouldBlockException>(TachyonError.Full, () =>
                pair.Out.Send(new byte[32], 1, TimeSpan.Zero));
            Equal(sent, pair.In.ReceiveBatch(new byte[1000 * 32], 32, out uint _));
        }
    }

    public static void EndWithTheStream() {
        using (var pair = new Pair(4096)) {
            pair.Out.Send(Text("a"));
            pair.Out.Send(Text("b"));
            pair.Out.Dispose();
            Equal("a,b",
                string.Join(",", pair.In.Messages().Select(m => Text(m.Data))));
            Raises<StreamClosedException>(TachyonError.Closed, () => pair.In.Receive());
            Equal(TachyonState.Disconnected, pair.In.State);
        }
    }

    public static void EndWithAnAbort() {
        using (var pair = new Pair(4096)) {
            pair.Out.Send(Text("a"));
            pair.Out.Abort();
            Equal("a", Text(pair.In.Receive().Data));
            Raises<StreamAbortedException>(TachyonError.Aborted, () =>
                pair.In.Receive());
            Equal(TachyonState.FatalError, pair.In.State);
            Raises<StreamClosedException>(TachyonError.Closed, () =>
                pair.Out.Send(default));
        }
    }

    public static void EndWithADeath() {
        string path = NewPath();
        Task<Bus> listening = Bus.ListenAsync(path, 4096);
        string arguments = "send " + path + " count=3 finish=kill";
        using (Process sender = Run("Peer.exe", arguments))
        using (Bus bus = listening.Result) {
            for (int i = 0; i < 3; ++i)
                Equal(32, bus.Receive(Long).ActualSize);
            Raises<PeerDeadException>(TachyonError.PeerDead, () => bus.Receive(Long));
            sender.WaitForExit();
        }
    }

    public static void CrossThreadsInOrder() {
        using (var pair = new Pair(4096)) {
            Bus to = pair.Out;
            Task sending = Meanwhile(() => {
                for (int i = 0; i < 100000; ++i)
                    to.Send(BitConverter.GetBytes(i), 1);
                to.Dispose();
            });
            int next = 0;
            foreach (Message message in pair.In.Messages())
                Equal(next++, BitConverter.ToInt32(message.Payload, 0));
            Equal(100000, next);
            sending.Wait();
        }
    }

    public static void AreCounted() {
        using (var pair = new Pair(4096)) {
            pair.Out.Send(Text("a"));
            Stats stats = pair.Out.Stats;
            Equal(4096ul, stats.Capacity);
            Equal(1ul, stats.Messages);
            stats.Dispose();
            Equal(0ul, stats.Messages);
            Equal(4096L - 128, pair.Out.MaxPayload);
            Equal(Process.GetCurrentProcess().Id, pair.Out.Peer.Pid);
            Equal(TachyonState.Ready, pair.Out.State);
            True(pair.In.Fileno > 2);
            pair.In.SetPollingMode(true);
            pair.In.Spin = 10;
            Equal(10u, pair.In.Spin);
            Equal("a", Text(pair.In.Receive().Data));
        }
    }

    public static void HaveTypesOfTwoHalves() {
        uint id = TypeId.Make(0x1234, 0xABCD);
        Equal(0x1234ABCDu, id);
        Equal((ushort)0x1234, TypeId.RouteId(id));
        Equal((ushort)0xABCD, TypeId.MsgType(id));
    }
}

static class GuardsTests {
    public static void SendWhatWasWritten() {
        using (var pair = new Pair(4096)) {
            True(pair.Out.TrySend(Text("first")));
            Equal("first", Text(pair.In.AcquireRx().Copy().Data));
            True(pair.Out.TryAcquireTx(16, out TxGuard guard));
            Equal(16, guard.Buffer.Length);
            Text("in place").CopyTo(guard.Buffer);
            guard.Commit(8, TypeId.Make(3, 4));
            True(pair.In.TryReceive(out RxGuard message));
            Equal("in place", Text(message.Data));
            Equal(8, message.ActualSize);
            Equal(0x30004u, message.TypeId);
            Equal((ushort)3, message.RouteId);
            Equal((ushort)4, message.MsgType);
            message.Commit();
            True(!pair.In.TryReceive(out message));
        }
    }

    public static void ShowNothingBeforeTheFlush() {
        using (var pair = new Pair(4096)) {
            pair.Out.AcquireTx(4).CommitUnflushed(4);
            True(!pair.In.TryReceive(out RxGuard _));
            pair.Out.Flush();
            True(pair.In.ReceiveSpin(1, out RxGuard message));
            message.Dispose();
            True(!pair.In.ReceiveSpin(3, out message));
        }
    }

    public static void SendNothingWithoutACommit() {
        using (var pair = new Pair(4096)) {
            using (pair.Out.AcquireTx(4)) { }
            pair.Out.AcquireTx(4).Rollback();
            using (pair.Out.AcquireTxBatch(4, 3)) { }
            pair.Out.Flush();
            True(!pair.In.TryReceive(out RxGuard _));
        }
    }

    public static void ShowAMessageUntilItIsReleased() {
        using (var pair = new Pair(4096)) {
            pair.Out.Send(Text("a"));
            pair.Out.Send(Text("b"));
            RxGuard first = pair.In.AcquireRx(), again = pair.In.ReceiveBlocking();
            Equal("a", Text(again.Data));
            Raises<TachyonException>(TachyonError.Empty, () => { var _ = first.Data; },
                "guard");
            Raises<TachyonException>(TachyonError.Empty, first.Commit);
            first.Dispose(); // stale: it leaves the other alone
            again.Commit();
            Raises<TachyonException>(TachyonError.Empty, again.Commit);
            again.Dispose();
            using (RxGuard second = pair.In.AcquireRx())
                Equal("b", Text(second.Data));
        }
    }

    /// With a reader of a broadcast, and what has the producer overtake it.
    static void Reading(Action<Bus, Action> read) {
        string path = NewPath();
        using (var options = new Options {
            Role = Role.Producer, MaxPeers = 2, SlowPeer = SlowPeer.Disconnect,
            SlowAfter = TimeSpan.FromTicks(1), WithoutPeers = WithoutPeers.FreeRun })
        using (var consumer = new Options { Role = Role.Consumer, Timeout = Long })
        using (Bus feed = Bus.Listen(path, 4096, options)) {
            Task<Bus> connecting = Bus.ConnectAsync(path, consumer);
            feed.Accept(Long);
            using (Bus reader = connecting.Result) {
                feed.Send(Text("old"));
                read(reader, () => feed.SendBatch(new byte[300], 3));
                Raises<StreamAbortedException>(TachyonError.Lagged, () =>
                    reader.Receive());
            }
        }
    }

    public static void OfWhoWasOvertakenSaySo() {
        Reading((reader, overtake) => {
            RxGuard guard = reader.AcquireRx();
            overtake();
            Raises<StreamAbortedException>(TachyonError.Lagged, () => guard.Copy());
            Raises<TachyonException>(TachyonError.Empty, guard.Commit);
        });
        Reading((reader, overtake) => {
            overtake(); // which TryReceive() does not see
            Raises<StreamAbortedException>(
                TachyonError.Lagged, () => reader.ReceiveAsync().Wait());
        });
        Reading((reader, overtake) => {
            RxBatch batch = reader.AcquireRxBatch();
            overtake();
            Raises<StreamAbortedException>(TachyonError.Lagged, batch.Commit);
        });
        Reading((reader, overtake) => {
            using (reader.AcquireRx()) // which cannot
                overtake();
        });
    }

    public static void OfABatchShowWhatIsThere() {
        using (var pair = new Pair(4096)) {
            for (int i = 0; i < 5; ++i)
                pair.Out.Send(Text("message " + i), (uint)i);
            RxBatch batch = pair.In.AcquireRxBatch(3);
            Equal(3, batch.Count);
            Equal("message 2", Text(batch.Data(2)));
            Equal(2u, batch.TypeId(2));
            Raises<TachyonException>(TachyonError.InvalidSz, () => batch.Data(3), "3");
            Raises<TachyonException>(TachyonError.InvalidSz, () => batch.TypeId(-1),
                "-1");
            batch.Commit();
            Raises<TachyonException>(TachyonError.Empty, () => batch.Data(0));
            using (batch = pair.In.AcquireRxBatch())
                Equal("message 3", Text(batch.Data(0)));
            Raises<WouldBlockException>(
                TachyonError.Empty, () => pair.In.AcquireRxBatch(0, TimeSpan.Zero));
        }
    }

    public static unsafe void FillTheCallersViews() {
        using (var pair = new Pair(4096)) {
            Bus bus = pair.In;
            var views = stackalloc MsgView[4];
            True(!bus.TryReceiveBatch(views, 4, out RxBatch batch));
            pair.Out.Send(Text("abc"), 9);
            True(bus.TryReceiveBatch(views, 4, out batch));
            Equal(1, batch.Count);
            batch.Dispose();
            pair.Out.Send(Text("def"), 8);
            batch = bus.DrainBatch(views, 4);
            Equal("def",
                Text(new ReadOnlySpan<byte>(views[0].Ptr, views[0].ActualSize)));
            Equal(8u, views[0].TypeId);
            batch.Commit();
            Raises<TachyonException>(TachyonError.NullPtr, () =>
                bus.DrainBatch(null, 4), "views");
            MsgView view;
            MsgView* room = &view;
            Raises<TachyonException>(TachyonError.InvalidSz, () =>
                bus.DrainBatch(room, 0));
            Raises<TachyonException>(TachyonError.InvalidSz, () =>
                bus.DrainBatch(room, -1), "-1");
        }
    }

    public static void OfABatchSendTheFirst() {
        using (var pair = new Pair(4096)) {
            using (TxBatch batch = pair.Out.AcquireTxBatch(4, 3)) {
                Equal(3, batch.Count);
                for (int i = 0; i < 3; ++i)
                    Text("no " + i).CopyTo(batch.Buffer(i));
                Raises<TachyonException>(TachyonError.InvalidSz, () => batch.Buffer(3));
                batch.Commit(2, 6);
                Raises<TachyonException>(TachyonError.Empty, () => batch.Buffer(0));
            }
            var room = new byte[12];
            Equal(2, pair.In.ReceiveBatch(room, 4, out uint type));
            Equal("no 0no 1\0\0\0\0", Text(room));
            Equal(6u, type);
        }
    }

    public static void SurviveACommitOfTooMuch() {
        using (var pair = new Pair(4096)) {
            TxGuard guard = pair.Out.AcquireTx(4);
            Raises<TachyonException>(TachyonError.InvalidSz, () => guard.Commit(5),
                "5");
            Raises<TachyonException>(TachyonError.InvalidSz, () => guard.Commit(-1));
            guard.Commit(4);
            Raises<TachyonException>(TachyonError.Empty, () => guard.Commit(4));
            Raises<TachyonException>(TachyonError.Empty, guard.Rollback);
            Equal(4, pair.In.Receive().ActualSize);
        }
    }

    public static void ThatNobodyMadeAreRefused() {
        Raises<TachyonException>(TachyonError.Empty, () => default(TxGuard).Commit(1));
        Raises<TachyonException>(TachyonError.Empty, () => default(RxGuard).Commit());
        Raises<TachyonException>(TachyonError.Empty, () =>
            { var _ = default(RxGuard).Data; });
        Raises<TachyonException>(TachyonError.InvalidSz, () =>
            default(RxBatch).Data(0));
        Raises<TachyonException>(TachyonError.InvalidSz, () =>
            default(TxBatch).Buffer(0));
        default(TxGuard).Dispose();
        default(RxBatch).Dispose();
    }

    public static void AreHarmlessAfterADispose() {
        using (var pair = new Pair(4096)) {
            TxGuard room = pair.Out.AcquireTx(4);
            pair.Out.Dispose();
            room.Buffer.Fill(1); // mapped
            Raises<TachyonDisposedException>(TachyonError.Closed, () => room.Commit(4));
            Raises<TachyonException>(TachyonError.Empty, () =>
                { var _ = room.Buffer; });
            Raises<StreamClosedException>(TachyonError.Closed, () => pair.In.Receive());
        }
    }
}

static class WaitingTests {
    static void Takes(TimeSpan least, Action action) {
        var clock = Stopwatch.StartNew();
        action();
        True(clock.Elapsed >= least && clock.Elapsed < Long);
    }

    public static void EndsWithTheTime() {
        using (var pair = new Pair(4096)) {
            Bus bus = pair.In;
            Takes(Short, () => Raises<TachyonTimeoutException>(
                TachyonError.Timeout, () => bus.Receive(Short)));
            Takes(Short, () => Raises<TachyonTimeoutException>(
                TachyonError.Timeout, () => bus.AcquireRx(Short)));
            Raises<WouldBlockException>(TachyonError.Empty, () =>
                bus.Receive(TimeSpan.Zero));
            Raises<TachyonException>(TachyonError.InvalidSz,
                () => bus.Receive(TimeSpan.FromSeconds(-2)), "-00:00:02");
            using (var options = new Options { Timeout = Short }) {
                Raises<TachyonTimeoutException>(
                    TachyonError.Timeout, () => Bus.Listen(NewPath(), 4096, options));
                Equal(Short, options.Timeout);
            }
        }
    }

    /// What a token does to a call that waits; then the bus is as it was.
    static void Cancels(Action<CancellationToken> call) {
        using (var source = new CancellationTokenSource()) {
            source.CancelAfter(Short);
            Raises<TachyonCanceledException>(TachyonError.Interrupted, () =>
                call(source.Token));
            Raises<TachyonCanceledException>(TachyonError.Interrupted, () =>
                call(source.Token));
        }
    }

    public static void EndsWithTheTokenInSpiteOfCallsThatAreRefused() {
        using (var rpc = new RpcPair(4096))
        using (var never = new CancellationTokenSource()) {
            RpcBus callee = rpc.Callee;
            bool done = false;
            Task refused = Meanwhile(() => {
                while (!Volatile.Read(ref done))
                    try {
                        callee.Serve(TimeSpan.Zero, never.Token);
                    } catch (TachyonException) { }
            });
            for (int cancelled = 0; cancelled < 50;)
                using (var source = new CancellationTokenSource(2))
                    try {
                        callee.Serve(Long, source.Token);
                    } catch (TachyonCanceledException) {
                        ++cancelled;
                    } catch (TachyonException e) when (e.Error == TachyonError.Busy) { }
            done = true;
            refused.Wait();
        }
    }

    public static void EndsWithTheToken() {
        using (var pair = new Pair(4096))
        using (var rpc = new RpcPair(4096)) {
            Bus to = pair.Out, from = pair.In;
            RpcBus caller = rpc.Caller, callee = rpc.Callee;
            Cancels(token => from.Receive(null, token));
            Cancels(token => from.Receive(new byte[9], out uint _, null, token));
            Cancels(token =>
                from.ReceiveBatch(new byte[9], 3, out uint _, null, token));
            Cancels(token => from.AcquireRx(null, token));
            Cancels(token => from.AcquireRxBatch(0, null, token));
            Cancels(token => from.ReceiveAsync(null, token).GetAwaiter().GetResult());
            to.SendBatch(new byte[1000 * 32], 32, 1, TimeSpan.Zero);
            Cancels(token => to.Send(new byte[32], 1, null, token));
            Cancels(token => to.SendBatch(new byte[64], 32, 1, null, token));
            Cancels(token => to.AcquireTx(32, null, token));
            Cancels(token => to.AcquireTxBatch(32, 2, null, token));
            Cancels(token => to.SendAsync(new byte[32], 1, null, token)
                .GetAwaiter().GetResult());
            Cancels(token => callee.Serve(null, token));
            ulong id = caller.Call(Text("x"));
            Cancels(token => caller.Wait(id, null, token));
            Cancels(token => caller.CallAsync(Text("y"), 0, null, token)
                .GetAwaiter().GetResult());
            Cancels(token => Bus.Listen(NewPath(), 4096, null, token));
            Cancels(token => RpcBus.Listen(NewPath(), 4096, 4096, null, token));
            using (var patient = new Options())
                Cancels(token => Bus.Connect(NewPath(), patient, token));
            var room = new byte[1000 * 32];
            int there = from.ReceiveBatch(room, 32, out uint type);
            to.Send(Text("after"));
            Equal("after", Text(from.Receive(Long).Data));
            Message request = callee.Serve(Long);
            Equal("x", Text(request.Data));
            callee.Reply(request.CorrelationId, Text("z"));
            Equal("z", Text(caller.Wait(id, Long).Data));
            True(there > 10);
        }
    }

    public static void LosesNothingToATokenThatComesTooLate() {
        using (var pair = new Pair(4096)) {
            Bus to = pair.Out, from = pair.In;
            int next = 0, cancelled = 0;
            Task sending = Meanwhile(() => {
                for (int i = 0; i < 2000; ++i) {
                    to.Send(BitConverter.GetBytes(i));
                    Thread.SpinWait(i % 300 * 10);
                }
                to.Dispose();
            });
            for (bool more = true; more;)
                using (var source = new CancellationTokenSource()) {
                    Task cancelling = Task.Run(() => source.Cancel());
                    try {
                        for (;;)
                            Equal(next++, BitConverter.ToInt32(
                                from.Receive(null, source.Token).Payload, 0));
                    } catch (TachyonCanceledException) {
                        --next;
                        ++cancelled;
                    } catch (StreamClosedException) {
                        --next;
                        more = false;
                    }
                    cancelling.Wait();
                }
            sending.Wait();
            Equal(2000, next);
            True(cancelled > 0);
        }
    }

    public static void EndsWithADispose() {
        foreach (bool receiving in new[] { true, false })
            using (var pair = new Pair(4096)) {
                Bus bus = receiving ? pair.In : pair.Out;
                Task waiting = Meanwhile(() => {
                    for (;;)
                        if (receiving)
                            bus.Receive();
                        else
                            bus.Send(new byte[100]);
                });
                Thread.Sleep(50);
                bus.Dispose();
                Raises<TachyonDisposedException>(TachyonError.Closed, waiting.Wait,
                    "Bus");
                Raises<TachyonDisposedException>(TachyonError.Closed, () =>
                    bus.Receive());
            }
    }

    public static void IsForOneThread() {
        using (var pair = new Pair(4096)) {
            Bus bus = pair.In;
            Task<Message> waiting = bus.ReceiveAsync();
            while (bus.Stats.Sleeps == 0)
                Thread.Sleep(1);
            Raises<TachyonException>(TachyonError.Busy, () => bus.Receive());
            Raises<TachyonException>(TachyonError.Busy, () => bus.AcquireRx());
            pair.Out.Send(Text("x"));
            Equal("x", Text(waiting.Result.Data));
            True(!bus.TryReceive(out RxGuard _));
        }
    }

    public static void LetsOthersLook() {
        using (var pair = new Pair(4096)) {
            Bus bus = pair.In;
            bool done = false;
            Task polling = Task.Run(() => {
                while (!Volatile.Read(ref done))
                    bus.TryReceive(out RxGuard _);
            });
            for (int i = 0; i < 20000; i++) {
                Equal(4096UL, bus.Stats.Capacity);
                True(bus.Peer.Pid > 0);
            }
            Volatile.Write(ref done, true);
            polling.Wait();
        }
    }

    public static void ForAGuardEndsWithADispose() {
        using (var pair = new Pair(4096)) {
            Bus bus = pair.In;
            Task waiting = Meanwhile(() => bus.AcquireRx());
            Thread.Sleep(50);
            bus.Dispose();
            Raises<TachyonDisposedException>(TachyonError.Closed, waiting.Wait);
            Raises<TachyonDisposedException>(TachyonError.Closed, () =>
                bus.AcquireRx());
        }
    }
}

static class LifetimeTests {
    static void Collect() {
        for (int i = 0; i < 3; ++i) {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
    }

    /// On a stack of its own, which the collector does not take for roots afterwards.
    static T Apart<T>(Func<T> call) {
        T result = default;
        var thread = new Thread(() => result = call(), 1 << 20);
        thread.Start();
        thread.Join();
        return result;
    }

    public static void ABusThatIsDroppedClosesAndIsUnmapped() {
        Collect();
        int rings = Rings(), descriptors = Descriptors();
        for (int round = 0; round < 20; ++round)
            Apart(() => {
                var pair = new Pair(4096);
                pair.Out.Send(Text("x"));
                pair.In.Receive();
                new RpcPair(4096).Caller.Call(Text("x"));
                return 0;
            });
        Collect();
        True(Rings() <= rings + 8);
        True(Descriptors() <= descriptors + 40);
    }

    public static void AViewKeepsTheRingOfADroppedBus() {
        RxGuard guard = Apart(() => {
            var pair = new Pair(4096);
            pair.Out.Send(Text("still here"));
            pair.Out.Dispose();
            return pair.In.AcquireRx();
        });
        Collect();
        Equal("still here", Text(guard.Data));
        guard.Commit();
    }

    public static void AViewKeepsTheRingOfADisposedBus() {
        var pair = new Pair(4096);
        pair.Out.Send(Text("still here"), 5);
        pair.Out.Send(Text("and here"), 6);
        pair.Out.Dispose();
        RxBatch batch = pair.In.AcquireRxBatch();
        pair.In.Dispose();
        Collect();
        Equal("still here", Text(batch.Data(0)));
        Equal(6u, batch.TypeId(1));
        batch.Dispose();
        Raises<TachyonException>(TachyonError.Empty, () => batch.Data(0));
    }

    public static void AForgottenGuardIsNoDanger() {
        for (int i = 0; i < 20; ++i) {
            var pair = new Pair(4096);
            pair.Out.AcquireTx(4);
            Span<byte> bytes = pair.Out.AcquireTx(8).Buffer;
            pair.Dispose();
            Collect();
            bytes[0] = 1;
            GC.KeepAlive(pair.Out);
        }
    }

    public static void ASpanOutlivesGuardAndDispose() {
        var pair = new Pair(4096);
        Span<byte> sent, spare, batched;
        using (TxGuard guard = pair.Out.AcquireTx(4)) {
            sent = guard.Buffer;
            guard.Commit(4);
        }
        using (TxGuard guard = pair.Out.AcquireTx(4))
            spare = guard.Buffer;
        using (TxBatch batch = pair.Out.AcquireTxBatch(4, 2)) {
            batched = batch.Buffer(1);
            batch.Commit(2);
        }
        ReadOnlySpan<byte> one, many;
        using (RxGuard guard = pair.In.AcquireRx())
            one = guard.Data;
        using (RxBatch batch = pair.In.AcquireRxBatch())
            many = batch.Data(1);
        pair.Dispose();
        Collect();
        sent[3] = 1;
        spare[3] = 1;
        batched[3] = 1;
        Equal(2, one[3] + many[3]);
        GC.KeepAlive(pair.In);
        GC.KeepAlive(pair.Out);
    }

    public static void RingsThatWereShownDoNotPileUp() {
        Collect();
        int descriptors = Descriptors(), most = 0;
        for (int i = 0; i < 200; ++i)
            using (var pair = new Pair(4096)) {
                pair.Out.AcquireTx(4).Commit(4);
                pair.In.AcquireRx().Commit();
                most = Math.Max(most, Descriptors() - descriptors);
            }
        True(most < 400); // of 1600
    }

    /// Finalizers run in no order: its bus may be gone.
    sealed class LateUser {
        internal static readonly List<Exception> Caught = new List<Exception>();
        internal Bus In;
        internal RxGuard Guard;

        ~LateUser() {
            foreach (Action use in new Action[] {
                         () => Guard.Data.ToArray(), () => Guard.Commit(),
                         () => In.Send(Text("x")), () => In.Receive(Short),
                         () => In.AcquireRx(Short), () => In.Spin = 5 })
                try {
                    use();
                } catch (Exception e) {
                    Caught.Add(e);
                }
            In.Dispose();
            Guard.Dispose();
        }
    }

    public static void WhatIsFinalizedLaterFindsTheBusClosed() {
        for (int i = 0; i < 20; ++i)
            Apart(() => {
                var pair = new Pair(4096);
                pair.Out.Send(Text("x"));
                new LateUser { In = pair.In, Guard = pair.In.AcquireRx() };
                return 0;
            });
        Collect();
        True(LateUser.Caught.Count > 0);
        True(LateUser.Caught.All(e => e is ITachyonError));
    }

    public static void ADisposeUnmapsAtOnceAndCanBeRepeated() {
        Collect();
        int rings = Rings();
        using (var pair = new Pair(4096)) {
            int open = Rings();
            for (int i = 0; i < 3; ++i)
                pair.Dispose();
            True(Rings() < open);
            True(Rings() <= rings);
            Equal(TachyonState.Disconnected, pair.In.State);
        }
    }

    public static void ACallThatFailedHoldsNothing() {
        Collect();
        int rings = Rings();
        using (var pair = new Pair(4096)) {
            Bus bus = pair.In, to = pair.Out;
            True(!bus.TryReceive(out RxGuard _));
            Raises<TachyonTimeoutException>(
                TachyonError.Timeout, () => bus.AcquireRxBatch(0, Short));
            Raises<TachyonException>(TachyonError.InvalidSz, () => to.AcquireTx(-1));
            pair.Dispose();
            True(Rings() <= rings);
        }
    }

    public static void AddRefAsksForOneMoreDispose() {
        using (var pair = new Pair(4096)) {
            pair.Out.AddRef();
            pair.Out.Dispose();
            pair.Out.Send(Text("open"));
            pair.Out.Dispose();
            Bus bus = pair.Out;
            Raises<TachyonDisposedException>(TachyonError.Closed, () =>
                bus.Send(default));
            Raises<TachyonDisposedException>(TachyonError.Closed, () => bus.AddRef());
            Equal("open", Text(pair.In.Receive().Data));
        }
    }

    public static void AThreadThatWaitsDoesNotKeepTheProcess() {
        using (Process process = Run("Tests.exe", "linger " + NewPath()))
            if (!process.WaitForExit(20000)) {
                process.Kill();
                True(false);
            }
    }

    public static void ManyThreadsMayDisposeAtOnce() {
        for (int i = 0; i < 50; ++i)
            using (var pair = new Pair(4096)) {
                Bus bus = pair.In;
                pair.Out.Send(Text("x"));
                Task[] tasks = Enumerable.Range(0, 4)
                    .Select(_ => Task.Run(() => bus.Dispose())).ToArray();
                try {
                    for (;;)
                        using (RxGuard guard = bus.AcquireRx())
                            Equal("x", Text(guard.Data));
                } catch (TachyonDisposedException) {
                }
                Task.WaitAll(tasks);
            }
    }
}

static class RpcTests {
    public static void ManyThreadsAreRefusedAtOnce() {
        using (var pair = new RpcPair(4096)) {
            RpcBus bus = pair.Caller;
            Action[] calls = { () => bus.Call(new byte[5000]), () => bus.Cancel(77),
                               () => bus.Wait(0, TimeSpan.Zero) };
            var others = new List<Exception>();
            Task.WaitAll(calls.Select(call => Meanwhile(() => {
                for (int i = 0; i < 50000; ++i)
                    try {
                        call();
                    } catch (Exception e) {
                        if (!(e is ITachyonError)) // whosever text it has
                            lock (others)
                                others.Add(e);
                    }
            })).ToArray());
            Equal(0, others.Count);
        }
    }

    public static void AnswersComeToTheirCalls() {
        using (var pair = new RpcPair(4096)) {
            ulong[] ids = Enumerable.Range(0, 3)
                .Select(i => pair.Caller.Call(Text("call " + i), (uint)i)).ToArray();
            Message[] requests = ids.Select(_ => pair.Callee.Serve(10000)).ToArray();
            foreach (Message request in requests.Reverse()) {
                Equal((uint)requests.ToList().IndexOf(request), request.TypeId);
                pair.Callee.Reply(request.CorrelationId, request.Data,
                    TypeId.Make(2, 3));
                request.Commit();
            }
            Equal("call 1", Text(pair.Caller.Wait(ids[1], 10000).Data));
            Message any = pair.Caller.Wait();
            Equal(ids[2], any.CorrelationId);
            Equal((ushort)2, any.RouteId);
            Equal((ushort)3, any.MsgType);
            pair.Caller.Cancel(ids[0]);
            RpcBus caller = pair.Caller;
            Raises<TachyonException>(TachyonError.InvalidSz, () => caller.Wait(ids[0]));
            Raises<TachyonException>(TachyonError.InvalidSz, () =>
                caller.Cancel(ids[0]));
            Equal(3ul, pair.Caller.Stats.Calls);
            Equal(4096L - 128, pair.Caller.MaxPayload);
        }
    }

    public static void SidesAreNotMixedUp() {
        using (var pair = new RpcPair(4096)) {
            RpcBus caller = pair.Caller, callee = pair.Callee;
            Raises<TachyonException>(TachyonError.Busy, () => caller.Serve());
            Raises<TachyonException>(TachyonError.Busy, () => callee.Call(default));
            Raises<TachyonException>(TachyonError.InvalidSz, () =>
                callee.Reply(99, default));
            Raises<TachyonException>(TachyonError.InvalidSz, () =>
                callee.Reply(0, default));
            Raises<TachyonTimeoutException>(TachyonError.Timeout, () =>
                callee.Serve(Short));
            caller.Dispose();
            Raises<StreamClosedException>(TachyonError.Closed, () => callee.Serve());
            Raises<TachyonDisposedException>(TachyonError.Closed, () =>
                caller.Call(default), "RpcBus");
            Raises<TachyonDisposedException>(TachyonError.Closed, () =>
                caller.AddRef());
        }
    }

    public static void TasksCallAndServe() {
        using (var pair = new RpcPair(4096)) {
            Task<long> serving = pair.Callee.ServeAsync(request => Task.FromResult(
                new Message(request.Payload.Reverse().ToArray(), request.TypeId + 1)));
            RpcBus caller = pair.Caller;
            Task<Message>[] calls = Enumerable.Range(10, 20)
                .Select(i => caller.CallAsync(Text(i.ToString()), (uint)i)).ToArray();
            for (int i = 0; i < calls.Length; ++i) {
                Equal((i + 10) % 10 + "" + (i + 10) / 10, Text(calls[i].Result.Data));
                Equal((uint)i + 11, calls[i].Result.TypeId);
            }
            caller.Dispose();
            Equal(20L, serving.Result);
        }
    }

    public static void WhatACallerAskedBeforeItClosedIsServed() {
        using (var pair = new RpcPair(4096)) {
            for (int i = 0; i < 4; ++i)
                pair.Caller.Call(Text("x"));
            pair.Caller.Dispose();
            Task<long> serving = pair.Callee.ServeAsync( // the second finds no room
                request => Task.FromResult(new Message(new byte[3000], 1)));
            Equal(4L, serving.Result);
        }
    }

    public static void WhatAHandlerThrowsComesOut() {
        using (var pair = new RpcPair(4096)) {
            RpcBus callee = pair.Callee;
            ulong id = pair.Caller.Call(Text("x"));
            Task<long> serving = callee.ServeAsync(
                request => { throw new FormatException("mine"); });
            try {
                serving.Wait();
                True(false);
            } catch (AggregateException e) {
                Equal(typeof(FormatException), e.GetBaseException().GetType());
                Equal("mine", e.GetBaseException().Message);
            }
            callee.Reply(id, Text("late")); // the bus is as good as before
            Equal("late", Text(pair.Caller.Wait(id).Data));
            pair.Caller.Call(Text("x"));
            Raises<TachyonException>(
                TachyonError.NullPtr, () => callee.ServeAsync(null).Wait(), "handler");
        }
    }

    public static void WhatIsHandledIsAnsweredThoughItIsCancelled() {
        using (var pair = new RpcPair(4096))
        using (var end = new CancellationTokenSource()) {
            ulong id = pair.Caller.Call(Text("x"));
            Task<long> serving = pair.Callee.ServeAsync(request => {
                end.Cancel();
                return Task.FromResult(new Message(request.Payload.ToArray(), 1));
            }, end.Token);
            Raises<TachyonCanceledException>(TachyonError.Interrupted,
                                             () => serving.GetAwaiter().GetResult());
            Equal("x", Text(pair.Caller.Wait(id, TimeSpan.Zero).Data));
        }
    }

    public static void ACallThatIsGivenUpIsCancelled() {
        using (var pair = new RpcPair(4096)) {
            RpcBus caller = pair.Caller;
            Raises<TachyonTimeoutException>(
                TachyonError.Timeout, () =>
                    caller.CallAsync(Text("x"), 0, Short).Wait());
            Raises<WouldBlockException>(TachyonError.Empty, () =>
                caller.CallAsync(Text("x"), 0, TimeSpan.Zero).Wait());
            Equal(0ul, caller.Stats.Outstanding);
        }
    }
}

static class ManyTests {
    static Bus Listening(string path, Role role, Action<Options> more = null) {
        using (var options = new Options { Role = role, MaxPeers = 8 }) {
            more?.Invoke(options);
            return Bus.Listen(path, 4096, options);
        }
    }

    /// One more that is connected, as who listens has noticed.
    static Bus Joined(Bus to, string path, string name, Start start = Start.Now) {
        using (var options = new Options { Timeout = Long, Start = start }) {
            options.SetName(name);
            Task<Bus> connecting = Bus.ConnectAsync(path, options);
            Event joined = to.Accept(Long);
            Equal(EventKind.Joined, joined.Kind);
            Equal(name ?? "", joined.Name);
            Equal(Process.GetCurrentProcess().Id, joined.Pid);
            return connecting.Result;
        }
    }

    public static void ProducersSendToOneConsumer() {
        string path = NewPath();
        using (Bus from = Listening(path, Role.Consumer)) {
            Bus a = Joined(from, path, "a"), b = Joined(from, path, "b");
            PeerInfo[] peers = from.Peers();
            Equal("a b", string.Join(" ", peers.Select(p => p.Name).OrderBy(n => n)));
            var names = peers.ToDictionary(p => p.Peer, p => p.Name);
            var next = new Dictionary<string, int> { { "a", 0 }, { "b", 0 } };
            for (int i = 0; i < 50; ++i) {
                a.Send(Text("a" + i));
                b.Send(Text("b" + i));
            }
            for (int i = 0; i < 100; ++i) {
                Message message = i % 2 == 0 ? from.Receive(Long)
                                             : from.ReceiveAsync(Long).Result;
                string name = names[from.Sender];
                Equal(name + next[name]++, Text(message.Data));
            }
            Raises<TachyonException>(TachyonError.InvalidSz, () => from.AcquireRx());
            Raises<TachyonException>(TachyonError.InvalidSz, () =>
                from.TryReceive(out RxGuard _));
            Raises<WouldBlockException>(TachyonError.Empty, () =>
                from.Receive(TimeSpan.Zero));
            Task<Message> waiting = from.ReceiveAsync(Long);
            a.Send(Text("one more"));
            Equal("one more", Text(waiting.Result.Data));
            IEnumerator<Message> all = from.Messages().GetEnumerator();
            b.SendBatch(Text("xxyy"), 2);
            True(all.MoveNext());
            Equal("xx", Text(all.Current.Data));
            var room = new byte[8];
            Equal(1, from.ReceiveBatch(room, 2, out uint type, Long));

            Task<Event> leaving = from.AcceptAsync(Long);
            a.Dispose();
            Raises<TachyonTimeoutException>(TachyonError.Timeout, () =>
                from.Receive(Short)); // what it has sent is taken, so it leaves
            Equal(EventKind.Left, leaving.Result.Kind);
            Equal("a", leaving.Result.Name);
            Equal(TachyonError.Closed, leaving.Result.Reason);
            b.Abort();
            Raises<TachyonTimeoutException>(TachyonError.Timeout, () =>
                from.Receive(Short));
            Equal(TachyonError.Aborted, from.Accept(Long).Reason);
            Equal(0, from.Peers().Length);
            b.Dispose();
        }
    }

    public static void ReadersShareABroadcast() {
        string path = NewPath();
        using (Bus feed = Listening(path, Role.Producer, o => {
            o.WithoutPeers = WithoutPeers.FreeRun;
            o.KeepPlace = Short;
        })) {
            feed.Send(Text("one"));
            using (Bus early = Joined(feed, path, null, Start.Oldest)) {
                Equal("one", Text(early.Receive(Long).Data));
                var place = early.Position;
                feed.Send(Text("two"));
                using (TxGuard guard = feed.AcquireTx(5))
                    guard.Commit(5);
                using (var options = new Options { Start = Start.AtPosition,
                    StartPosition = place.Position, StartEpoch = place.Epoch,
                    Timeout = Long }) {
                    Task<Bus> connecting = Bus.ConnectAsync(path, options);
                    uint late = feed.Accept(Long).Peer;
                    using (Bus reader = connecting.Result) {
                        Equal("two", Text(reader.Receive(Long).Data));
                        Equal("two", Text(early.Receive(Long).Data));
                        feed.DropPeer(late);
                        Equal(5, reader.Receive(Long).ActualSize);
                        Raises<StreamClosedException>(TachyonError.Closed, () =>
                            reader.Receive(Long));
                        feed.Flush();
                        Event left = feed.Accept(Long);
                        Equal(late, left.Peer);
                        Equal(EventKind.Left, left.Kind);
                    }
                    Raises<TachyonException>(TachyonError.InvalidSz, () =>
                        feed.DropPeer(late));
                }
                Equal(1, feed.Peers().Length);
                Equal(0u, feed.Sender);
            }
        }
    }

    public static void OneThatIsSlowIsLetGo() {
        string path = NewPath();
        using (Bus feed = Listening(path, Role.Producer, o => {
            o.SlowPeer = SlowPeer.Disconnect;
            o.SlowAfter = TimeSpan.FromMilliseconds(1);
            o.WithoutPeers = WithoutPeers.FreeRun;
        }))
        using (Bus slow = Joined(feed, path, "slow")) {
            for (int i = 0; i < 300; ++i)
                feed.Send(new byte[32], 0, Long);
            Event left = feed.Accept(Long);
            Equal(TachyonError.Lagged, left.Reason);
            Equal("slow", left.Name);
            Raises<StreamAbortedException>(TachyonError.Lagged, () => {
                for (;;)
                    slow.Receive(Long);
            });
        }
    }

    /// The token of one is none of the other's business.
    public static void AcceptWaitsBesideOthers() {
        string path = NewPath();
        Bus bus = Listening(path, Role.Consumer);
        Raises<TachyonTimeoutException>(TachyonError.Timeout, () => bus.Accept(Short));
        Raises<WouldBlockException>(TachyonError.Empty, () =>
            bus.Accept(TimeSpan.Zero));
        using (bus)
        using (var receiving = new CancellationTokenSource()) {
            Task<Message> waiting = bus.ReceiveAsync(null, receiving.Token);
            for (int i = 0; i < 20; ++i)
                using (var source = new CancellationTokenSource(5)) {
                    Raises<TachyonCanceledException>(TachyonError.Interrupted, () =>
                        bus.AcceptAsync(null, source.Token).GetAwaiter().GetResult());
                    True(!waiting.IsCompleted);
                }
            Task<Event> accepting = bus.AcceptAsync();
            while (bus.Stats.Sleeps == 0)
                Thread.Sleep(1);
            receiving.Cancel();
            Raises<TachyonCanceledException>(TachyonError.Interrupted, () =>
                waiting.GetAwaiter().GetResult());
            True(!accepting.IsCompleted);
            using (var options = new Options { Timeout = Long })
            using (Bus peer = Bus.Connect(path, options)) {
                Equal(EventKind.Joined, accepting.Result.Kind);
                peer.Send(Text("still there"));
                Equal("still there", Text(bus.Receive(Long).Data));
            }
            accepting = bus.AcceptAsync();
            Thread.Sleep(50);
            bus.Dispose();
            Raises<TachyonDisposedException>(TachyonError.Closed, () =>
                accepting.GetAwaiter().GetResult());
        }
        foreach (Action call in new Action[] {
            () => bus.Accept(), () => bus.Peers(), () => bus.DropPeer(1),
            () => True(bus.Sender > 0), () => True(bus.Position.Epoch > 0) })
            Raises<TachyonDisposedException>(TachyonError.Closed, call);
    }

    public static void CallersCallOneCallee() {
        string path = NewPath();
        using (var options = new Options { MaxPeers = 2 })
        using (var patient = new Options { Timeout = Long })
        using (RpcBus callee = RpcBus.Listen(path, 4096, 4096, options)) {
            Task<long> serving = callee.ServeAsync(request => Task.FromResult(
                new Message(Text(callee.Sender + ":" + Text(request.Data)))));
            using (RpcBus a = RpcBus.Connect(path, patient))
            using (RpcBus b = RpcBus.Connect(path, patient)) {
                uint first = callee.Accept(Long).Peer, second = callee.Accept(Long).Peer;
                Equal(first + ":a",
                      Text(a.CallAsync(Text("a"), 0, Long).Result.Data));
                Equal(second + ":b",
                      Text(b.CallAsync(Text("b"), 0, Long).Result.Data));
                Equal(2, callee.Peers().Length);
                callee.DropPeer(second);
                Raises<StreamClosedException>(TachyonError.Closed, () =>
                    b.CallAsync(Text("b")).GetAwaiter().GetResult());
                Equal(TachyonError.Closed, callee.Accept(Long).Reason);
            }
            callee.Dispose();
            Raises<TachyonDisposedException>(TachyonError.Closed, serving.Wait);
        }
    }

    public static void WrongOptionsAreRefused() {
        foreach (Action<Options> wrong in new Action<Options>[] {
            o => o.MaxPeers = 1 << 20, o => o.SlowPeer = (SlowPeer)7,
            o => o.WithoutPeers = (WithoutPeers)7, o => o.Role = Role.None,
            o => o.SlowAfter = TimeSpan.FromSeconds(-2),
            o => o.KeepPlace = TimeSpan.FromSeconds(-2) })
            Raises<TachyonException>(TachyonError.InvalidSz, () =>
                Listening(NewPath(), Role.Producer, wrong));
        foreach (Action<Options> wrong in new Action<Options>[] {
            o => o.Start = (Start)7, o => o.SetName(new string('x', 32)),
            o => o.SetName("a\0b") })
            using (var options = new Options())
                Raises<TachyonException>(TachyonError.InvalidSz, () => {
                    wrong(options);
                    Bus.Connect(NewPath(), options);
                });
        using (var pair = new Pair(4096)) { // each has a single peer
            Bus bus = pair.In;
            Raises<TachyonException>(TachyonError.InvalidSz, () => bus.Accept(Long));
            Raises<TachyonException>(TachyonError.InvalidSz, () => bus.Peers());
            Raises<TachyonException>(TachyonError.InvalidSz, () => bus.DropPeer(1));
            Raises<TachyonException>(TachyonError.InvalidSz, () =>
                True(bus.Position.Epoch > 0));
            Equal(0u, bus.Sender);
        }
    }
}

static class AsyncTests {
    public static void ATimeOutCountsBehindOthersToo() {
        using (var pair = new Pair(4096))
        using (var calls = new RpcPair(4096)) {
            Task<Message> receiving = pair.In.ReceiveAsync();
            Task<Message> calling = calls.Caller.CallAsync(Text("x"));
            Raises<TachyonTimeoutException>(
                TachyonError.Timeout, () => pair.In.ReceiveAsync(Short).Wait());
            Raises<TachyonException>(
                TachyonError.Busy, () => pair.In.ReceiveAsync(TimeSpan.Zero).Wait());
            Raises<TachyonTimeoutException>(TachyonError.Timeout, () =>
                calls.Caller.CallAsync(Text("y"), 0, Short).Wait());
            Raises<TachyonException>(TachyonError.InvalidSz, () =>
                pair.In.ReceiveAsync(TimeSpan.FromSeconds(-2)).Wait(), "negative");
            pair.Out.Send(Text("z"));
            Equal("z", Text(receiving.Result.Data));
            calls.Callee.Reply(calls.Callee.Serve().CorrelationId, Text("x"));
            Equal("x", Text(calling.Result.Data));
        }
    }

    public static void TasksSendAndReceiveInTurn() {
        using (var pair = new Pair(4096)) {
            Bus to = pair.Out, from = pair.In;
            Task<Message>[] received = Enumerable.Range(0, 9)
                .Select(_ => from.ReceiveAsync()).ToArray();
            Task.WaitAll(Enumerable.Range(0, 9).Select(
                i => to.SendAsync(Text("m" + i), (uint)i)).ToArray());
            Equal("m0m1m2m3m4m5m6m7m8",
                        string.Concat(received
                            .Select(m => Text(m.Result.Data)).OrderBy(t => t)));
            Raises<TachyonTimeoutException>(
                TachyonError.Timeout, () => from.ReceiveAsync(Short).Wait());
        }
    }

    public static void ATokenEndsOneThatHasNotBegun() {
        using (var pair = new Pair(4096))
        using (var source = new CancellationTokenSource()) {
            Task<Message> first = pair.In.ReceiveAsync();
            Task<Message> second = pair.In.ReceiveAsync(null, source.Token);
            source.CancelAfter(Short);
            Raises<TachyonCanceledException>(TachyonError.Interrupted, () => second
                .GetAwaiter().GetResult());
            True(second.IsCanceled);
            pair.Out.Send(Text("x"));
            Equal("x", Text(first.Result.Data));
        }
    }

    public static void ADisposeEndsAll() {
        using (var pair = new Pair(4096)) {
            Task<Message> first = pair.In.ReceiveAsync();
            Task<Message> second = pair.In.ReceiveAsync();
            Thread.Sleep(50);
            pair.In.Dispose();
            Raises<TachyonDisposedException>(TachyonError.Closed, first.Wait);
            Raises<TachyonDisposedException>(TachyonError.Closed, second.Wait);
        }
    }

    public static void OpeningFailsInTheTask() {
        Task<Bus> connecting = Bus.ConnectAsync(NewPath());
        Raises<TachyonException>(TachyonError.Network, connecting.Wait);
        Task<RpcBus> listening = RpcBus.ListenAsync("", 4096, 4096);
        Raises<TachyonException>(TachyonError.InvalidSz, listening.Wait);
        using (var source = new CancellationTokenSource(Short)) {
            Task<Bus> cancelled = Bus.ListenAsync(NewPath(), 4096, null, source.Token);
            Raises<TachyonCanceledException>(TachyonError.Interrupted, () => cancelled
                .GetAwaiter().GetResult());
            True(cancelled.IsCanceled);
        }
    }
}

static class ErrorsTests {
    static void Refuses(TachyonError error, Action action, string word = "",
                        [CallerLineNumber] int line = 0) =>
        Raises<TachyonException>(error, action, word, line);

    public static void OfOpening() {
        string path = NewPath();
        ulong huge = ulong.MaxValue;
        Refuses(TachyonError.NullPtr, () => Bus.Listen(null, 4096));
        Refuses(TachyonError.NullPtr, () => Bus.Connect(null));
        Refuses(TachyonError.NullPtr, () => RpcBus.Connect(null));
        Refuses(TachyonError.InvalidSz, () => Bus.Connect(""));
        Refuses(TachyonError.InvalidSz, () => Bus.Connect(path + "\0x"), "NUL");
        Refuses(TachyonError.InvalidSz, () => new Options { Types = "a\0" }, "NUL");
        var none = new Options { Types = "a", TypesRequired = true };
        none.Types = null;
        Refuses(TachyonError.InvalidSz, () => Bus.Connect(path, none), "types");
        Refuses(TachyonError.InvalidSz, () => Bus.Connect(new string('x', 200)));
        Refuses(TachyonError.InvalidSz, () => Bus.Listen(path, 0));
        Refuses(TachyonError.InvalidSz, () => Bus.Listen(path, 5000));
        Refuses(TachyonError.InvalidSz, () => Bus.Listen(path, huge), huge.ToString());
        Refuses(TachyonError.InvalidSz, () => RpcBus.Listen(path, 4096, huge));
        Refuses(TachyonError.Network, () => Bus.Connect(path), path);
        Refuses(TachyonError.Network, () => Bus.Listen("/nowhere/at/all", 4096));
        Refuses(TachyonError.AddrInUse, () => Bus.Listen(Here, 4096));
        using (var options = new Options { Role = (Role)9 })
            Refuses(TachyonError.InvalidSz, () => Bus.Connect(path, options), "9");
        using (var options = new Options { Role = Role.Producer })
            Refuses(TachyonError.InvalidSz, () =>
                RpcBus.Listen(path, 4096, 4096, options));
        var disposed = new Options();
        disposed.Dispose();
        disposed.Dispose();
        disposed.AllowUid(5);
        Equal(TimeSpan.Zero, disposed.Timeout);
        Raises<TachyonDisposedException>(
            TachyonError.Closed, () => Bus.Connect(path, disposed), "Options");
    }

    public static void OfSizes() {
        using (var pair = new Pair(4096)) {
            Bus to = pair.Out, from = pair.In;
            Refuses(TachyonError.InvalidSz, () => to.Send(new byte[4097 - 128]));
            Refuses(TachyonError.InvalidSz, () => to.SendBatch(new byte[10], 3),
                "item");
            Refuses(TachyonError.InvalidSz, () => to.SendBatch(new byte[10], 0));
            Refuses(TachyonError.InvalidSz, () => to.SendBatch(new byte[10], -1), "-1");
            Refuses(TachyonError.InvalidSz, () => to.AcquireTx(-1), "-1");
            Refuses(TachyonError.InvalidSz, () => to.AcquireTx(int.MaxValue));
            Refuses(TachyonError.InvalidSz, () =>
                to.TryAcquireTx(ulong.MaxValue, out TxGuard _));
            Refuses(TachyonError.InvalidSz, () => to.AcquireTxBatch(-1, 3), "-1");
            Refuses(TachyonError.InvalidSz, () => to.AcquireTxBatch(4, -1), "-1");
            Refuses(TachyonError.InvalidSz, () => to.AcquireTxBatch(4, 0));
            Refuses(TachyonError.InvalidSz, () =>
                from.ReceiveBatch(new byte[9], 0, out uint _));
            Refuses(TachyonError.InvalidSz, () =>
                from.ReceiveBatch(new byte[9], -3, out uint _));
            Refuses(TachyonError.InvalidSz, () =>
                from.ReceiveBatch(new byte[3], 4, out uint _));
            Refuses(TachyonError.NullPtr, () =>
                from.ReceiveBatch(default, 4, out uint _));
            Refuses(TachyonError.InvalidSz, () => to.SetNumaNode(-1));
            Refuses(TachyonError.InvalidSz, () => to.SetNumaNode(64));
            to.Send(default);
            Equal(0, from.Receive().ActualSize);
        }
    }

    public static void OfDirections() {
        using (var pair = new Pair(4096)) {
            Bus to = pair.Out, from = pair.In;
            to.Send(default);
            from.Receive();
            Refuses(TachyonError.Busy, () => to.Receive());
            Refuses(TachyonError.Busy, () => from.Send(default));
            Refuses(TachyonError.Busy, () => from.AcquireTx(4));
            Refuses(TachyonError.Busy, () => to.TryReceive(out RxGuard _));
        }
    }

    static void IsClosed(Bus bus, RpcBus rpc, Action<Action> closed) {
        closed(() => bus.Send(new byte[1]));
        closed(() => bus.TrySend(new byte[1]));
        closed(() => bus.Receive());
        closed(() => bus.Receive(new byte[1], out uint _));
        closed(() => bus.SendBatch(new byte[1], 1));
        closed(() => bus.ReceiveBatch(new byte[1], 1, out uint _));
        closed(() => bus.AcquireTx(1));
        closed(() => bus.AcquireTxBatch(1, 1));
        closed(() => bus.TryAcquireTx(1, out TxGuard _));
        closed(() => bus.AcquireRx());
        closed(() => bus.TryReceive(out RxGuard _));
        closed(() => bus.ReceiveSpin(0, out RxGuard _));
        closed(() => bus.AcquireRxBatch());
        closed(() => bus.Flush());
        closed(() => bus.SetNumaNode(0));
        closed(() => bus.SetPollingMode(true));
        closed(() => { var _ = bus.Stats; });
        closed(() => { var _ = bus.Peer; });
        closed(() => { var _ = bus.MaxPayload; });
        closed(() => { var _ = bus.Fileno; });
        closed(() => rpc.Call(new byte[1]));
        closed(() => rpc.Wait(1));
        closed(() => rpc.Serve());
        closed(() => rpc.Reply(1, new byte[1]));
        closed(() => rpc.Cancel(1));
        closed(() => { var _ = rpc.Stats; });
        bus.Abort();
        bus.Dispose();
        rpc.Dispose();
    }

    public static void OfTheClosed() {
        using (var pair = new Pair(4096))
        using (var rpc = new RpcPair(4096)) {
            pair.Out.Dispose();
            rpc.Caller.Dispose();
            IsClosed(pair.Out, rpc.Caller, call => Raises<TachyonDisposedException>(
                TachyonError.Closed, call));
        }
    }

    public static void OfTheNeverOpened() { // as a careless deserializer makes them
        var bus = (Bus)FormatterServices.GetUninitializedObject(typeof(Bus));
        var rpc = (RpcBus)FormatterServices.GetUninitializedObject(typeof(RpcBus));
        IsClosed(bus, rpc, call => {
            try {
                call();
            } catch (Exception e) when (
                (e as ITachyonError)?.Error == TachyonError.Closed) {
                return;
            }
            True(false);
        });
    }

    public static void AreNamedAsTheCoreNamesThem() {
        MethodInfo name = typeof(Bus).Assembly.GetType("TachyonIpc.Tachyon").GetMethod(
            "error_name", BindingFlags.Static | BindingFlags.Public);
        foreach (TachyonError error in Enum.GetValues(typeof(TachyonError))) {
            string words = string.Concat(error.ToString().Select(
                (c, i) => (i > 0 && char.IsUpper(c) ? "_" : "") +
                    char.ToUpperInvariant(c)));
            string wanted = error == 0 ? "TACHYON_SUCCESS" : "TACHYON_ERR_" + words;
            Equal(wanted, (string)name.Invoke(null, new object[] { error }));
        }
        int count = Enum.GetValues(typeof(TachyonError)).Length;
        Equal("unknown",
            (string)name.Invoke(null, new object[] { (TachyonError)count }));
        Equal(3, Bus.LibraryVersion.Split('.').Length);
    }
}

static class LoadingTests {
    static readonly bool mono = Type.GetType("Mono.Runtime") != null;

    public static void WhatNeedNotWaitIsNoPInvokeOnMono() {
        FieldInfo entry = typeof(Bus).Assembly.GetType("TachyonIpc.Quick").GetField(
            "entry", BindingFlags.NonPublic | BindingFlags.Static);
        Equal(mono, (IntPtr)entry.GetValue(null) != IntPtr.Zero);
    }

    static Assembly Copy(string name, bool native) {
        string directory = Path.Combine(Path.GetTempPath(), NewPath() + name);
        Directory.CreateDirectory(directory);
        foreach (
            string file in native ? new[] { "TachyonIpc.dll", "libtachyon_csharp.so" }
                                       : new[] { "TachyonIpc.dll" })
            File.Copy(Path.Combine(Here, file), Path.Combine(directory, file));
        return Assembly.LoadFile(Path.Combine(directory, "TachyonIpc.dll"));
    }

    static object Call(object on, Type type, string name, params object[] arguments) {
        MethodInfo method = type.GetMethods().Single(m => m.Name == name);
        return method.Invoke(on, arguments);
    }

    public static void AMissingLibraryIsNamedWithAWayOut() {
        if (!mono) { // .NET finds the one of the application
            Console.WriteLine("skipped: every copy has a library");
            return;
        }
        Assembly copy = Copy("missing", false);
        Type bus = copy.GetType("TachyonIpc.Bus");
        var calls = new Action[] {
            () => Call(null, bus, "Connect", "nowhere", null, CancellationToken.None),
            () => Call(null, bus.BaseType, "get_LibraryVersion"),
            () => copy.GetType("TachyonIpc.Options").GetConstructor(Type.EmptyTypes)
                .Invoke(null) };
        foreach (Action call in calls)
            try {
                call();
                True(false);
            } catch (TargetInvocationException e) {
                string text = ((DllNotFoundException)e.InnerException).Message;
                True(text.Contains("libtachyon_csharp.so"));
                True(text.Contains("LD_LIBRARY_PATH"));
            }
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    public static void TwoVersionsTalkToEachOther() {
        Type other = Copy("other", true).GetType("TachyonIpc.Bus");
        True(other != typeof(Bus));
        string path = NewPath();
        Task<Bus> listening = Bus.ListenAsync(path, 4096);
        object options = Activator.CreateInstance(
            other.Assembly.GetType("TachyonIpc.Options")); // tries without end
        object bus =
            Call(null, other, "Connect", path, options, CancellationToken.None);
        ((Task)Call(bus, other, "SendAsync", new ReadOnlyMemory<byte>(Text("hello")),
            3u, null,
                    CancellationToken.None)).Wait();
        using (Bus here = listening.Result)
            Equal("hello", Text(here.Receive(Long).Data));
        ((IDisposable)bus).Dispose();
        // .NET loads one library for both, the application's.
        Equal(mono ? 2 : 1, File.ReadLines("/proc/self/maps")
            .Where(l => l.Contains("libtachyon_csharp.so"))
                           .Select(l => l.Split(' ').Last()).Distinct().Count());
    }
}
