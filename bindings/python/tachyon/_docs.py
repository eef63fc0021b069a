# SPDX-License-Identifier: Apache-2.0
# mypy: allow-untyped-defs
# ruff: noqa: D401, PLR0917
"""What help() says of _native: its docstrings, under the names that they belong to.

_native takes them from DOCS at its import. The types of all this are in _native.pyi.
"""

from textwrap import dedent
from types import FunctionType


def direct_calls(cls, /):
    """Make a class derived from BusBase or RpcBusBase as fast as those; a decorator."""


def integer(name, value, least=0, limit=2**64 - 1, /):
    """Return a value that is an integer from least to limit as an int.

    ValueError for one out of range, TypeError for what is no integer, with the name.
    """


def define_record(cls, sizes, rows, /):
    """Give a class derived from Record its fields; tachyon.record calls it.

    sizes: bytes of the struct, of the smallest message, whether there are larger ones,
        type_id.
    rows: of each field its name, that in C, its title, kind, shape, offset, what it
        holds, aliases.
    """


def record_from(cls, data, /):
    """Make an instance of a class of messages from a copy of its bytes.

    ValueError for a size that no message of the class has.
    """


class _Receiving:
    """What both ways to hold an RPC bus have."""

    def wait(self, /, correlation_id, spin_threshold=10000, *, timeout=None):
        """Wait for the reply to one call and read it in place.

        correlation_id: what RpcBus.call() returned; replies may come in any order.
        spin_threshold: looks before this end goes to sleep, 0 to 2**32 - 1.
        timeout: seconds, then TimeoutError: the call stays outstanding, wait again
            or cancel it. None waits for ever.

        Returns an RpcRxGuard, whose memory is the bus's again when its block ends.
        ValueError when no such call is outstanding; PeerDeadError or ClosedError
        when nobody will answer it; TachyonError on the callee's end.
        """

    def wait_any(self, /, spin_threshold=10000, *, timeout=None):
        """Wait for the reply that comes first, to any outstanding call.

        The guard's correlation_id tells which call that is. The arguments and
        what is raised are those of wait(); ValueError when no call is outstanding.
        """

    def serve(self, /, spin_threshold=10000, *, timeout=None):
        """Wait for the next request and read it in place.

        spin_threshold, timeout: as for wait().

        Returns an RpcRxGuard; leaving it releases the request, which RpcBus.reply()
        or RpcBus.reply_zero_copy() answers before or after. ClosedError when the
        caller has closed, PeerDeadError when it died; what it had sent comes
        first.
        """

    def cancel(self, correlation_id, /):
        """Give a call up; its reply will be dropped and counted.

        correlation_id: of an outstanding call, else ValueError.
        """


class _Ending:
    """How both kinds of bus end."""

    def close(self, /):
        """Flush, end the stream and release the ring, as leaving a `with` block does.

        From any thread, and as often as one likes. A call that waits in another
        thread or task ends with ClosedError, and so does every later one. BufferError,
        and nothing is done, while a view points into the ring.
        """

    def abort(self, /):
        """Cut the stream off, as leaving a `with` block by an exception does.

        The peer gets what was sent before and then AbortedError, so that it takes
        no half for the whole. A guard that is open sends nothing. Otherwise as
        close(), but views do not stop it: what they show is kept for them.
        """


class _Low:
    """What both low-level buses have."""

    def opening_step(self, /):
        """Go on with what listen_start() or connect_start() has begun, without waiting.

        Return True when the bus is open, False when the descriptor must become readable
        first. Raises what listen() and connect() raise.
        """

    def opening_cancel(self, /):
        """Give up what listen_start() or connect_start() has begun. Idempotent."""

    def set_polling_mode(self, /, pure_spin):
        """Choose how this end waits.

        pure_spin: True or 1 never to sleep, False or 0, the default, to spin, then
            sleep.
        """

    def peer(self, /):
        """Process, user and group id at the other end, as the kernel told them."""

    def accept(self, /, timeout=None):
        """Let peers in and out, and wait until one has come or gone.

        As Bus.accept(); returns an Event in numbers.
        """

    def peers(self, /):
        """List who is connected, as Bus.peers(), flat."""

    def drop_peer(self, peer, /):
        """Disconnect a peer, as Bus.drop()."""

    def sender(self, /):
        """Number of the peer whose message was received last, as Bus.sender."""

    def fileno(self, /):
        """The descriptor for event loops; -1 when the bus is not open."""

    def watch(self, /):
        """Return the descriptor and keep it until unwatch(), even of a closed bus.

        A close makes it readable.
        """

    def unwatch(self, /):
        """Say that the descriptor is not polled any more, once for each watch()."""


