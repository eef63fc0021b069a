# SPDX-License-Identifier: Apache-2.0
"""Awaiting in event loops: nothing lost, nothing spun, everything ended."""

import asyncio
import os
import random
import signal
import threading
import time
from typing import Any

import pytest

from tachyon import (
    Bus,
    ClosedError,
    Message,
    PeerDeadError,
    Request,
    RpcBus,
    TachyonError,
)

from conftest import (
    Connect,
    ConnectRpc,
    Pair,
    RpcPair,
    Run,
    StartPeer,
    await_sleep,
    outcome,
    settle,
)
from floor import Watch

TIMED_OUT = (TimeoutError, asyncio.TimeoutError)  # two types before Python 3.11


def loop_has(fd: int) -> bool:
    """Tell whether the running loop polls a descriptor; takes it out."""
    return asyncio.get_running_loop().remove_reader(fd)


def drain(bus: Bus) -> list[Message]:
    """Return all messages that are there."""
    messages = []
    try:
        while True:
            messages.append(bus.recv(0))
    except TimeoutError:
        return messages


# ---- Receiving ----


def test_a_message_that_is_there_is_taken_at_once(run: Run, pair: Pair) -> None:
    async def main() -> None:
        for number in range(1000):
            pair.producer.send(b"x" * number, type_id=number)
            message = await pair.consumer.recv_async()
            assert message == Message(number, number, b"x" * number)
            assert isinstance(message, Message)

    run(main())


def test_a_message_that_comes_later_is_awaited(run: Run, pair: Pair) -> None:
    async def main() -> None:
        fd = pair.consumer.fileno()
        for number in range(100):
            task = asyncio.ensure_future(pair.consumer.recv_async())
            await settle()
            assert not task.done()
            pair.producer.send(b"%d" % number)
            assert (await task).data == b"%d" % number
            assert not loop_has(fd)

    run(main())


def test_async_for_ends_with_the_stream(
    run: Run, start_peer: StartPeer, socket_path: str
) -> None:
    start_peer(
        """
with Bus.connect(path, timeout=60) as bus:
    for i in range(3000):
        bus.send(b"", i)
        if i % 500 == 0:
            time.sleep(0.01)
"""
    )

    async def main() -> None:
        async with Bus.listen(socket_path, 1 << 16, timeout=60) as bus:
            assert [message.type_id async for message in bus] == list(range(3000))
            assert [message async for message in bus] == []
            with pytest.raises(ClosedError):
                await bus.recv_async()
        assert bus.fileno() == -1
        with pytest.raises(ClosedError):  # the end of this end is no end of stream
            await bus.__anext__()

    run(main())


@pytest.mark.parametrize("waits", [1, 5])
def test_death_ends_every_await_within_50_ms(
    run: Run, start_peer: StartPeer, socket_path: str, waits: int
) -> None:
    peer = start_peer("bus = Bus.connect(path, timeout=60)\nsys.stdin.read()")
    with Bus.listen(socket_path, 4096, timeout=60) as bus:

        async def main() -> None:
            tasks = [asyncio.ensure_future(bus.recv_async()) for _ in range(waits)]
            await asyncio.sleep(0.1)
            watch = Watch()
            peer.kill()
            for task in tasks:
                with pytest.raises(PeerDeadError):
                    await task
            watch.check(0, 0.05)
            with pytest.raises(PeerDeadError):
                async for _ in bus:
                    pass

        run(main())


def test_timeouts_are_seconds(run: Run, pair: Pair) -> None:
    async def main() -> None:
        for wait in (
            lambda: pair.consumer.recv_async(timeout=0.1),
            lambda: asyncio.wait_for(pair.consumer.recv_async(), 0.1),
        ):
            watch = Watch()
            with pytest.raises(TIMED_OUT):
                await wait()
            watch.check(0.099, 0.3)
        with pytest.raises(TimeoutError):
            await pair.consumer.recv_async(timeout=0)
        for bad in (-1, float("nan")):
            with pytest.raises(ValueError, match="at least 0 seconds"):
                await pair.consumer.recv_async(timeout=bad)
        pair.producer.send(b"x")
        assert (await pair.consumer.recv_async(timeout=0)).data == b"x"

    run(main())


# ---- Cancelling ----


