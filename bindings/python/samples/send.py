# SPDX-License-Identifier: Apache-2.0
"""send PATH [COUNT]: connects and sends texts."""

import sys

from tachyon import Bus

path = sys.argv[1]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 10

with Bus.connect(path, timeout=10) as bus:
    for i in range(count):
        bus.send(f"tick {i}".encode(), type_id=1)
print("sent", count)
