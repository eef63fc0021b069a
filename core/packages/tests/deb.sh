#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Debian's packages: what they say of themselves, and that programs compile and run with
# what they put into an empty root.
set -eu
. "$(dirname "$0")/use.sh"
major=${VERSION%%.*}
library=$(ls "$PACKAGES/libtachyon${major}_$VERSION"-1_*.deb)
development=$(ls "$PACKAGES/libtachyon$major-dev_$VERSION"-1_*.deb)
for file in "$library" "$development"; do
    [ "$(dpkg-deb -f "$file" Version)" = "$VERSION-1" ]
    [ "$(dpkg-deb -f "$file" Maintainer)" = "Tachyon maintainers" ]
    package=$(dpkg-deb -f "$file" Package)
    dpkg-deb -x "$file" root
    doc=root/usr/share/doc/$package
    grep -q "^License: Apache-2.0" "$doc/copyright"
    gzip -dc "$doc/changelog.Debian.gz" | head -1 | grep -qF "($VERSION-1)"
    # What is installed belongs to root, and only root writes it.
    if dpkg-deb -c "$file" | grep -vE '^(d|-|l)[r-][w-][x-].{6} root/root|^.{10} 0/0'; then
        echo "$package: not root's"
        exit 1
    fi
done
dpkg-deb -f "$library" Depends | grep -q 'libc6 (>= '
dpkg-deb -f "$development" Depends | grep -qF "libtachyon$major (= $VERSION-1)"
dpkg-deb -I "$library" triggers | grep -q "^activate-noawait ldconfig"
for script in preinst postinst prerm postrm; do
    if dpkg-deb -I "$library" $script >/dev/null 2>&1; then
        echo "$library has a script, $script"
        exit 1
    fi
done
dpkg-deb -I "$library" shlibs | grep -q "^libtachyon $major libtachyon$major "
# dpkg itself, in a root of its own, where this user may.
if [ "$(id -u)" = 0 ]; then
    mkdir -p admin/var/lib/dpkg/updates admin/var/lib/dpkg/info
    touch admin/var/lib/dpkg/status admin/var/lib/dpkg/available
    dpkg --root="$PWD/admin" --force-depends --force-script-chrootless --no-triggers \
        -i "$library" "$development" >dpkg.log 2>&1 || { cat dpkg.log; exit 1; }
    [ "$(cd root && find . -type f | sort)" = \
        "$(cd admin && find ./usr -type f | sort)" ] ||
        { echo "dpkg installs other files than are in the packages"; exit 1; }
fi
use "$PWD/root/usr" "$MULTIARCH"
if command -v lintian >/dev/null; then
    # There is no address to give yet, and no bug to close.
    lintian --allow-root --fail-on error,warning \
        --suppress-tags malformed-contact,bogus-mail-host-in-debian-changelog \
        --suppress-tags initial-upload-closes-no-bugs \
        "$library" "$development"
else
    echo "no lintian, which would look at more"
fi
