# SPDX-License-Identifier: Apache-2.0
"""A wire between two network namespaces, with a delay and loss.

wire.py NAMESPACE NAMESPACE DEVICE DELAY_S LOSS

For kernels that have no netem. Each end is a TUN device; this process carries its
packets to the other end, each with the same delay, or not at all.
"""

import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 1, 0x1000
PACKET = 65536
AT_ONCE = 64  # packets, before what is due is looked at


def device(namespace: str, name: str) -> int:
    """Return a device in a namespace, which is ours from then on."""
    with open(f"/run/netns/{namespace}") as place:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(place.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(
        file, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI)
    )
    return file


def carry(ends: list[int], delay_s: float, loss: float) -> None:
    """Carry packets for ever."""
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    numbers = itertools.count()  # packets of one moment stay in order
    due: list[tuple[float, int, int, bytes]] = []
    while True:
        wait = max(0.0, due[0][0] - time.monotonic()) if due else None
        for end in select.select(ends, [], [], wait)[0]:
            for _ in range(AT_ONCE):
                try:
                    packet = os.read(end, PACKET)
                except OSError:  # none is left, or the device is down
                    break
                if random.random() >= loss:
                    at = time.monotonic() + delay_s
                    heapq.heappush(due, (at, next(numbers), other[end], packet))
        while due and due[0][0] <= time.monotonic():
            _, _, end, packet = heapq.heappop(due)
            try:
                os.write(end, packet)
            except OSError:  # it is down: the packet is lost
                continue


if __name__ == "__main__":
    first, second, name, delay, loss = sys.argv[1:]
    both = [device(first, name), device(second, name)]
    print("up", flush=True)
    carry(both, float(delay), float(loss))
