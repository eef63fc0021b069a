#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Build and run the program $1 with what pkg-config says, shared and static. NAME is the
# library's, if it has another.
set -eu
program=$1
# eval: pkg-config escapes what the shell would take apart.
eval "libdir=$("$PKG_CONFIG" --variable=libdir tachyon)"
eval "$CC $CFLAGS \"\$program\" $("$PKG_CONFIG" --cflags --libs tachyon) -o pkg_shared"
LD_LIBRARY_PATH=$libdir ./pkg_shared
eval "$CC $CFLAGS \"\$program\" $("$PKG_CONFIG" --cflags tachyon) \
    \"\$libdir/lib${NAME:-tachyon}.a\" -o pkg_static"
./pkg_static
