# SPDX-License-Identifier: Apache-2.0
"""rpc_server PATH: listens and answers each request with its text in upper case."""

import sys

from tachyon import ClosedError, RpcBus

count = 0
with RpcBus.rpc_listen(sys.argv[1], 1 << 16, 1 << 16) as bus:
    try:
        while True:
            with bus.serve() as request:
                text = bytes(request.buf)
            bus.reply(request.correlation_id, text.upper(), request.type_id)
            count += 1
    except ClosedError:
        print("served", count)