def test_a_task_that_is_cancelled_once_woken_leaves_its_message(
    run: Run, pair: Pair
) -> None:
    async def main() -> None:
        for turns in range(5):  # one of them lies between the wake-up and the step
            tasks = [asyncio.ensure_future(pair.consumer.recv_async()) for _ in "ab"]
            await settle()
            pair.producer.send(b"only one")
            await settle(turns)
            taken = tasks[0].done()
            tasks[0].cancel()
            pair.producer.send(b"another")
            assert (await tasks[1]).data == (b"another" if taken else b"only one")
            if not taken:
                assert (await pair.consumer.recv_async()).data == b"another"
            with pytest.raises(TimeoutError):
                await pair.consumer.recv_async(timeout=0)

    run(main())


def test_a_storm_of_cancels_loses_and_doubles_no_message(
    run: Run, start_peer: StartPeer, socket_path: str
) -> None:
    count = 100_000
    start_peer(
        f"""
import random
with Bus.connect(path, timeout=60) as bus:
    for number in range({count}):
        bus.send(b"", number)
        if random.random() < 0.001:
            time.sleep(random.random() * 0.002)
"""
    )
    seen: list[int] = []
    cancelled = 0

    async def main() -> None:
        nonlocal cancelled
        ended = False
        with Bus.listen(socket_path, 1 << 16, timeout=60) as bus:

            async def receive() -> None:
                nonlocal ended
                try:
                    while True:
                        seen.append((await bus.recv_async()).type_id)
                        if random.random() < 0.05:
                            await asyncio.sleep(0)
                except ClosedError:
                    ended = True

            tasks = [asyncio.ensure_future(receive()) for _ in range(8)]
            while not ended:
                await asyncio.sleep(random.choice((0, 0, 0.0002)))
                victim = random.randrange(len(tasks))
                if not tasks[victim].done():
                    tasks[victim].cancel()
                    cancelled += 1
                    tasks[victim] = asyncio.ensure_future(receive())
            await asyncio.gather(*tasks)
            assert not loop_has(bus.fileno())

    run(main())
    assert seen == list(range(count))
    assert cancelled > 500


def test_timeouts_that_race_with_messages_lose_none(run: Run, pair: Pair) -> None:
    async def main() -> None:
        seen = []
        for number in range(300):
            asyncio.get_running_loop().call_later(
                random.random() * 0.002, pair.producer.send, b"", number
            )
            while len(seen) <= number:
                wait = pair.consumer.recv_async
                try:
                    if number % 2:
                        message = await wait(timeout=random.random() * 0.002)
                    else:
                        message = await asyncio.wait_for(wait(), random.random() / 500)
                    seen.append(message.type_id)
                except TIMED_OUT:
                    pass
        assert seen == list(range(300))

    run(main())


# ---- Several tasks, several loops ----


def test_the_task_that_has_waited_longest_is_next(run: Run, pair: Pair) -> None:
    async def main() -> None:
        order: list[int] = []

        async def receive(task: int) -> None:
            await pair.consumer.recv_async()
            order.append(task)

        tasks = [asyncio.ensure_future(receive(task)) for task in range(10)]
        await settle()
        for _ in tasks:
            pair.producer.send(b"")
            await settle()
        await asyncio.gather(*tasks)
        assert order == list(range(10))

    run(main())


def test_loops_may_come_one_after_the_other(run: Run, pair: Pair) -> None:
    async def main(number: int) -> None:
        task = asyncio.ensure_future(pair.consumer.recv_async())
        await settle()
        pair.producer.send(b"%d" % number)
        assert (await task).data == b"%d" % number

    for number in range(5):
        run(main(number))


def test_tasks_of_a_loop_that_was_closed_can_be_dropped(
    pair: Pair, rpc: RpcPair
) -> None:
    loop = asyncio.new_event_loop()
    waits = (pair.consumer.recv_async, rpc.callee.serve_async)
    tasks = [loop.create_task(wait()) for wait in waits for _ in range(2)]
    tasks.append(loop.create_task(rpc.caller.wait_async(rpc.caller.call(b"", 1))))
    loop.run_until_complete(settle())
    loop.close()
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        coroutine = task.get_coro()
        assert coroutine is not None
        coroutine.close()  # as when it is freed


def test_a_loop_that_was_closed_with_tasks_is_forgotten(pair: Pair) -> None:
    loop = asyncio.new_event_loop()
    task = loop.create_task(pair.consumer.recv_async())
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.run_until_complete(settle())
    loop.close()

    async def main() -> None:
        pair.producer.send(b"x")
        pair.producer.send(b"y")
        assert (await pair.consumer.recv_async()).data == b"x"
        assert (await pair.consumer.recv_async()).data == b"y"
        waiting = asyncio.ensure_future(pair.consumer.recv_async())
        await settle()
        pair.producer.send(b"z")
        assert (await waiting).data == b"z"

    asyncio.run(main())
    del task


