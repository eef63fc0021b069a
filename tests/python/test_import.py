# SPDX-License-Identifier: Apache-2.0
"""The package imported again, in every way that this is done, while a bus is open."""

import re
import subprocess
import sys

import pytest

PAIR = """
import gc, importlib, os, sys, threading, tachyon
from tachyon import _native

def pair():
    path, out = f"@tachyon-again-{os.getpid()}", []
    listen = lambda: out.append(tachyon.Bus.listen(path, 1 << 16, timeout=60))
    thread = threading.Thread(target=listen)
    thread.start()
    first = tachyon.Bus.connect(path, timeout=60)
    thread.join()
    return first, out[0]

def exchange(tx, rx):
    tx.send(b"copied")
    with tx.send_zero_copy(8) as guard:
        assert type(guard) is tachyon.TxGuard
        guard.buf[:] = b"in place"
    message = rx.recv(timeout=1)
    assert message.data == b"copied"
    assert type(message) is tachyon.Message
    with rx.recv_zero_copy(timeout=1) as guard:
        assert bytes(guard) == b"in place"

def purge():
    for name in [n for n in sys.modules if n.split(".")[0] == "tachyon"]:
        del sys.modules[name]

tx, rx = pair()
exchange(tx, rx)
old = {n: getattr(tachyon, n) for n in tachyon.__all__}
class Mine(tachyon.PeerDeadError):
    pass
"""

CHECK = """
for name, thing in old.items():
    if isinstance(thing, type) and issubclass(thing, Exception):
        assert getattr(tachyon, name) is thing, name
    if isinstance(thing, type) and thing.__module__ == "tachyon._native":
        assert getattr(tachyon, name) is thing, name
assert issubclass(Mine, tachyon.TachyonError)
exchange(tx, rx)
new_tx, new_rx = pair()
exchange(new_tx, new_rx)
tx._bus.destroy()
try:
    rx.recv(timeout=1)
except old["ClosedError"] as error:
    assert isinstance(error, tachyon.ClosedError)
    assert isinstance(error, tachyon.TachyonError)
else:
    raise AssertionError
try:
    new_rx.send(b"the wrong way")
except old["TachyonError"]:
    pass
gc.collect()
print("good")
"""

PURGE = "purge(); import tachyon\n"
WAYS = {
    "purged": PURGE,
    "purged twice": PURGE * 2,
    "purged and collected": "purge(); del tachyon, _native; gc.collect()\n" + PURGE,
    "reloaded": "importlib.reload(tachyon)\n",
    "reloaded module": "importlib.reload(_native); importlib.reload(tachyon)\n",
    "reloaded parts": """
for name in ("bus", "channel", "rpc", "dispatch"):
    importlib.reload(sys.modules[f"tachyon.{name}"])
importlib.reload(tachyon)
""",
    "from another path": """
import importlib.util
spec = importlib.util.spec_from_file_location("other._native", _native.__file__)
other = importlib.util.module_from_spec(spec)
spec.loader.exec_module(other)
assert other.ClosedError is tachyon.ClosedError
assert other.TachyonBus is tachyon.TachyonBus
""",
}
SUBINTERPRETERS = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
attempt = '''
try:
    import tachyon
except ImportError as error:
    print("refused:", error)
'''
for _ in range(3):
    interpreter = interpreters.create()
    interpreters.run_string(interpreter, attempt)
    interpreters.destroy(interpreter)
"""


def run(code: str) -> str:
    """Run a program and return what it printed."""
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("way", WAYS)
def test_imported_again_it_has_the_same_exceptions_and_types(way: str) -> None:
    assert run(PAIR + WAYS[way] + CHECK) == "good\n"


def test_subinterpreter_is_refused_and_the_main_one_goes_on() -> None:
    output = run(PAIR + SUBINTERPRETERS + CHECK)
    assert len(re.findall("refused: .* subinterpreters\n", output)) == 3
    assert output.endswith("good\n")
