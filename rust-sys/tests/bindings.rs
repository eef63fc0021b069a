// SPDX-License-Identifier: Apache-2.0
//! src/bindings.rs and src/frame.rs are what bindgen makes of the headers today. The crate's
//! README says how to rewrite them.
#![cfg(feature = "bindgen")]

fn check(name: &str, generated: &str) {
    let path = format!("{}/src/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("TACHYON_UPDATE").is_some() {
        std::fs::write(&path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    let differing = generated
        .lines()
        .zip(committed.lines())
        .enumerate()
        .find(|(_, (generated, committed))| generated != committed);
    assert!(
        generated == committed,
        "src/{name} is out of date; first difference (line, new, old): {differing:?}"
    );
}

#[test]
fn committed_bindings_are_up_to_date() {
    check(
        "bindings.rs",
        include_str!(concat!(env!("OUT_DIR"), "/bindings.rs")),
    );
    check(
        "frame.rs",
        include_str!(concat!(env!("OUT_DIR"), "/frame.rs")),
    );
}
