# SPDX-License-Identifier: Apache-2.0
"""Calls, replies and guards of an RPC bus."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tachyon import Bus, ClosedError, RpcBus, TachyonError, TachyonRpcBus

from conftest import ConnectRpc, RpcPair, open_both

LEFT_WITH_A_VIEW = "still points into the slot"


def answer(rpc: RpcPair, payload: bytes = b"answer") -> int:
    """Serve one request and answer it."""
    with rpc.callee.serve(timeout=5) as request:
        rpc.callee.reply(request.correlation_id, payload, request.type_id)
        return request.correlation_id


def test_call_and_reply_carry_bytes_type_and_id(rpc: RpcPair) -> None:
    assert rpc.caller.call(b"question", 7) == 1
    with rpc.callee.serve() as request:
        assert (bytes(request), request.actual_size) == (b"question", 8)
        assert (request.type_id, request.correlation_id) == (7, 1)
    rpc.callee.reply(1, b"answer", 8)
    with rpc.caller.wait(1) as reply:
        assert (bytes(reply), reply.actual_size) == (b"answer", 6)
        assert (reply.type_id, reply.correlation_id) == (8, 1)
    assert rpc.caller.call(b"again", 7) == 2


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"x",
        bytearray(b"bytearray"),
        memoryview(b"view"),
        np.arange(9),
        bytes(5000),
    ],
)
def test_any_buffer_is_a_payload_both_ways(rpc: RpcPair, payload: Any) -> None:
    call = rpc.caller.call(payload, 1)
    with rpc.callee.serve(timeout=1) as request:
        assert bytes(request) == bytes(payload)
        rpc.callee.reply(call, request, 1)  # the guard is a buffer itself
    with rpc.caller.wait(call, timeout=1) as reply:
        assert bytes(reply) == bytes(payload)
        assert memoryview(reply).readonly


def test_replies_may_come_in_any_order_and_be_waited_for_in_any(rpc: RpcPair) -> None:
    calls = [rpc.caller.call(bytes([i]), 1) for i in range(6)]
    for _ in calls:
        rpc.callee.serve().__exit__(None, None, None)
    for i in (3, 0, 5, 1, 4, 2):
        rpc.callee.reply(calls[i], b"to %d" % i, i)
    for i in (2, 5, 0, 4, 1, 3):
        with rpc.caller.wait(calls[i], timeout=1) as reply:
            assert (bytes(reply), reply.type_id) == (b"to %d" % i, i)
    stats = rpc.caller.stats()
    assert (stats.calls, stats.replies, stats.outstanding) == (6, 6, 0)
    assert stats.kept > 0


def test_zero_copy_both_ways(rpc: RpcPair) -> None:
    with rpc.caller.call_zero_copy(100, 7) as tx:
        assert (tx.msg_type, tx.actual_size, tx.out_cid) == (7, 100, 0)
        with memoryview(tx) as view:
            assert (view.nbytes, view.readonly) == (100, False)
            view[:5] = b"hello"
        tx.actual_size = 5
        tx.msg_type = 8
    call = tx.out_cid
    assert call == 1
    with rpc.callee.serve() as request:
        assert (bytes(request), request.type_id) == (b"hello", 8)
        with rpc.callee.reply_zero_copy(call, 10, 9) as tx:
            tx.buf[:3] = b"bye"
            tx.actual_size = 3
        assert tx.out_cid == 0
    with rpc.caller.wait(call) as reply:
        assert (bytes(reply.buf), reply.type_id) == (b"bye", 9)


def test_low_level_guards(rpc: RpcPair) -> None:
    caller, callee = rpc.caller._rpc, rpc.callee._rpc
    with caller.acquire_call(max_payload_size=8) as tx:
        assert tx.msg_type == 0
        tx.actual_size = 8
    with callee.serve(spin_threshold=10) as request:
        with callee.acquire_reply(request.correlation_id, 4) as answer_tx:
            answer_tx.actual_size = 4
    with caller.wait(tx.out_cid, spin_threshold=10) as reply:
        assert reply.actual_size == 4
    assert caller.max_payload() == rpc.caller.max_payload > 60000


@pytest.mark.parametrize("low", [False, True])
@pytest.mark.parametrize(("set_to", "sent"), [(None, 8), (0, 0), (3, 3)])
def test_unset_actual_size_sends_what_was_reserved(
    rpc: RpcPair, low: bool, set_to: int | None, sent: int
) -> None:
    call_guard = (
        rpc.caller._rpc.acquire_call(8) if low else rpc.caller.call_zero_copy(8, 1)
    )
    with call_guard as tx:
        tx.buf[:] = b"question"
        if set_to is not None:
            tx.actual_size = set_to
    with rpc.callee.serve(timeout=0) as request:
        assert bytes(request) == b"question"[:sent]
    reply_guard = (
        rpc.callee._rpc.acquire_reply(tx.out_cid, 8)
        if low
        else rpc.callee.reply_zero_copy(tx.out_cid, 8, 1)
    )
    with reply_guard as answer:
        answer.buf[:] = b"the same"
        if set_to is not None:
            answer.actual_size = set_to
    with rpc.caller.wait(tx.out_cid, timeout=0) as reply:
        assert bytes(reply) == b"the same"[:sent]


def test_exception_in_a_guard_sends_nothing(rpc: RpcPair) -> None:
    with pytest.raises(ZeroDivisionError):
        with rpc.caller.call_zero_copy(8, 1) as tx:
            raise ZeroDivisionError
    assert tx.out_cid == 0
    call = rpc.caller.call(b"x", 1)
    assert call == 1, "the call that was rolled back took an id"
    request = rpc.callee.serve()
    with pytest.raises(ZeroDivisionError):
        with rpc.callee.reply_zero_copy(call, 8, 1):
            raise ZeroDivisionError
    with pytest.raises(TimeoutError):
        rpc.caller.wait(call, timeout=0.02)
    rpc.callee.reply(call, b"y", 1)
    request.__exit__(None, None, None)
    with rpc.caller.wait(call) as reply:
        assert bytes(reply) == b"y"


def test_abandoned_guards_give_their_slots_back(rpc: RpcPair) -> None:
    rpc.caller.call_zero_copy(8, 1)
    rpc.caller.call(b"x", 1)
    rpc.callee.serve()
    with pytest.raises(TimeoutError):
        rpc.callee.serve(timeout=0)
    rpc.callee.reply_zero_copy(1, 8, 1)
    rpc.callee.reply(1, b"y", 1)
    assert bytes(rpc.caller.wait(1)) == b"y"
    assert rpc.caller.stats().outstanding == 0


def test_cancelled_call_is_dropped_and_counted(rpc: RpcPair) -> None:
    given_up, wanted = rpc.caller.call(b"", 1), rpc.caller.call(b"", 1)
    rpc.caller.cancel(given_up)
    with pytest.raises(ValueError, match="no call 1 is outstanding"):
        rpc.caller.wait(given_up, timeout=0)
    with pytest.raises(ValueError, match="no call 1 is outstanding"):
        rpc.caller.cancel(given_up)
    answer(rpc)
    answer(rpc)
    with rpc.caller.wait(wanted, timeout=1):
        pass
    assert rpc.caller.stats().dropped == 1


def test_call_that_timed_out_may_be_waited_for_again(rpc: RpcPair) -> None:
    call = rpc.caller.call(b"", 1)
    with pytest.raises(TimeoutError):
        rpc.caller.wait(call, timeout=0.02)
    answer(rpc)
    with rpc.caller.wait(call, timeout=1) as reply:
        assert bytes(reply) == b"answer"


def test_call_waits_for_room_and_times_out(connect_rpc: ConnectRpc) -> None:
    rpc = connect_rpc(4096, 4096)
    with pytest.raises(TimeoutError):
        while True:
            rpc.caller.call(bytes(500), 1, timeout=0.02)
    with pytest.raises(TimeoutError):
        rpc.caller.call_zero_copy(500, 1, timeout=0)
    thread = threading.Timer(0.05, answer, [rpc])
    thread.start()
    rpc.caller.call(bytes(500), 1)
    thread.join()


# ---- Bad input ----


@pytest.mark.parametrize("call", [0, -1, 1 << 64])
def test_correlation_id_out_of_range(rpc: RpcPair, call: int) -> None:
    for use in (
        lambda: rpc.callee.reply(call, b"", 1),
        lambda: rpc.callee.reply_zero_copy(call, 8, 1),
        lambda: rpc.callee._rpc.acquire_reply(call, 8),
        lambda: rpc.caller.wait(call),
        lambda: rpc.caller.cancel(call),
    ):
        with pytest.raises(ValueError, match="correlation_id must be"):
            use()


def test_reply_to_an_unknown_id(rpc: RpcPair) -> None:
    with pytest.raises(ValueError, match="no request 9 is outstanding"):
        rpc.callee.reply(9, b"", 1)
    with pytest.raises(ValueError, match="no request 9 is outstanding"):
        with rpc.callee.reply_zero_copy(9, 8, 1):
            pass
    with pytest.raises(ValueError, match="no call 9 is outstanding"):
        rpc.caller.wait(9)


def test_two_replies_to_one_call(rpc: RpcPair) -> None:
    call = rpc.caller.call(b"", 1)
    answer(rpc)
    with pytest.raises(ValueError, match="no request 1 is outstanding"):
        rpc.callee.reply(call, b"more", 1)
    with pytest.raises(ValueError, match="no request 1 is outstanding"):
        with rpc.callee.reply_zero_copy(call, 8, 1):
            pass
    with rpc.caller.wait(call) as reply:
        assert bytes(reply) == b"answer"


def test_wrong_lengths(rpc: RpcPair) -> None:
    most = rpc.caller.max_payload
    with pytest.raises(ValueError, match=r"can never fit|at most"):
        rpc.caller.call(bytes(most + 1), 1)
    with pytest.raises(ValueError, match=f"max_payload_size .* to {most}, not"):
        rpc.caller.call_zero_copy(most + 1, 1)
    with pytest.raises(ValueError, match="5 bytes, max_payload_size is 4"):
        rpc.caller.call(b"12345", 1, 4)
    with pytest.raises(ValueError, match="max_payload_size must be"):
        rpc.caller.call(b"", 1, max_payload_size=most + 1)
    assert rpc.caller.call(b"1234", 1, 4) == 1
    with pytest.raises(ValueError, match="5 bytes, max_payload_size is 4"):
        rpc.callee.reply(1, b"12345", 1, 4)
    with rpc.caller.call_zero_copy(8, 1) as tx:
        with pytest.raises(ValueError, match="actual_size must be from 0 to 8, not 9"):
            tx.actual_size = 9
        with pytest.raises(ValueError, match="msg_type must be"):
            tx.msg_type = 1 << 32
    with pytest.raises(ValueError, match="msg_type must be"):
        rpc.caller.call(b"", -1)


@pytest.mark.parametrize(
    "call",
    [
        lambda rpc: rpc.caller.call(b""),
        lambda rpc: rpc.caller.call("text", 1),
        lambda rpc: rpc.caller.call(b"", "1"),
        lambda rpc: rpc.caller.call(b"", 1, None, 1, 5),
        lambda rpc: rpc.caller.call(b"", 1, colour=1),
        lambda rpc: rpc.caller.wait(),
        lambda rpc: rpc.caller.wait(1, 1, 1),
        lambda rpc: rpc.caller.wait("1"),
        lambda rpc: rpc.caller.cancel(),
        lambda rpc: rpc.callee.serve(1, 1),
        lambda rpc: rpc.callee.reply(1, 7, 1),
        lambda rpc: rpc.callee.reply_zero_copy(1, 1),
        lambda rpc: RpcBus(1),
        lambda rpc: TachyonRpcBus(1),
    ],
)
def test_wrong_arguments_are_a_type_error(
    rpc: RpcPair, call: Callable[[RpcPair], Any]
) -> None:
    with pytest.raises(TypeError):
        call(rpc)


def test_the_wrong_end_is_refused(rpc: RpcPair) -> None:
    for wrong in (
        lambda: rpc.caller.serve(timeout=0),
        lambda: rpc.caller.reply(1, b"", 1),
        lambda: rpc.callee.call(b"", 1),
        lambda: rpc.callee.call_zero_copy(8, 1),
        lambda: rpc.callee.wait(1, timeout=0),
        lambda: rpc.callee.cancel(1),
    ):
        with pytest.raises(TachyonError, match="this end"):
            wrong()


def test_the_other_kind_of_bus_is_refused(socket_path: str) -> None:
    for listen, connect in (
        (lambda: RpcBus.rpc_listen(socket_path, 4096, 4096, timeout=1), Bus.connect),
        (lambda: Bus.listen(socket_path, 4096, timeout=1), RpcBus.rpc_connect),
    ):
        errors: list[BaseException] = []

        def run(listen: Callable[[], Any] = listen) -> None:
            try:
                listen()
            except TimeoutError as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        with pytest.raises(ConnectionError, match=r"RPC|rpc|bus"):
            connect(socket_path, timeout=60)
        thread.join()
        assert errors, "the listener did not go on listening"


def test_capacity_out_of_range(socket_path: str) -> None:
    for capacities in ((3, 4096), (4096, 3), (0, 4096)):
        with pytest.raises(ValueError, match=r"cap_fwd|power"):
            RpcBus.rpc_listen(socket_path, *capacities, timeout=0.05)


def test_second_guard_of_a_direction_is_refused(rpc: RpcPair) -> None:
    tx = rpc.caller.call_zero_copy(8, 1)
    for second in (
        lambda: rpc.caller.call_zero_copy(8, 1),
        lambda: rpc.caller.call(b"", 1),
    ):
        with pytest.raises(TachyonError, match="another guard of this bus"):
            second()
    tx.__exit__(None, None, None)
    rpc.caller.call(b"", 1)
    with rpc.callee.serve():
        with pytest.raises(TachyonError, match="another guard of this bus"):
            rpc.callee.serve(timeout=0)
    rpc.callee.reply(1, b"", 1)
    with rpc.caller.wait(1):
        with pytest.raises(TachyonError, match="another guard of this bus"):
            rpc.caller.wait(2)
        with pytest.raises(TachyonError, match="is held"):
            rpc.caller.cancel(1)


def test_guard_after_commit_is_refused(rpc: RpcPair) -> None:
    with rpc.caller.call_zero_copy(8, 1) as tx:
        pass
    with pytest.raises(BufferError, match="this guard was left"):
        memoryview(tx)
    with pytest.raises(TachyonError, match="this guard was left"):
        tx.actual_size = 1
    with pytest.raises(TachyonError, match="this guard was left"):
        tx.msg_type = 1
    with pytest.raises(TachyonError, match="left already"):
        tx.__enter__()
    with rpc.callee.serve() as request:
        pass
    with pytest.raises(BufferError, match="this guard was left"):
        memoryview(request)
    assert request.correlation_id == tx.out_cid == 1


USES: list[Callable[[RpcBus], Any]] = [
    lambda bus: bus.call(b"", 1),
    lambda bus: bus.call_zero_copy(8, 1),
    lambda bus: bus.wait(1),
    lambda bus: bus.serve(),
    lambda bus: bus.reply(1, b"", 1),
    lambda bus: bus.reply_zero_copy(1, 8, 1),
    lambda bus: bus.cancel(1),
    lambda bus: bus.set_polling_mode(True),
    lambda bus: bus.stats(),
    lambda bus: bus.peer,
    lambda bus: bus.max_payload,
]


@pytest.mark.parametrize("use", USES)
def test_bus_after_close_is_closed(rpc: RpcPair, use: Callable[[RpcBus], Any]) -> None:
    for bus in (*rpc, RpcBus()):
        bus._rpc.destroy()
        bus._rpc.destroy()
        with pytest.raises(ClosedError, match="not open"):
            use(bus)
        assert "not open" in repr(bus)


# ---- Lifetime ----


def keep_view(guard: Any) -> memoryview:
    """Leave a guard under a view of it."""
    with pytest.raises(BufferError, match=LEFT_WITH_A_VIEW):
        with guard:
            view = memoryview(guard)
    return view


def test_view_of_a_request_that_is_written_holds_the_slot(rpc: RpcPair) -> None:
    view = keep_view(rpc.caller.call_zero_copy(8, 1))
    with pytest.raises(BufferError, match="release the view"):
        rpc.caller.call(b"", 1)
    view[:] = b"harmless"
    view.release()
    assert rpc.caller.call(b"", 1) == 1, "the held slot was sent"


def test_view_of_a_request_that_is_read_holds_the_slot(rpc: RpcPair) -> None:
    rpc.caller.call(b"first", 1)
    rpc.caller.call(b"second", 1)
    view = keep_view(rpc.callee.serve())
    with pytest.raises(BufferError, match="release the view"):
        rpc.callee.serve(timeout=0)
    rpc.callee.reply(1, view, 1)
    view.release()
    with rpc.callee.serve() as request:
        assert bytes(request) == b"second"


def test_view_of_a_reply_holds_the_slot(rpc: RpcPair) -> None:
    for _ in range(2):
        rpc.caller.call(b"", 1)
    for i in range(2):
        answer(rpc, b"answer %d" % i)
    view = keep_view(rpc.caller.wait(1))
    with pytest.raises(BufferError, match="release the view"):
        rpc.caller.wait(2)
    with pytest.raises(BufferError, match="still points"):
        rpc.caller._rpc.destroy()
    assert bytes(view) == b"answer 0"
    view.release()
    with rpc.caller.wait(2) as reply:
        assert bytes(reply) == b"answer 1"


def test_close_with_a_view_is_refused(rpc: RpcPair) -> None:
    tx = rpc.caller.call_zero_copy(8, 1)
    view = memoryview(tx)
    with pytest.raises(BufferError, match="1 view still points"):
        rpc.caller._rpc.destroy()
    view.release()
    rpc.caller._rpc.destroy()
    with pytest.raises(ClosedError):
        tx.__exit__(None, None, None)
    with pytest.raises(BufferError, match="was closed"):
        memoryview(tx)


def test_guard_outlives_its_bus_object(socket_path: str) -> None:
    caller, callee = open_both(
        lambda: RpcBus.rpc_listen(socket_path, 4096, 4096, timeout=60),
        lambda: RpcBus.rpc_connect(socket_path, timeout=60),
    )
    caller.call(b"kept", 1)
    request = callee.serve()
    view = memoryview(request)
    del callee
    assert bytes(view) == b"kept"
    view.release()
    request.__exit__(None, None, None)
    del request
    with pytest.raises(ClosedError):
        caller.wait(1, timeout=5)
    caller._rpc.destroy()


def test_peer_and_polling_mode(rpc: RpcPair) -> None:
    assert rpc.caller.peer.pid == rpc.callee.peer.pid
    rpc.caller.set_polling_mode(True)
    call = rpc.caller.call(b"", 1)
    with pytest.raises(TimeoutError):
        rpc.caller.wait(call, timeout=0.02)
    assert "peer" in repr(rpc.caller)
