#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# generated.sh <swig> <folder>: writes there what internal/native has of SWIG, or, with
# another folder than that, also compares.
set -e
cd "$(dirname "$0")/.."
mkdir -p "$2"
"$1" -go -cgo -intgosize 64 -package native -Wall -Werror -I../../swig -I../../core/include \
    -outdir "$2" -o "$2/tachyon_wrap.c" go.i
[ "$2" = internal/native ] && exit
for file in tachyon.go tachyon_wrap.c; do
    cmp "$2/$file" internal/native/$file || {
        echo "$file is not what SWIG makes now: cmake --build build --target go_generated"
        exit 1
    }
done
