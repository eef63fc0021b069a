# SPDX-License-Identifier: Apache-2.0
# What SWIG makes of python.i, and what overlay/ adds; python.stubtest compares.
from collections.abc import Iterable, Iterator
from os import PathLike
from struct import Struct
from types import GenericAlias, TracebackType
from typing import (
    Any,
    Final,
    Generic,
    Literal,
    Protocol,
    SupportsIndex,
    TypeVar,
    final,
    overload,
)

from numpy import dtype
from numpy.typing import DTypeLike, NDArray
from typing_extensions import Buffer, CapsuleType, Self, disjoint_base

from .bus import Bus
from .errors import (
    AbortedError as AbortedError,
    ClosedError as ClosedError,
    LaggedError as LaggedError,
    PeerDeadError as PeerDeadError,
    RingFull as RingFull,
    RpcError as RpcError,
    TachyonError as TachyonError,
    UnexpectedMessage as UnexpectedMessage,
)
from .layout import ArrayPacker
from .message import AnyMessage, Message, Received

_StrPath = str | bytes | PathLike[str] | PathLike[bytes]

class _Tensor(Protocol):
    def __dlpack__(self) -> Any: ...
    def __dlpack_device__(self) -> tuple[Any, int]: ...

_Array = Buffer | NDArray[Any] | _Tensor
_AnyArray = TypeVar("_AnyArray", bound=Buffer | NDArray[Any] | _Tensor)
_Items = Buffer | NDArray[Any]  # NumPy's stubs know of Buffer from Python 3.12 on only

TACHYON_VERSION_MAJOR: Final[int]
TACHYON_VERSION_MINOR: Final[int]
TACHYON_VERSION_PATCH: Final[int]
TACHYON_DEFAULT_SPIN: Final[int]
TACHYON_MAX_PEERS: Final[int]
TACHYON_MAX_EVENTS: Final[int]
SUCCESS: Final[int]
ERR_NULL_PTR: Final[int]
ERR_MEM: Final[int]
ERR_OPEN: Final[int]
ERR_TRUNCATE: Final[int]
ERR_CHMOD: Final[int]
ERR_SEAL: Final[int]
ERR_MAP: Final[int]
ERR_INVALID_SZ: Final[int]
ERR_FULL: Final[int]
ERR_EMPTY: Final[int]
ERR_NETWORK: Final[int]
ERR_SYSTEM: Final[int]
ERR_INTERRUPTED: Final[int]
ERR_ABI_MISMATCH: Final[int]
ERR_PEER_DEAD: Final[int]
ERR_CLOSED: Final[int]
ERR_TIMEOUT: Final[int]
ERR_BUSY: Final[int]
ERR_CORRUPT: Final[int]
ERR_ADDR_IN_USE: Final[int]
ERR_PERMISSION: Final[int]
ERR_FORKED: Final[int]
ERR_ABORTED: Final[int]
ERR_LAGGED: Final[int]
KIND_NONE: Final[int]
KIND_ARGUMENT: Final[int]
KIND_MEMORY: Final[int]
KIND_SYSTEM: Final[int]
KIND_CONNECTION: Final[int]
KIND_PERMISSION: Final[int]
KIND_WOULD_BLOCK: Final[int]
KIND_TIMEOUT: Final[int]
KIND_INTERRUPTED: Final[int]
KIND_CLOSED: Final[int]
KIND_PEER_DEAD: Final[int]
KIND_STATE: Final[int]
KIND_CORRUPT: Final[int]
KIND_ABORTED: Final[int]
SLOW_BLOCK: Final[int]
SLOW_DISCONNECT: Final[int]
WITHOUT_PEERS_WAIT: Final[int]
WITHOUT_PEERS_FREE_RUN: Final[int]
START_NOW: Final[int]
START_OLDEST: Final[int]
START_POSITION: Final[int]
EVENT_JOINED: Final[int]
EVENT_LEFT: Final[int]
EVENT_MISSED: Final[int]
STATE_UNINITIALIZED: Final[int]
STATE_INITIALIZING: Final[int]
STATE_READY: Final[int]
STATE_DISCONNECTED: Final[int]
STATE_FATAL_ERROR: Final[int]
STATE_UNKNOWN: Final[int]
ROLE_NONE: Final[int]
ROLE_PRODUCER: Final[int]
ROLE_CONSUMER: Final[int]

_AnyClass = TypeVar("_AnyClass", bound=type)
_M = TypeVar("_M", bound=Message)

class _SwigType(type): ...

def direct_calls(cls: _AnyClass, /) -> _AnyClass: ...
def integer(
    name: str,
    value: SupportsIndex,
    least: SupportsIndex = 0,
    limit: SupportsIndex = 18446744073709551615,
    /,
) -> int: ...
def define_record(
    cls: type, sizes: tuple[int, int, bool, int], rows: tuple[Any, ...], /
) -> None: ...
def record_from(cls: type, data: Buffer, /) -> Any: ...
def version() -> str: ...
def strerror(error: SupportsIndex, /) -> str: ...
def error_name(error: SupportsIndex, /) -> str: ...
def error_kind(error: SupportsIndex, /) -> int: ...

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
    def _put_back(self) -> None: ...
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
class Frame(metaclass=_SwigType):
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def tag(self) -> int: ...
    @property
    def type_id(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]: ...
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
class Peer(metaclass=_SwigType):
    @property
    def pid(self) -> int: ...
    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...

@final
class Event(metaclass=_SwigType):
    @property
    def kind(self) -> int: ...
    @property
    def peer(self) -> int: ...
    @property
    def reason(self) -> int: ...
    @property
    def pid(self) -> int: ...
    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...
    @property
    def name(self) -> str: ...

