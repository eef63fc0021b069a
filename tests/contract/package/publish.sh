#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What crates.io would be sent: both crates, each built from its own archive, the second
# one with the first. Without a network there is no index to ask, and it is skipped.
set -eu
. "$SOURCE/tests/contract/package/offline.sh"
cd "$SOURCE"
CARGO_TARGET_DIR=$TARGET "$CARGO" publish --dry-run --locked --allow-dirty \
    -p tachyon-sys -p tachyon-ipc 2>"$TARGET.log" && exit 0
cat "$TARGET.log"
skip_offline "$TARGET.log"
exit 1
