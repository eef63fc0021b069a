# SPDX-License-Identifier: Apache-2.0
# Sourced by who has installed Tachyon below $1, whose library directory is $2: programs
# of users find it by pkg-config and by find_package(), shared and static.
use() {
    prefix=$1 libdir=$2
    programs=$SOURCE/tests/contract/package
    for file in include/tachyon.h include/tachyon_frame.h include/tachyon.hpp \
        "$libdir/libtachyon.a" "$libdir/libtachyon.so" "$libdir/pkgconfig/tachyon.pc"; do
        [ -s "$prefix/$file" ] || { echo "there is no $file"; exit 1; }
    done
    said=$(PKG_CONFIG_PATH="$prefix/$libdir/pkgconfig" "$PKG_CONFIG" --modversion tachyon)
    [ "$said" = "$VERSION" ] || { echo "pkg-config says $said"; exit 1; }
    seccomp "$prefix/share/tachyon/seccomp"
    mkdir by_pkg_config
    (cd by_pkg_config && CFLAGS= PKG_CONFIG_PATH="$prefix/$libdir/pkgconfig" \
        sh "$programs/pkg_config.sh" "$programs/round_trip.c")
    "$CMAKE" -S "$programs/user" -B by_cmake -DCMAKE_PREFIX_PATH="$prefix" \
        -DCMAKE_C_COMPILER="$CC" >log
    "$CMAKE" --build by_cmake >>log
    grep -q "^tachyon_DIR:PATH=$prefix/" by_cmake/CMakeCache.txt ||
        { echo "find_package() found another one"; exit 1; }
    ./by_cmake/user_tachyon
    ./by_cmake/user_tachyon_static
}

# filtered <file of names> <program>: it runs with those calls, and those by which this
# program of ours starts and waits for its child.
filtered() {
    {
        for list in CORE LIBRARY TESTS; do
            echo "static const int allowed_$list[] = {"
            case $list in CORE) cat "$1" ;; *) echo wait4 ;; esac |
                sed 's/.*/#ifdef SYS_&\n    SYS_&,\n#endif/'
            echo "};"
        done
    } >allowed.h
    "$CC" -I. -I"$SOURCE/tests/kernel" "$SOURCE/tests/kernel/filter.c" \
        "$SOURCE/tests/kernel/run_filtered.c" -o run_filtered
    ./run_filtered "$2"
}

# The profiles in the folder $1 name the same calls, a program runs with them, and not
# without one that it needs.
seccomp() {
    sed -n 's/.*"names": \[\(.*\)\].*/\1/p' "$1/tachyon.json" | tr -d '" ' | tr ',' '\n' | sort >names
    sed -n 's/^SystemCallFilter=//p' "$1/tachyon.conf" | tr ' ' '\n' | sort >names.systemd
    cmp names names.systemd
    [ "$(wc -l <names)" -gt 60 ]
    "$CC" -I"$SOURCE/core/include" "$SOURCE/tests/contract/package/round_trip.c" \
        "$prefix/$libdir/libtachyon.a" -pthread -o filtered_trip
    code=0
    filtered names ./filtered_trip || code=$?
    if [ $code = 77 ]; then
        return # no seccomp here
    elif [ $code != 0 ]; then
        echo "a program does not run with the profile: $code"
        exit 1
    fi
    grep -v '^memfd_create$' names >fewer
    if filtered fewer ./filtered_trip; then
        echo "the profile is not in force"
        exit 1
    fi
}