def test_two_loops_at_once_are_refused(pair: Pair) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(pair.consumer.recv_async())
        await settle()

        def elsewhere() -> Any:
            return asyncio.run(outcome(pair.consumer.recv_async()))

        error = await asyncio.get_running_loop().run_in_executor(None, elsewhere)
        assert isinstance(error, TachyonError)
        assert "another event loop" in str(error)
        pair.producer.send(b"x")
        assert (await task).data == b"x"

    asyncio.run(main())


def test_a_thread_that_receives_refuses_an_await(pair: Pair) -> None:
    thread = threading.Thread(target=pair.consumer.recv)
    thread.start()
    await_sleep()
    with pytest.raises(TachyonError, match="another thread is waiting"):
        asyncio.run(pair.consumer.recv_async())
    pair.producer.send(b"x")
    thread.join()


# ---- Closing ----


@pytest.mark.parametrize("thread", [False, True])
def test_closing_ends_every_await_and_frees_the_descriptor(
    run: Run, connect: Connect, thread: bool
) -> None:
    pair = connect()

    async def main() -> None:
        before = len(os.listdir("/proc/self/fd"))
        fd = pair.consumer.fileno()
        tasks = [asyncio.ensure_future(pair.consumer.recv_async()) for _ in range(5)]
        await settle()
        if thread:
            closer = threading.Timer(0.05, pair.consumer._bus.destroy)
            closer.start()
        else:
            pair.consumer._bus.destroy()
        assert {type(await outcome(task)) for task in tasks} == {ClosedError}
        assert not loop_has(fd)
        if thread:
            closer.join()
        assert pair.consumer.fileno() == -1
        # The epoll descriptor, the socket and the pidfd of the consumer have gone.
        assert len(os.listdir("/proc/self/fd")) < before

    run(main())


def test_closing_a_sending_end_that_is_awaited_flushes(run: Run, pair: Pair) -> None:
    async def main() -> None:
        sent = 0
        while True:
            try:
                pair.producer.send(bytes(1000), block=False)
                sent += 1
            except TachyonError:
                break
        task = asyncio.ensure_future(pair.producer.send_async(bytes(10_000)))
        await settle()
        pair.consumer.recv(0)
        with pair.producer._bus.acquire_tx(8) as tx:
            tx.actual_size = 8
        pair.producer._bus.destroy()
        assert isinstance(await outcome(task), ClosedError)
        assert [len(message.data) for message in pair.consumer] == [
            *(1000,) * (sent - 1),
            8,
        ]

    run(main())


def test_a_loop_that_ends_frees_a_bus_that_was_closed(pair: Pair) -> None:
    async def main() -> None:
        tasks.append(asyncio.ensure_future(pair.consumer.recv_async()))
        await settle()
        pair.consumer._bus.destroy()

    tasks: list[Any] = []
    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(main())
    assert len(os.listdir("/proc/self/fd")) < before


# ---- What it takes ----


async def processor_time() -> float:
    """Return how much of it a second of waiting takes."""
    before = time.process_time()
    await asyncio.sleep(1)
    return time.process_time() - before


def test_idle_awaits_take_no_cpu_time(
    run: Run, connect: Connect, connect_rpc: ConnectRpc, tmp_path: Any
) -> None:
    receiving = connect(path=str(tmp_path / "receiving"))
    sending = connect(capacity=4096, path=str(tmp_path / "sending"))
    rpc = connect_rpc()

    async def main() -> None:
        alone = await processor_time()
        while True:
            try:
                sending.producer.send(bytes(1000), block=False)
            except TachyonError:
                break
        tasks = [
            asyncio.ensure_future(receiving.consumer.recv_async()),
            asyncio.ensure_future(sending.producer.send_async(bytes(1000))),
            asyncio.ensure_future(rpc.callee.serve_async()),
            asyncio.ensure_future(rpc.caller.call_async(b"never answered", 1)),
        ]
        await tasks[2]
        tasks[2] = asyncio.ensure_future(rpc.callee.serve_async())
        await asyncio.sleep(0.1)
        used = await processor_time()
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        assert used < 3 * alone + 0.02

    run(main())