class TachyonBus(_Low):
    """The low-level end of a bus.

    Its guards commit without a flush, so what they send is seen by the consumer after
    the next flush(), or after 32 messages.
    """

    def listen(
        self,
        /,
        socket_path,
        capacity,
        timeout=None,
        mode=0,
        allowed_uids=None,
        role=0,
        schema=0,
        max_peers=None,
        slow_peer=0,
        slow_after=0,
        without_peers=0,
        keep_place=0,
        types=None,
        types_required=False,
    ):
        """Create the ring and wait for a peer.

        Arguments as for Bus.listen().
        """

    def connect(
        self,
        /,
        socket_path,
        timeout=0,
        allowed_uids=None,
        role=0,
        schema=0,
        start=0,
        name=None,
        types=None,
        types_required=False,
    ):
        """Attach to a listener.

        Arguments as for Bus.connect().
        """

    def listen_start(
        self,
        /,
        socket_path,
        capacity,
        timeout=None,
        mode=0,
        allowed_uids=None,
        role=0,
        schema=0,
        max_peers=None,
        slow_peer=0,
        slow_after=0,
        without_peers=0,
        keep_place=0,
        types=None,
        types_required=False,
    ):
        """Begin to listen and return the descriptor to wait on between the steps.

        Arguments as for Bus.listen().
        """

    def connect_start(
        self,
        /,
        socket_path,
        timeout=0,
        allowed_uids=None,
        role=0,
        schema=0,
        start=0,
        name=None,
        types=None,
        types_required=False,
    ):
        """Begin to connect and return the descriptor to wait on between the steps.

        Arguments as for Bus.connect().
        """

    def position(self, /):
        """Return the position of Bus.position() and its epoch."""

    def destroy(self, /):
        """Flush, end the stream and release the ring. Idempotent.

        A call that waits in another thread ends with ClosedError. Raises BufferError,
        and does nothing, while a view points into the ring.
        """

    def abort(self, /):
        """Cut the stream off, as Bus.abort()."""

    def flush(self, /):
        """Make all committed messages visible and wake the consumer."""

    def set_numa_node(self, /, node_id):
        """Prefer a NUMA node for the ring's pages.

        node_id: 0 to 63, else ValueError. OSError has the kernel's reason for a
            refusal.
        """

    def max_payload(self, /):
        """Largest payload of one message in bytes."""

    def stats(self, /):
        """Counters of this end since it was opened, with the fields of Stats."""

    def acquire_tx(self, /, max_payload_size, timeout=None, block=True):
        """Reserve max_payload_size bytes; leaving the guard commits without a flush.

        The other arguments, the guard and what is raised are those of
        Bus.send_zero_copy(); set `actual_size` and `type_id` of the guard.
        """

    def acquire_rx(self, /, spin_threshold=10000, timeout=None):
        """Wait for one message and read it in place; leaving the guard releases it.

        Arguments, guard and what is raised are those of Bus.recv_zero_copy().
        """

    def drain_batch(self, /, max_msgs=1024, spin_threshold=10000, timeout=None):
        """Wait for one message, then take up to max_msgs that are there.

        max_msgs: 1 or more, else ValueError.
        spin_threshold, timeout: as for Bus.recv_zero_copy().

        Returns an RxBatchGuard, a sequence of messages in the ring itself, which are
        the bus's again when its `with` block ends. Fails as Bus.recv().
        """


class TxGuard:
    """A reserved slot of the ring: a writable buffer of the reserved size, in bytes.

    It starts at an address that 32 divides, 64 where more than 32 bytes are reserved,
    and its bytes have any value. Leaving the `with` block sends the first `actual_size`
    of them, all unless that is set; an exception gives the slot back and nothing is
    sent.
    """


class RxGuard:
    """One received message: a read-only buffer of `actual_size` bytes in the ring.

    Leaving the `with` block releases the message, also by an exception; while a view
    still points into it, when that is gone. Until then no other message can be
    received.
    """


