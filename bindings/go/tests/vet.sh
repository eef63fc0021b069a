#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# vet.sh <go>: go vet of everything, gofmt of what is written by hand.
set -e
cd "$(dirname "$0")/../../.."
"$1" vet ./...
gofmt=$("$1" env GOROOT)/bin/gofmt
unformatted=$(find bindings/go -name '*.go' ! -path '*/internal/native/*' -exec "$gofmt" -l {} +)
[ -z "$unformatted" ] || { echo "gofmt -w $unformatted"; exit 1; }
