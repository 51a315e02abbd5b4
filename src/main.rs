//! The `ringshard` program.
fn main() {}