class RxBatchGuard:
    """A batch of received messages, a sequence of RxMsgView.

    Messages of one size are also a read-only buffer of shape (n, size), type uint8, in
    the ring itself, also where they run over its end: memoryview(batch),
    np.asarray(batch), or batch.array(dtype) with items of a dtype. Leaving the `with`
    block releases them all, or raises BufferError while something still points to them.
    """

    def array(self, dtype, /):
        """The batch as a read-only NumPy array in the ring itself, without a copy.

        dtype: what np.dtype() takes; its itemsize is the size of the messages. The
            array has shape (n,) and strides that skip what lies between messages.

        The memory is the batch's: an array, or a part of one, that is left over when
        the block ends is a BufferError there, and what it shows stays in the ring until
        it is gone. ValueError: messages of another size; TypeError: a dtype with
        objects; BufferError: messages that are not all of one size.
        """


class RxMsgView:
    """One message of a batch: a read-only buffer in the ring itself."""

    def __dlpack__(
        self, /, *, stream=None, max_version=None, dl_device=None, copy=None
    ):
        """The payload as a capsule of bytes, which holds the batch until it is dropped.

        max_version: (1, 0) or later for a capsule that says that it is read-only. Older
            consumers cannot know and get a BufferError, unless copy is true.
        copy: True for memory of the consumer's own, which holds nothing.
        stream, dl_device: None, and None or (1, 0), the CPU; else BufferError.
        """

    def __dlpack_device__(self, /):
        """The CPU: (1, 0)."""


class Frame:
    """An array that was received: what numpy.asarray() and DLPack make an array of.

    memoryview() of it has the format and the shape, too. It is read-only in the ring;
    as Bus.recv_array() gives it without NumPy, in memory of its own, it is not.
    """

    def __dlpack__(
        self, /, *, stream=None, max_version=None, dl_device=None, copy=None
    ):
        """The array as a capsule, which holds the frame until it is dropped.

        max_version: (1, 0) or later for a capsule that says whether it is read-only. An
            older one cannot: nobody is to write to what it shows of the ring.
        copy: True for memory of the consumer's own, which holds nothing.
        stream, dl_device: None, and None or (1, 0), the CPU; else BufferError.
        """

    def __dlpack_device__(self, /):
        """The CPU: (1, 0)."""


