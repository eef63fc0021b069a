#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A user's module takes ours from its archive, unpacked where nothing can be written. It is
# built with cgo and nothing else.
set -eu
"$CMAKE" -E tar xf "$PACKAGES/tachyon-ipc@v$VERSION.zip"
module=$PWD/tachyon-ipc@v$VERSION
trap 'chmod -R u+w "$module"' EXIT
# What a proxy of modules refuses: links, a module in the module, names that differ by case.
[ -z "$(find "$module" ! -type f ! -type d)" ]
[ "$(find "$module" -name go.mod)" = "$module/go.mod" ]
[ -z "$(find "$module" | tr A-Z a-z | sort | uniq -d)" ]
[ -s "$module/LICENSE" ]
chmod -R a-w "$module"
mkdir user
cp "$SOURCE/bindings/go/testdata/user/main.go" user/
cat >user/go.mod <<END
module example.test/user

go 1.24

require tachyon-ipc v$VERSION

replace tachyon-ipc => $module
END
"$GO" build -C "$PWD/user" -o program .
said=$(user/program)
[ "$said" = "7 from a user" ] || { echo "the program says: $said"; exit 1; }
