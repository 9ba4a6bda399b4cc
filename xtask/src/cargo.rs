//! Calls of cargo from within cargo.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use ostrakon_xtask::failure::{During, Failure, Result, ensure};
use serde_json::Value;

/// The folder of the workspace.
pub(crate) fn workspace() -> PathBuf {
    // This package lies one level below it.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// The folder that builds go to.
pub(crate) fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// Cargo in the folder of the workspace: the one that started this program, so that the toolchain is the same.
pub(crate) fn cargo<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(workspace()).args(arguments);
    command
}

/// Whether this program is installed, and runs.
pub(crate) fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs a command; fails unless it succeeds.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().during(format!("running {}", words(command)))?;
    ensure(status.success(), || {
        format!("{} ended with {status}", words(command))
    })
}

/// What a command prints; fails with its complaints unless it succeeds.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().during(format!("running {}", words(command)))?;
    ensure(output.status.success(), || {
        let complaint = String::from_utf8_lossy(&output.stderr);
        format!(
            "{} ended with {}\n{}",
            words(command),
            output.status,
            complaint.trim_end()
        )
    })?;
    String::from_utf8(output.stdout).during(format!("reading what {} printed", words(command)))
}

/// Builds with the arguments given and returns the files of the target that cargo calls `name`.
pub(crate) fn build(arguments: &[&str], name: &str) -> Result<Vec<PathBuf>> {
    let mut command = cargo(arguments);
    command
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit());
    let printed = output(&mut command)?;
    let mut files = Vec::new();
    for line in printed.lines() {
        let message: Value =
            serde_json::from_str(line).during(format!("reading cargo's message {line:?}"))?;
        if message["reason"] == "compiler-artifact" && message["target"]["name"] == name {
            let names = message["filenames"].as_array().into_iter().flatten();
            files.extend(names.filter_map(Value::as_str).map(PathBuf::from));
        }
    }
    ensure(!files.is_empty(), || {
        format!("{} built nothing called {name}", words(&command))
    })?;
    Ok(files)
}

/// Builds the `ostrakon` binary.
pub(crate) fn ostrakon_binary(release: bool) -> Result<PathBuf> {
    let mut arguments = vec!["build", "--package", "ostrakon-linux", "--bin", "ostrakon"];
    if release {
        arguments.push("--release");
    }
    let files = build(&arguments, "ostrakon")?;
    files
        .into_iter()
        .next()
        .ok_or_else(|| Failure::new("cargo built no binary"))
}

/// The exit code that passes a child's on; as a shell says it if a signal ended it.
pub(crate) fn pass_on(status: ExitStatus) -> ExitCode {
    let signal = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(signal).and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// A command as one would type it.
pub(crate) fn words(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
