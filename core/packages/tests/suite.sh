#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Programs of tests/c against tachyon.c, whose insides -DTACHYON_INTERNAL= shows.
set -eu
tar xzf "$PACKAGES/tachyon-amalgamation-$VERSION.tar.gz" --strip-components 1
tests=$SOURCE/tests/c
flags="-O1 -g -w -I. -I$SOURCE/core/src -I$SOURCE/core/include -I$tests -pthread"
"$CC" $flags -DTACHYON_INTERNAL= -c tachyon.c -o tachyon.o
for part in harness peers crowd; do
    "$CC" $flags -c "$tests/$part.c" -o $part.o
done
# One of each part; what measures, or goes on for long, has been said of the library.
for part in address batch broadcast bus cancel consumer cursors error fileno frame \
    handshake limits opening os producer region ring rpc rpc_any solo types; do
    name=test_$part
    "$CC" $flags "$tests/$name.c" harness.o peers.o crowd.o tachyon.o -lm -o "$name"
    code=0
    "./$name" >"$name.log" 2>&1 || code=$?
    if [ $code != 0 ] && [ $code != 77 ]; then
        cat "$name.log"
        echo "$name: exit status $code"
        exit 1
    fi
    rm "$name"
done
