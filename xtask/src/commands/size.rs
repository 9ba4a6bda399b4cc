//! `cargo xtask size`: what core takes on small targets.

use std::ffi::OsString;
use std::process::ExitCode;

use ostrakon_xtask::failure::{During, Result};

use crate::cargo::{cargo, pass_on, words};

/// Passes its options on to the measuring program.
pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let mut command = cargo(["run", "--quiet", "--package", "ostrakon-size", "--"]);
    command.args(arguments);
    let status = command.status().during(format!("running {}", words(&command)))?;
    Ok(pass_on(status))
}
