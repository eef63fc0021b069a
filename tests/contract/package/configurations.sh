#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Several configurations in one build, made in one go: each has a library of its own.
set -eu
rm -rf configurations
mkdir configurations
cd configurations
"$CMAKE" -S "$SOURCE" -B . -G "Ninja Multi-Config" -DCMAKE_C_COMPILER="$CC" \
    -DTACHYON_PYTHON=OFF -DTACHYON_RUST=OFF -DTACHYON_TESTS=OFF \
    -DCMAKE_CROSS_CONFIGS=all -DCMAKE_DEFAULT_CONFIGS=all >log
"$CMAKE" --build . >>log
for configuration in Debug Release RelWithDebInfo; do
    library=core/$configuration/libtachyon.a
    ar p "$library" | cksum
    "$CMAKE" --install . --config $configuration --prefix $configuration >>log
    cmp "$library" $configuration/lib*/libtachyon.a
done | sort -u >sums
[ "$(wc -l <sums)" = 3 ] || {
    echo "configurations share a library:"
    cat sums
    exit 1
}