class BusBase(_Ending):
    """The methods of Bus that run once a message."""

    def send(self, /, data, type_id=0, timeout=None, block=True):
        """Copy one message into the ring and make it visible.

        data: bytes or any C-contiguous buffer, 0 to max_payload bytes of it. One of
            Python objects or pointers is a TypeError: they mean nothing elsewhere.
        type_id: a number for the receiver, 0 to 2**32 - 1.
        timeout: seconds to wait for room, then TimeoutError; None waits for ever.
        block: False raises RingFull at once where there is no room.

        ValueError when data can never fit or an argument is out of range, BufferError
        when it is not contiguous; PeerDeadError or ClosedError when nobody will read
        it; TachyonError when this end receives, another thread is sending or a guard
        is open. Nothing is sent then.
        """

    def send_zero_copy(self, /, size, type_id=0, timeout=None, block=True):
        """Reserve `size` bytes in the ring; leaving the guard sends them.

        size: 0 to max_payload.
        type_id, timeout, block: as for send().

        Returns a TxGuard for a `with` block: write through its `buf`, or through
        memoryview() of it, and set its `actual_size` if that were fewer bytes. The
        memory is the bus's: a view that outlives the block is a BufferError there, and
        the slot is kept until it is gone. An exception in the block sends nothing.
        Otherwise waits and fails as send().
        """

    def recv(self, /, timeout=None):
        """Wait for one message and return a copy of it, a Message.

        timeout: seconds, then TimeoutError; None waits for ever, 0 does not wait.

        ClosedError at the end of the stream, PeerDeadError when the peer died; what it
        had sent comes first. TachyonError when this end sends, another thread is
        receiving or a guard is open.
        """

    def recv_zero_copy(self, /, timeout=None, spin_threshold=10000):
        """Wait for one message and read it in place; leaving the guard releases it.

        timeout: as for recv().
        spin_threshold: looks before this end goes to sleep, 0 to 2**32 - 1.

        Returns an RxGuard for a `with` block: read its `buf`, or memoryview() of it.
        The memory is the bus's: a view that outlives the block is a BufferError there,
        and the message stays in the ring until it is gone. Otherwise fails as recv().
        """

    def drain_batch(self, /, max_msgs=1024, spin_threshold=10000, timeout=None):
        """Wait for one message, then take up to max_msgs that are there.

        max_msgs: 1 or more, else ValueError.
        spin_threshold, timeout: as for Bus.recv_zero_copy().

        Returns an RxBatchGuard, a sequence of messages in the ring itself, which are
        the bus's again when its `with` block ends. Fails as Bus.recv().
        """

    def send_batch(self, /, buffer, type_id=0, timeout=None, block=True):
        """Copy an array into the ring, a message for each item of its first dimension.

        buffer: C-contiguous: bytes, array.array, memoryview, a NumPy array of any
            dtype without objects. Shape (n,) sends n messages of itemsize bytes,
            (n, m) n messages of m * itemsize. It must not change until this returns.
        timeout: seconds for all of them, block: as for send().

        Returns how many were sent, all of them visible to the consumer: n, or fewer
        when the ring was full for too long; TimeoutError or RingFull when none was.
        Any other exception, of a dead peer, a closed bus or a signal, has the number
        that was sent before it in its attribute `sent`. ValueError: not contiguous,
        items of 0 bytes or larger than max_payload. TypeError: Python objects or
        pointers in it.
        """

    def _recv_record(self, /, classes, timeout=None):
        """Wait for one message and return an object of the class of its type_id.

        classes: a dict of Message classes by their type_ids. UnexpectedMessage when it
        has none of the next message's, or that has another size; it stays.
        """

    def recv_batch_into(self, /, array, timeout=None, type_id=None):
        """Wait for a message, then copy what is there into an array, one an item.

        array: writable and C-contiguous, shape (n,) or (n, m), as for send_batch().
        timeout: seconds to wait for the first message; None waits for ever.
        type_id: take messages of this type only; None takes any.

        Returns how many items were filled, 1 to n, as an int whose attribute `type_id`
        is the type of all of them: a message of another size or type ends the batch
        and is the next one of whatever call comes next. When it is the first one, of
        another size than the items or another type than asked for: UnexpectedMessage,
        and it stays. Otherwise fails as recv(); TypeError for a read-only array or one
        of Python objects, ValueError for one not contiguous or without room.
        """

    def send_array(self, /, array, type_id=0, tag=0, timeout=None, block=True):
        """Copy an array into the ring as one message, with its shape and dtype.

        array: what has a buffer, of any strides, or __dlpack__ on the CPU: of NumPy,
            PyTorch, JAX; of bool, integers, floats of 2 to 8 bytes, bfloat16 or complex
            numbers, with at most six dimensions. It must not change until this returns.
        type_id, timeout, block: as for send().
        tag: a number for the receiver, 0 to 2**32 - 1: which camera, which stream.

        The ring must be larger than the array, twice as large so that the next one is
        written while it is read. TypeError for what a frame cannot carry, such as
        objects, text, dates and structs; the text says what else would. ValueError for
        more dimensions, or an array that can never fit; BufferError for one on another
        device. Otherwise waits and fails as send().
        """

    def recv_array(self, /, out=None, hold=False, timeout=None):
        """Wait for an array and return it, a numpy.ndarray that is the caller's own.

        out: an array of the same shape and dtype, of any strides, to copy into; it is
            returned.
        hold: True does not copy: the array is read-only, lies in the ring itself and
            keeps its slot as long as it or a view of it lives, while others are
            received. When all from the oldest one on take more than half of the ring,
            the next receive is a BufferError; so is closing the bus while one lives. A
            listener with many producers holds one at a time.
        timeout: as for recv().

        Without NumPy, and for bfloat16, a Frame. UnexpectedMessage when the next
        message is no array, or not what out is; it stays in the ring. TypeError for an
        out that is read-only. Otherwise fails as recv().
        """

    def recv_array_zero_copy(self, /, timeout=None):
        """Wait for an array and read it in place; leaving its block releases it.

        timeout: as for recv().

        Returns a Frame for a `with` block, of which numpy.asarray(),
        torch.from_dlpack() and jax.dlpack.from_dlpack() make arrays without a copy, and
        memoryview() a view. The memory is the bus's: an array that outlives the block
        is a BufferError there, and keeps its slot until it is gone; others are received
        meanwhile. Otherwise fails as recv_array().
        """

    def _send_parts(self, /, parts, type_id, timeout=None, block=True):
        """Send a list of buffers as one message, each at the next multiple of 64."""

    def _recv_parts(self, /, type_id, timeout=None):
        """Wait for a message of a type and return a copy as a bytearray."""

    def _count_waiting(self, /):
        """Return how many messages are there to be received."""


