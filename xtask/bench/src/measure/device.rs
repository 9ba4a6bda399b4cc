//! Loop devices: block devices of our own, whose I/O the kernel counts whoever does it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use ostrakon_xtask::failure::{During, Failure, Result, ensure};

/// A file, written in full so that reading it reads the disk, as a block device. Goes with this value.
pub struct LoopDevice {
    path: PathBuf,
}

/// Requests that a device has completed, and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceIo {
    /// Reads.
    pub reads: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Writes.
    pub writes: u64,
    /// Bytes written.
    pub write_bytes: u64,
}

impl LoopDevice {
    /// Makes a file of this size and a device of it.
    pub fn create(file: &Path, mebibytes: u64) -> Result<Self> {
        fill(file, mebibytes)?;
        let output = Command::new("losetup")
            .args(["--find", "--show", "--direct-io=on"])
            .arg(file)
            .output()
            .during("running losetup")?;
        ensure(output.status.success(), || {
            let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            format!("no loop device can be made here (it takes root): {complaint}")
        })?;
        let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        Ok(Self { path })
    }

    /// The device.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it has done so far.
    pub fn io(&self) -> Result<DeviceIo> {
        let name = self.path.file_name().unwrap_or_default();
        let path = Path::new("/sys/block").join(name).join("stat");
        let text = std::fs::read_to_string(&path).during(format!("reading {}", path.display()))?;
        let numbers: Vec<u64> = text
            .split_whitespace()
            .filter_map(|text| text.parse().ok())
            .collect();
        let [reads, _, read_sectors, _, writes, _, written_sectors, ..] = numbers[..] else {
            return Err(Failure::new(format!("expected counters in {text:?}")));
        };
        Ok(DeviceIo {
            reads,
            read_bytes: read_sectors * 512,
            writes,
            write_bytes: written_sectors * 512,
        })
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        // A device that is held goes when its last holder does.
        let _ = Command::new("losetup").arg("--detach").arg(&self.path).status();
    }
}

/// Writes a file of zeros in full.
pub fn fill(file: &Path, mebibytes: u64) -> Result<()> {
    let mut image = File::create(file).during(format!("making {}", file.display()))?;
    for _ in 0..mebibytes {
        image.write_all(&[0; 1 << 20]).during("filling the image")?;
    }
    image.sync_all().during("filling the image")
}
