# SPDX-License-Identifier: Apache-2.0
"""The session of Zenoh, and the keys that a stream has in it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from .ending import CANNOT_OPEN, Ended

SCHEME = "zenoh:"
CLOSING_S = 3.0
RETRY_S = 0.1
# A link that stands still is ended by Zenoh's lease, 10 s, and not before by a sender
# that waits for room in its queue.
STUCK_US = 20_000_000


def zenoh() -> Any:
    """Return the package; ImportError says how to get it."""
    try:
        import zenoh as package  # noqa: PLC0415 - only here
    except ImportError as error:
        text = f"{error}: a bridge needs it: pip install 'tachyon-ipc[bridge]'"
        raise ImportError(text) from None
    return package


@dataclass(frozen=True)
class Keys:
    """The keys of a stream; all but its own are no match of a wildcard."""

    data: str

    @property
    def control(self) -> str:
        """Where a sending bridge says how far it is."""
        return f"{self.data}/@tachyon/control"

    @property
    def delivered(self) -> str:
        """Where receiving bridges say how far they are."""
        return f"{self.data}/@tachyon/delivered"

    @property
    def senders(self) -> str:
        """All sending bridges; with a stream instead of *, one of them."""
        return f"{self.data}/@tachyon/sender/*"

    @property
    def receivers(self) -> str:
        """All receiving bridges; with a session instead of *, one of them."""
        return f"{self.data}/@tachyon/receiver/*"

    def types(self, stream: int) -> str:
        """Return where the description of a stream's messages is asked for."""
        return f"{self.data}/@tachyon/types/{stream:016x}"


def keys_of(text: str) -> Keys:
    """Return the keys of a stream, given as zenoh:KEY."""
    key = text.removeprefix(SCHEME)
    if any(letter in key for letter in "*$?#@"):
        raise click.UsageError(
            f"{text}: a stream has one key, without any of * $ ? # @"
        )
    package = zenoh()
    try:
        package.KeyExpr(key)
    except package.ZError as error:
        raise click.UsageError(f"{text}: {said(error)}") from None
    return Keys(key)


def said(error: Exception) -> str:
    """Return what an error of Zenoh says, without the place in its sources."""
    return str(error).partition(" at /")[0]


@dataclass(frozen=True)
class Network:
    """How to get into the network: the options of a bridge."""

    connect: tuple[str, ...]
    listen_at: tuple[str, ...]
    config: str | None
    link_timeout: float

    def open(self) -> Any:
        """Return a session that has a link to those it is to connect to."""
        package = zenoh()
        settings = self._settings(package)
        until = time.monotonic() + (self.link_timeout or float("inf"))
        while True:
            try:
                session = package.open(settings)
                break
            except package.ZError as error:
                if not self._is_client:
                    raise self._nobody(said(error)) from None
                if time.monotonic() >= until:
                    raise self._nobody("nobody answers") from None
            time.sleep(RETRY_S)
        try:
            while self.connect and not session.info.transports():
                if time.monotonic() >= until:
                    raise self._nobody("nobody answers")
                time.sleep(RETRY_S)
        except BaseException:
            close(session)
            raise
        return session

    @property
    def _is_client(self) -> bool:
        """Whether others carry on what we send, as a router does for clients only."""
        return bool(self.connect) and not self.listen_at

    def _nobody(self, why: str) -> Ended:
        places = ", ".join((*self.listen_at, *self.connect)) or self.config or "here"
        way_out = (
            "start the router or the bridge that listens there, or wait longer: "
            "--link-timeout"
            if self.connect
            else "choose another place"
        )
        return Ended(CANNOT_OPEN, f"zenoh: {places}: {why}; {way_out}")

    def _settings(self, package: Any) -> Any:
        try:
            config = (
                package.Config.from_file(self.config)
                if self.config
                else package.Config()
            )
        except package.ZError as error:
            raise click.UsageError(f"--config {self.config}: {said(error)}") from None
        values: dict[str, Any] = {}
        if self.connect or self.listen_at:
            values["scouting/multicast/enabled"] = False
            values["connect/endpoints"] = self.connect
            values["listen/endpoints"] = self.listen_at
            values["mode"] = "client" if self._is_client else "peer"
            values["connect/exit_on_failure"] = self._is_client
            # A peer goes on trying in the background; for a client open() does.
            values["connect/timeout_ms"] = 0 if self._is_client else -1
            values["connect/retry"] = {
                "period_init_ms": 200, "period_max_ms": 1000,
                "period_increase_factor": 2,
            }  # fmt: skip
        if not self.config:
            key = "transport/link/tx/queue/congestion_control/block/wait_before_close"
            values[key] = STUCK_US
        for key, value in values.items():
            try:
                config.insert_json5(key, json.dumps(value))
            except package.ZError as error:
                text = f"{', '.join(value)}: {said(error)}"
                raise click.UsageError(text) from None
        return config


def close(session: Any) -> None:
    """Close a session, whose links may be stuck: nobody waits for ever."""
    closing = threading.Thread(target=session.close, daemon=True)
    closing.start()
    closing.join(CLOSING_S)


def direct(callback: Callable[[Any], None]) -> Any:
    """Have a callback called in order, by the thread that receives."""
    return zenoh().handlers.Callback(callback, indirect=False)


def watch(session: Any, key: str, seen: Callable[[str, bool], None]) -> Any:
    """Call with the last part of each key of liveliness, and whether it lives."""
    put = zenoh().SampleKind.PUT

    def changed(sample: Any) -> None:
        seen(str(sample.key_expr).rpartition("/")[2], sample.kind == put)

    return session.liveliness().declare_subscriber(key, direct(changed), history=True)


def token(session: Any, key: str, name: str) -> Any:
    """Say that this bridge lives, by a key with its name instead of *."""
    return session.liveliness().declare_token(key.removesuffix("*") + name)
