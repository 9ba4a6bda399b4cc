//! Core's conformance test of a platform's disk, run by the image: one disk in two of its slots.

use std::path::Path;
use std::process::ExitStatus;

use ostrakon_xtask::failure::{During, Failure, Result, ensure};

use super::guest::{EXIT_LEFT, EXIT_NOT_CONFORMING, LogLines, bare_machine, exit_status};
use super::image::Image;

/// MiB of memory.
const MEMORY: u32 = 16;

/// Bytes of the file, and the first of the blocks that are overwritten.
const DISK_BYTES: u64 = 1 << 20;
const FIRST: u64 = 64;

/// The image's disk keeps what the rules assume; and two disks that are not one are found out, so that the test can fail.
pub(super) fn passes(image: &Image, folder: &Path) -> Result<()> {
    let files = ["one.img", "another.img"].map(|name| folder.join(name));
    for path in &files {
        let file = std::fs::File::create(path).during(format!("making {}", path.display()))?;
        file.set_len(DISK_BYTES).during("making room for a disk")?;
    }
    let [one, another] = &files;
    println!("conformance: one disk in two slots");
    expect(run(image, one, one)?, EXIT_LEFT, "the disk does not conform")?;
    println!("conformance: two disks that are not one");
    let found_out = run(image, one, another)?;
    expect(found_out, EXIT_NOT_CONFORMING, "two disks were taken for one")
}

fn expect(status: ExitStatus, code: i32, complaint: &str) -> Result<()> {
    ensure(status.code() == Some(exit_status(code)), || {
        format!(
            "{complaint}: expected exit status {}, found {status}",
            exit_status(code)
        )
    })
}

fn run(image: &Image, here: &Path, there: &Path) -> Result<ExitStatus> {
    let mut command = bare_machine(MEMORY, false);
    for (name, path) in [("here", here), ("there", there)] {
        let drive = format!("file={},format=raw,if=none,id={name},cache=none", path.display());
        let device = format!("virtio-blk-device,drive={name},share-rw=on");
        command.args(["-drive", &drive, "-device", &device]);
    }
    command
        .args(["-device", "virtio-rng-device", "-kernel"])
        .arg(&image.path)
        .args(["-append", &format!("name=disk conformance={FIRST}")]);
    let mut child = command.spawn().during("starting QEMU")?;
    let output = child.stdout.take();
    let output = output.ok_or_else(|| Failure::new("QEMU has no output"))?;
    LogLines::of(output, &image.path, image.decoder.as_deref())?.follow(|line| println!("  {line}"));
    child.wait().during("waiting for QEMU")
}
