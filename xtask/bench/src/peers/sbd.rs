//! Watchers of sbd on one block device, without a watchdog and without a cluster manager.

use std::path::{Path, PathBuf};
use std::process::Command;

use ostrakon_xtask::cluster::reaper::Reaper;
use ostrakon_xtask::failure::{During, Result, ensure};

use super::Daemon;

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

    /// Starts one more host.
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
        Ok(())
    }

    /// Each host's processes.
    pub fn pids(&self) -> Vec<Vec<u32>> {
        self.hosts.iter().map(Daemon::pids).collect()
    }
}
