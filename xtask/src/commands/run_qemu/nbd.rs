//! A real NBD server for the shared disk: every guest is a client of it, each with a connection of its own.

use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::reaper::Reaper;
use ostrakon_xtask::failure::{During, Failure, Result, ensure};

/// The programs that will do: QEMU's own, and the other one that distributions have.
const SERVERS: [&str; 2] = ["qemu-nbd", "nbdkit"];

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
        let server = Self::installed().ok_or_else(|| {
            Failure::new("neither qemu-nbd nor nbdkit is there; on Debian: apt-get install qemu-utils")
        })?;
        let mut command = Command::new(server);
        match server {
            "nbdkit" => command
                .args(["--foreground", "--unix"])
                .arg(&socket)
                .arg("file")
                .arg(file),
            _ => command
                .args(["--format=raw", "--cache=none", "--persistent"])
                .arg(format!("--shared={clients}"))
                .arg(format!("--socket={}", socket.display()))
                .arg(file),
        };
        command.process_group(0).stdin(Stdio::null());
        let child = command.spawn().during(format!("starting {server}"))?;
        println!("the disk is served by {server}");
        reaper.watch(child.id())?;
        let mut running = Self {
            child,
            reaper: reaper.clone(),
            url: format!("nbd+unix:///?socket={}", socket.display()),
        };
        let deadline = Instant::now() + START_MAX;
        while UnixStream::connect(&socket).is_err() {
            let ended = running
                .child
                .try_wait()
                .during("looking for the end of the NBD server")?;
            ensure(ended.is_none(), || {
                format!("{server} ended at once (its reason is above)")
            })?;
            ensure(Instant::now() < deadline, || format!("{server} does not listen"))?;
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(running)
    }

    /// As QEMU names the disk.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The program that is there, if one is.
    pub(super) fn installed() -> Option<&'static str> {
        SERVERS.into_iter().find(|server| {
            let mut command = Command::new(server);
            command
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        })
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
