#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Wherever it is told to go, it is found there by pkg-config and find_package(), also with
# a space and an umlaut in the paths, by Debug's name, and when it has been moved.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# CMake takes no absolute directory below the sources, where the build tree may be.
root="$(mktemp -d)/plä ces"
trap 'rm -rf "${root%/*}"' EXIT
mkdir "$root"
cd "$root"

# find_it <lib directory> <prefix>: build and run a user of what is installed.
find_it() {
    rm -rf user
    mkdir user
    (
        cd user
        PKG_CONFIG_PATH="$1/pkgconfig" NAME="$name" sh "$here/pkg_config.sh" \
            "$here/round_trip.c"
        "$CMAKE" -S "$here/user" -B user -DCMAKE_PREFIX_PATH="$2" \
            -Dtachyon_DIR="$1/cmake/tachyon" -DCMAKE_C_COMPILER="$CC" >log
        "$CMAKE" --build user >>log
        ./user/user_tachyon
        ./user/user_tachyon_static
    )
}

# install <build type> <lib> <include> <prefix>: with these directories.
install() {
    "$CMAKE" -S "$SOURCE" -B "$root/build" -DCMAKE_C_COMPILER="$CC" \
        -DTACHYON_PYTHON=OFF -DTACHYON_RUST=OFF -DTACHYON_TESTS=OFF \
        -DCMAKE_BUILD_TYPE="$1" -DCMAKE_DEBUG_POSTFIX=-d \
        -DCMAKE_INSTALL_LIBDIR="$2" -DCMAKE_INSTALL_INCLUDEDIR="$3" \
        -DCMAKE_INSTALL_PREFIX="$4" --no-warn-unused-cli >log
    "$CMAKE" --build "$root/build" >>log
    "$CMAKE" --install "$root/build" >>log
}

name=tachyon
echo "inside of the prefix, then moved"
install Release lib/deep/down include/own "$root/usual"
find_it "$root/usual/lib/deep/down" "$root/usual"
mv usual mo\ ved
find_it "$root/mo ved/lib/deep/down" "$root/mo ved"

echo "outside of it, as packages with several outputs have it"
install Release "$root/li b/x" "$root/dev/inc" "$root/out"
find_it "$root/li b/x" "$root/nowhere"

echo "one of them outside"
install Release lib "$root/dev/in c" "$root/half"
find_it "$root/half/lib" "$root/half"
rm -r half dev
install Release "$root/libs" include "$root/half"
find_it "$root/libs" "$root/half"

echo "staged: the files name where they will be"
rm -r half libs
DESTDIR="$root/stage" install Release lib include "$root/half"
mv "stage$root/half" .
find_it "$root/half/lib" "$root/half"

echo "under the name that Debug has"
name=tachyon-d
install Debug lib include "$root/debug"
find_it "$root/debug/lib" "$root/debug"
