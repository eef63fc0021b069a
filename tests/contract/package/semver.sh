#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Since the last version that has a tag, the crates have changed as their version says.
set -eu
skip() { echo "skipped: $*"; exit 77; }
cd "$SOURCE"
"$CARGO" semver-checks --version >/dev/null 2>&1 || skip "no cargo-semver-checks"
git rev-parse --git-dir >/dev/null 2>&1 || skip "not a git checkout"
last=$(git describe --tags --abbrev=0 --match 'v[0-9]*' HEAD 2>/dev/null) ||
    skip "there is no version yet to compare with: no tag v*"
for crate in tachyon-sys tachyon-ipc; do
    "$CARGO" semver-checks check-release -p $crate --baseline-rev "$last"
done
