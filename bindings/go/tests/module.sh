#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# module.sh <go> <folder>: a user's program in a module of its own. It takes ours from a
# folder with what a module's archive has: no links, and nothing that can be written.
set -e
source=$(cd "$(dirname "$0")/../../.." && pwd)
[ ! -e "$2" ] || chmod -R u+w "$2"
rm -rf "$2"
mkdir -p "$2/tachyon/bindings" "$2/user"
cd "$2"
cp "$source/go.mod" tachyon/
cp -R "$source/core" "$source/swig" tachyon/
cp -R "$source/bindings/go" tachyon/bindings/
find tachyon -type l -exec rm {} +
chmod -R a-w tachyon
cp "$source/bindings/go/testdata/user/main.go" user/
cat >user/go.mod <<END
module example.test/user

go 1.24

require tachyon-ipc v1.0.0

replace tachyon-ipc => ../tachyon
END
"$1" vet -C "$2/user" ./...
"$1" build -C "$2/user" -o program .
said=$(user/program)
chmod -R u+w tachyon
[ "$said" = "7 from a user" ] || { echo "the program says: $said"; exit 1; }
