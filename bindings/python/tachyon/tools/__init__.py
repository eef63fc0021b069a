# SPDX-License-Identifier: Apache-2.0
"""The command line `tachyon`: one file per command; docs/TOOLS.md has what they do."""