def test_a_full_bus_does_not_starve_the_loop(run: Run, pair: Pair) -> None:
    async def main() -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counter = asyncio.ensure_future(count())
        for _ in range(900):
            pair.producer.send(b"x")
        for _ in range(900):
            await pair.consumer.recv_async()
        assert 900 // 64 - 1 <= turns <= 100
        counter.cancel()

    run(main())


def test_other_threads_run_while_a_bus_is_awaited(run: Run, pair: Pair) -> None:
    async def main() -> None:
        counts = [0]
        stop = threading.Event()

        def count() -> None:
            while not stop.is_set():
                counts[0] += 1
                time.sleep(0.001)

        thread = threading.Thread(target=count)
        thread.start()
        with pytest.raises(TimeoutError):
            await pair.consumer.recv_async(timeout=0.3)
        stop.set()
        thread.join()
        assert counts[0] > 3

    run(main())


# ---- Signals and fork ----


@pytest.mark.parametrize("what", ["bus.recv_async()", "bus.__anext__()"])
def test_ctrl_c_ends_an_await(
    start_peer: StartPeer, socket_path: str, what: str
) -> None:
    peer = start_peer(
        f"""
import asyncio
async def main():
    asyncio.get_running_loop().call_later(0.1, os.write, 1, b"waiting\\n")
    await {what}
bus = Bus.connect(path, timeout=60)
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""
    )
    with Bus.listen(socket_path, 4096, timeout=60):
        assert peer.stdout is not None
        assert peer.stdout.readline() == "waiting\n"
        watch = Watch()
        peer.send_signal(signal.SIGINT)
        assert peer.stdout.readline() == "interrupted\n"
        watch.check(0, 0.05)


def test_a_child_is_refused_and_the_parent_awaits_on(run: Run, pair: Pair) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(pair.consumer.recv_async())
        await settle()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                pair.consumer.fileno()
            except TachyonError as error:
                status = 0 if "parent" in str(error) else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        await settle()
        assert not task.done()
        pair.producer.send(b"x")
        assert (await task).data == b"x"

    run(main())


# ---- Sending ----


def test_sends_wait_for_room_without_blocking_the_loop(run: Run, pair: Pair) -> None:
    async def main() -> None:
        async def send() -> None:
            for number in range(5000):
                await pair.producer.send_async(bytes(number % 1000), number)
            pair.producer._bus.destroy()

        task = asyncio.ensure_future(send())
        received = [(m.type_id, m.size) async for m in pair.consumer]
        assert received == [(number, number % 1000) for number in range(5000)]
        await task

    run(main())


def test_a_send_learns_of_room_from_another_process(
    run: Run, start_peer: StartPeer, socket_path: str
) -> None:
    peer = start_peer(
        """
bus = Bus.connect(path, timeout=60)
for number, message in enumerate(bus):
    assert message.type_id == number
    if number % 100 == 0:
        time.sleep(0.003)
print(number + 1)
"""
    )

    async def main() -> None:
        with Bus.listen(socket_path, 4096, timeout=60) as bus:
            for number in range(3000):
                await bus.send_async(bytes(number % 200), number)

    run(main())
    assert peer.communicate(timeout=60) == ("3000\n", "")


@pytest.mark.parametrize("cancelled", [(), (0,), (1,), (0, 2), (1, 2, 3)])
def test_every_send_that_fits_is_sent(
    run: Run, connect: Connect, cancelled: tuple[int, ...]
) -> None:
    pair = connect(4096)

    async def main() -> None:
        for turns in range(6):
            for _ in range(3):
                pair.producer.send(bytes(1100))
            tasks = [
                asyncio.ensure_future(pair.producer.send_async(b"x" * 200, number))
                for number in range(12)
            ]
            await settle()
            assert [pair.consumer.recv(0).size for _ in range(3)] == [1100] * 3
            await settle(turns)
            for task in cancelled:
                tasks[task].cancel()
            await asyncio.wait(tasks, timeout=5)
            assert all(task.done() for task in tasks)
            sent = [n for n, task in enumerate(tasks) if not task.cancelled()]
            assert sorted(m.type_id for m in drain(pair.consumer)) == sent

    run(main())


def test_a_send_that_waits_can_be_ended(run: Run, connect: Connect) -> None:
    pair = connect(4096)

    async def main() -> None:
        with pytest.raises(ValueError, match="can never fit"):
            await pair.producer.send_async(bytes(4096))
        await pair.producer.send_async(bytes(3000), 1)
        watch = Watch()
        with pytest.raises(TimeoutError):
            await pair.producer.send_async(bytes(3000), 2, timeout=0.1)
        watch.check(0.099, 0.3)
        task = asyncio.ensure_future(pair.producer.send_async(bytes(3000), 3))
        await settle()
        task.cancel()
        await settle()
        assert pair.consumer.recv(0).type_id == 1
        with pytest.raises(TimeoutError):
            pair.consumer.recv(0)
        await pair.producer.send_async(bytes(3000), 4)
        task = asyncio.ensure_future(pair.producer.send_async(bytes(3000), 5))
        await settle()
        pair.consumer._bus.destroy()
        assert isinstance(await outcome(task), ClosedError)

    run(main())


# ---- Calls ----


def test_replies_in_any_order_reach_their_calls(run: Run, rpc: RpcPair) -> None:
    """64 outstanding, shuffled, 10 % cancelled."""
    calls = 5000

    async def main() -> None:
        cancelled = 0

        async def serve() -> None:
            while True:
                requests = [await rpc.callee.serve_async()]
                while len(requests) < 64:
                    request = await outcome(rpc.callee.serve_async(timeout=0))
                    if not isinstance(request, Request):
                        break
                    requests.append(request)
                random.shuffle(requests)
                for request in requests:
                    assert request.size == len(request.data)
                    await rpc.callee.reply_async(
                        request.correlation_id, request.data * 2, request.type_id + 1
                    )

        async def call(numbers: "list[int]") -> None:
            nonlocal cancelled
            while numbers:
                number = numbers.pop()
                data = number.to_bytes(4, "big") * (1 + number % 50)
                task = asyncio.ensure_future(rpc.caller.call_async(data, number))
                if random.random() < 0.1:
                    await settle(random.randrange(4))
                    if task.cancel():
                        cancelled += 1
                        await asyncio.wait([task])
                        continue
                reply = await task
                assert reply == Message(number + 1, 2 * len(data), data * 2)

        server = asyncio.ensure_future(serve())
        numbers = list(range(calls))
        await asyncio.gather(*(call(numbers) for _ in range(64)))
        assert cancelled > calls / 20
        while rpc.callee.stats().replies < rpc.caller.stats().calls:
            await asyncio.sleep(0)
        await rpc.caller.call_async(b"", 1)  # its look drops what was not wanted
        server.cancel()
        stats = rpc.caller.stats()
        assert stats.outstanding == 0
        assert stats.dropped > 0
        given_up = stats.calls - stats.replies - stats.dropped  # with a reply kept
        assert 0 <= given_up <= stats.kept

    run(main())


def test_death_of_the_callee_ends_every_call_within_50_ms(
    run: Run, start_peer: StartPeer, socket_path: str
) -> None:
    peer = start_peer("bus = RpcBus.rpc_listen(path, 4096, 4096)\nsys.stdin.read()")

    async def main() -> None:
        with RpcBus.rpc_connect(socket_path, timeout=60) as bus:
            tasks = [asyncio.ensure_future(bus.call_async(b"?", i)) for i in range(30)]
            await asyncio.sleep(0.1)
            watch = Watch()
            peer.kill()
            assert {type(await outcome(task)) for task in tasks} == {PeerDeadError}
            watch.check(0, 0.05)
            assert not loop_has(bus.fileno())

    run(main())


@pytest.mark.parametrize("end", ["caller", "callee"])
def test_closing_either_end_ends_every_call(run: Run, rpc: RpcPair, end: str) -> None:
    async def main() -> None:
        tasks = [asyncio.ensure_future(rpc.caller.call_async(b"", 1)) for _ in range(9)]
        await settle()
        getattr(rpc, end)._rpc.destroy()
        assert {type(await outcome(task)) for task in tasks} == {ClosedError}

    run(main())


def test_calls_wait_for_room_and_replies_too(
    run: Run, start_peer: StartPeer, socket_path: str
) -> None:
    start_peer(
        """
import asyncio
async def main():
    async with RpcBus.rpc_listen(path, 4096, 4096) as bus:
        try:
            while True:
                request = await bus.serve_async()
                await bus.reply_async(request.correlation_id, request.data, 1)
        except ClosedError:
            pass
asyncio.run(main())
"""
    )

    async def main() -> None:
        async with RpcBus.rpc_connect(socket_path, timeout=60) as bus:
            data = [random.randbytes(random.randrange(1000)) for _ in range(500)]
            replies = await asyncio.gather(*(bus.call_async(d, 1) for d in data))
            assert [reply.data for reply in replies] == data

    run(main())


def test_a_call_that_is_given_up_is_cancelled(run: Run, rpc: RpcPair) -> None:
    async def main() -> None:
        watch = Watch()
        with pytest.raises(TimeoutError):
            await rpc.caller.call_async(b"", 1, timeout=0.1)
        watch.check(0.099, 0.3)
        task = asyncio.ensure_future(rpc.caller.call_async(b"", 1))
        await settle()
        task.cancel()
        await settle()
        assert rpc.caller.stats().outstanding == 0
        for _ in range(2):
            request = await rpc.callee.serve_async()
            rpc.callee.reply(request.correlation_id, b"late", 1)
        task = asyncio.ensure_future(rpc.caller.call_async(b"in time", 2))
        request = await rpc.callee.serve_async()
        rpc.callee.reply(request.correlation_id, request.data, 2)
        assert (await task).data == b"in time"
        assert rpc.caller.stats().dropped == 2

    run(main())


def test_a_reply_taken_with_that_of_a_task_is_for_wait_async_alone(
    run: Run, rpc: RpcPair
) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(rpc.caller.call_async(b"first", 1))
        await settle()
        second = rpc.caller.call(b"second", 1)
        for _ in range(2):
            with rpc.callee.serve(timeout=5) as request:
                call, body = request.correlation_id, bytes(request)
            rpc.callee.reply(call, body, 1)
        assert (await task).data == b"first"
        await settle()
        with pytest.raises(ValueError, match="no call 2 is outstanding"):
            rpc.caller.wait(second, timeout=0)
        assert (await rpc.caller.wait_async(second)).data == b"second"

    run(main())


def test_replies_to_calls_made_elsewhere_are_kept(run: Run, rpc: RpcPair) -> None:
    async def main() -> None:
        first = rpc.caller.call(b"first", 1)
        with rpc.caller.call_zero_copy(6, 1) as request:
            request.buf[:] = b"second"
            request.actual_size = 6
        second = request.out_cid
        third = asyncio.ensure_future(rpc.caller.call_async(b"third", 1))
        fourth = rpc.caller.call(b"fourth", 1)
        await settle()
        for _ in range(4):
            with rpc.callee.serve(timeout=1) as message:
                rpc.callee.reply(message.correlation_id, message, 1)
        assert (await third).data == b"third"
        assert (await rpc.caller.wait_async(second)).data == b"second"
        assert (await rpc.caller.wait_async(first)).data == b"first"
        rpc.caller.cancel(fourth)
        for gone in (first, fourth, 1000):
            with pytest.raises(ValueError, match="is outstanding"):
                await rpc.caller.wait_async(gone)
        assert rpc.caller.stats().outstanding == 0

    run(main())


def test_a_wait_for_a_reply_may_be_repeated(run: Run, rpc: RpcPair) -> None:
    async def main() -> None:
        for turns in range(5):  # one of them lies between the wake-up and the step
            call = rpc.caller.call(b"", 1)
            with pytest.raises(TimeoutError, match=f"call {call}"):
                await rpc.caller.wait_async(call, timeout=0.01)
            task = asyncio.ensure_future(rpc.caller.wait_async(call))
            await settle()
            with pytest.raises(TachyonError, match="another task"):
                await rpc.caller.wait_async(call)
            request = await rpc.callee.serve_async()
            rpc.callee.reply(request.correlation_id, b"reply", 1)
            await settle(turns)
            if task.cancel():
                await settle()
                task = asyncio.ensure_future(rpc.caller.wait_async(call))
            assert (await task).data == b"reply"

    run(main())


def test_cancelling_a_call_ends_its_await(run: Run, rpc: RpcPair) -> None:
    async def main() -> None:
        call = rpc.caller.call(b"", 1)
        task = asyncio.ensure_future(rpc.caller.wait_async(call))
        await settle()
        rpc.caller.cancel(call)
        with pytest.raises(ValueError, match="is outstanding"):
            await task

    run(main())


def test_replies_that_a_blocking_wait_keeps_are_delivered(
    run: Run, rpc: RpcPair
) -> None:
    async def main() -> None:
        tasks = [asyncio.ensure_future(rpc.caller.call_async(b"", i)) for i in range(9)]
        await settle()
        call = rpc.caller.call(b"", 9)
        requests = [await rpc.callee.serve_async() for _ in range(10)]
        for request in requests:
            rpc.callee.reply(request.correlation_id, b"", request.type_id)
        with rpc.caller.wait(call, timeout=1) as reply:
            assert reply.type_id == 9
        assert [(await task).type_id for task in tasks] == list(range(9))

    run(main())
