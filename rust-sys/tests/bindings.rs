// SPDX-License-Identifier: Apache-2.0
//! src/bindings.rs is what bindgen makes of the header today. The crate's README says how
//! to rewrite it.
#![cfg(feature = "bindgen")]

const GENERATED: &str = include_str!(concat!(env!("OUT_DIR"), "/bindings.rs"));

#[test]
fn committed_bindings_are_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bindings.rs");
    if std::env::var_os("TACHYON_UPDATE").is_some() {
        std::fs::write(path, GENERATED).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    let differing = GENERATED
        .lines()
        .zip(committed.lines())
        .enumerate()
        .find(|(_, (generated, committed))| generated != committed);
    assert!(
        GENERATED == committed,
        "src/bindings.rs is out of date; first difference (line, new, old): {differing:?}"
    );
}
