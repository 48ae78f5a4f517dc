//! Properties of the repository: architecture, build, golden files, fuzz cases.

mod architecture;
mod build_profile;
mod fuzz_cases;
mod golden;
mod import_cycles;
