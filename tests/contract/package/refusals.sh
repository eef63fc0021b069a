#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What cannot be built is refused in one line, not in pages of errors.
set -eu
rm -rf refusals
mkdir refusals
cd refusals

# refused <text> <what> <command>...
refused() {
    text=$1 what=$2
    shift 2
    if "$@" >log 2>&1; then
        echo "$what is not refused"
        exit 1
    fi
    grep -q "$text" log || {
        echo "$what: nothing says '$text':"
        cat log
        exit 1
    }
    if [ "$(grep -ci error log)" -gt 2 ]; then # CMake's and cargo's own are one
        echo "$what: more than a line:"
        cat log
        exit 1
    fi
}

target="Tachyon needs a 64-bit target"
options="-DTACHYON_PYTHON=OFF -DTACHYON_RUST=OFF -DTACHYON_TESTS=OFF"
refused "$target" "-m32 in CMAKE_C_FLAGS" \
    "$CMAKE" -S "$SOURCE" -B flags $options -DCMAKE_C_FLAGS=-m32
refused "$target" "-m32 in CFLAGS" \
    env CFLAGS="-O2 -m32" "$CMAKE" -S "$SOURCE" -B cflags $options
refused "$target" "-mx32 in CC" \
    env CC="$CC -mx32" "$CMAKE" -S "$SOURCE" -B cc $options

mkdir sources
cp -r "$SOURCE/CMakeLists.txt" "$SOURCE/core" sources
refused "Tachyon needs a build directory of its own" "a build among the sources" \
    "$CMAKE" -S sources -B sources $options

if [ -n "$NINJA" ]; then
    refused "Tachyon needs one configuration" "Python in several configurations" \
        "$CMAKE" -S "$SOURCE" -B several -G "Ninja Multi-Config" -DTACHYON_RUST=OFF
fi
if [ -n "$CARGO" ]; then
    refused "$target" "-m32 for cargo" env CFLAGS=-m32 CARGO_TARGET_DIR="$PWD/cargo" \
        "$CARGO" build --offline --locked --manifest-path "$SOURCE/rust-sys/Cargo.toml"
fi
