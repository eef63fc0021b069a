// SPDX-License-Identifier: Apache-2.0
// The peer of the conformance tests; tests/interop/README.md has the rules it follows.
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.Linq;
using System.Runtime.InteropServices;
using System.Runtime.Serialization;
using System.Threading;
using TachyonIpc;

static class Peer {
    struct Tick {
        public ulong Symbol;
        public double Price;
        public uint Qty, Pad;
        public ulong Ts;
    }
    static readonly Dictionary<string, string> keys = new Dictionary<string, string> {
        { "end", "connect" }, { "open", "20" }, { "capacity", "65536" },
        { "schema", "0" },
        { "role", "0" }, { "wait", "20" }, { "count", "1" }, { "size", "32" },
        { "how", "single" }, { "seed", "0" }, { "finish", "close" },
        { "outstanding", "1" },
        { "order", "in" }, { "cancel", "0" }, { "types", null }, { "required", "0" } };
    static long Number(string key) => long.Parse(keys[key]);
    static TimeSpan Time(string key) =>
        TimeSpan.FromSeconds(double.Parse(keys[key], CultureInfo.InvariantCulture));
    static string how, why;
    static bool tellsWhy;
    static int[] sizes;
    static long count, seed;
    static byte[] room = new byte[0];

    static void Say(string line) { Console.Out.WriteLine(line); Console.Out.Flush(); }
    static void Expect(bool right, long i) {
        if (right)
            return;
        Say("wrong " + i);
        Environment.Exit(1);
    }

    static uint TypeOf(long i) => how == "batch" ? 1 : (uint)(i % 7) + 1;
    static int SizeOf(long i) => sizes[(how == "batch" ? i / 100 : i) % sizes.Length];
    static int Write(Span<byte> at, long i) {
        int size = SizeOf(i);
        for (int j = 0; j < size; ++j)
            at[j] = (byte)(31 * i + 7 * j + seed);
        return size;
    }
    static byte[] Made(long i) {
        var made = new byte[SizeOf(i)];
        Write(made, i);
        return made;
    }
    static void Check(long i, ReadOnlySpan<byte> data, uint type) =>
        Expect(type == TypeOf(i) && data.SequenceEqual(Made(i)), i);
    static Span<byte> Room(int size) =>
        room.Length < size ? room = new byte[size] : room.AsSpan(0, size);

    /// Repeats a step; gives the code of the error that ended it.
    static int UntilError(Func<bool> step) {
        try {
            while (step()) { }
            return 0;
        } catch (Exception e) when (e is ITachyonError) {
            why = e.Message;
            return (int)((ITachyonError)e).Error;
        }
    }

    static T Open<T>(Func<Options, T> open) where T : Connection {
        T bus = null;
        int error = UntilError(() => {
            bus = open(new Options { Timeout = Time("open"),
                                     Schema = (ulong)Number("schema"),
                                     Role = (Role)Number("role"),
                                     Types = keys["types"],
                                     TypesRequired = keys["required"] == "1" });
            return false;
        });
        if (error != 0) {
            Say("error " + error);
            if (tellsWhy)
                Say("why " + why);
            Environment.Exit(0);
        }
        return bus;
    }
    static Bus OpenBus(string path) => Open(options => keys["end"] == "listen"
        ? Bus.Listen(path, (ulong)Number("capacity"), options)
        : Bus.Connect(path, options));

    static void Finish(Connection bus) {
        if (keys["finish"] == "kill")
            Process.GetCurrentProcess().Kill();
        if (keys["finish"] == "abort")
            bus.Abort();
        if (keys["finish"] != "leave")
            bus.Dispose();
    }

    static int SendNext(Bus bus, long i, TimeSpan wait) {
        int size = SizeOf(i), n = 1;
        if (how == "in_place") {
            using (TxGuard guard = bus.AcquireTx(size, wait))
                guard.CommitUnflushed(Write(guard.Buffer, i), TypeOf(i));
            return 1;
        }
        if (how == "batch")
            n = (int)Math.Min(100 - i % 100, count - i);
        Span<byte> items = Room(n * size);
        for (int k = 0; k < n; ++k)
            Write(items.Slice(k * size), i + k);
        if (how == "batch")
            return bus.SendBatch(items, size, 1, wait);
        bus.Send(items, TypeOf(i), wait);
        return 1;
    }

    static int ReceiveNext(Bus bus, long i, TimeSpan wait) {
        if (how == "in_place") {
            using (RxBatch batch = bus.AcquireRxBatch(100, wait)) {
                for (int k = 0; k < batch.Count; ++k)
                    Check(i + k, batch.Data(k), batch.TypeId(k));
                return batch.Count;
            }
        }
        if (how == "batch") {
            int size = SizeOf(i);
            Span<byte> items = Room((int)(100 - i % 100) * size);
            int n = bus.ReceiveBatch(items, size, out uint type, wait);
            for (int k = 0; k < n; ++k)
                Check(i + k, items.Slice(k * size, size), type);
            return n;
        }
        Message message = bus.Receive(wait);
        Check(i, message.Data, message.TypeId);
        return 1;
    }

