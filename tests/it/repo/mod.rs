//! Properties of the repository: architecture, build, golden files, fuzz cases.

mod architecture;
mod fuzz_cases;
mod golden;
mod import_cycles;
