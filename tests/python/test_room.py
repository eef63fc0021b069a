# SPDX-License-Identifier: Apache-2.0
"""Tasks that wait for room: woken in their order, none forgotten, and no time spent."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from tachyon import ClosedError, RingFull, RpcBus

from conftest import Connect, ConnectRpc, Run, settle

TIMED_OUT = (TimeoutError, asyncio.TimeoutError)  # two types before Python 3.11
Task = asyncio.Future[Any]


async def time_used(seconds: float = 0.5) -> float:
    """Return what part of a processor this process uses while it waits."""
    before = time.process_time()
    await asyncio.sleep(seconds)
    return (time.process_time() - before) / seconds


class Sender:
    """What sends on one end until it waits for room, and what takes it at the other."""

    def __init__(self, kind: str, connect: Connect, connect_rpc: ConnectRpc) -> None:
        self.kind = kind
        self.fillers: list[Task] = []
        self.begun: list[int] = []  # in the order in which they were to be sent
        self.seen: list[int] = []  # of what the other end took
        if kind == "send":
            self.bus: Any
            self.peer: Any
            self.bus, self.peer = connect(4096)
        else:
            caller, callee = connect_rpc(1 << 16, 4096)
            if kind == "call":
                caller, callee = self._small_requests(caller, callee, connect_rpc)
            self.bus = caller if kind == "call" else callee
            self.peer = callee if kind == "call" else caller

    @staticmethod
    def _small_requests(
        caller: RpcBus, callee: RpcBus, connect_rpc: ConnectRpc
    ) -> tuple[RpcBus, RpcBus]:
        caller._rpc.destroy()
        callee._rpc.destroy()
        pair = connect_rpc(4096, 1 << 16)
        return pair.caller, pair.callee

    def send(self, number: int, size: int = 500, **options: Any) -> Task:
        """Start to send one message."""
        coroutine: Coroutine[Any, Any, Any]
        data = number.to_bytes(4, "little").ljust(size, b".")
        if self.kind != "reply":
            self.begun.append(number)
        if self.kind == "send":
            coroutine = self.bus.send_async(data, number, **options)
        elif self.kind == "call":
            coroutine = self.bus.call_async(data, number, **options)
        else:
            coroutine = self.reply(data, number, **options)
        return asyncio.ensure_future(coroutine)

    async def reply(self, data: bytes, number: int, **options: Any) -> None:
        """Answer a call that was made just now."""
        self.peer.call(b"", 1, timeout=0)
        request = await self.bus.serve_async()
        self.begun.append(number)
        await self.bus.reply_async(request.correlation_id, data, number, **options)

    def take(self) -> bool:
        """Take one message at the other end."""
        try:
            if self.kind == "send":
                self.seen.append(self.peer.recv(0).type_id)
            elif self.kind == "call":
                with self.peer.serve(0, timeout=0) as request:
                    self.seen.append(request.type_id)
                    call = request.correlation_id
                self.peer.reply(call, b"", 1, timeout=0)
            else:
                with self.peer._rpc.wait_any(0, timeout=0) as reply:
                    self.seen.append(reply.type_id)
        except (TimeoutError, ValueError):
            return False
        return True

    async def take_all(self, tasks: list[Task]) -> None:
        """Take messages until all tasks are done."""
        end = time.monotonic() + 20
        while not all(task.done() for task in tasks):
            assert time.monotonic() < end, "a task waits for ever"
            if not self.take():
                await asyncio.sleep(0.001)
            await settle(3)
        while self.take():
            pass


KINDS = ["send", "call", "reply"]


@pytest.fixture(params=KINDS)
def sender(
    request: pytest.FixtureRequest, connect: Connect, connect_rpc: ConnectRpc
) -> Sender:
    """Return an end that sends by one of the three calls."""
    return Sender(request.param, connect, connect_rpc)


async def give_up(tasks: list[Task]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# ---- No time is spent ----


def test_500_tasks_that_wait_for_room_use_no_time(run: Run, sender: Sender) -> None:
    async def main() -> None:
        floor = await time_used()
        tasks = [sender.send(number) for number in range(500)]
        await asyncio.sleep(0.3)
        used = await time_used()
        assert used < floor + 0.03
        assert sum(not task.done() for task in tasks) > 480
        await give_up(tasks)

    run(main())


def test_requests_that_nobody_takes_cost_no_time(
    run: Run, connect_rpc: ConnectRpc
) -> None:
    caller, callee = connect_rpc(1 << 16, 4096)

    async def main() -> None:
        floor = await time_used()
        calls = [caller.call(b"", 1, timeout=0) for _ in range(20)]
        for _ in calls:
            await callee.serve_async()
        replies = [
            asyncio.ensure_future(callee.reply_async(call, bytes(500), 1))
            for call in calls
        ]
        await asyncio.sleep(0.1)
        caller.call(b"", 1, timeout=0)  # is there, and stays there
        await asyncio.sleep(0.1)
        caller.call(b"", 1, timeout=0)
        assert await time_used() < floor + 0.03
        assert not replies[-1].done()
        for call in calls:  # the news of room is not lost among the rest
            caller.wait(call, timeout=0).__exit__(None, None, None)
            await settle()
        await asyncio.gather(*replies)
        assert (await callee.serve_async()).correlation_id == calls[-1] + 1

    run(main())


def test_a_reply_that_is_held_costs_no_time(run: Run, connect_rpc: ConnectRpc) -> None:
    caller, callee = connect_rpc(4096, 1 << 16)

    async def main() -> None:
        floor = await time_used()
        first, second = (caller.call(b"", 1, timeout=0) for _ in range(2))
        for call in (first, second):
            with callee.serve(timeout=0):
                pass
            callee.reply(call, b"", 1, timeout=0)
        with caller.wait(first, timeout=0):  # and one more behind it
            tasks = [
                asyncio.ensure_future(caller.call_async(bytes(500), 1))
                for _ in range(20)
            ]
            await asyncio.sleep(0.1)
            assert await time_used() < floor + 0.03
        await give_up(tasks)

    run(main())


# ---- Order ----


def test_messages_go_in_the_order_of_their_tasks(run: Run, sender: Sender) -> None:
    async def main() -> None:
        tasks = [sender.send(number, 100 + number % 7 * 400) for number in range(200)]
        await sender.take_all(tasks)
        await asyncio.gather(*tasks)
        assert sender.seen == sender.begun
        assert len(sender.seen) == 200

    run(main())


def test_small_messages_do_not_starve_a_large_one(run: Run, sender: Sender) -> None:
    async def main() -> None:
        tasks = [sender.send(number, 100) for number in range(40)]
        await asyncio.sleep(0.05)
        large = sender.send(1000, 3900)
        for number in range(41, 400):  # there are always small ones behind it
            tasks.append(sender.send(number, 100))
            await settle(3)
            sender.take()
            await settle(3)
            if large.done():
                break
        await sender.take_all([*tasks, large])
        # It waited for those before it, and for none of those behind.
        assert sender.seen.index(1000) == 40
        await asyncio.gather(*tasks, large)

    run(main())


# ---- Nobody is forgotten ----


@pytest.mark.parametrize("way", ["cancelled", "timed out", "closed"])
def test_the_first_one_gives_up(run: Run, sender: Sender, way: str) -> None:
    async def main() -> None:
        tasks = [sender.send(number, 500) for number in range(7)]
        await asyncio.sleep(0.05)
        options = {"timeout": 0.2} if way == "timed out" else {}
        large = sender.send(1000, 3900, **options)
        small = [sender.send(2000 + number, 100) for number in range(5)]
        await asyncio.sleep(0.05)
        if way == "cancelled":
            large.cancel()
        if way == "closed":
            low = sender.bus._bus if sender.kind == "send" else sender.bus._rpc
            low.destroy()
            for task in [large, *small]:
                with pytest.raises(ClosedError):
                    await asyncio.wait_for(task, 5)
            return
        with pytest.raises((*TIMED_OUT, asyncio.CancelledError)):
            await large
        # Room for the small ones, not for the large one.
        assert sender.take()
        await asyncio.sleep(0.05)
        await sender.take_all([*tasks, *small])
        assert [number for number in sender.seen if number >= 1000] == list(
            range(2000, 2005)
        )

    run(main())


def test_tasks_that_give_up_at_random_hold_nobody_up(run: Run, sender: Sender) -> None:
    async def main() -> None:
        tasks = [
            sender.send(number, 100 + number * 37 % 3000, timeout=0.001 * (number % 50))
            if number % 3
            else sender.send(number, 100 + number * 37 % 3000)
            for number in range(150)
        ]
        await settle()
        for task in tasks[4::9]:
            task.cancel()
        await sender.take_all(tasks)
        patient = [number for number in sender.begun if number % 3 == 0]
        assert len(patient) == 50
        assert [number for number in sender.seen if number % 3 == 0] == patient

    run(main())


def test_a_time_out_ends_the_wait_for_ones_turn(run: Run, sender: Sender) -> None:
    async def main() -> None:
        tasks = [sender.send(number) for number in range(10)]
        await asyncio.sleep(0.05)
        begin = time.monotonic()
        with pytest.raises((TimeoutError, RingFull)):
            await sender.send(10, timeout=0.1)
        assert 0.09 < time.monotonic() - begin < 5
        await give_up(tasks)

    run(main())


def test_who_serves_and_who_replies_wait_at_once(
    run: Run, connect_rpc: ConnectRpc
) -> None:
    caller, callee = connect_rpc(4096, 4096)

    async def serve(most: int) -> None:
        for _ in range(most):
            request = await callee.serve_async()
            await callee.reply_async(
                request.correlation_id, request.data * 3, request.type_id
            )

    async def main() -> None:
        servers = [asyncio.ensure_future(serve(250)) for _ in range(4)]
        replies = await asyncio.gather(
            *(caller.call_async(b"%04d" % n * 60, n) for n in range(1000))
        )
        assert [reply.data[:4] for reply in replies] == [
            b"%04d" % n for n in range(1000)
        ]
        await asyncio.gather(*servers)

    run(main())


def test_a_loop_that_was_closed_holds_no_turn(connect: Connect) -> None:
    producer, consumer = connect(4096)

    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(producer.send_async(bytes(500))) for _ in range(10)]
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    while True:
        try:
            consumer.recv(0)
        except TimeoutError:
            break
    asyncio.run(asyncio.wait_for(producer.send_async(b"x", 9), 5))
    assert consumer.recv(0).type_id == 9
    del tasks
