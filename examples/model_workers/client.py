# SPDX-License-Identifier: Apache-2.0
"""The model as tasks of an event loop see it: a process, and another when it dies."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from model import Tokens, Vectors
from worker import EMBED, EMBEDDED

from tachyon import ClosedError, PeerDeadError, RpcBus

WORKER = Path(__file__).resolve().parent / "worker.py"


class Worker:
    """One process and the calls to it, many at a time.

    A call ends with PeerDeadError when the process has died meanwhile: whether to ask
    again is for who has asked. The next call starts another one.
    """

    def __init__(self) -> None:
        self.started = 0
        self.bus: RpcBus | None = None
        self.process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()

    async def embed(self, tokens: Tokens, timeout: float | None = None) -> Vectors:
        """Return the embedding of a text; given up, no other call is concerned."""
        bus = self.bus or await self.start()
        try:
            reply = await bus.call_async(tokens, EMBED, timeout=timeout)
        except (ClosedError, PeerDeadError) as error:
            if self.bus is bus:  # the first one to know
                self.bus = None
            raise PeerDeadError(f"the worker has died: {error}") from error
        if reply.type_id != EMBEDDED:
            raise ValueError(bytes(reply.data).decode())
        return np.frombuffer(reply.data, np.float32)

    async def start(self) -> RpcBus:
        """Start the process, unless another task has done so meanwhile."""
        async with self._starting:
            if self.bus is None:
                if self.process is not None:
                    await self.process.wait()
                path = f"@tachyon-model-{os.getpid()}-{self.started}"
                self.process = await asyncio.create_subprocess_exec(
                    sys.executable, str(WORKER), path
                )
                self.started += 1
                try:
                    self.bus = await self._connected(path, self.process)
                except BaseException:  # cancelled, or it does not listen
                    if self.process.returncode is None:
                        self.process.kill()
                    raise
            return self.bus

    @staticmethod
    async def _connected(path: str, process: asyncio.subprocess.Process) -> RpcBus:
        """Connect as soon as the process listens, which may have failed instead."""
        opening = asyncio.create_task(RpcBus.rpc_connect_async(path, timeout=60))
        ending = asyncio.create_task(process.wait())
        try:
            await asyncio.wait((opening, ending), return_when="FIRST_COMPLETED")
            if not opening.done():
                raise RuntimeError(f"the worker ended with {process.returncode}")
            return opening.result()
        finally:
            for task in (opening, ending):
                task.cancel()
            await asyncio.gather(opening, ending, return_exceptions=True)

    async def __aenter__(self) -> "Worker":
        await self.start()
        return self

    async def __aexit__(self, *exception: Any) -> None:
        bus, self.bus = self.bus, None
        if bus is not None and self.process is not None:
            bus.close()  # ends the process, too
            await self.process.wait()
