//! Regressions, a test per issue, named after its number and what must hold: `issue_12_reset_ends_the_flow`. Bugs found
//! by the fuzz targets are stored in `tests/fuzz/cases/` instead, and those found by proptest in
//! `tests/proptest-regressions/`.
