# SPDX-License-Identifier: Apache-2.0
"""recv PATH: listens and prints what comes until the stream ends."""

import sys

from tachyon import Bus

count = 0
with Bus.listen(sys.argv[1], 1 << 16) as bus:
    for message in bus:
        print(f"type {message.type_id}: {message.data.decode()}")
        count += 1
print("received", count)
