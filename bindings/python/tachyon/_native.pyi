# SPDX-License-Identifier: Apache-2.0
# What SWIG makes of tachyon.h and swig/python; python.stubtest compares.
from collections.abc import Iterable, Iterator
from os import PathLike
from struct import Struct
from types import TracebackType
from typing import Any, Final, Literal, SupportsIndex, TypeVar, final

from numpy import dtype
from numpy.typing import DTypeLike, NDArray
from typing_extensions import Buffer, CapsuleType, Self, disjoint_base

from .bus import Bus
from .layout import ArrayPacker
from .message import Message, Received

_StrPath = str | bytes | PathLike[str] | PathLike[bytes]
_Items = Buffer | NDArray[Any]  # NumPy's stubs know of Buffer from Python 3.12 on only

TACHYON_VERSION_MAJOR: Final[int]
TACHYON_VERSION_MINOR: Final[int]
TACHYON_VERSION_PATCH: Final[int]
TACHYON_DEFAULT_SPIN: Final[int]
TACHYON_SUCCESS: Final[int]
TACHYON_ERR_NULL_PTR: Final[int]
TACHYON_ERR_MEM: Final[int]
TACHYON_ERR_OPEN: Final[int]
TACHYON_ERR_TRUNCATE: Final[int]
TACHYON_ERR_CHMOD: Final[int]
TACHYON_ERR_SEAL: Final[int]
TACHYON_ERR_MAP: Final[int]
TACHYON_ERR_INVALID_SZ: Final[int]
TACHYON_ERR_FULL: Final[int]
TACHYON_ERR_EMPTY: Final[int]
TACHYON_ERR_NETWORK: Final[int]
TACHYON_ERR_SYSTEM: Final[int]
TACHYON_ERR_INTERRUPTED: Final[int]
TACHYON_ERR_ABI_MISMATCH: Final[int]
TACHYON_ERR_PEER_DEAD: Final[int]
TACHYON_ERR_CLOSED: Final[int]
TACHYON_ERR_TIMEOUT: Final[int]
TACHYON_ERR_BUSY: Final[int]
TACHYON_ERR_CORRUPT: Final[int]
TACHYON_ERR_ADDR_IN_USE: Final[int]
TACHYON_ERR_PERMISSION: Final[int]
TACHYON_ERR_FORKED: Final[int]
TACHYON_ERR_ABORTED: Final[int]
TACHYON_KIND_NONE: Final[int]
TACHYON_KIND_ARGUMENT: Final[int]
TACHYON_KIND_MEMORY: Final[int]
TACHYON_KIND_SYSTEM: Final[int]
TACHYON_KIND_CONNECTION: Final[int]
TACHYON_KIND_PERMISSION: Final[int]
TACHYON_KIND_WOULD_BLOCK: Final[int]
TACHYON_KIND_TIMEOUT: Final[int]
TACHYON_KIND_INTERRUPTED: Final[int]
TACHYON_KIND_CLOSED: Final[int]
TACHYON_KIND_PEER_DEAD: Final[int]
TACHYON_KIND_STATE: Final[int]
TACHYON_KIND_CORRUPT: Final[int]
TACHYON_KIND_ABORTED: Final[int]
TACHYON_STATE_UNINITIALIZED: Final[int]
TACHYON_STATE_INITIALIZING: Final[int]
TACHYON_STATE_READY: Final[int]
TACHYON_STATE_DISCONNECTED: Final[int]
TACHYON_STATE_FATAL_ERROR: Final[int]
TACHYON_STATE_UNKNOWN: Final[int]
TACHYON_ROLE_NONE: Final[int]
TACHYON_ROLE_PRODUCER: Final[int]
TACHYON_ROLE_CONSUMER: Final[int]

_AnyClass = TypeVar("_AnyClass", bound=type)

class _SwigType(type): ...