    static void Send(Bus bus) {
        long done = 0;
        int error = UntilError(() => done < count &&
            (done += SendNext(bus, done, Time("wait"))) > 0);
        UntilError(() => { bus.Flush(); return false; });
        Say("sent " + done);
        if (error != 0)
            Say("error " + error);
        Finish(bus);
    }

    static void Receive(Bus bus) {
        long done = 0;
        int error =
            UntilError(() => (done += ReceiveNext(bus, done, Time("wait"))) > 0);
        Say("received " + done + "\nerror " + error);
        bus.Dispose();
    }

    static void Fill(Bus bus) {
        long done = 0;
        count = long.MaxValue;
        int error = UntilError(() => (done += SendNext(bus, done, TimeSpan.Zero)) > 0);
        Say("sent " + done + "\nerror " + error);
        Say("error " + UntilError(() => SendNext(bus, done, Time("wait")) > 0));
        bus.Flush();
        Finish(bus);
    }

    static void Drain(Bus bus) {
        Say("ready");
        foreach (TimeSpan wait in new[] { TimeSpan.Zero, Time("wait") })
            Say("error " + UntilError(() => ReceiveNext(bus, 0, wait) > 0));
        bus.Dispose();
    }

    static void Misuse(Bus bus) {
        bus.Dispose();
        bus.Dispose();
        // No constructor gives one that was never opened, but a deserializer could.
        object unopened = FormatterServices.GetUninitializedObject(typeof(Bus));
        foreach (Bus closed in new[] { bus, unopened }) {
            Say("error " + UntilError(() => SendNext(closed, 0, Time("wait")) > 0));
            Say("error " + UntilError(() => ReceiveNext(closed, 0, Time("wait")) > 0));
            UntilError(() => { closed.Flush(); return false; });
        }
    }

    static void Serve(RpcBus rpc) {
        long served = 0;
        int error = UntilError(() => {
            var requests = new List<Message>();
            while (requests.Count < Number("outstanding"))
                requests.Add(rpc.Serve(Time("wait")));
            if (keys["order"] == "reverse")
                requests.Reverse();
            foreach (Message request in requests) {
                Array.Reverse(request.Payload);
                rpc.Reply(request.CorrelationId, request.Data, request.TypeId + 1,
                          Time("wait"));
                ++served;
            }
            return true;
        });
        Say("served " + served + "\nerror " + error);
        rpc.Dispose();
    }

    static void Call(RpcBus rpc) {
        long answered = 0, cancelled = 0, cancel = Number("cancel");
        int error = UntilError(() => {
            for (long first = 0; first < count; first += Number("outstanding")) {
                var ids = new List<ulong>();
                long end = Math.Min(count, first + Number("outstanding"));
                for (long i = first; i < end; ++i)
                    ids.Add(rpc.Call(Made(i), TypeOf(i), Time("wait")));
                for (int k = 0; k < ids.Count; ++k) {
                    long i = first + k;
                    if (cancel != 0 && (i + 1) % cancel == 0) {
                        rpc.Cancel(ids[k]);
                        ++cancelled;
                        continue;
                    }
                    Message reply = rpc.Wait(ids[k], Time("wait"));
                    Expect(reply.Payload.Reverse().SequenceEqual(Made(i)) &&
                           reply.TypeId == TypeOf(i) + 1, i);
                    ++answered;
                }
            }
            return false;
        });
        Say("answered " + answered +
            (error != 0 ? "\nerror " + error : "\ncancelled " + cancelled));
        Finish(rpc);
    }

    /// In place, and with a division of 32 bits: what a loop that counts would do.
    static void Set(ref Tick tick, long i) {
        tick.Symbol = 0x59484354;
        tick.Price = 100 + i * 0.25;
        tick.Qty = (uint)i % 1000;
        tick.Ts = (ulong)i;
    }

    static long got, qty;
    static double price;
    static void Add(ReadOnlySpan<Tick> ticks) {
        for (int i = 0; i < ticks.Length; ++i, ++got) {
            ref readonly Tick tick = ref ticks[i];
            if (tick.Symbol != 0x59484354 || tick.Pad != 0 || tick.Ts != (ulong)got)
                Expect(false, got);
            qty += tick.Qty;
            price += tick.Price;
        }
    }
    static void Report(Stopwatch clock) => Say(string.Format(
        CultureInfo.InvariantCulture, "count {0} qty {1} price {2:F2} ns {3:F1}",
        got, qty, price,
        clock.Elapsed.TotalMilliseconds * 1e6 / Math.Max(1, got)));

