#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# npm install of the tarball, without a network, in an empty folder, where samples and
# peers talk; and what it says where it has no module. CC is empty where Node is of another
# machine or C library than what it compiles.
set -eu
. "$TALK"
echo '{"private": true}' >package.json
"$NPM" install --offline --silent --no-audit --no-fund --cache "$PWD/cache" \
    "$PACKAGES/tachyon-ipc-core-$VERSION.tgz"
package=node_modules/@tachyon-ipc/core
[ -s "$package/LICENSE" ] && [ -s "$package/index.d.ts" ]
said=$("$NODE" -p "require('@tachyon-ipc/core/package.json').version" 2>/dev/null ||
    "$NODE" -p "require('./$package/package.json').version")
[ "$said" = "$VERSION" ] || { echo "it says it is $said"; exit 1; }
cp "$SOURCE"/bindings/node/samples/*.js "$SOURCE/bindings/node/tests/peer.js" .
talk js "$NODE"
converse "$NODE" peer.js
# No module, also where musl is in the process, by that name.
rm -r "$package/prebuilds"
[ -z "$CC" ] || echo "int none;" | "$CC" -shared -fPIC -x c - -o ld-musl-none.so.1
for preload in "" ${CC:+"$PWD/ld-musl-none.so.1"}; do
    [ -z "$preload" ] || HOST=${HOST%-musl}-musl
    if LD_PRELOAD=$preload "$NODE" -e "require('@tachyon-ipc/core')" 2>said; then
        echo "no module, and no error"
        exit 1
    fi
    grep -q "Error: @tachyon-ipc/core has no module for $HOST that loads" said ||
        { cat said; exit 1; }
done
