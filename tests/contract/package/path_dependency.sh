#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A crate outside the workspace uses tachyon-sys by path; its build script finds the
# header.
set -eu
mkdir -p path_dependency/src
cd path_dependency
cat >Cargo.toml <<TOML
[package]
name = "user"
version = "0.0.0"
edition = "2021"
[dependencies]
tachyon-sys = { path = "$SOURCE/rust-sys" }
[workspace]
TOML
cat >build.rs <<'RUST'
fn main() {
    let include = std::env::var("DEP_TACHYON_INCLUDE").expect("DEP_TACHYON_INCLUDE");
    let header = std::path::Path::new(&include).join("tachyon.h");
    assert!(header.is_file(), "{}", header.display());
}
RUST
cat >src/main.rs <<'RUST'
use tachyon_sys::*;
fn main() {
    let mut bus = std::ptr::null_mut();
    let path = c"@tachyon-nobody-listens-here";
    let error = unsafe { tachyon_bus_connect(path.as_ptr(), &mut bus) };
    assert_eq!(error, tachyon_error_t_TACHYON_ERR_NETWORK);
    let version = unsafe { std::ffi::CStr::from_ptr(tachyon_version()) };
    println!("tachyon {}", version.to_str().unwrap());
}
RUST
# The versions that the workspace has fetched already.
cp "$SOURCE/Cargo.lock" .
"$CARGO" run --offline --quiet
