# SPDX-License-Identifier: Apache-2.0
"""rpc_client PATH WORD...: connects and makes a call for each word."""

import sys

from tachyon import RpcBus

path, *words = sys.argv[1:]

with RpcBus.rpc_connect(path, timeout=10) as bus:
    for word in words:
        call = bus.call(word.encode(), msg_type=1)
        with bus.wait(call) as reply:
            print(word, "->", bytes(reply.buf).decode())
