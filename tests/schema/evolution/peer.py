# SPDX-License-Identifier: Apache-2.0
"""peer.c in Python; the first word is the directory of its tick.py."""

import importlib
import sys

from tachyon import Bus, Message

sys.path.insert(0, sys.argv[1])
tick = importlib.import_module("tick")
end, path, last = sys.argv[2:]
types = [
    each
    for each in vars(tick).values()
    if isinstance(each, type) and issubclass(each, Message)
]
try:
    if end == "connect":
        data = bytes.fromhex(last)[: tick.Tick.size]
        print("ready", flush=True)
        with Bus.connect(path, timeout=20, types=types) as bus:
            bus.channel(tick.Tick)(*tick.Tick.from_bytes(data))
        print("sent")
    else:
        wait = float(last)
        with Bus.listen(path, 4096, timeout=wait, types=types) as bus:
            print(bytes(bus.channel(tick.Tick).recv(wait)).hex())
except TimeoutError as error:
    print("error 17", error)
except ConnectionError as error:
    print("error 14", error)
