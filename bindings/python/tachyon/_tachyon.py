# SPDX-License-Identifier: Apache-2.0
"""The extension module under the name that it had in 0.5.1, with what it had there."""

from ._native import (
    PeerDeadError,
    RpcRxGuard,
    RpcTxGuard,
    RxBatchGuard,
    RxGuard,
    RxMsgView,
    TachyonBus,
    TachyonError,
    TachyonRpcBus,
    TxGuard,
)

__all__ = [
    "PeerDeadError",
    "RpcRxGuard",
    "RpcTxGuard",
    "RxBatchGuard",
    "RxGuard",
    "RxMsgView",
    "TachyonBus",
    "TachyonError",
    "TachyonRpcBus",
    "TxGuard",
]
