#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What PIE does with the package: phpize, configure, make, and install to a folder.
set -eu
. "$TALK"
HERE=$PWD
tar xzf "$PACKAGES/tachyon-php-$VERSION.tgz"
unset MAKEFLAGS MAKELEVEL
(
    cd "tachyon-php-$VERSION"
    "$PHP" -r 'exit(json_decode(file_get_contents("composer.json"))->type != "php-ext");'
    "$PHPIZE" >log
    # A machine that it is not for.
    if ./configure --host=i686-pc-linux-gnu >/dev/null 2>said; then
        echo "32 bits are not refused"
        exit 1
    fi
    grep -q "Tachyon needs a 64-bit Linux" said
    ./configure >log 2>&1 || { cat log; exit 1; }
    make >log 2>&1 || { cat log; exit 1; }
    make INSTALL_ROOT="$HERE/root" install >log
)
module=$(find root -name tachyon.so)
[ -n "$module" ]
said=$("$PHP" -n -d extension="$HERE/$module" -r 'echo phpversion("tachyon"), " ", Tachyon\version();')
[ "$said" = "$VERSION $VERSION" ] || { echo "it says it is $said"; exit 1; }
cp "$SOURCE"/bindings/php/samples/*.php .
talk php "$PHP" -n -d extension="$HERE/$module"
