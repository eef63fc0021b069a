# SPDX-License-Identifier: Apache-2.0
"""`multiprocessing.Queue`: pickles, and a thread that writes them to a pipe."""

import multiprocessing
from typing import Any

import driver


class Adapter(driver.Link):
    def __init__(self, setting: driver.Setting) -> None:
        if setting.mode == driver.SPIN:
            raise driver.CannotError("its thread needs the core that would spin")
        super().__init__(setting)
        context = multiprocessing.get_context("fork")
        self._queues: list[Any] = [context.Queue(), context.Queue()]

    def open(self, lead: bool) -> tuple[driver.Send, driver.Receive]:  # noqa: D102
        into, out_of = self._queues if lead else reversed(self._queues)
        return into.put, lambda _: out_of.get()
