#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# pack.sh <cmake> <sources> <folder to work in> <folder of packages> <compiler>
#         <DEB or TZST> <library directory>
# Builds the core alone, for /usr or to be unpacked anywhere, and packs it.
set -eu
cmake=$1 source=$2 work=$3 packages=$4 compiler=$5 form=$6 libdir=$7
cpack=$("$cmake" -E capabilities >/dev/null && dirname "$cmake")/cpack
[ -x "$cpack" ] || cpack=cpack
debian=OFF
[ "$form" = DEB ] && debian=ON
build=$work/$form
unset DESTDIR CFLAGS LDFLAGS
"$cmake" -S "$source" -B "$build" -DCMAKE_C_COMPILER="$compiler" \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr \
    -DCMAKE_INSTALL_LIBDIR="$libdir" -DTACHYON_DEBIAN=$debian \
    -DTACHYON_PYTHON=OFF -DTACHYON_RUST=OFF -DTACHYON_LANGUAGES= -DTACHYON_TESTS=OFF \
    >"$work/$form.log" || { cat "$work/$form.log"; exit 1; }
"$cmake" --build "$build" >>"$work/$form.log" || { cat "$work/$form.log"; exit 1; }
rm -rf "$work/$form.out"
(umask 022 && cd "$build" && "$cpack" -G "$form" -B "$work/$form.out") \
    >>"$work/$form.log" 2>&1 || { cat "$work/$form.log"; exit 1; }
# The trigger calls ldconfig; CPack's scripts, which call it again, are not for today's Debian.
for package in "$work/$form.out"/*.deb; do
    [ -e "$package" ] || break
    rm -rf "$work/$form.tree"
    dpkg-deb -R "$package" "$work/$form.tree"
    rm -f "$work/$form.tree/DEBIAN/postinst" "$work/$form.tree/DEBIAN/postrm"
    dpkg-deb --root-owner-group -Zxz -b "$work/$form.tree" "$package" >>"$work/$form.log"
done
find "$work/$form.out" -maxdepth 1 -type f -exec mv {} "$packages/" \;
