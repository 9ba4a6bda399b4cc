//! A folder and a loopback network that one cluster has to itself.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::failure::{During, Result};

/// Clusters that this process has started.
static CLUSTERS: AtomicU32 = AtomicU32::new(0);

/// A folder that goes when this value does, and an address of 127.0.0.0/8 that no other cluster uses.
pub struct Sandbox {
    folder: PathBuf,
    ip: Ipv4Addr,
    keep: bool,
}

impl Sandbox {
    /// Makes the folder. Its name says whose it is, so that one left behind by a power cut is recognised.
    pub fn create(parent: &Path, name: &str) -> Result<Self> {
        let pid = process::id();
        let number = CLUSTERS.fetch_add(1, Ordering::Relaxed);
        let folder = parent.join(format!("{name}-{pid}-{number}"));
        std::fs::create_dir_all(folder.join("run")).during(format!("making {}", folder.display()))?;
        // A port alone could be taken by a cluster of another process between choosing it and listening.
        let (high, low) = (u8_of(pid / 250), u8_of(pid % 250));
        Ok(Self {
            folder,
            ip: Ipv4Addr::new(127, 1 + high % 250, 1 + low, u8_of(2 + number % 250)),
            keep: false,
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where mounts keep their lock files.
    pub fn runtime_dir(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// The cluster's own address.
    pub fn ip(&self) -> IpAddr {
        IpAddr::V4(self.ip)
    }

    /// An address with a port where nobody listens.
    pub fn free_addr(&self) -> Result<SocketAddr> {
        let listener =
            TcpListener::bind((self.ip, 0)).during(format!("looking for a free port of {}", self.ip))?;
        listener.local_addr().during("asking for the port that was bound")
    }

    /// The folder stays.
    pub fn keep(&mut self) {
        self.keep = true;
    }
}

/// The low byte; callers keep within it.
fn u8_of(number: u32) -> u8 {
    number.to_le_bytes()[0]
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        // The reaper may have been here before.
        if let Err(error) = std::fs::remove_dir_all(&self.folder)
            && error.kind() != ErrorKind::NotFound
        {
            eprintln!("cannot remove {}: {error}", self.folder.display());
        }
    }
}
