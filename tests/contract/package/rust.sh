#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Both crates as `cargo package` has made them, unpacked in an empty folder: a user's crate
# depends on them, by nothing but what is in the archives, and samples talk.
set -eu
. "$TALK"
for name in tachyon-sys tachyon-ipc; do
    tar xzf "$PACKAGES/$name-$VERSION.crate"
    for file in LICENSE README.md Cargo.toml src/lib.rs; do
        [ -s "$name-$VERSION/$file" ] || { echo "$name has no $file"; exit 1; }
    done
    [ -z "$(find "$name-$VERSION" -type l)" ]
done
[ -s "tachyon-sys-$VERSION/core/src/ring.h" ]
# In the archive the dependency is a version, as a registry needs it, and no path.
if sed -n '/^\[dependencies.tachyon-sys\]/,/^$/p' "tachyon-ipc-$VERSION/Cargo.toml" | grep -q path; then
    echo "tachyon-ipc depends on a path"
    exit 1
fi
mkdir -p user/src/bin
cat >user/Cargo.toml <<TOML
[package]
name = "user"
version = "0.0.0"
edition = "2021"
[dependencies]
tachyon-ipc = "$VERSION"
[patch.crates-io]
tachyon-ipc = { path = "../tachyon-ipc-$VERSION" }
tachyon-sys = { path = "../tachyon-sys-$VERSION" }
[workspace]
TOML
cp "$SOURCE/bindings/rust/examples/send.rs" "$SOURCE/bindings/rust/examples/recv.rs" user/src/bin
cp "$SOURCE/Cargo.lock" user # the versions that were fetched already
CARGO_TARGET_DIR=$PWD/target "$CARGO" build --offline --quiet --manifest-path user/Cargo.toml
for sample in send recv; do
    cp target/debug/$sample $sample.bin
done
talk bin env -C "$PWD" PATH="$PWD"
