//! The commands of the `ostrakon` binary, as this harness calls them. The only file that spells out its arguments.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::device::{Dump, Status};
use super::mount::{Fence, Options};
use super::sandbox::Sandbox;
use crate::failure::{During, Failure, Result};

/// Where mounts keep their lock files.
const RUNTIME_VARIABLE: &str = "OSTRAKON_RUNTIME_DIR";

/// The binary, and the image that it works on.
#[derive(Clone, Debug)]
pub struct Tool {
    binary: PathBuf,
    image: PathBuf,
    runtime_dir: PathBuf,
}

impl Tool {
    pub(crate) fn new(binary: &Path, sandbox: &Sandbox) -> Self {
        Self {
            binary: binary.to_path_buf(),
            image: sandbox.folder().join("volume.img"),
            runtime_dir: sandbox.runtime_dir(),
        }
    }

    /// The image.
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// Any command of the binary, in this cluster's environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env(RUNTIME_VARIABLE, &self.runtime_dir)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command on the image: `ostrakon VERB IMAGE ARGUMENTS`.
    pub fn run(&self, verb: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = self.command(&[verb]);
        command.arg(&self.image).args(arguments);
        command.output().during(format!("running {command:?}"))
    }

    /// Formats the image; a size makes a new file.
    pub fn format(&self, quorum_count: u16, size: Option<u64>) -> Result<()> {
        let quorum_count = quorum_count.to_string();
        let size = size.map(|bytes| bytes.to_string());
        let mut arguments = vec!["--quorum-count", &quorum_count];
        if let Some(size) = &size {
            arguments.extend(["--size", size]);
        }
        succeeded("format", self.run("format", &arguments)?).map(drop)
    }

    /// `ostrakon status --json`.
    pub fn status(&self) -> Result<Status> {
        Status::from_json(&self.json("status", &["--json"])?)
    }

    /// `ostrakon dump --json`.
    pub fn dump(&self) -> Result<Dump> {
        Dump::from_json(&self.json("dump", &["--json"])?)
    }

    fn json(&self, verb: &str, arguments: &[&str]) -> Result<Value> {
        let text = succeeded(verb, self.run(verb, arguments)?)?;
        serde_json::from_str(&text).during(format!("reading the answer of {verb}: {text:?}"))
    }

    pub(super) fn mount_command(&self, options: &Options) -> Command {
        let mut command = self.command(&["mount", "--json"]);
        if let Some(addr) = options.server_addr {
            command.arg("--server-addr").arg(addr.to_string());
        }
        if let Some(fence) = &options.fence {
            command.arg("--fence").arg(self.fence_argument(fence));
        }
        command.args(&options.more).arg(&self.image);
        command
    }

    fn fence_argument(&self, fence: &Fence) -> String {
        match fence {
            // Its program `ostrakon` is the very binary that mounts.
            Fence::Kill => "agent:ostrakon fence-kill".to_owned(),
            Fence::Lease => "lease".to_owned(),
            Fence::Other(value) => value.clone(),
        }
    }
}

/// What a command printed, or a failure with what it complained about.
fn succeeded(verb: &str, output: Output) -> Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!(
        "ostrakon {verb} ended with {}: {}",
        output.status,
        stderr.trim()
    )))
}
