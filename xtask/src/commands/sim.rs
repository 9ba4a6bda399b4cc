//! `cargo xtask sim` and `cargo xtask model`: the simulator and the exhaustive search, built for speed.

use std::ffi::OsString;
use std::process::ExitCode;

use ostrakon_xtask::failure::{During, Result};

use crate::cargo::{cargo, pass_on, words};

/// The simulator. Options are passed on; with `--help` it answers itself.
pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    // A rule can be left out only of a core that was built for it.
    let leaves_out = arguments
        .iter()
        .any(|argument| argument.to_string_lossy().starts_with("--rules-off"));
    let features: &[&str] = if leaves_out { &["rules-off"] } else { &[] };
    run_binary("ostrakon-tests", "sim", "sim", features, arguments)
}

/// The exhaustive search, likewise.
pub(crate) fn model(arguments: Vec<OsString>) -> Result<ExitCode> {
    run_binary("ostrakon-model", "model", "release", &[], arguments)
}

fn run_binary(
    package: &str,
    binary: &str,
    profile: &str,
    features: &[&str],
    arguments: Vec<OsString>,
) -> Result<ExitCode> {
    let mut command = cargo([
        "run",
        "--quiet",
        "--profile",
        profile,
        "--package",
        package,
        "--bin",
        binary,
    ]);
    command.args(features.iter().flat_map(|feature| ["--features", feature]));
    if profile == "sim" {
        // For the very processor that it runs on: nothing of a run depends on that but its speed.
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        command.env("RUSTFLAGS", format!("{flags} -Ctarget-cpu=native"));
    }
    command.arg("--").args(arguments);
    let status = command.status().during(format!("running {}", words(&command)))?;
    Ok(pass_on(status))
}