class ChannelBase:
    """The methods of Channel that run once a message."""

    def recv(self, /, timeout=None):
        """Wait for one message and return its fields as a tuple.

        timeout: seconds; None waits for ever. UnexpectedMessage when the next message
        has another type or size; it stays, and bus.recv() takes it. Otherwise fails
        as Bus.recv(). Iterating does the same until the stream has ended.
        """

    def send_batch(self, /, array, timeout=None, block=True):
        """Send an array, one message for each item; return how many were sent.

        As Bus.send_batch(). TypeError when an array has another dtype than the channel,
        or another buffer a format that means something else: 'l' and '<q' may be the
        same, 'd' and '>d' are not. Bytes of shape (n, size) go as they are.
        """

    def recv_batch_into(self, /, array, timeout=None):
        """Wait for a message, then copy what is there into an array; return how many.

        As Bus.recv_batch_into() with the channel's type_id. TypeError as for
        send_batch().
        """

    def _drain(self, /, max_msgs=1024, spin_threshold=10000, timeout=None):
        """Bus.drain_batch() of the channel's messages."""


class MessageChannelBase:
    """The methods of MessageChannel that run once a message."""

    def send(self, /, timeout=None, block=True):
        """Reserve room for one message, to be written in place.

        timeout, block: as for Bus.send_zero_copy().

        Returns an object of the class, all zero, in the ring itself; use it in a `with`
        block, whose end sends it, unless an exception leaves it. Arrays and structs
        that were taken from its attributes must be gone by then: BufferError.
        """

    def recv(self, /, timeout=None):
        """Wait for one message and return a copy of it, an object of the class.

        timeout: seconds; None waits for ever. UnexpectedMessage when the next message
        is of another type, or of a size that no version of it has; it stays, and
        bus.recv() takes it. Otherwise fails as Bus.recv(). Iterating does the same
        until the stream has ended.
        """

    def send_batch(self, /, array, timeout=None, block=True):
        """Send an array of the class's dtype, one message for each item.

        As Channel.send_batch().
        """

    def recv_batch_into(self, /, array, timeout=None):
        """Wait for a message, then copy what is there into an array; return how many.

        As Channel.recv_batch_into(). The messages must have the size of the class: of
        another version, UnexpectedMessage.
        """

    def _drain(self, /, max_msgs=1024, spin_threshold=10000, timeout=None):
        """Bus.drain_batch() of the channel's messages."""


class Record:
    """What classes of messages have in common; made as tachyon.Message."""


class TachyonRpcBus(_Low, _Receiving):
    """The low-level end of an RPC bus: the callee listens, the caller connects."""

    def listen(
        self,
        /,
        socket_path,
        cap_fwd,
        cap_rev,
        timeout=None,
        mode=0,
        allowed_uids=None,
        schema=0,
        max_peers=None,
        types=None,
        types_required=False,
    ):
        """Create both rings and wait for a caller.

        Arguments as for RpcBus.rpc_listen().
        """

    def connect(
        self,
        /,
        socket_path,
        timeout=0,
        allowed_uids=None,
        schema=0,
        name=None,
        types=None,
        types_required=False,
    ):
        """Attach to a callee.

        Arguments as for RpcBus.rpc_connect().
        """

    def listen_start(
        self,
        /,
        socket_path,
        cap_fwd,
        cap_rev,
        timeout=None,
        mode=0,
        allowed_uids=None,
        schema=0,
        max_peers=None,
        types=None,
        types_required=False,
    ):
        """Begin to listen and return the descriptor to wait on between the steps.

        Arguments as for RpcBus.rpc_listen().
        """

    def connect_start(
        self,
        /,
        socket_path,
        timeout=0,
        allowed_uids=None,
        schema=0,
        name=None,
        types=None,
        types_required=False,
    ):
        """Begin to connect and return the descriptor to wait on between the steps.

        Arguments as for RpcBus.rpc_connect().
        """

    def destroy(self, /):
        """End the connection and release the rings. Idempotent.

        A call that waits in another thread ends with ClosedError. Raises BufferError,
        and does nothing, while a view points into a ring.
        """

    def abort(self, /):
        """Cut all calls off, as RpcBus.abort()."""

    def max_payload(self, /):
        """Largest payload that this end can send in bytes."""

    def stats(self, /):
        """Counters of this end since it was opened, with the fields of RpcStats."""

    def watch_messages(self, /, watch):
        """Let the descriptor tell of messages, or only of room and of the end.

        watch: False for a time in which nobody takes messages; then a call that finds
            no room makes it unreadable until there is some.
        """

    def acquire_call(self, /, max_payload_size, *, timeout=None):
        """Reserve a slot for a request; leaving the guard sends it.

        As RpcBus.call_zero_copy(); set `msg_type` of the guard.
        """

    def acquire_reply(self, /, correlation_id, max_payload_size, *, timeout=None):
        """Reserve a slot for a reply; leaving the guard sends it.

        As RpcBus.reply_zero_copy(); set `msg_type` of the guard.
        """


