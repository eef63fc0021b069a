#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# vet.sh <go>: go vet, and gofmt, of what is written by hand. Of SWIG's file vet dislikes
# how it takes a string from C.
set -e
cd "$(dirname "$0")/../../.."
"$1" vet $("$1" list ./... | grep -v /internal/native)
"$1" vet -unsafeptr=false ./bindings/go/internal/native
gofmt=$("$1" env GOROOT)/bin/gofmt
unformatted=$(find bindings/go -name '*.go' ! -path '*/internal/native/*' -exec "$gofmt" -l {} +)
[ -z "$unformatted" ] || { echo "gofmt -w $unformatted"; exit 1; }
