// SPDX-License-Identifier: Apache-2.0
//! With the feature `bindgen`, generates the Rust view of ../order_book.h.

use std::error::Error;

const HEADER: &str = "../order_book.h";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={HEADER}");
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "bindgen")]
    generate()?;
    Ok(())
}

#[cfg(feature = "bindgen")]
fn generate() -> Result<(), Box<dyn Error>> {
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?).join("order_book.rs");
    bindgen::Builder::default()
        .header(HEADER)
        .allowlist_item("(OrderBook|ORDER_BOOK_).*")
        .layout_tests(true)
        .generate_comments(false)
        .rust_target(bindgen::RustTarget::stable(77, 0).map_err(|e| e.to_string())?)
        // rustfmt's output depends on the toolchain's version; this does not.
        .formatter(bindgen::Formatter::Prettyplease)
        .raw_line("// SPDX-License-Identifier: Apache-2.0")
        .generate()?
        .write_to_file(&out)
        .map_err(|e| format!("{}: {e}", out.display()))?;
    Ok(())
}
