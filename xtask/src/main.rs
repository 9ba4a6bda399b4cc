//! `cargo xtask`: everything one does with this repository beyond plain cargo.
#![forbid(unsafe_code)]
fn main() {}
