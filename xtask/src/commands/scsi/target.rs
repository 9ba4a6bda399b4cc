//! `tgtd`, an iSCSI target in userspace, with one disk.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::PATIENCE;
use ostrakon_xtask::cluster::reaper::Reaper;
use ostrakon_xtask::failure::{During, Failure, Result};

const NAME: &str = "iqn.2026-01.ostrakon:disk";
const DISK_BYTES: u64 = 16 << 20;

pub(super) struct Target {
    child: Child,
    addr: SocketAddr,
    socket: PathBuf,
    reaper: Reaper,
}

impl Target {
    pub(super) fn start(folder: &Path, addr: SocketAddr, reaper: &Reaper) -> Result<Self> {
        let disk = folder.join("disk.img");
        let made = File::create(&disk).and_then(|file| file.set_len(DISK_BYTES));
        made.during("making the disk")?;
        // Short: a path of more than 108 bytes is no name for a socket.
        let socket = std::env::temp_dir().join(format!("ostrakon-tgt-{}", std::process::id()));
        let log = File::create(folder.join("tgtd.log")).during("making tgtd.log")?;
        let child = Command::new("tgtd")
            .args(["-f", "--iscsi", &format!("portal={addr}")])
            .env("TGT_IPC_SOCKET", &socket)
            .stdin(Stdio::null())
            .stdout(log.try_clone().during("for tgtd")?)
            .stderr(log)
            .spawn()
            .during("starting tgtd")?;
        reaper.watch(child.id())?;
        let target = Self {
            child,
            addr,
            socket,
            reaper: reaper.clone(),
        };
        let new_target = ["target", "--op", "new", "--tid", "1", "--targetname", NAME];
        let begun = Instant::now();
        while let Err(error) = target.admin(&new_target) {
            if begun.elapsed() > PATIENCE {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let disk = disk.to_string_lossy();
        target.admin(&[
            "logicalunit",
            "--op",
            "new",
            "--tid",
            "1",
            "--lun",
            "1",
            "-b",
            &disk,
        ])?;
        target.admin(&["target", "--op", "bind", "--tid", "1", "-I", "ALL"])?;
        Ok(target)
    }

    fn admin(&self, arguments: &[&str]) -> Result<()> {
        let output = Command::new("tgtadm")
            .args(["--lld", "iscsi", "--mode"])
            .args(arguments)
            .env("TGT_IPC_SOCKET", &self.socket)
            .output()
            .during("running tgtadm")?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Failure::new(format!(
            "tgtadm {}: {}",
            arguments.join(" "),
            said.trim()
        )))
    }

    /// The disk, for QEMU.
    pub(super) fn url(&self) -> String {
        format!("iscsi://{}/{NAME}/1", self.addr)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.reaper.forget(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        for suffix in [".0", ".0.lock", ""] {
            let name = format!("{}{suffix}", self.socket.display());
            // Whatever it made of the name.
            let _ = std::fs::remove_file(name);
        }
    }
}
