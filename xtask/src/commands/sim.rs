//! `cargo xtask sim`: the simulator, built for speed.

use std::ffi::OsString;
use std::process::ExitCode;

use ostrakon_xtask::failure::{During, Result};

use crate::cargo::{cargo, pass_on, words};

/// Passes its options on; without any, or with `--help`, the simulator itself answers.
pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let mut command = cargo([
        "run",
        "--quiet",
        "--release",
        "--package",
        "ostrakon-tests",
        "--bin",
        "sim",
        "--",
    ]);
    command.args(arguments);
    let status = command.status().during(format!("running {}", words(&command)))?;
    Ok(pass_on(status))
}
