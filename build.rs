//! Reads and checks the built-in signatures once at build time and writes them, compiled, to `OUT_DIR`;
//! `src/app/load.rs` embeds that file. An error in a signature file fails the build with file and line.

// Rationale: two modules of the program are included as they are; the build uses a part of them.
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
        .map_err(|error| error.to_string())
        .and_then(|bytes| std::fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display())));
    if let Err(error) = written {
        println!("cargo::error={error}");
    }
}
