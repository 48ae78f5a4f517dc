//! Properties of the repository: layers, import circles, golden files, fuzz cases.

mod architecture;
mod fuzz_cases;
mod golden;
mod import_cycles;
