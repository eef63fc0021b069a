#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `cargo package` packs the core behind its symlink, and what it packed builds.
set -eu
target=$PWD/crate
rm -rf "$target/package"
cd "$SOURCE"
# Offline: what it needs was fetched when the workspace was built.
CARGO_TARGET_DIR=$target "$CARGO" package -p tachyon-sys --locked --offline --allow-dirty
crate=$(ls "$target"/package/tachyon-sys-*.crate)
tar tzf "$crate" | grep -q '/core/src/ring\.h$' || {
    echo "$crate does not hold the core"
    exit 1
}
