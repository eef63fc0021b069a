# SPDX-License-Identifier: Apache-2.0
"""Calls and replies. What runs once a call is in the generated RpcBusBase."""

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from . import _native
from .bus import Peer, StrPath, from_struct

AnyRpcBus = TypeVar("AnyRpcBus", bound="RpcBus")


class RpcStats(NamedTuple):
    """Counters of one end of an RPC bus since it was opened."""

    calls: int
    """Requests sent by a caller, taken by a callee."""
    replies: int
    """Replies delivered to a caller, sent by a callee."""
    dropped: int
    """Replies to calls that a caller had given up."""
    kept: int
    """Replies that a caller copied because it awaited another one."""
    outstanding: int
    """Calls without a delivered or sent reply."""


@_native.direct_calls
class RpcBus(_native.RpcBusBase):
    """One end of a pair of rings: the callee listens, the caller connects.

    The caller repeats call() and wait(), with any number of calls outstanding; the
    callee serve() and reply(), in any order. One thread at a time may use a bus;
    another one gets a TachyonError. Leaving a `with` block closes.
    """

    def __repr__(self) -> str:
        name = f"{type(self).__module__.split('.')[0]}.{type(self).__qualname__}"
        try:
            return f"<{name}, peer {self.peer.pid}>"
        except _native.TachyonError:
            return f"<{name}, not open>"

    @classmethod
    def rpc_listen(
        cls: type[AnyRpcBus],
        socket_path: StrPath,
        cap_fwd: int,
        cap_rev: int,
        *,
        timeout: float | None = None,
        mode: int = 0o600,
        allowed_uids: Iterable[int] | None = None,
        schema: int = 0,
    ) -> AnyRpcBus:
        """Create rings for requests and for replies, and wait for a caller.

        cap_fwd, cap_rev: bytes of the request and of the reply ring, powers of two.
        The other arguments and what is raised are those of Bus.listen().
        """
        bus = cls()
        bus._rpc.listen(
            socket_path,
            cap_fwd,
            cap_rev,
            timeout=timeout,
            mode=mode,
            allowed_uids=allowed_uids,
            schema=schema,
        )
        return bus

    @classmethod
    def rpc_connect(
        cls: type[AnyRpcBus],
        socket_path: StrPath,
        *,
        timeout: float | None = 0,
        allowed_uids: Iterable[int] | None = None,
        schema: int = 0,
    ) -> AnyRpcBus:
        """Attach to a callee.

        The arguments and what is raised are those of Bus.connect().
        """
        bus = cls()
        bus._rpc.connect(
            socket_path, timeout=timeout, allowed_uids=allowed_uids, schema=schema
        )
        return bus

    def set_polling_mode(self, pure_spin: int) -> None:
        """Choose how this end waits: spin only, or (the default) spin, then sleep."""
        self._rpc.set_polling_mode(pure_spin)

    @property
    def max_payload(self) -> int:
        """Largest payload that this end can send in bytes."""
        return self._rpc.max_payload()

    @property
    def peer(self) -> Peer:
        """Process, user and group id at the other end."""
        return from_struct(Peer, self._rpc.peer())

    def stats(self) -> RpcStats:
        """Counters of this end; exact on the thread that uses the bus."""
        return from_struct(RpcStats, self._rpc.stats())