@final
class PeerInfo(metaclass=_SwigType):
    @property
    def peer(self) -> int: ...
    @property
    def pid(self) -> int: ...
    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def messages(self) -> int: ...
    @property
    def behind(self) -> int: ...
    @property
    def sleeps(self) -> int: ...
    @property
    def wakes(self) -> int: ...

@final
class Stats(metaclass=_SwigType):
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
        max_peers: SupportsIndex | None = None,
        slow_peer: SupportsIndex = 0,
        slow_after: float = 0,
        without_peers: SupportsIndex = 0,
        keep_place: float = 0,
        types: str | Iterable[Any] | None = None,
        types_required: bool = False,
    ) -> None: ...
    def connect(
        self,
        socket_path: _StrPath,
        timeout: float | None = 0,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        role: SupportsIndex = 0,
        schema: SupportsIndex = 0,
        start: SupportsIndex | tuple[int, int] = 0,
        name: str | None = None,
        types: str | Iterable[Any] | None = None,
        types_required: bool = False,
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
        max_peers: SupportsIndex | None = None,
        slow_peer: SupportsIndex = 0,
        slow_after: float = 0,
        without_peers: SupportsIndex = 0,
        keep_place: float = 0,
        types: str | Iterable[Any] | None = None,
        types_required: bool = False,
    ) -> int: ...
    def connect_start(
        self,
        socket_path: _StrPath,
        timeout: float | None = 0,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        role: SupportsIndex = 0,
        schema: SupportsIndex = 0,
        start: SupportsIndex | tuple[int, int] = 0,
        name: str | None = None,
        types: str | Iterable[Any] | None = None,
        types_required: bool = False,
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
    def stats(self) -> Stats: ...
    def peer(self) -> Peer: ...
    def accept(self, timeout: float | None = None) -> Event: ...
    def peers(self) -> list[PeerInfo]: ...
    def drop_peer(self, peer: SupportsIndex, /) -> None: ...
    def sender(self) -> int: ...
    def position(self) -> tuple[int, int]: ...

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
    def recv(self, timeout: float | None = None) -> AnyMessage: ...
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
    def _recv_record(
        self, classes: dict[int, Any], timeout: float | None = None
    ) -> Any: ...
    def recv_batch_into(
        self,
        array: _Items,
        timeout: float | None = None,
        type_id: SupportsIndex | None = None,
    ) -> Received: ...
    def send_array(
        self,
        array: _Array,
        type_id: SupportsIndex = 0,
        tag: SupportsIndex = 0,
        timeout: float | None = None,
        block: bool = True,
    ) -> None: ...
    @overload
    def recv_array(
        self, out: None = None, hold: bool = False, timeout: float | None = None
    ) -> NDArray[Any]: ...
    @overload
    def recv_array(
        self, out: _AnyArray, hold: bool = False, timeout: float | None = None
    ) -> _AnyArray: ...
    def recv_array_zero_copy(self, timeout: float | None = None) -> Frame: ...
    def _send_parts(
        self,
        parts: list[Buffer],
        type_id: SupportsIndex,
        timeout: float | None = None,
        block: bool = True,
    ) -> None: ...
    def _recv_parts(
        self, type_id: SupportsIndex, timeout: float | None = None
    ) -> bytearray: ...
    def _count_waiting(self) -> int: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> AnyMessage: ...
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

@disjoint_base
class MessageChannelBase(Generic[_M], metaclass=_SwigType):
    def __new__(cls, bus: BusBase, messages: type[_M], /) -> Self: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
    @property
    def bus(self) -> Bus: ...
    @property
    def layout(self) -> type[_M]: ...
    @property
    def size(self) -> int: ...
    @property
    def type_id(self) -> int: ...
    def __call__(
        self,
        *values: Any,
        timeout: float | None = None,
        block: bool = True,
        **fields: Any,
    ) -> None: ...
    def send(self, timeout: float | None = None, block: bool = True) -> _M: ...
    def recv(self, timeout: float | None = None) -> _M: ...
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
    def __next__(self) -> _M: ...

@disjoint_base
class Record:
    def __new__(cls, *values: Any, **fields: Any) -> Self: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object, /) -> Self: ...
    def __reduce__(self) -> tuple[Any, ...]: ...
    __hash__: None  # type: ignore[assignment]
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, view: memoryview, /) -> None: ...

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
class RpcStats(metaclass=_SwigType):
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
        max_peers: SupportsIndex | None = None,
        types: str | Iterable[Any] | None = None,
        types_required: bool = False,
    ) -> None: ...
    def connect(
        self,
        socket_path: _StrPath,
        timeout: float | None = 0,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        schema: SupportsIndex = 0,
        name: str | None = None,
        types: str | Iterable[Any] | None = None,
        types_required: bool = False,
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
        max_peers: SupportsIndex | None = None,
        types: str | Iterable[Any] | None = None,
        types_required: bool = False,
    ) -> int: ...
    def connect_start(
        self,
        socket_path: _StrPath,
        timeout: float | None = 0,
        allowed_uids: Iterable[SupportsIndex] | None = None,
        schema: SupportsIndex = 0,
        name: str | None = None,
        types: str | Iterable[Any] | None = None,
        types_required: bool = False,
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
    def stats(self) -> RpcStats: ...
    def peer(self) -> Peer: ...
    def accept(self, timeout: float | None = None) -> Event: ...
    def peers(self) -> list[PeerInfo]: ...
    def drop_peer(self, peer: SupportsIndex, /) -> None: ...
    def sender(self) -> int: ...

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
