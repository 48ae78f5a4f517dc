//! Reads and checks the built-in signatures once for all starts, and leaves them for `src/app/load.rs` to compile
//! in. What is wrong with one of them ends the build, with file and line.

// Rationale: two rooms of the program as they are; the build uses a part of them.
#![allow(dead_code, unreachable_pub, unused_imports)]

#[path = "src/signature/mod.rs"]
mod signature;
#[path = "src/uri/mod.rs"]
mod uri;

use std::path::Path;

fn main() {
    for input in ["signatures", "src/signature", "src/uri"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let signatures = match signature::Signatures::builtin() {
        Ok(signatures) => signatures,
        Err(errors) => {
            errors.iter().for_each(|error| println!("cargo::error={error}"));
            return;
        }
    };
    let directory = std::env::var("OUT_DIR").unwrap_or_default();
    let path = Path::new(&directory).join("signatures.bin");
    let written = signatures
        .to_prebuilt()
        .and_then(|bytes| std::fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display())));
    if let Err(error) = written {
        println!("cargo::error={error}");
    }
}
