//! What a user would pick instead, run on this machine.
//!
//! - `etcd`: three members on loopback addresses.
//! - `sanlock`: hosts as daemons of their own, on one image.
//! - `sbd`: watchers of one block device.

pub mod etcd;
mod http;
pub mod sanlock;
pub mod sbd;

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::reaper::Reaper;
use ostrakon_xtask::failure::{During, Failure, Result};
use rustix::process::Signal;

use crate::measure::process::{group, is_still, signal, signal_group, tree};

/// How long it may take until all processes of a host are stopped.
const FREEZE_TIME: Duration = Duration::from_secs(10);

/// A program of the system that runs until this value goes, in a process group of its own: what it started ends with it,
/// even if it went before.
pub struct Daemon {
    child: Child,
    reaper: Reaper,
}

impl Daemon {
    /// Starts it; what it prints goes to a file.
    pub fn start(command: &mut Command, log: &Path, reaper: &Reaper) -> Result<Self> {
        let file = || File::options().create(true).append(true).open(log);
        let during = || format!("making {}", log.display());
        command
            .stdin(Stdio::null())
            .stdout(file().during(during())?)
            .stderr(file().during(during())?);
        let child = command
            .process_group(0)
            .spawn()
            .during(format!("starting {:?}", command.get_program()))?;
        reaper.watch_group(child.id())?;
        Ok(Self {
            child,
            reaper: reaper.clone(),
        })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its processes, and all that they started.
    pub fn pids(&self) -> Vec<u32> {
        tree(self.child.id())
    }

    /// These, those of its group whose parent has ended, and what any of them started.
    fn everybody(&self) -> BTreeSet<u32> {
        let own = group(self.child.id()).into_iter().chain([self.child.id()]);
        own.flat_map(tree).collect()
    }

    /// Stops all of them. One that is looked for may start another before it stops: they are looked for until all stand
    /// still and there are no others.
    pub fn freeze(&self) -> Result<()> {
        let mut before = BTreeSet::new();
        until(FREEZE_TIME, "all processes of a host to stop", || {
            let found = self.everybody();
            signal(&found.iter().copied().collect::<Vec<_>>(), Signal::STOP);
            let still = found.iter().all(|&pid| is_still(pid));
            let same = found == before;
            before = found;
            (still && same).then_some(())
        })
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        signal(&self.everybody().into_iter().collect::<Vec<_>>(), Signal::CONT);
    }

    /// Sends a signal to all of them, and to those of its group whose parent has ended.
    pub fn signal(&self, what: Signal) {
        let pids = self.pids();
        signal_group(self.child.id(), what);
        signal(&pids, what);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.reaper.forget_group(self.child.id());
        let _ = self.child.wait();
    }
}

/// Why a peer is missing here, unless it can be run.
pub fn find(program: &str, package: &str) -> std::result::Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    if folders.any(|folder| folder.join(program).is_file()) {
        Ok(())
    } else {
        Err(format!(
            "{program} is not installed (Debian: apt-get install {package})"
        ))
    }
}

/// Tries until something succeeds.
pub fn until<T>(limit: Duration, what: &str, mut attempt: impl FnMut() -> Option<T>) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return Ok(found);
        }
        if started.elapsed() > limit {
            return Err(Failure::new(format!(
                "waited {} s for {what}, in vain",
                limit.as_secs()
            )));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_daemon_started_ends_with_it_even_if_it_went_before() {
        let folder = std::env::temp_dir().join(format!("ostrakon-bench-daemon-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let reaper = Reaper::start(&folder).expect("sh starts");
        let log = folder.join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo $!"]);
        let daemon = Daemon::start(&mut command, &log, &reaper).expect("sh starts");
        let orphan = until(Duration::from_secs(60), "the child's pid", || {
            let text = std::fs::read_to_string(&log).ok()?;
            text.trim().parse::<u32>().ok()
        })
        .expect("a pid");
        until(Duration::from_secs(60), "the end of its parent", || {
            (!lives(daemon.pid())).then_some(())
        })
        .expect("it ends");
        assert!(lives(orphan));
        drop(daemon);
        until(Duration::from_secs(60), "the end of the child", || {
            (!lives(orphan)).then_some(())
        })
        .expect("the group was ended");
    }

    #[test]
    fn what_starts_others_all_the_time_stands_still_when_it_is_frozen() {
        let folder = std::env::temp_dir().join(format!("ostrakon-bench-frozen-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let reaper = Reaper::start(&folder).expect("sh starts");
        let (log, file) = (folder.join("log"), folder.join("lines"));
        let mut command = Command::new("sh");
        // The writer is an orphan, and in a group of its own.
        let writer = format!("while :; do /bin/echo x >> '{}'; done", file.display());
        command.args(["-c", "setsid sh -c \"$1\" & sleep 600", "sh", &writer]);
        let daemon = Daemon::start(&mut command, &log, &reaper).expect("sh starts");
        let lines = || std::fs::metadata(&file).map_or(0, |found| found.len());
        let patience = Duration::from_secs(60);
        until(patience, "the first lines", || (lines() > 8).then_some(())).expect("it writes");
        daemon.freeze().expect("it can be stopped");
        let before = lines();
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(lines(), before);
        daemon.thaw();
        until(patience, "more lines", || (lines() > before).then_some(())).expect("it goes on");
        drop(daemon);
    }

    /// A process that has ended and was not collected yet does not live.
    fn lives(pid: u32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit(") ").next().unwrap_or_default();
        !state.is_empty() && !state.starts_with(['Z', 'X'])
    }
}
