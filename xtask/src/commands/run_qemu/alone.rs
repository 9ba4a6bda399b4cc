//! What one node does by itself: core's conformance test of a platform's disk, with one disk in two slots; and how it ends when
//! it is given what cannot work.

use std::path::Path;
use std::process::ExitStatus;

use ostrakon_xtask::failure::{During, Failure, Result, ensure};

use super::guest::{
    EXIT_COMMAND_LINE, EXIT_LEFT, EXIT_NO_DEVICE, EXIT_NOT_CONFORMING, LogLines, bare_machine, exit_status,
};
use super::image::Image;

/// MiB of memory.
const MEMORY: u32 = 16;

/// Bytes of the file, and the first of the blocks that are overwritten.
const DISK_BYTES: u64 = 1 << 20;
const FIRST: u64 = 64;

/// Command lines that cannot work: a word that is none, a value out of bounds, a guard of nothing, one that comes too late.
const NONSENSE: [&str; 4] = [
    "bogus=1",
    "silence-ms=0",
    "watchdog-ms=1000",
    "fence=lease lease-ms=1000 watchdog-ms=2000",
];

/// The image's disk keeps what the rules assume; and two disks that are not one are found out, so that the test can fail.
pub(super) fn passes(image: &Image, folder: &Path) -> Result<()> {
    let files = ["one.img", "another.img"].map(|name| folder.join(name));
    for path in &files {
        let file = std::fs::File::create(path).during(format!("making {}", path.display()))?;
        file.set_len(DISK_BYTES).during("making room for a disk")?;
    }
    let [one, another] = &files;
    println!("conformance: one disk in two slots");
    let conformance = format!("conformance={FIRST}");
    let conforms = run(image, &[one, one], &conformance)?;
    expect(conforms, EXIT_LEFT, "the disk does not conform")?;
    println!("conformance: two disks that are not one");
    let found_out = run(image, &[one, another], &conformance)?;
    expect(found_out, EXIT_NOT_CONFORMING, "two disks were taken for one")?;
    println!("one node: what cannot work");
    for words in NONSENSE {
        let ended = run(image, &[one], words)?;
        expect(ended, EXIT_COMMAND_LINE, &format!("{words:?} was taken"))?;
    }
    expect(run(image, &[], "")?, EXIT_NO_DEVICE, "it went on without a disk")
}

fn expect(status: ExitStatus, code: i32, complaint: &str) -> Result<()> {
    ensure(status.code() == Some(exit_status(code)), || {
        format!(
            "{complaint}: expected exit status {}, found {status}",
            exit_status(code)
        )
    })
}

fn run(image: &Image, disks: &[&Path], words: &str) -> Result<ExitStatus> {
    let mut command = bare_machine(MEMORY, false);
    for (number, path) in disks.iter().enumerate() {
        let drive = format!(
            "file={},format=raw,if=none,id=d{number},cache=none",
            path.display()
        );
        let device = format!("virtio-blk-device,drive=d{number},share-rw=on");
        command.args(["-drive", &drive, "-device", &device]);
    }
    command
        .args(["-device", "virtio-rng-device", "-kernel"])
        .arg(&image.path)
        .args(["-append", &format!("name=alone {words}")]);
    let mut child = command.spawn().during("starting QEMU")?;
    let output = child.stdout.take();
    let output = output.ok_or_else(|| Failure::new("QEMU has no output"))?;
    LogLines::of(output, &image.path, image.decoder.as_deref())?.follow(|line| println!("  {line}"));
    child.wait().during("waiting for QEMU")
}
