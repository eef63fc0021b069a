// SPDX-License-Identifier: Apache-2.0
//! The build script of the examples whose messages are described in C: with the feature
//! `bindgen`, generates the Rust view of the header beside the package.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=../../build.rs");
    #[cfg(feature = "bindgen")]
    generate()?;
    Ok(())
}

/// Of `../market_tick.h`, what is called `MarketTick...` or `MARKET_TICK_...`.
#[cfg(feature = "bindgen")]
fn generate() -> Result<(), Box<dyn Error>> {
    let header = std::fs::read_dir("..")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "h"))
        .ok_or("no header in the directory above")?;
    println!("cargo:rerun-if-changed={}", header.display());
    let stem = header.with_extension("");
    let name = stem.file_name().unwrap_or_default().to_string_lossy();
    let upper = name.to_uppercase();
    let camel: String = upper
        .split('_')
        .map(|word| word[..1].to_string() + &word[1..].to_lowercase())
        .collect();
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?).join(format!("{name}.rs"));
    bindgen::Builder::default()
        .header(header.display().to_string())
        .allowlist_item(format!("({camel}|{upper}_).*"))
        .layout_tests(true)
        .generate_comments(false)
        .rust_target(env!("CARGO_PKG_RUST_VERSION").parse()?)
        // rustfmt's output depends on the toolchain's version; this does not.
        .formatter(bindgen::Formatter::Prettyplease)
        .raw_line("// SPDX-License-Identifier: Apache-2.0")
        .generate()?
        .write_to_file(&out)
        .map_err(|e| format!("{}: {e}", out.display()))?;
    Ok(())
}
