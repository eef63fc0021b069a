#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The archive, unpacked in an empty folder, is all that a program needs.
set -eu
. "$(dirname "$0")/use.sh"
name=tachyon-$VERSION-$PLATFORM
tar --zstd -xf "$PACKAGES/$name.tar.zst"
[ "$(ls)" = "$name" ] || { echo "the archive holds more than one folder:"; ls; exit 1; }
[ -s "$name/share/doc/tachyon/LICENSE" ]
use "$PWD/$name" lib
