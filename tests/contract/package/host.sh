#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A project stays as it is when it adds Tachyon: its variables, flags, tests, what it
# installs and what lies in its build tree. LANGUAGE is all that it has enabled.
set -eu
here=$(dirname "$0")
rm -rf "host_$LANGUAGE"
mkdir "host_$LANGUAGE"
cd "host_$LANGUAGE"
for way in alone subdirectory fetch; do
    # For the project's own check to count, no build type may come in from outside.
    env -u CMAKE_BUILD_TYPE "$CMAKE" -S "$here/host" -B $way -G "$GENERATOR" \
        -DLANGUAGE="$LANGUAGE" -DWAY="${way#alone}" -DTACHYON_SOURCES="$SOURCE" \
        -DCMAKE_C_COMPILER="$CC" --no-warn-unused-cli >$way.log
    "$CMAKE" --build $way >>$way.log
    # The same as far as the project itself is concerned.
    {
        cat $way/state
        "$CTEST" --test-dir $way -N | sed '/^Internal/d; /^Test project/d'
        DESTDIR=$PWD/$way/dest "$CMAKE" --install $way >>$way.log
        (cd $way/dest && find . -type f)
        (cd $way && ls -d compile_commands.json 2>/dev/null) || true
        sed "s|$PWD/$way||g" "$way/CMakeFiles/host.dir/flags.make" \
            "$way/CMakeFiles/host.dir/link.txt" 2>/dev/null || true
        $way/out/host 2>&1 || echo "ended by its assert()"
    } >$way.seen
    [ $way = alone ] && continue
    "$CMAKE" --build $way --target with >>$way.log
    $way/out/with_tachyon
    $way/out/with_tachyon_static
    if [ -e $way/out/tachyon.o ]; then
        echo "$way leaves tachyon.o in the project's output directory"
        exit 1
    fi
    diff alone.seen $way.seen || exit 1
done
grep -q 'ended by its assert()' alone.seen # or nothing was seen
