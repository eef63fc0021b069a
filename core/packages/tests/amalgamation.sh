#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The two files, out of their archive, compile without a warning by CC, have no global
# name but the API's, and a program with them sends and receives.
set -eu
name=tachyon-amalgamation-$VERSION
tar xzf "$PACKAGES/$name.tar.gz"
mv "$name"/* .
[ -s LICENSE ]
for level in -O0 -O2; do
    "$CC" $level -Wall -Wextra -Werror -c tachyon.c -o tachyon.o
done
others=$("$NM" -g --defined-only tachyon.o | sed -n 's/.* [A-Z] //p' | grep -v '^tachyon_' || true)
[ -z "$others" ] || { echo "global names that are not the API's: $others"; exit 1; }
"$CC" -O2 -Wall -Wextra -Werror -I. -pthread "$SOURCE/tests/contract/package/round_trip.c" \
    tachyon.o -o round_trip
./round_trip
