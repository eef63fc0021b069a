#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The source rock, by luarocks where it is, otherwise compiled as its rockspec says.
set -eu
. "$TALK"
rock=$PACKAGES/tachyon-$VERSION-1.src.rock
version=$("$LUA" -e 'io.write(_VERSION:match("%d.%d"))')
if command -v luarocks >/dev/null; then
    luarocks --lua-version "$version" --tree tree install "$rock"
    LUA_CPATH=$PWD/tree/lib/lua/$version/?.so
else
    echo "no luarocks: compiled by what the rockspec says"
    "$CMAKE" -E tar xf "$rock"
    "$LUA" "$SOURCE/bindings/lua/tests/package.lua" "tachyon-$VERSION-1.rockspec"
    LUA_CPATH=$PWD/?.so
fi
export LUA_CPATH
cp "$SOURCE"/bindings/lua/samples/*.lua .
talk lua "$LUA"