def direct_calls(cls: _AnyClass, /) -> _AnyClass: ...
def integer(
    name: str,
    value: SupportsIndex,
    least: SupportsIndex = 0,
    limit: SupportsIndex = 18446744073709551615,
    /,
) -> int: ...
def seconds_or_none(timeout: float | None, /) -> float | None: ...
def tachyon_version() -> str: ...
def tachyon_strerror(error: SupportsIndex, /) -> str: ...

class TachyonError(Exception):
    code: int | None

class PeerDeadError(TachyonError): ...
class AbortedError(PeerDeadError): ...
class ClosedError(TachyonError): ...
class RingFull(TachyonError): ...

class RpcError(TachyonError):
    msg_type: int | None

class UnexpectedMessage(TachyonError, ValueError):
    type_id: int
    size: int

@final
class TxGuard(metaclass=_SwigType):
    actual_size: int
    type_id: int
    @property
    def buf(self) -> memoryview: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, view: memoryview, /) -> None: ...

@final
class RxGuard(metaclass=_SwigType):
    @property
    def actual_size(self) -> int: ...
    @property
    def type_id(self) -> int: ...
    @property
    def buf(self) -> memoryview: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, view: memoryview, /) -> None: ...

@final
class RxMsgView(metaclass=_SwigType):
    @property
    def actual_size(self) -> int: ...
    @property
    def type_id(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, view: memoryview, /) -> None: ...
    def __dlpack__(
        self,
        *,
        stream: None = None,
        max_version: tuple[SupportsIndex, SupportsIndex] | None = None,
        dl_device: tuple[SupportsIndex, SupportsIndex] | None = None,
        copy: bool | None = None,
    ) -> CapsuleType: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

@final
class RxBatchGuard(metaclass=_SwigType):
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: SupportsIndex, /) -> RxMsgView: ...
    def __iter__(self) -> Iterator[RxMsgView]: ...
    def array(self, dtype: DTypeLike, /) -> NDArray[Any]: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, view: memoryview, /) -> None: ...

@final
class tachyon_peer_t(metaclass=_SwigType):
    @property
    def pid(self) -> int: ...
    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...

@final
class tachyon_stats_t(metaclass=_SwigType):
    @property
    def capacity(self) -> int: ...
    @property
    def used(self) -> int: ...
    @property
    def messages(self) -> int: ...
    @property
    def ring_bytes(self) -> int: ...
    @property
    def flushes(self) -> int: ...
    @property
    def full(self) -> int: ...
    @property
    def sleeps(self) -> int: ...
    @property
    def wakes(self) -> int: ...

@final
class TachyonBus(metaclass=_SwigType):
    def __init__(self) -> None: ...
    def listen(
        self,
        socket_path: _StrPath,
        capacity: SupportsIndex,
        timeout: float | None = None,
        mode: SupportsIndex = 0,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        role: SupportsIndex = 0,
        schema: SupportsIndex = 0,
    ) -> None: ...
    def connect(
        self,
        socket_path: _StrPath,
        timeout: float | None = 0,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        role: SupportsIndex = 0,
        schema: SupportsIndex = 0,
    ) -> None: ...
    def listen_start(
        self,
        socket_path: _StrPath,
        capacity: SupportsIndex,
        timeout: float | None = None,
        mode: SupportsIndex = 0,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        role: SupportsIndex = 0,
        schema: SupportsIndex = 0,
    ) -> int: ...
    def connect_start(
        self,
        socket_path: _StrPath,
        timeout: float | None = 0,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        role: SupportsIndex = 0,
        schema: SupportsIndex = 0,
    ) -> int: ...
    def opening_step(self) -> bool: ...
    def opening_cancel(self) -> None: ...
    def destroy(self) -> None: ...
    def abort(self) -> None: ...
    def flush(self) -> None: ...
    def acquire_tx(
        self,
        max_payload_size: SupportsIndex,
        timeout: float | None = None,
        block: bool = True,
    ) -> TxGuard: ...
    def acquire_rx(
        self, spin_threshold: SupportsIndex = 10000, timeout: float | None = None
    ) -> RxGuard: ...
    def drain_batch(
        self,
        max_msgs: SupportsIndex = 1024,
        spin_threshold: SupportsIndex = 10000,
        timeout: float | None = None,
    ) -> RxBatchGuard: ...
    def set_polling_mode(self, pure_spin: SupportsIndex) -> None: ...
    def set_numa_node(self, node_id: SupportsIndex) -> None: ...
    def max_payload(self) -> int: ...
    def fileno(self) -> int: ...
    def watch(self) -> int: ...
    def unwatch(self) -> None: ...
    def stats(self) -> tachyon_stats_t: ...
    def peer(self) -> tachyon_peer_t: ...

