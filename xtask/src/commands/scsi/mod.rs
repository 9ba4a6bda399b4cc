//! `cargo xtask scsi`: the reservation fence on real SCSI commands. Two Linux guests under QEMU, one iSCSI target.

mod guest;
mod image;
mod target;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::{Arg, Parser, ValueExt};
use ostrakon_xtask::cluster::reaper::Reaper;
use ostrakon_xtask::cluster::sandbox::Sandbox;
use ostrakon_xtask::failure::{Result, ensure};
use ostrakon_xtask::skipped;

use crate::cargo::{ostrakon_binary, target_folder};
use guest::{Guest, Wire};
use image::Kernel;
use target::Target;

const HELP: &str = "\
cargo xtask scsi [OPTIONS]

Boots two Linux guests under QEMU on one iSCSI target in userspace (tgt), with `ostrakon mount --fence scsi` in each. The
leader's guest is frozen; the other one bars it from the disk by its persistent reservation, and serves. Then the frozen one
thaws, and the disk refuses what it writes. Takes a minute or two; KVM is not used. Needs QEMU with its iSCSI driver, tgt, a
static busybox and a Linux kernel with its modules; says what is missing, and does nothing then.

Options:
  --kernel-root FOLDER  where boot/vmlinuz-* and lib/modules/* are (default /)
  --verbose             print what the guests say
";

/// What to install, on Debian.
const MISSING: &str = "\
apt-get install --yes qemu-system-x86 qemu-block-extra tgt busybox-static
and a kernel, without installing it: apt-get download linux-image-VERSION-cloud-amd64 (what linux-image-cloud-amd64 depends on),
dpkg-deb --extract THAT.deb FOLDER, and --kernel-root FOLDER";

pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let mut root = PathBuf::from("/");
    let mut verbose = false;
    let mut parser = Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("kernel-root") => root = parser.value()?.parse()?,
            Arg::Long("verbose") => verbose = true,
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    match missing(&root) {
        Ok(kernel) => scenario(&kernel, verbose)?,
        Err(reason) => {
            skipped::note("two guests and a persistent reservation", &reason);
            println!("{MISSING}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The kernel, if everything is there.
fn missing(root: &Path) -> std::result::Result<Kernel, String> {
    for program in ["qemu-system-x86_64", "tgtd", "tgtadm", "busybox"] {
        if image::find(program).is_none() {
            return Err(format!("{program} is not there"));
        }
    }
    Kernel::find(root)
}

fn scenario(kernel: &Kernel, verbose: bool) -> Result<()> {
    let binary = ostrakon_binary(false)?;
    let sandbox = Sandbox::create(&target_folder(), "scsi")?;
    let reaper = Reaper::start(sandbox.folder())?;
    let initrd = image::initrd(kernel, &binary, sandbox.folder())?;
    let target = Target::start(sandbox.folder(), sandbox.free_addr()?, &reaper)?;
    let (here, there) = (sandbox.free_addr()?, sandbox.free_addr()?);
    let boot = |number, wire| Guest::boot(number, wire, kernel, &initrd, &target, &reaper, verbose);
    let mut first = boot(1, Wire { here, there })?;
    let mut second = boot(
        2,
        Wire {
            here: there,
            there: here,
        },
    )?;
    for guest in [&mut first, &mut second] {
        guest.wait("READY")?;
        guest.type_in(&format!(
            "mkdir /etc; echo {0:032} >/etc/machine-id; ip link set lo up; ip address add 10.0.0.{0}/24 dev eth0; ip link set eth0 up; echo UP=$?",
            guest.number()
        ))?;
        guest.wait("UP=0")?;
    }
    second.type_in("until ping -c 1 -W 1 10.0.0.1; do :; done; echo REACHED=$?")?;
    second.wait("REACHED=0")?;
    println!("two guests are up on {}", target.url());

    first.type_in("ostrakon format /dev/sda --quorum-count 1; echo FORMATTED=$?")?;
    first.wait("FORMATTED=0")?;
    for guest in [&mut first, &mut second] {
        guest.type_in(&format!(
            "ostrakon mount /dev/sda --server-addr 10.0.0.{}:7000 --fence scsi --silence-ms 1000 --io-timeout-ms 2000 --json &",
            guest.number()
        ))?;
        guest.wait("\"event\":\"connected\"")?;
    }
    println!("the first serves, the second is its client; both are registered");

    first.freeze()?;
    second.wait("\"event\":\"fence_report\"")?;
    let serving = second.wait("\"event\":\"serving\"")?;
    println!("the first was frozen; the second has barred it and serves");
    second.type_in("ostrakon status /dev/sda | grep fenced; echo LOOKED=$?")?;
    let record = second.wait("(scsi)")?;
    ensure(record.contains("leader of term 1: fenced"), || {
        format!("the fence record says {record}")
    })?;

    // Waits in the frozen guest's input, and is the first thing that it does.
    first.type_in(&format!(
        "killall -STOP ostrakon; {}; {}",
        dd("if=/dev/zero of=/dev/sda seek=4000 oflag=direct", "WROTE"),
        dd("if=/dev/sda of=/dev/null iflag=direct", "READ")
    ))?;
    first.thaw()?;
    let wrote = first.wait("WROTE=")?;
    ensure(!wrote.contains("WROTE=0"), || {
        format!("the loser's write was not refused: {wrote}; its successor said {serving}")
    })?;
    first.wait("READ=0")?;
    second.type_in(&dd("if=/dev/zero of=/dev/sda seek=4000 oflag=direct", "WROTE"))?;
    second.wait("WROTE=0")?;
    println!("the first thawed: the disk refuses its writes, lets it read, and takes those of the second");

    first.type_in("killall -CONT ostrakon")?;
    first.wait("\"server_addr\":\"10.0.0.2:7000\"")?;
    println!("the first gave up, and came back as a client under a new key");
    Ok(())
}

/// One block, and how it ended.
fn dd(what: &str, name: &str) -> String {
    format!("dd {what} bs=4096 count=1 conv=notrunc; echo {name}=$?")
}
