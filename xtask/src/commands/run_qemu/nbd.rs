//! A real NBD server for the shared disk: every guest is a client of it, each with a connection of its own.

use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::reaper::Reaper;
use ostrakon_xtask::failure::{During, Failure, Result, ensure};

/// The program, of QEMU's own tools.
const SERVER: &str = "qemu-nbd";

/// How long it may take to listen.
const START_MAX: Duration = Duration::from_secs(10);

const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A server that exports one file; it ends when this value goes.
pub(super) struct NbdServer {
    child: Child,
    reaper: Reaper,
    url: String,
}

impl NbdServer {
    /// Exports a file to any number of clients at once. Uncached, so that the file itself always shows what they wrote.
    pub(super) fn start(file: &Path, folder: &Path, clients: usize, reaper: &Reaper) -> Result<Self> {
        let socket = folder.join("nbd.socket");
        let mut command = Command::new(SERVER);
        command
            .args(["--format=raw", "--cache=none", "--persistent"])
            .arg(format!("--shared={clients}"))
            .arg(format!("--socket={}", socket.display()))
            .arg(file)
            .process_group(0)
            .stdin(Stdio::null());
        let child = command.spawn().map_err(|error| {
            Failure::new(format!(
                "{SERVER} cannot be started ({error}); on Debian it is in the package qemu-utils"
            ))
        })?;
        reaper.watch(child.id())?;
        let mut server = Self {
            child,
            reaper: reaper.clone(),
            url: format!("nbd+unix:///?socket={}", socket.display()),
        };
        let deadline = Instant::now() + START_MAX;
        while UnixStream::connect(&socket).is_err() {
            let ended = server
                .child
                .try_wait()
                .during("looking for the end of the NBD server")?;
            ensure(ended.is_none(), || {
                format!("{SERVER} ended at once (its reason is above)")
            })?;
            ensure(Instant::now() < deadline, || format!("{SERVER} does not listen"))?;
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(server)
    }

    /// As QEMU names the disk.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Whether the program is there.
    pub(super) fn is_installed() -> bool {
        let mut command = Command::new(SERVER);
        command
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

impl Drop for NbdServer {
    fn drop(&mut self) {
        // Both fail for a process that is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.reaper.forget(self.child.id());
    }
}
