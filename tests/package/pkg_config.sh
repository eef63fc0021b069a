#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Build and run the program $1 with what pkg-config says, shared and static.
set -eu
flags=$("$PKG_CONFIG" --cflags --libs tachyon)
libdir=$("$PKG_CONFIG" --variable=libdir tachyon)
$CC $CFLAGS "$1" $flags -o pkg_shared
LD_LIBRARY_PATH=$libdir ./pkg_shared
$CC $CFLAGS "$1" $("$PKG_CONFIG" --cflags tachyon) "$libdir/libtachyon.a" -o pkg_static
./pkg_static