class BusBase(metaclass=_SwigType):
    def __init__(self) -> None: ...
    @property
    def _bus(self) -> TachyonBus: ...
    def send(
        self,
        data: Buffer,
        type_id: SupportsIndex = 0,
        timeout: float | None = None,
        block: bool = True,
    ) -> None: ...
    def send_zero_copy(
        self,
        size: SupportsIndex,
        type_id: SupportsIndex = 0,
        timeout: float | None = None,
        block: bool = True,
    ) -> TxGuard: ...
    def recv(self, timeout: float | None = None) -> Message: ...
    def recv_zero_copy(
        self, timeout: float | None = None, spin_threshold: SupportsIndex = 10000
    ) -> RxGuard: ...
    def drain_batch(
        self,
        max_msgs: SupportsIndex = 1024,
        spin_threshold: SupportsIndex = 10000,
        timeout: float | None = None,
    ) -> RxBatchGuard: ...
    def send_batch(
        self,
        buffer: _Items,
        type_id: SupportsIndex = 0,
        timeout: float | None = None,
        block: bool = True,
    ) -> int: ...
    def recv_batch_into(
        self,
        array: _Items,
        timeout: float | None = None,
        type_id: SupportsIndex | None = None,
    ) -> Received: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Message: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

@disjoint_base
class ChannelBase(metaclass=_SwigType):
    def __new__(
        cls,
        bus: BusBase,
        type_id: SupportsIndex,
        layout: object,
        size: SupportsIndex,
        packer: Struct | ArrayPacker | str,
        /,
    ) -> Self: ...
    @property
    def bus(self) -> Bus: ...
    @property
    def layout(self) -> dtype[Any] | str: ...
    @property
    def size(self) -> int: ...
    @property
    def type_id(self) -> int: ...
    def __call__(
        self, *fields: Any, timeout: float | None = None, block: bool = True
    ) -> None: ...
    def recv(self, timeout: float | None = None) -> tuple[Any, ...]: ...
    def send_batch(
        self, array: _Items, timeout: float | None = None, block: bool = True
    ) -> int: ...
    def recv_batch_into(
        self, array: _Items, timeout: float | None = None
    ) -> Received: ...
    def _drain(
        self,
        max_msgs: SupportsIndex = 1024,
        spin_threshold: SupportsIndex = 10000,
        timeout: float | None = None,
    ) -> RxBatchGuard: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> tuple[Any, ...]: ...

@final
class RpcTxGuard(metaclass=_SwigType):
    actual_size: int
    msg_type: int
    @property
    def out_cid(self) -> int: ...
    @property
    def buf(self) -> memoryview: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, view: memoryview, /) -> None: ...

@final
class RpcRxGuard(metaclass=_SwigType):
    @property
    def actual_size(self) -> int: ...
    @property
    def type_id(self) -> int: ...
    @property
    def correlation_id(self) -> int: ...
    @property
    def buf(self) -> memoryview: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, view: memoryview, /) -> None: ...