    static void Produce(Bus bus) {
        var clock = Stopwatch.StartNew();
        TimeSpan? wait = Time("wait");
        var tick = new Tick[1];
        var ticks = new Tick[1000];
        for (long i = 0; i < count;) {
            if (how == "single") {
                Set(ref tick[0], i++);
                bus.Send(MemoryMarshal.AsBytes<Tick>(tick), 7, wait);
            } else if (how == "in_place") {
                TxGuard guard = bus.AcquireTx(32, wait);
                Set(ref tick[0], i++);
                MemoryMarshal.Write(guard.Buffer, ref tick[0]);
                guard.CommitUnflushed(32, 7);
            } else {
                int n = (int)Math.Min(1000, count - i);
                for (int k = 0; k < n; ++k)
                    Set(ref ticks[k], i + k);
                Span<byte> items = MemoryMarshal.AsBytes(ticks.AsSpan(0, n));
                i += bus.SendBatch(items, 32, 7, wait);
            }
        }
        bus.Flush();
        clock.Stop();
        for (long i = 0; i < count; ++i) {
            Set(ref tick[0], i);
            Add(tick);
        }
        Report(clock);
        bus.Dispose();
    }

    static void Consume(Bus bus) {
        Stopwatch clock = new Stopwatch();
        TimeSpan? wait = Time("wait");
        var ticks = new Tick[1000];
        Span<byte> bytes = MemoryMarshal.AsBytes(ticks.AsSpan());
        try {
            for (uint type = 7;; Expect(type == 7, got)) {
                if (how == "single") {
                    int size = bus.Receive(bytes, out type, wait);
                    clock.Start();
                    Add(ticks.AsSpan(0, size / 32));
                } else if (how == "in_place") {
                    RxBatch batch = bus.AcquireRxBatch(1000, wait);
                    clock.Start();
                    for (int k = 0; k < batch.Count; ++k)
                        Add(MemoryMarshal.Cast<byte, Tick>(batch.Data(k)));
                    batch.Commit();
                } else {
                    int n = bus.ReceiveBatch(bytes, 32, out type, wait);
                    clock.Start();
                    Add(ticks.AsSpan(0, n));
                }
            }
        } catch (StreamClosedException) {
        }
        Report(clock);
        bus.Dispose();
    }

    static void Ask(Connection bus, Func<byte[], TimeSpan?, Message> ask) {
        TimeSpan? wait = Time("wait");
        byte[] data = Made(0);
        for (long i = 0; i < count; ++i)
            Expect(ask(data, wait).Data.SequenceEqual(data), i);
        Say("answered " + count);
        bus.Dispose();
    }

    static int Main(string[] arguments) {
        foreach (string argument in arguments.Skip(2)) {
            string[] pair = argument.Split(new[] { '=' }, 2);
            if (pair.Length < 2 || !keys.ContainsKey(pair[0])) {
                Console.Error.WriteLine("peer: " + argument + "?");
                return 2;
            }
            keys[pair[0]] = pair[1];
        }
        Console.Out.Flush(); // now, and not when "ready" is to come at once
        how = keys["how"];
        sizes = keys["size"].Split(',').Select(int.Parse).ToArray();
        count = Number("count");
        seed = Number("seed");
        string path = arguments[1];
        ulong capacity = (ulong)Number("capacity");
        var operations = new Dictionary<string, Action> {
            { "open", () => { Bus bus = OpenBus(path); Say("opened"); Finish(bus); } },
            { "meet", () => {
                Say("ready");
                tellsWhy = true;
                Bus bus = OpenBus(path);
                Say("opened");
                Finish(bus);
            } },
            { "hold", () => { OpenBus(path); Say("ready"); Thread.Sleep(-1); } },
            { "send", () => Send(OpenBus(path)) },
            { "recv", () => Receive(OpenBus(path)) },
            { "fill", () => Fill(OpenBus(path)) },
            { "drain", () => Drain(OpenBus(path)) },
            { "misuse", () => Misuse(OpenBus(path)) },
            { "serve", () => Serve(Open(
                options => RpcBus.Listen(path, capacity, capacity, options))) },
            { "call", () => Call(Open(options => RpcBus.Connect(path, options))) },
            { "produce", () => Produce(OpenBus(path)) },
            { "consume", () => Consume(OpenBus(path)) },
            { "ping", () => {
                Bus bus = OpenBus(path), back = OpenBus(path + "-back");
                Ask(bus, (data, wait) => {
                    bus.Send(data, 1, wait);
                    return back.Receive(wait);
                });
            } },
            { "ask", () => {
                RpcBus rpc = Open(options => RpcBus.Connect(path, options));
                Ask(rpc, (data, wait) => rpc.Wait(rpc.Call(data, 1, wait), wait));
            } } };
        if (!operations.TryGetValue(arguments[0], out Action operation))
            return 2;
        operation();
        return 0;
    }
}
