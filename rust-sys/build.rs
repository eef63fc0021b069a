// SPDX-License-Identifier: Apache-2.0
//! Compiles the C core and, with the feature `bindgen`, generates the bindings.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    require_target()?;
    // A symlink in the tree, a copy in the package that `cargo package` makes.
    let core = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("core");
    let include = core.join("include");
    for part in ["include", "src"] {
        println!("cargo:rerun-if-changed={}", core.join(part).display());
    }
    let frame = "src/frame.c";
    println!("cargo:rerun-if-changed={frame}");
    println!("cargo:rerun-if-changed=build.rs");

    cc::Build::new()
        .std("gnu11")
        .include(&include)
        .files(c_sources(&core.join("src"))?)
        .file(frame)
        .compile("tachyon");

    // Dependents read this as DEP_TACHYON_INCLUDE.
    println!("cargo:include={}", include.canonicalize()?.display());

    #[cfg(feature = "bindgen")]
    generate(&include)?;
    Ok(())
}

/// One line instead of the C compiler's pages.
fn require_target() -> Result<(), String> {
    let width = env::var("CARGO_CFG_TARGET_POINTER_WIDTH").unwrap_or_default();
    let compiler = cc::Build::new().get_compiler();
    let narrow = |argument: &std::ffi::OsString| argument == "-m32" || argument == "-mx32";
    if width != "64" || compiler.args().iter().any(narrow) {
        return Err("Tachyon needs a 64-bit target: build without -m32".into());
    }
    match env::var("CARGO_CFG_TARGET_OS").unwrap_or_default().as_str() {
        "linux" => Ok(()),
        os => Err(format!("Tachyon needs Linux: it cannot be built for {os}")),
    }
}

fn c_sources(dir: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "c") {
            sources.push(path);
        }
    }
    // The order of a directory listing is no one's promise; builds should repeat.
    sources.sort();
    Ok(sources)
}

#[cfg(feature = "bindgen")]
fn generate(include: &Path) -> Result<(), Box<dyn Error>> {
    generate_one(include, "tachyon.h", "tachyon_.*|TACHYON_.*", "bindings.rs")?;
    // What it includes is in the other file.
    generate_one(
        include,
        "tachyon_frame.h",
        "tachyon_frame_.*|TACHYON_FRAME_.*",
        "frame.rs",
    )
}

#[cfg(feature = "bindgen")]
fn generate_one(
    include: &Path,
    header: &str,
    items: &str,
    name: &str,
) -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?).join(name);
    bindgen::Builder::default()
        .header(include.join(header).display().to_string())
        .allowlist_item(items)
        .use_core()
        .size_t_is_usize(true)
        .layout_tests(true)
        .parse_callbacks(Box::new(Comments))
        .rust_target(env!("CARGO_PKG_RUST_VERSION").parse()?)
        // rustfmt's output depends on the toolchain's version; this does not.
        .formatter(bindgen::Formatter::Prettyplease)
        .raw_line("// SPDX-License-Identifier: Apache-2.0")
        .generate()?
        .write_to_file(&out)
        .map_err(|e| format!("{}: {e}", out.display()))?;
    Ok(())
}

/// To rustdoc, Doxygen's mark of a comment that stands behind its member means nothing, and
/// brackets would be a link.
#[cfg(feature = "bindgen")]
#[derive(Debug)]
struct Comments;

#[cfg(feature = "bindgen")]
impl bindgen::callbacks::ParseCallbacks for Comments {
    fn process_comment(&self, comment: &str) -> Option<String> {
        let text = comment.strip_prefix('<').unwrap_or(comment);
        Some(text.replace('[', r"\["))
    }
}
