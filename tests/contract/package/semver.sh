#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Who compiles against the last version compiles against this one, unless its number says
# otherwise. Where no version has a tag yet, the last is tachyon-ipc 0.5.1 of crates.io.
# Then one function is taken away, which must be found.
set -eu
. "$SOURCE/tests/contract/package/offline.sh"
skip() { echo "skipped: $*" >&2; exit 77; }
git -C "$SOURCE" rev-parse --git-dir >/dev/null 2>&1 || skip "not a git checkout"

# failed LOG: for what is not here it is a skip.
failed() {
    cat "$1" >&2
    skip_offline "$1"
    ! grep -q 'requires rustc' "$1" || skip "cargo-semver-checks $version needs a newer Rust"
    ! grep -q 'unsupported rustdoc format' "$1" ||
        skip "cargo-semver-checks $version does not know a Rust as new as this"
    ! grep -q 'Unable to find libclang' "$1" || skip "no libclang"
    exit 1
}

# It runs for seconds, which are not worth minutes of optimization.
version=0.51.0
tool=$TOOLS/cargo-semver-checks-$version
if [ ! -x "$tool/bin/cargo-semver-checks" ]; then
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_TARGET_DIR=$PWD/target \
        "$CARGO" install --quiet --locked --root "$tool" --version $version \
        cargo-semver-checks 2>log || failed log
    rm -rf target
fi
PATH=$(dirname "$CARGO"):$PATH # it calls rustc and cargo by name

# document NAME VERSION FEATURES [SYS IPC]: what rustdoc knows of both crates, of the
# registry or of these folders, into NAME/doc.
document() {
    mkdir -p "$1/src"
    : >"$1/src/lib.rs"
    cat >"$1/Cargo.toml" <<TOML
[package]
name = "user"
version = "0.0.0"
edition = "2021"
[dependencies]
tachyon-ipc = { version = "=$2", features = [$3] }
tachyon-sys = "=$2"
[workspace]
TOML
    [ $# = 3 ] || cat >>"$1/Cargo.toml" <<TOML
[patch.crates-io]
tachyon-sys = { path = '$4' }
tachyon-ipc = { path = '$5' }
TOML
    RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$1 RUSTDOCFLAGS="-Z unstable-options --output-format=json \
--document-private-items --document-hidden-items --cap-lints=allow" "$CARGO" doc --quiet \
        --no-deps -p tachyon-sys -p tachyon-ipc --manifest-path "$1/Cargo.toml" 2>log || failed log
}

# compare CRATE OLD NEW [OPTION...]: "crate lint item" for each that has changed.
compare() {
    json=$(echo "$1" | tr - _).json
    status=0
    "$tool/bin/cargo-semver-checks" semver-checks check-release --color never \
        --baseline-rustdoc "$2/$json" --current-rustdoc "$3/doc/$json" $4 >log 2>&1 || status=$?
    cat log >&2
    case $status in
    0) return ;;
    100) ;; # it has found something
    *) failed log ;;
    esac
    awk -v crate="$1" '
        /^--- failure / { lint = $3; sub(/:$/, "", lint) }
        /^Failed in:/ { listed = 1; next }
        !/^  / { listed = 0 }
        listed { sub(/^ */, ""); sub(/,? (previously )?(in|at) (file )?[^ ]*:[0-9]+$/, "")
                 print crate, lint, $0; n++ }
        END { exit !n }' log
}

for crate in tachyon-sys tachyon-ipc; do
    tar xzf "$PACKAGES/$crate-$VERSION.crate"
done
rust=$(rustc --version | cut -d' ' -f2)
: >known
if tag=$(git -C "$SOURCE" describe --tags --abbrev=0 --match 'v[0-9]*' HEAD 2>/dev/null); then
    last=${tag#v}
    features='"bytemuck", "ndarray"'
    release=""
else
    last=0.5.1
    features=""
    release="--release-type=minor" # from 0.5 to 1.0 any change would do
    # What differs all the same, as docs/MIGRATION.md says: crate, lint, item.
    cat >known <<'LIST'
tachyon-ipc copy_impl_added tachyon_ipc::RxMsgView
tachyon-ipc copy_impl_added tachyon_ipc::TachyonError
tachyon-ipc enum_marked_non_exhaustive enum TachyonError
LIST
fi
old=$tool/$last-$rust
if [ ! -d "$old" ]; then
    if [ $last = 0.5.1 ]; then
        # What is documented need not be compiled: it is C++ for one compiler's flags.
        CXX=true AR=true document old $last ""
    else
        git -C "$SOURCE" archive -o "$PWD/last.tar" --prefix=last/ "$tag"
        tar xf last.tar
        document old "$last" "$features" "$PWD/last/rust-sys" "$PWD/last/bindings/rust"
    fi
    mkdir "$old.part" && cp old/doc/*.json "$old.part" && mv "$old.part" "$old"
    rm -rf old
fi

document new "$VERSION" "$features" "$PWD/tachyon-sys-$VERSION" "$PWD/tachyon-ipc-$VERSION"
for crate in tachyon-sys tachyon-ipc; do
    compare $crate "$old" new "$release" >"found-$crate"
done
sort known >want
sort found-* | diff want - || {
    echo "(>) has changed since $last, (<) was said to have"
    exit 1
}

sed -i 's/^    pub fn flush(/    pub(crate) fn flush(/' "tachyon-ipc-$VERSION/src/bus.rs"
document new "$VERSION" "$features" "$PWD/tachyon-sys-$VERSION" "$PWD/tachyon-ipc-$VERSION"
compare tachyon-ipc "$old" new --release-type=minor >planted 2>/dev/null
grep -qx 'tachyon-ipc inherent_method_missing Bus::flush' planted || {
    cat log
    echo "Bus::flush was taken away, and nothing has noticed"
    exit 1
}
