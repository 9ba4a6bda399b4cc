//! The `ostrakon` command on a real block device: a loop device over a file, where this machine lets us have one.

mod common;

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;

use common::Bench;
use ostrakon_xtask::skipped;
use rustix::fs::OFlags;
use rustix::process::Signal;
use serde_json::json;

/// Bytes of the device.
const DEVICE_BYTES: u64 = 16 << 20;

/// A loop device that is given back when the test is over, and the file beneath it.
struct Loop {
    device: PathBuf,
    bench: Bench,
}

impl Loop {
    /// `None`, with the reason noted, where there is none to be had.
    fn attach(test: &str) -> Option<Self> {
        let bench = Bench::empty();
        let file = bench.image().with_file_name("beneath");
        File::create(&file).unwrap().set_len(DEVICE_BYTES).unwrap();
        let attached = Command::new("losetup")
            .args(["--find", "--show"])
            .arg(&file)
            .output();
        let why = match attached {
            Ok(output) if output.status.success() => {
                let device = String::from_utf8(output.stdout).unwrap().trim().into();
                let this = Self { device, bench };
                // `IMAGE` of the bench leads to it.
                std::os::unix::fs::symlink(&this.device, this.bench.image()).unwrap();
                return Some(this);
            }
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => format!("losetup: {error}"),
        };
        skipped::note(test, &format!("no loop device to be had here: {why}"));
        None
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).status();
    }
}

const FORMAT: [&str; 6] = ["format", "IMAGE", "--quorum-count", "1", "--clients-max", "100"];

#[test]
fn a_block_device_is_formatted_mounted_and_taken_over() {
    let Some(device) = Loop::attach("a volume on a block device") else {
        return;
    };
    let bench = &device.bench;
    bench.expect(0, &FORMAT);
    let (_, error) = bench.expect(3, &FORMAT);
    assert!(error.contains("ostrakon volume"), "{error}");

    let (mut first, mut second) = (bench.voter(&[]), bench.voter(&[]));
    let server = second.wait("connected")["server_rid"].clone();
    first.wait("connected");
    let (_, error) = bench.expect(3, &FORMAT);
    assert!(error.contains("in use"), "{error}");
    if json!(first.rid()) != server {
        std::mem::swap(&mut first, &mut second);
    }
    first.signal(Signal::KILL);
    first.end();
    let serving = second.wait("serving");
    let status = bench.status();
    assert_eq!(status["server"]["rid"], json!(second.rid()));
    assert_eq!(status["server"]["term"], serving["term"]);
    second.signal(Signal::TERM);
    assert_eq!(second.end().code(), Some(0));
    bench.expect(0, &["set-quorum-count", "IMAGE", "2"]);
}

/// As a file system or a volume manager holds it.
#[test]
fn a_block_device_that_the_system_uses_is_not_formatted() {
    let Some(device) = Loop::attach("a block device in use") else {
        return;
    };
    let bench = &device.bench;
    let holder = File::options()
        .read(true)
        .custom_flags(OFlags::EXCL.bits().cast_signed())
        .open(&device.device)
        .unwrap();
    let (_, error) = bench.expect(3, &FORMAT);
    assert!(error.contains("in use"), "{error}");
    drop(holder);
    bench.expect(0, &FORMAT);
}
