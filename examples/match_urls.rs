//! Prints the signature that each request target on standard input matches, one per line:
//!
//! ```sh
//! printf '/index.html\n/%%73ms_config.json\n' | cargo run --example match_urls
//! ```

use std::error::Error;
use std::io::{self, BufRead};
use std::sync::Arc;

use smsentry::signature::{CachedMatcher, Signatures};

fn main() -> Result<(), Box<dyn Error>> {
    let signatures = Signatures::builtin().map_err(|errors| format!("{errors:?}"))?;
    let mut matcher = CachedMatcher::new(Arc::new(signatures));
    for target in io::stdin().lock().lines() {
        let target = target?;
        match matcher.find(b"GET", target.as_bytes()) {
            Some(found) => {
                let evasions: Vec<_> = found.evasions.iter().map(|evasion| format!("{evasion:?}")).collect();
                println!("{target}\t{}\t{}\t{}", found.signature.id, found.signature.title, evasions.join(","));
            }
            None => println!("{target}\t-"),
        }
    }
    Ok(())
}
