//! `cargo xtask size`: what core takes on small targets.

use std::ffi::OsString;
use std::process::{Command, ExitCode, Stdio};

use ostrakon_xtask::failure::{During, Result};

use crate::cargo::{cargo, output, pass_on, words};

/// How the measuring program begins a line about what it did without.
const SKIPPED: &str = "SKIPPED ";

/// Passes its options on to the measuring program.
pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let mut command = program();
    command.args(arguments);
    let status = command.status().during(format!("running {}", words(&command)))?;
    Ok(pass_on(status))
}

/// Holds core to its table. Returns what could not be checked here.
pub(crate) fn check() -> Result<Vec<String>> {
    let mut command = program();
    let told = output(command.arg("--check").stderr(Stdio::inherit()))?;
    eprint!("{told}");
    let skipped = told.lines().filter_map(|line| line.strip_prefix(SKIPPED));
    Ok(skipped.map(str::to_owned).collect())
}

fn program() -> Command {
    cargo(["run", "--quiet", "--package", "ostrakon-size", "--"])
}
