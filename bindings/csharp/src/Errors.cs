// SPDX-License-Identifier: Apache-2.0
using System;
using System.Threading;

namespace TachyonIpc {

/// <summary>What every exception of this library has, whatever its class: the code.
/// <c>catch (Exception e) when (e is ITachyonError)</c> catches them all.</summary>
public interface ITachyonError {
    /// <summary>The code, as tachyon_last_error() gives it.</summary>
    TachyonError Error { get; }
}

/// <summary>A call failed; <see cref="Error"/> says why and the message with which
/// value. Only a time-out, a cancellation and the use of a disposed object are no
/// TachyonException, but what .NET has for them, with the code.</summary>
public class TachyonException : Exception, ITachyonError {
    /// <inheritdoc/>
    public TachyonError Error { get; }

    /// <summary>One with this code and text.</summary>
    public TachyonException(TachyonError error, string message) : base(message) =>
        Error = error;

    internal static Exception Of(TachyonError error, string text) {
        switch (Tachyon.error_kind(error)) {
        case Kind.KIND_TIMEOUT: return new TachyonTimeoutException(error, text);
        case Kind.KIND_CLOSED: return new StreamClosedException(error, text);
        case Kind.KIND_PEER_DEAD: return new PeerDeadException(error, text);
        case Kind.KIND_ABORTED: return new StreamAbortedException(error, text);
        case Kind.KIND_WOULD_BLOCK: return new WouldBlockException(error, text);
        default: return new TachyonException(error, text);
        }
    }
}

/// <summary>The peer has closed in order: the end of the stream.</summary>
public sealed class StreamClosedException : TachyonException {
    internal StreamClosedException(TachyonError error, string text)
        : base(error, text) { }
}

/// <summary>The peer has died without closing.</summary>
public sealed class PeerDeadException : TachyonException {
    internal PeerDeadException(TachyonError error, string text)
        : base(error, text) { }
}

/// <summary>The peer has cut the stream off: what came is not all.</summary>
public sealed class StreamAbortedException : TachyonException {
    internal StreamAbortedException(TachyonError error, string text)
        : base(error, text) { }
}

/// <summary>The ring is full, or empty, and the call was not to wait.</summary>
public sealed class WouldBlockException : TachyonException {
    internal WouldBlockException(TachyonError error, string text)
        : base(error, text) { }
}

/// <summary>The time-out passed; nothing was sent or taken.</summary>
public sealed class TachyonTimeoutException : TimeoutException, ITachyonError {
    /// <inheritdoc/>
    public TachyonError Error { get; }
    internal TachyonTimeoutException(TachyonError error, string text) : base(text) =>
        Error = error;
}

/// <summary>The token was cancelled; nothing was sent or taken.</summary>
public sealed class TachyonCanceledException
    : OperationCanceledException, ITachyonError {
    /// <inheritdoc/>
    public TachyonError Error => TachyonError.Interrupted;
    internal TachyonCanceledException(CancellationToken token)
        : base("the call was cancelled", token) { }
}

/// <summary>The object was disposed of, before the call or while it waited.</summary>
public sealed class TachyonDisposedException : ObjectDisposedException, ITachyonError {
    /// <inheritdoc/>
    public TachyonError Error => TachyonError.Closed;
    internal TachyonDisposedException(string name) : base(name, "it is closed") { }
}
}
