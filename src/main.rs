//! The `athena_rs` binary.
fn main() {}
