#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The four commands that every CPAN client gives, with a folder of its own to install to.
set -eu
. "$TALK"
HERE=$PWD
export HERE
tar xzf "$PACKAGES/Tachyon-$VERSION.tar.gz"
(
    cd "Tachyon-$VERSION"
    # MANIFEST names what is there, no more and no less.
    [ "$(cut -d ' ' -f 1 MANIFEST | sort)" = "$(find . -type f | cut -c 3- | sort)" ]
    unset MAKEFLAGS MAKELEVEL
    "$PERL" Makefile.PL INSTALL_BASE="$HERE" >log
    make >>log
    make test
    make install >>log
    # A machine that it is not for.
    if "$PERL" -e '$^O = "darwin"; do "./Makefile.PL"; die $@ if $@' 2>said; then
        echo "darwin is not refused"
        exit 1
    fi
    grep -q "^OS unsupported: Tachyon needs a 64-bit Linux" said
)
libraries=$HERE/lib/perl5
export PERL5LIB="$libraries:$libraries/$("$PERL" -MConfig -e 'print $Config{archname}')"
said=$("$PERL" -MTachyon -e 'print "$Tachyon::VERSION ", Tachyon::version()')
[ "$said" = "$VERSION $VERSION" ] || { echo "it says it is $said"; exit 1; }
cp "$SOURCE"/bindings/perl/samples/*.pl .
talk pl "$PERL"