class RpcTxGuard:
    """A slot for a request or a reply: a writable buffer of the reserved size.

    Leaving the `with` block sends the first `actual_size` bytes of it, all unless that
    is set, and sets `out_cid`; an exception gives the slot back and nothing is sent.
    """


class RpcRxGuard:
    """One reply or request: a read-only buffer in the ring itself.

    Leaving the `with` block releases it.
    """


class RpcBusBase(_Receiving, _Ending):
    """The methods of RpcBus that run once a message."""

    def call(
        self,
        /,
        payload,
        msg_type,
        max_payload_size=None,
        spin_threshold=10000,
        *,
        timeout=None,
    ):
        """Copy one request into the ring, send it and return its correlation id.

        payload: bytes or any C-contiguous buffer, as for Bus.send().
        msg_type: a number for the callee, 0 to 2**32 - 1.
        max_payload_size: bytes, ValueError for a longer payload; None is no limit.
        spin_threshold: looks before this end goes to sleep, 0 to 2**32 - 1.
        timeout: seconds to wait for room, then TimeoutError; None waits for ever.

        Ids start at 1 and grow by 1. ValueError when the payload can never fit;
        PeerDeadError or ClosedError when nobody will answer; TachyonError on the
        callee's end, while another thread uses the bus or a guard is open.
        """

    def reply(
        self,
        /,
        correlation_id,
        payload,
        msg_type,
        max_payload_size=None,
        *,
        timeout=None,
    ):
        """Copy the answer to one request into the ring and send it.

        correlation_id: of a request that serve() gave and that has no reply yet, else
            ValueError.

        The other arguments, how it waits and fails are those of call().
        """

    def call_zero_copy(self, /, max_payload_size, msg_type, *, timeout=None):
        """Reserve room for a request in the ring; leaving the guard sends it.

        max_payload_size: bytes to reserve, 0 to max_payload.
        msg_type, timeout: as for call().

        Returns an RpcTxGuard: write through its `buf`, set its `actual_size` if that
        were fewer bytes; its `out_cid` is the correlation id when it was left. The
        memory is the bus's, as for Bus.send_zero_copy(). Otherwise fails as call().
        """

    def reply_zero_copy(
        self, /, correlation_id, max_payload_size, msg_type, *, timeout=None
    ):
        """Reserve room for a reply in the ring; leaving the guard sends it.

        max_payload_size, msg_type, timeout: as for call_zero_copy(); ValueError when
            the guard is left and no request of correlation_id is to be answered.
        """


def _signature(function: FunctionType) -> str:
    """Write a function's parameters as a docstring of C begins with them."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    given = function.__defaults__ or ()
    defaults = dict(zip(names[code.co_argcount - len(given) :], given, strict=False))
    defaults |= function.__kwdefaults__ or {}
    parts = []
    for i, name in enumerate(names):
        parts += ["*"] * (i == code.co_argcount)
        parts.append("$self" if name == "self" else name)
        if name in defaults:
            parts[-1] += f"={defaults[name]!r}"
        parts += ["/"] * (i + 1 == code.co_posonlyargcount)
    return f"{function.__name__}({', '.join(parts)})\n--\n\n"


def _text(thing: object) -> str:
    first, _, rest = (thing.__doc__ or "").partition("\n")
    signature = _signature(thing) if isinstance(thing, FunctionType) else ""
    return signature + f"{first}\n{dedent(rest)}".rstrip()


DOCS: dict[str, str] = {}
for _name, _thing in list(globals().items()):
    if _name[0] != "_" and getattr(_thing, "__module__", "") == __name__:
        DOCS[_name] = _text(_thing)
        for _member in dir(_thing) if isinstance(_thing, type) else ():
            if isinstance(getattr(_thing, _member), FunctionType):
                DOCS[f"{_name}.{_member}"] = _text(getattr(_thing, _member))
