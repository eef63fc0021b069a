#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The jar in an empty folder, and a JDK: what it says of itself, that samples and the peer
# compile and talk, and what it says on a machine that it has no module for, with musl also.
# CC is empty where JAVA is of another machine than what it compiles.
set -eu
. "$TALK"
jar=$PACKAGES/tachyon-ipc-$VERSION.jar
"$JDK/bin/jar" tf "$jar" >names
head -1 names | grep -q '^META-INF/MANIFEST.MF$'
for name in META-INF/LICENSE META-INF/maven/dev.tachyon-ipc/tachyon-ipc/pom.xml "$NATIVE"; do
    grep -qxF "$name" names || { echo "the jar has no $name"; exit 1; }
done
if [ -n "$JAVAC22" ]; then
    grep -q '^META-INF/versions/22/dev/' names || { echo "nothing for Java 22"; exit 1; }
fi
"$JDK/bin/jar" --describe-module --file "$jar" >said
grep -q '^dev.tachyon_ipc' said || { cat said; exit 1; }
cp "$jar" tachyon-ipc.jar
"$JDK/bin/javac" -cp tachyon-ipc.jar -d classes "$SOURCE"/bindings/java/samples/*.java \
    "$SOURCE/bindings/java/tests/InteropPeer.java"
main=$(sed -n 's/^package \(.*\);/\1./p' "$SOURCE/bindings/java/samples/Send.java")
run() { "$JAVA" -XX:+UseSerialGC "$@"; }
run -cp tachyon-ipc.jar:classes "${main}Recv" "$path" >received &
receiver=$!
run -cp tachyon-ipc.jar:classes "${main}Send" "$path" 3 >sent || { kill $receiver; exit 1; }
wait $receiver
[ "$(tail -1 received)" = "received 3" ]
[ "$(cat sent)" = "sent 3" ]
converse run -cp tachyon-ipc.jar:classes dev.tachyon_ipc.InteropPeer
[ -z "$CC" ] || echo "int none;" | "$CC" -shared -fPIC -x c - -o ld-musl-none.so.1
libc=
case $NATIVE in *-musl/*) libc=-musl ;; esac
for preload in "" ${CC:+"$PWD/ld-musl-none.so.1"}; do
    [ -z "$preload" ] || libc=-musl
    if LD_PRELOAD=$preload run -Dos.arch=riscv64 -cp tachyon-ipc.jar:classes \
        "${main}Send" "$path" 2>said; then
        echo "another machine is not refused"
        exit 1
    fi
    sought="Tachyon's native library /natives/linux-riscv64$libc/libtachyon-java.so"
    grep -q "$sought cannot be loaded on os.name .*, os.arch riscv64" said ||
        { cat said; exit 1; }
done
