#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command `tachyon`, as it is installed: Ctrl-C ends it silently while it loads.

An entry point would import the package before a word of ours, half of all that loads.
"""

import signal
import sys

if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from tachyon.tools.__main__ import main

sys.exit(main())
