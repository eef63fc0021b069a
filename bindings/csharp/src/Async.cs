// SPDX-License-Identifier: Apache-2.0
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;

namespace TachyonIpc {

public abstract partial class Connection {
    internal readonly SemaphoreSlim Turns = new SemaphoreSlim(1);

    internal Task<T> InTurn<T>(Func<Patience, T> call, TimeSpan? timeout,
                               CancellationToken token,
                               Background.Attempt<T> attempt = null) =>
        Background.InTurn(Turns, call, timeout, token, attempt);

    readonly SemaphoreSlim accepts = new SemaphoreSlim(1);

    /// <summary>As <see cref="Accept"/>; waits on a thread of its own, beside a send or
    /// receive.</summary>
    public Task<Event> AcceptAsync(TimeSpan? timeout = null,
                                   CancellationToken token = default) =>
        Background.InTurn(accepts, patience => Accept(patience.Left, token), timeout,
                          token, null);
}

/// A time-out for all that one asynchronous call waits for.
readonly struct Patience {
    readonly TimeSpan? time;
    readonly Stopwatch since;

    internal Patience(TimeSpan? time) {
        Connection.Seconds(time); // refuses one that is negative
        this.time = time;
        since = Stopwatch.StartNew();
    }

    /// Of one that was not zero there is always something left, for a last look.
    internal TimeSpan? Left =>
        time > TimeSpan.Zero
            ? TimeSpan.FromTicks(Math.Max(1, (time.Value - since.Elapsed).Ticks))
            : time;

    internal int Milliseconds =>
        time >= TimeSpan.Zero
            ? (int)Math.Min(Math.Ceiling(time.Value.TotalMilliseconds), int.MaxValue)
            : Timeout.Infinite;
}

/// Asynchronous calls of one object are made one after another. What can be done at
/// once is; else a thread of its own waits in the blocking call, which the token ends.
static class Background {
    internal delegate bool Attempt<T>(out T result);

    internal static async Task<T> Run<T>(Func<T> call) => await Task.Factory.StartNew(
        call, CancellationToken.None, TaskCreationOptions.LongRunning,
        TaskScheduler.Default).ConfigureAwait(false); // a token makes it Canceled

    internal static async Task<T> InTurn<T>(SemaphoreSlim turns, Func<Patience, T> call,
                                            TimeSpan? timeout, CancellationToken token,
                                            Attempt<T> attempt) {
        var patience = new Patience(timeout);
        bool ours;
        try {
            ours = await turns.WaitAsync(patience.Milliseconds, token)
                .ConfigureAwait(false);
        } catch (OperationCanceledException) {
            throw new TachyonCanceledException(token);
        }
        if (!ours)
            throw TachyonException.Of(
                patience.Milliseconds == 0 ? TachyonError.Busy : TachyonError.Timeout,
                "an asynchronous call that came before is still waiting");
        try {
            if (attempt != null && attempt(out T result))
                return result;
            return await Run(() => call(patience)).ConfigureAwait(false);
        } finally {
            turns.Release();
        }
    }

    internal static async Task<long> Serve(RpcBus rpc,
                                           Func<Message, Task<Message>> handler,
                                           CancellationToken token) {
        if (handler == null)
            throw new TachyonException(TachyonError.NullPtr, "the handler is null");
        for (long served = 0;; ++served) {
            Message request;
            try {
                request = await rpc.InTurn(left => rpc.Serve(null, token), null, token)
                    .ConfigureAwait(false);
            } catch (StreamClosedException) {
                return served;
            }
            Message reply = await handler(request).ConfigureAwait(false);
            // What is handled is answered, whoever cancels, if that needs no wait.
            bool free = rpc.Turns.CurrentCount > 0;
            try {
                await rpc.InTurn(left => {
                    rpc.Reply(request.CorrelationId, reply.Data, reply.TypeId, null,
                              token);
                    return true;
                }, null, free ? CancellationToken.None : token,
                (out bool sent) => sent = rpc.TryReply(request.CorrelationId, reply))
                    .ConfigureAwait(false);
            } catch (TachyonException end) when (end is StreamClosedException ||
                                                 end is StreamAbortedException ||
                                                 end is PeerDeadException) {
                // Nobody to answer; what else was asked before is served all the same.
            }
        }
    }
}

public sealed partial class Bus {
    /// <summary>As <see cref="Listen"/>, on a thread of its own.</summary>
    public static Task<Bus> ListenAsync(string path, ulong capacity,
                                        Options options = null,
                                        CancellationToken token = default) =>
        Background.Run(() => Listen(path, capacity, options, token));

    /// <summary>As <see cref="Connect"/>, on a thread of its own.</summary>
    public static Task<Bus> ConnectAsync(string path, Options options = null,
                                         CancellationToken token = default) =>
        Background.Run(() => Connect(path, options, token));

    /// <summary>As <c>Send</c>; waits on a thread of its own.</summary>
    public Task SendAsync(ReadOnlyMemory<byte> data, uint typeId = 0,
                          TimeSpan? timeout = null,
                          CancellationToken token = default) =>
        InTurn(patience => {
            Send(data.Span, typeId, patience.Left, token);
            return true;
        }, timeout, token, (out bool sent) => sent = TrySend(data.Span, typeId));

    /// <summary>As <c>Receive</c>; waits on a thread of its own.</summary>
    public Task<Message> ReceiveAsync(TimeSpan? timeout = null,
                                      CancellationToken token = default) =>
        InTurn(patience => Receive(patience.Left, token), timeout, token, TryCopy);

    /// <summary>All messages until the end of the stream.</summary>
    public IEnumerable<Message> Messages(CancellationToken token = default) {
        for (;;) {
            Message message;
            try {
                message = Receive(null, token);
            } catch (StreamClosedException) {
                yield break;
            }
            yield return message;
        }
    }
}

public sealed partial class RpcBus {
    /// <summary>As <see cref="Listen"/>, on a thread of its own.</summary>
    public static Task<RpcBus> ListenAsync(string path, ulong forward, ulong back,
                                           Options options = null,
                                           CancellationToken token = default) =>
        Background.Run(() => Listen(path, forward, back, options, token));

    /// <summary>As <see cref="Connect"/>, on a thread of its own.</summary>
    public static Task<RpcBus> ConnectAsync(string path, Options options = null,
                                            CancellationToken token = default) =>
        Background.Run(() => Connect(path, options, token));

    /// <summary>Sends a request and waits for its reply, which is given up when the
    /// token is cancelled or the time has passed.</summary>
    public Task<Message> CallAsync(ReadOnlyMemory<byte> payload, uint msgType = 0,
                                   TimeSpan? timeout = null,
                                   CancellationToken token = default) =>
        InTurn(patience => {
            ulong id = Call(payload.Span, msgType, patience.Left, token);
            try {
                return Wait(id, patience.Left, token);
            } catch (Exception e) when (e is TimeoutException ||
                                        e is OperationCanceledException ||
                                        e is WouldBlockException) {
                Cancel(id);
                throw;
            }
        }, timeout, token);

    internal bool TryReply(ulong id, Message reply) {
        try {
            Reply(id, reply.Data, reply.TypeId, TimeSpan.Zero);
            return true;
        } catch (WouldBlockException) {
            return false;
        }
    }

    /// <summary>Answers requests until the end of the stream; gives how many. What the
    /// handler throws ends it, and the request stays without a reply; so does the token,
    /// after a reply for which there is room.</summary>
    public Task<long> ServeAsync(Func<Message, Task<Message>> handler,
                                 CancellationToken token = default) =>
        Background.Serve(this, handler, token);
}
}
