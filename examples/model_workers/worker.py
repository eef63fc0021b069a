#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The process that has the model: takes what requests there are, embeds them together.

Started by front.py, which it ends with.
"""

import sys

import numpy as np
from model import LONGEST, VOCABULARY, Model, Tokens

from tachyon import ClosedError, RpcBus, TachyonError
from tachyon.message import Request

EMBED, EMBEDDED, REFUSED = 1, 2, 3  # what a request and a reply is
REQUESTS, REPLIES = 1 << 20, 1 << 20  # bytes of the rings
LARGEST_BATCH = 32


def take(bus: RpcBus, timeout: float | None) -> Request:
    """Take a request out of the ring."""
    with bus.serve(timeout=timeout) as request:
        return Request(
            request.type_id,
            request.actual_size,
            bytes(request.buf),
            request.correlation_id,
        )


def take_batch(bus: RpcBus) -> list[Request]:
    """Wait for a request, and take those that have come meanwhile as well."""
    batch = [take(bus, None)]
    try:
        while len(batch) < LARGEST_BATCH:
            batch.append(take(bus, 0))
    except TimeoutError:
        pass
    return batch


def tokens_of(request: Request) -> Tokens:
    """Return what is to be embedded; ValueError for anything else."""
    if request.type_id != EMBED:
        raise ValueError(f"a request of type {request.type_id}")
    tokens = np.frombuffer(request.data, np.uint32)
    if not 0 < len(tokens) <= LONGEST:
        raise ValueError(f"a text of {len(tokens)} tokens, not of 1 to {LONGEST}")
    if tokens.max() >= VOCABULARY:
        raise ValueError(f"token {tokens.max()} of a vocabulary of {VOCABULARY}")
    return tokens


def serve(bus: RpcBus, model: Model) -> None:
    while True:
        calls, texts = [], []
        try:
            batch = take_batch(bus)
        except ClosedError:  # the front has ended
            return
        for request in batch:
            try:
                texts.append(tokens_of(request))
                calls.append(request.correlation_id)
            except ValueError as error:
                bus.reply(request.correlation_id, str(error).encode(), REFUSED)
        if texts:
            for call, row in zip(calls, model.embed(texts), strict=True):
                bus.reply(call, row, EMBEDDED)


def main() -> None:
    model = Model()
    try:
        with RpcBus.rpc_listen(sys.argv[1], REQUESTS, REPLIES, timeout=60) as bus:
            serve(bus, model)
    except TachyonError as error:
        sys.exit(f"worker: {error}")


if __name__ == "__main__":
    main()
