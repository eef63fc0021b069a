#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every crate of the workspace, and every page that speaks of it, asks for one version of
# Rust: the one that Cargo.toml of the root says.
set -eu
cd "$SOURCE"
wanted=$(sed -n 's/^rust-version = "\([0-9.]*\)"$/\1/p' Cargo.toml)
crates=$("$CARGO" metadata --no-deps --offline --format-version 1 |
    grep -o '"rust_version":[^,}]*' | sort -u)
[ "$crates" = "\"rust_version\":\"$wanted\"" ] ||
    { echo "Cargo.toml says $wanted, its members: $crates"; exit 1; }
pages="README.md docs/*.md bindings/rust/README.md rust-sys/README.md"
said=$(grep -ohE 'Rust [0-9]+\.[0-9]+' $pages | sort -u)
[ "$said" = "Rust $wanted" ] || { echo "Cargo.toml says $wanted, the pages: $said"; exit 1; }
