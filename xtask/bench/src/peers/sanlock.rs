//! Hosts of sanlock, each a daemon with a folder of its own, on one image; without a watchdog.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::reaper::Reaper;
use ostrakon_xtask::failure::{During, Failure, Result, ensure};

use super::{Daemon, until};

/// Longest that a lease was seen to take, and more.
const LEASE_PATIENCE: Duration = Duration::from_secs(300);

/// Hosts on one image.
pub struct Sanlock {
    hosts: Vec<Daemon>,
    folder: PathBuf,
    image: PathBuf,
    io_timeout: u32,
    reaper: Reaper,
}

impl Sanlock {
    /// Lays out the image (at least 16 MiB).
    pub fn create(folder: &Path, image: &Path, io_timeout: u32, reaper: &Reaper) -> Result<Self> {
        let sanlock = Self {
            hosts: Vec::new(),
            folder: folder.to_owned(),
            image: image.to_owned(),
            io_timeout,
            reaper: reaper.clone(),
        };
        std::fs::create_dir_all(folder).during("making a folder for sanlock")?;
        let space = format!("LS:0:{}:0", image.display());
        for (what, which) in [("-s", space), ("-r", sanlock.resource())] {
            // Joining a lockspace waits by the time-out that it was laid out with.
            let output = Command::new("sanlock")
                .args(["direct", "init", what, &which, "-o", &io_timeout.to_string()])
                .output();
            let output = output.during("running sanlock")?;
            ensure(output.status.success(), || {
                format!("sanlock direct init: {}", String::from_utf8_lossy(&output.stderr))
            })?;
        }
        Ok(sanlock)
    }

    fn resource(&self) -> String {
        format!("LS:RES:{}:1048576", self.image.display())
    }

    fn run_dir(&self, host: usize) -> PathBuf {
        self.folder.join(format!("h{host}"))
    }

    fn client(&self, host: usize, arguments: &[&str]) -> Command {
        let mut command = Command::new("sanlock");
        command
            .arg("client")
            .args(arguments)
            .env("SANLOCK_RUN_DIR", self.run_dir(host))
            .env("SANLOCK_PRIVILEGED", "0")
            .stdin(Stdio::null());
        command
    }

    /// Starts one more host; says how long it took to join the lockspace.
    pub fn join(&mut self) -> Result<Duration> {
        let host = self.hosts.len();
        std::fs::create_dir_all(self.run_dir(host)).during("making a folder for sanlock")?;
        let mut command = Command::new("sanlock");
        command
            .args([
                "daemon", "-D", "-w", "0", "-h", "0", "-l", "0", "-U", "root", "-G", "root", "-e",
            ])
            .arg(format!("host{host}"))
            .env("SANLOCK_RUN_DIR", self.run_dir(host))
            .env("SANLOCK_PRIVILEGED", "0");
        let log = self.folder.join(format!("h{host}.log"));
        let started = Instant::now();
        self.hosts.push(Daemon::start(&mut command, &log, &self.reaper)?);
        until(Duration::from_secs(20), "a daemon of sanlock", || {
            let status = self.client(host, &["status"]).output().ok()?;
            status.status.success().then_some(())
        })?;
        let space = format!("LS:{}:{}:0", host + 1, self.image.display());
        let timeout = self.io_timeout.to_string();
        let output = self
            .client(host, &["add_lockspace", "-s", &space, "-o", &timeout])
            .output();
        let output = output.during("running sanlock")?;
        ensure(output.status.success(), || {
            format!(
                "sanlock add_lockspace: {}",
                String::from_utf8_lossy(&output.stderr)
            )
        })?;
        Ok(started.elapsed())
    }

    /// Whether every host that joined is in the lockspace still. One that could not renew its lease in time, as on a busy
    /// machine, is in it no more and does half of its I/O or none; its daemon goes on.
    pub fn all_renew(&self) -> Result<()> {
        for host in 0..self.hosts.len() {
            let output = self.client(host, &["gets"]).output().during("running sanlock")?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let space = format!("s LS:{}:{}:", host + 1, self.image.display());
            ensure(text.lines().any(|line| line.starts_with(&space)), || {
                format!("host {} of sanlock has lost its lockspace; see its log", host + 1)
            })?;
        }
        Ok(())
    }

    /// Runs a program that holds the lease of the resource, on this host.
    pub fn hold(&self, host: usize, program: &[&str]) -> Result<Daemon> {
        let mut command = self.client(host, &["command", "-r", &self.resource(), "-c"]);
        command.args(program);
        let log = self.folder.join(format!("holder{host}.log"));
        Daemon::start(&mut command, &log, &self.reaper)
    }

    /// The processes of the hosts.
    pub fn pids(&self) -> Vec<u32> {
        self.hosts.iter().flat_map(Daemon::pids).collect()
    }

    /// A host's daemon.
    pub fn host(&self, host: usize) -> &Daemon {
        &self.hosts[host]
    }

    /// Tries on a host until it gets the lease, which says that program was run; says how long that took.
    pub fn take(&self, host: usize) -> Result<Duration> {
        let started = Instant::now();
        until(LEASE_PATIENCE, "the lease of sanlock", || {
            let resource = self.resource();
            let command = self
                .client(host, &["command", "-r", &resource, "-c", "/bin/echo", "taken"])
                .output();
            let taken = command.ok().is_some_and(|output| {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                text.lines().any(|line| line == "taken")
            });
            if !taken {
                std::thread::sleep(Duration::from_millis(100));
            }
            taken.then_some(())
        })?;
        Ok(started.elapsed())
    }
}

/// Waits until the holder's program has begun to write its file.
pub fn wait_for_file(file: &Path) -> Result<()> {
    until(Duration::from_secs(30), "the first line of a holder", || {
        std::fs::metadata(file)
            .ok()
            .filter(|found| found.len() > 0)
            .map(drop)
    })
    .map_err(|failure| Failure::new(format!("{failure} ({})", file.display())))
}
