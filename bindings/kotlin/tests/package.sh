#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Both jars in an empty folder: samples are compiled against them, and talk.
set -eu
cp "$PACKAGES/tachyon-ipc-$VERSION.jar" "$PACKAGES/tachyon-ipc-kotlin-$VERSION.jar" .
if "$CMAKE" -E tar tf "tachyon-ipc-kotlin-$VERSION.jar" | grep -qE 'BusTest|samples|peer'; then
    echo "it holds more than the package"
    exit 1
fi
path=tachyon-ipc-$VERSION.jar:tachyon-ipc-kotlin-$VERSION.jar:$LIBRARIES
samples=$SOURCE/bindings/kotlin/samples
"$JAVA" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$TOOLS/*" \
    org.jetbrains.kotlin.cli.jvm.K2JVMCompiler -no-reflect -no-stdlib -jvm-target 17 \
    -cp "$path" -d classes "$samples/Send.kt" "$samples/Recv.kt"
run() { "$JAVA" -XX:+UseSerialGC -cp "$path:classes" "$@"; }
socket=@tachyon-package-$$
run samples.recv.RecvKt "$socket" >received &
receiver=$!
run samples.send.SendKt "$socket" 3 >sent || { kill $receiver; exit 1; }
wait $receiver
[ "$(tail -1 received)" = "received 3" ]
[ "$(cat sent)" = "sent 3" ]
