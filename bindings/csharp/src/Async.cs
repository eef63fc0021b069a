// SPDX-License-Identifier: Apache-2.0
using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace TachyonIpc {

public abstract partial class Connection {
    internal readonly SemaphoreSlim Turns = new SemaphoreSlim(1);

    internal Task<T> InTurn<T>(Func<T> call, CancellationToken token,
                               Background.Attempt<T> attempt = null) =>
        Background.InTurn(Turns, call, token, attempt);
}

/// Asynchronous calls of one object are made one after another. What can be done at
/// once is; else a thread of its own waits in the blocking call, which the token ends.
static class Background {
    internal delegate bool Attempt<T>(out T result);

    internal static Task<T> Run<T>(Func<T> call) => Task.Factory.StartNew(
        call, CancellationToken.None, TaskCreationOptions.LongRunning,
        TaskScheduler.Default);

    internal static async Task<T> InTurn<T>(SemaphoreSlim turns, Func<T> call,
                                            CancellationToken token,
                                            Attempt<T> attempt) {
        try {
            await turns.WaitAsync(token).ConfigureAwait(false);
        } catch (OperationCanceledException) {
            throw new TachyonCanceledException(token);
        }
        try {
            if (attempt != null && attempt(out T result))
                return result;
            return await Run(call).ConfigureAwait(false);
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
                request = await rpc.InTurn(() => rpc.Serve(null, token), token)
                    .ConfigureAwait(false);
            } catch (StreamClosedException) {
                return served;
            }
            Message reply = await handler(request).ConfigureAwait(false);
            await rpc.InTurn(() => {
                rpc.Reply(request.CorrelationId, reply.Data, reply.TypeId, null, token);
                return 0;
            }, token).ConfigureAwait(false);
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
        InTurn(() => { Send(data.Span, typeId, timeout, token); return true; }, token,
               (out bool sent) => sent = TrySend(data.Span, typeId));

    /// <summary>As <c>Receive</c>; waits on a thread of its own.</summary>
    public Task<Message> ReceiveAsync(TimeSpan? timeout = null,
                                      CancellationToken token = default) =>
        InTurn(() => Receive(timeout, token), token, TryCopy);

    bool TryCopy(out Message message) {
        bool there = TryReceive(out RxGuard guard);
        message = there ? guard.Copy() : default;
        return there;
    }

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
                                   CancellationToken token = default) => InTurn(() => {
        ulong id = Call(payload.Span, msgType, timeout, token);
        try {
            return Wait(id, timeout, token);
        } catch (Exception e) when (e is TimeoutException ||
                                    e is OperationCanceledException) {
            Cancel(id);
            throw;
        }
    }, token);

    /// <summary>Answers requests until the end of the stream; gives how many. What the
    /// handler throws ends it, and the request stays without a reply.</summary>
    public Task<long> ServeAsync(Func<Message, Task<Message>> handler,
                                 CancellationToken token = default) =>
        Background.Serve(this, handler, token);
}
}
