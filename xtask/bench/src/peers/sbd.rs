//! Watchers of sbd on one block device, without a watchdog and without a cluster manager.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ostrakon_xtask::cluster::reaper::Reaper;
use ostrakon_xtask::failure::{During, Result, ensure};

use super::{Daemon, until};
use crate::measure::process::signal;

/// Longer than a host needs until it watches its device.
const WATCH_PATIENCE: Duration = Duration::from_secs(30);

/// Hosts on one device.
pub struct Sbd {
    hosts: Vec<Daemon>,
    folder: PathBuf,
    device: PathBuf,
    reaper: Reaper,
}

impl Sbd {
    /// Lays out the device.
    pub fn create(folder: &Path, device: &Path, reaper: &Reaper) -> Result<Self> {
        std::fs::create_dir_all(folder).during("making a folder for sbd")?;
        let output = Command::new("sbd")
            .arg("-d")
            .arg(device)
            .arg("create")
            .output()
            .during("running sbd")?;
        ensure(output.status.success(), || {
            format!("sbd create: {}", String::from_utf8_lossy(&output.stderr))
        })?;
        Ok(Self {
            hosts: Vec::new(),
            folder: folder.to_owned(),
            device: device.to_owned(),
            reaper: reaper.clone(),
        })
    }

    /// Starts one more host, and waits until it watches the device: it says so in its title a second or two after it began.
    pub fn join(&mut self) -> Result<()> {
        let name = format!("h{}", self.hosts.len());
        let mut command = Command::new("sbd");
        command
            .arg("-d")
            .arg(&self.device)
            .args(["-n", &name, "-W", "-W", "-P", "-P", "-Z", "-Z", "-R", "watch"])
            .env("SBD_SYNC_RESOURCE_STARTUP", "no")
            .env("SBD_PACEMAKER", "no");
        let log = self.folder.join(format!("{name}.log"));
        self.hosts.push(Daemon::start(&mut command, &log, &self.reaper)?);
        until(WATCH_PATIENCE, "a host of sbd to watch its device", || {
            (self.pids().len() == self.hosts.len()).then_some(())
        })
    }

    /// Each host's processes: the one that watches the device, and its parent. They leave the process that started them.
    pub fn pids(&self) -> Vec<Vec<u32>> {
        let title = format!("sbd: watcher: {} ", self.device.display());
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let read = |pid: u32, name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
        pids.filter(|&pid| read(pid, "cmdline").is_some_and(|line| line.starts_with(&title)))
            .map(|pid| {
                let parent = read(pid, "stat").and_then(|stat| {
                    let parent: Option<u32> = stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok();
                    parent.filter(|&parent| parent > 1)
                });
                std::iter::once(pid).chain(parent).collect()
            })
            .collect()
    }
}

impl Drop for Sbd {
    fn drop(&mut self) {
        signal(&self.pids().concat(), rustix::process::Signal::KILL);
    }
}
