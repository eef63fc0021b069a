# SPDX-License-Identifier: Apache-2.0
"""What runs first in the zipapp: of any Python, so without newer syntax.

Compiled modules cannot be imported from an archive. So the first run unpacks it into a
folder of the user's cache that is named after its contents, by a rename, so that two
that start at once do not disturb each other; later runs find it there. Where there is
no place to keep it, a temporary folder is it, which goes with the process.
"""

import os
import shutil
import sys
import sysconfig
import tempfile
import zipfile

from tachyon_zipapp import CONTENTS, SOABI

WRONG_PYTHON = 8  # as when the extra is missing


def here():
    """Return what this Python's compiled modules are for."""
    return sysconfig.get_config_var("SOABI") or "python-%d.%d" % sys.version_info[:2]


def fail(text):
    """Say in a line why it does not run."""
    way = "use that one, or pip install 'tachyon-ipc[tools]'"
    sys.stderr.write("tachyon: %s; %s\n" % (text, way))
    return WRONG_PYTHON


def unpack(folder):
    """Unpack all of it."""
    with zipfile.ZipFile(archive()) as whole:
        whole.extractall(folder)


def archive():
    """Return the path of the file that runs."""
    return os.path.dirname(os.path.abspath(__file__))


def kept():
    """Return the folder with what was unpacked, or None where none can be kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(cache, "tachyon-ipc", CONTENTS)
    try:
        if not os.path.isdir(folder):
            parent = os.path.dirname(folder)
            os.makedirs(parent, 0o700, exist_ok=True)
            partial = tempfile.mkdtemp(dir=parent)
            try:
                unpack(partial)
                os.rename(partial, folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError:  # no place, or another was first
        if not os.path.isdir(folder):
            return None
    return folder if os.stat(folder).st_uid == os.geteuid() else None


def run(folder):
    """Run the command line from an unpacked folder."""
    sys.path[:] = [folder] + [path for path in sys.path if path != archive()]
    try:
        import tachyon._native  # noqa: F401, PLC0415
    except ImportError as error:
        return fail("cannot run here: %s" % error)
    from tachyon.tools.__main__ import main  # noqa: PLC0415

    return main()


def start():
    """Check, unpack, run."""
    if here() != SOABI:
        return fail("this file is for %s, and this Python is %s" % (SOABI, here()))
    folder = kept()
    if folder:
        return run(folder)
    folder = tempfile.mkdtemp(prefix="tachyon-")
    try:
        unpack(folder)
        return run(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


try:
    sys.exit(start())
except KeyboardInterrupt:
    sys.exit(130)