@final
class tachyon_rpc_stats_t(metaclass=_SwigType):
    @property
    def calls(self) -> int: ...
    @property
    def replies(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def kept(self) -> int: ...
    @property
    def outstanding(self) -> int: ...

@final
class TachyonRpcBus(metaclass=_SwigType):
    def __init__(self) -> None: ...
    def listen(
        self,
        socket_path: _StrPath,
        cap_fwd: SupportsIndex,
        cap_rev: SupportsIndex,
        timeout: float | None = None,
        mode: SupportsIndex = 0,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        schema: SupportsIndex = 0,
    ) -> None: ...
    def connect(
        self,
        socket_path: _StrPath,
        timeout: float | None = 0,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        schema: SupportsIndex = 0,
    ) -> None: ...
    def listen_start(
        self,
        socket_path: _StrPath,
        cap_fwd: SupportsIndex,
        cap_rev: SupportsIndex,
        timeout: float | None = None,
        mode: SupportsIndex = 0,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        schema: SupportsIndex = 0,
    ) -> int: ...
    def connect_start(
        self,
        socket_path: _StrPath,
        timeout: float | None = 0,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        schema: SupportsIndex = 0,
    ) -> int: ...
    def opening_step(self) -> bool: ...
    def opening_cancel(self) -> None: ...
    def destroy(self) -> None: ...
    def abort(self) -> None: ...
    def acquire_call(
        self, max_payload_size: SupportsIndex, *, timeout: float | None = None
    ) -> RpcTxGuard: ...
    def acquire_reply(
        self,
        correlation_id: SupportsIndex,
        max_payload_size: SupportsIndex,
        *,
        timeout: float | None = None,
    ) -> RpcTxGuard: ...
    def wait(
        self,
        correlation_id: SupportsIndex,
        spin_threshold: SupportsIndex = 10000,
        *,
        timeout: float | None = None,
    ) -> RpcRxGuard: ...
    def wait_any(
        self, spin_threshold: SupportsIndex = 10000, *, timeout: float | None = None
    ) -> RpcRxGuard: ...
    def serve(
        self, spin_threshold: SupportsIndex = 10000, *, timeout: float | None = None
    ) -> RpcRxGuard: ...
    def cancel(self, correlation_id: SupportsIndex, /) -> None: ...
    def set_polling_mode(self, pure_spin: SupportsIndex) -> None: ...
    def max_payload(self) -> int: ...
    def fileno(self) -> int: ...
    def watch_messages(self, watch: bool) -> None: ...
    def watch(self) -> int: ...
    def unwatch(self) -> None: ...
    def stats(self) -> tachyon_rpc_stats_t: ...
    def peer(self) -> tachyon_peer_t: ...

class RpcBusBase(metaclass=_SwigType):
    def __init__(self) -> None: ...
    @property
    def _rpc(self) -> TachyonRpcBus: ...
    def call(
        self,
        payload: Buffer,
        msg_type: SupportsIndex,
        max_payload_size: SupportsIndex | None = None,
        spin_threshold: SupportsIndex = 10000,
        *,
        timeout: float | None = None,
    ) -> int: ...
    def reply(
        self,
        correlation_id: SupportsIndex,
        payload: Buffer,
        msg_type: SupportsIndex,
        max_payload_size: SupportsIndex | None = None,
        *,
        timeout: float | None = None,
    ) -> None: ...
    def call_zero_copy(
        self,
        max_payload_size: SupportsIndex,
        msg_type: SupportsIndex,
        *,
        timeout: float | None = None,
    ) -> RpcTxGuard: ...
    def reply_zero_copy(
        self,
        correlation_id: SupportsIndex,
        max_payload_size: SupportsIndex,
        msg_type: SupportsIndex,
        *,
        timeout: float | None = None,
    ) -> RpcTxGuard: ...
    def wait(
        self,
        correlation_id: SupportsIndex,
        spin_threshold: SupportsIndex = 10000,
        *,
        timeout: float | None = None,
    ) -> RpcRxGuard: ...
    def wait_any(
        self, spin_threshold: SupportsIndex = 10000, *, timeout: float | None = None
    ) -> RpcRxGuard: ...
    def serve(
        self, spin_threshold: SupportsIndex = 10000, *, timeout: float | None = None
    ) -> RpcRxGuard: ...
    def cancel(self, correlation_id: SupportsIndex, /) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
