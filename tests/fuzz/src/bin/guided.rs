//! libFuzzer's program; `cargo xtask fuzz` builds and runs it. The environment names the target.

// No `forbid(unsafe_code)`: the macro exports a symbol for libFuzzer, which the compiler counts as unsafe.
#![no_main]

use std::sync::OnceLock;

use ostrakon_fuzz::{Target, target};

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fn chosen() -> &'static Target {
    let name = std::env::var("OSTRAKON_FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| panic!("OSTRAKON_FUZZ_TARGET: there is no target {name:?}"))
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET.get_or_init(chosen).run(bytes));
