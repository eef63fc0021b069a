#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# pack.sh PACKAGE NPM NODE SAMPLES: npm pack, installed without a network in an empty
# folder, where two samples then talk.
set -eu
package=$1 npm=$2 node=$3 samples=$4
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
"$npm" pack --silent "$package"
mkdir app
cp "$samples"/*.js app
cd app
echo '{"private": true}' > package.json
"$npm" install --offline --silent --no-audit --no-fund ../*.tgz
"$node" recv.js "$here/socket" > received &
"$node" send.js "$here/socket" 3 > sent
wait
cat received sent
[ "$(tail -1 received)" = "received 3" ]
[ "$(cat sent)" = "sent 3" ]
