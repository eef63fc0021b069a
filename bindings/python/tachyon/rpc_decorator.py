# SPDX-License-Identifier: Apache-2.0
"""tachyon.dispatch under the name that it had in 0.5.1, with what it had there."""

from .dispatch import MSG_TYPE_ERROR, RpcDispatcher, RpcEndpoint, tachyon_rpc

__all__ = ["MSG_TYPE_ERROR", "RpcDispatcher", "RpcEndpoint", "tachyon_rpc"]


def _encode_error(unhandled_mt: int) -> bytes:
    return (unhandled_mt & 0xFFFF).to_bytes(2, "big")


def _decode_error(payload: bytes) -> int:
    return int.from_bytes(payload[:2], "big")
