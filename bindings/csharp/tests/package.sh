#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The package of NuGet, laid out as NuGet does it: the assembly of mono and the native
# library beside a program, which is compiled against it.
set -eu
"$CMAKE" -E tar xf "$PACKAGES/TachyonIpc.$VERSION.nupkg"
grep -qF "<version>$VERSION</version>" TachyonIpc.nuspec
grep -qF "/TachyonIpc.nuspec" _rels/.rels
[ -s '[Content_Types].xml' ]
# Every framework that it names is there, and no other.
[ "$(sed -n 's/.*targetFramework="\([^"]*\)".*/\1/p' TachyonIpc.nuspec | sort)" = \
    "$(ls lib | sort)" ]
mkdir program
cp lib/net472/TachyonIpc.dll "runtimes/linux-$MACHINE/native/libtachyon_csharp.so" program
for sample in Send Recv; do
    "$MCS" -langversion:latest -unsafe -r:program/TachyonIpc.dll \
        "$SOURCE/bindings/csharp/samples/$sample.cs" -out:program/$sample.exe
done
path=@tachyon-package-$$
"$MONO" program/Recv.exe "$path" >received &
receiver=$!
"$MONO" program/Send.exe "$path" 3 >sent || { kill $receiver; exit 1; }
wait $receiver
[ "$(tail -1 received)" = "received 3" ]
[ "$(cat sent)" = "sent 3" ]
rm program/libtachyon_csharp.so
if "$MONO" program/Send.exe "$path" 2>said; then
    echo "no native library, and no error"
    exit 1
fi
grep -q "TachyonIpc cannot load libtachyon_csharp.so" said
