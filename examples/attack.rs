//! Writes a capture of hostile traffic to standard output: `attack SHAPE N | smsentry -r -`. Without arguments it lists
//! the shapes.

use std::io::{self, BufWriter};
use std::process::ExitCode;

use smsentry_generators::attack_traffic;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, n] = arguments.as_slice() else {
        for shape in &attack_traffic::SHAPES {
            println!("{:16} {}", shape.name, shape.what);
        }
        return ExitCode::from(2);
    };
    let Ok(n) = n.parse() else { return ExitCode::from(2) };
    match attack_traffic::write(name, n, &mut BufWriter::with_capacity(1 << 20, io::stdout().lock())) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(_)) => ExitCode::FAILURE,
        None => ExitCode::from(2),
    }
}
