//! Our own fence agent: kills the process of a mount on this host. For demonstrations and tests, and for several
//! mounts on one machine; it cannot reach another machine.
//!
//! What the mount ran because it led goes with it: its keeper kills that when the mount's process is gone. A keeper
//! that is frozen is thawed for that, and if it still does not, everything below it is killed, and then the keeper.
//! The victim counts as gone when nobody holds its lock any more.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use ostrakon_core::ids::Rid;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

use super::child::wait_for_end;
use crate::program::tree::{self, Tree};
use crate::runtime::{Found, Holder, RuntimeDir};

/// How often the victim's lock is tried once its process has ended.
const LOCK_INTERVAL: Duration = Duration::from_millis(1);

/// How long a keeper may take to end what it keeps once its mount is gone.
const KEEPER_TIME: Duration = Duration::from_millis(300);

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Killed {
    /// It was gone already.
    Before,
    /// This process was killed, and is gone with all its threads.
    Now(i32),
}

/// Why the victim must be taken for alive.
#[derive(Debug)]
pub enum KillError {
    /// No lock file of it here.
    Unknown(Rid),
    /// It runs in a pid namespace that is not ours.
    OtherNamespace(Rid),
    /// The system refuses.
    Os {
        /// The victim's process.
        pid: i32,
        /// The reason.
        error: io::Error,
    },
    /// It was killed, and is not gone yet: its last I/O hangs in the device.
    Lingers {
        /// The victim's process.
        pid: i32,
        /// How long it was waited for.
        waited: Duration,
    },
}

impl fmt::Display for KillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(rid) => write!(
                f,
                "mount {rid} has no lock file on this host: it runs elsewhere, and cannot be said to be dead"
            ),
            Self::OtherNamespace(rid) => write!(
                f,
                "mount {rid} runs in another pid namespace: run this agent there, or as root outside"
            ),
            Self::Os { pid, error } => write!(f, "cannot kill process {pid}: {error}"),
            Self::Lingers { pid, waited } => write!(
                f,
                "process {pid} was killed, but after {} ms its last I/O has not ended",
                waited.as_millis()
            ),
        }
    }
}

impl std::error::Error for KillError {}

/// What is known of a mount on this host, under any of these runtime directories.
pub fn look(dirs: &[RuntimeDir], rid: Rid) -> Found {
    dirs.iter()
        .map(|dir| dir.look_everywhere(rid))
        .find(|found| !matches!(found, Found::Unknown))
        .unwrap_or(Found::Unknown)
}

/// Kills the process that holds the lock of `rid`, and waits until its last thread, and so its last I/O, is gone.
pub fn kill(dirs: &[RuntimeDir], rid: Rid, limit: Duration) -> Result<Killed, KillError> {
    let deadline = Instant::now() + limit;
    let mut killed = Killed::Before;
    let mut orphans_since = None;
    loop {
        match look(dirs, rid) {
            Found::Dead => return Ok(killed),
            Found::Unknown => return Err(KillError::Unknown(rid)),
            Found::Alive(holder) => {
                let pid = holder.pid;
                if Instant::now() >= deadline {
                    let waited = limit;
                    return Err(KillError::Lingers { pid, waited });
                }
                if kill_holder(dirs, rid, &holder, deadline)? {
                    killed = Killed::Now(pid);
                }
                let since = *orphans_since.get_or_insert_with(Instant::now);
                if let Some(lock) = dirs.iter().find_map(|dir| dir.find(rid)) {
                    end_orphans(&lock, pid, since.elapsed() >= KEEPER_TIME);
                }
            }
        }
        std::thread::sleep(LOCK_INTERVAL);
    }
}

/// Sees to the keeper and the program of a mount whose process `gone` has ended, or has been sent the last signal.
fn end_orphans(lock: &Path, gone: i32, by_force: bool) {
    let mut holders = tree::holders(lock);
    holders.remove(&gone);
    if holders.is_empty() {
        return;
    }
    let tree = Tree::look();
    let keepers = tree.roots(&holders);
    let holds = |pid: i32| move || tree::holders(lock).contains(&pid);
    if !by_force {
        return keepers
            .iter()
            .for_each(|&pid| tree::signal_if(pid, Signal::CONT, holds(pid)));
    }
    // A keeper adopts the orphans of what it keeps: as long as it is there, nobody below it is lost from sight.
    let below: BTreeSet<i32> = tree.living_descendants(&keepers);
    for &pid in &below {
        let still = || Tree::look().living_descendants(&keepers).contains(&pid);
        tree::signal_if(pid, Signal::KILL, still);
    }
    if below.is_empty() {
        keepers
            .iter()
            .for_each(|&pid| tree::signal_if(pid, Signal::KILL, holds(pid)));
    }
}

/// `true` if the holder was sent the signal, and has ended or the deadline has passed.
fn kill_holder(dirs: &[RuntimeDir], rid: Rid, holder: &Holder, deadline: Instant) -> Result<bool, KillError> {
    let pid = holder.pid;
    let os = |errno: Errno| KillError::Os {
        pid,
        error: errno.into(),
    };
    if !holder.same_namespace {
        return Err(KillError::OtherNamespace(rid));
    }
    let number = Pid::from_raw(pid).ok_or(KillError::Unknown(rid))?;
    let pidfd = match rustix::process::pidfd_open(number, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(Errno::SRCH) => return Ok(false),
        Err(errno) => return Err(os(errno)),
    };
    // The number could have passed on to another process before it was opened. It did not if its mount still
    // holds the lock now: the holder was alive all the while, and numbers of the living are not given away.
    if !matches!(look(dirs, rid), Found::Alive(still) if still == *holder) {
        return Ok(false);
    }
    match rustix::process::pidfd_send_signal(&pidfd, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(errno) => return Err(os(errno)),
    }
    let left = deadline.saturating_duration_since(Instant::now());
    wait_for_end(&pidfd, left).map_err(|error| KillError::Os { pid, error })?;
    Ok(true)
}
