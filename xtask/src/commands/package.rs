//! `cargo xtask package`: a Debian package.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use ostrakon_xtask::failure::{During, Result, demand};

use crate::cargo::{pass_on, words, workspace};

const HELP: &str = "\
cargo xtask package [FOLDER]

Builds a Debian package of the release build in FOLDER (target/debian): the program, its systemd unit, man pages, shell
completions and documents. Needs dpkg-deb.
";

pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    if arguments
        .iter()
        .any(|argument| argument == "--help" || argument == "-h")
    {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let options = arguments
        .iter()
        .any(|argument| argument.to_string_lossy().starts_with('-'));
    demand(!options && arguments.len() <= 1, || {
        format!("expected a folder, or nothing\n\n{HELP}")
    })?;
    let mut command = Command::new("sh");
    command
        .arg(workspace().join("platform-linux/packaging/build-deb.sh"))
        .args(arguments);
    let status = command.status().during(format!("running {}", words(&command)))?;
    Ok(pass_on(status))
}
