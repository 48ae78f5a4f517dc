//! The command `smsentry`.
fn main() {}
