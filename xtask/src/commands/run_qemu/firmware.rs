//! `cargo xtask firmware`: the example of a RISC-V board's firmware, beside Linux mounts on one disk.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use ostrakon_xtask::bare::Compiler;
use ostrakon_xtask::failure::{Failure, Result, ensure};

use super::guest::FIRMWARE_QEMU;
use super::script::Acts;
use super::{Wishes, show};
use crate::cargo::{cargo, is_there, succeed, target_folder, workspace};

/// What it is built for.
pub(super) const TARGET: &str = "riscv32imac-unknown-none-elf";

const NAME: &str = "ostrakon-firmware";

const HELP: &str = "\
cargo xtask firmware [--keep]

Builds platform-qemu/firmware, the example of a RISC-V board's firmware, and boots it under QEMU beside two Linux mounts
on one disk: one that votes as the board does, and a plain client. The board and the Linux voter take turns as leader and as
client of the other: the leader's plug is pulled, the next one's clock is paused, the next one is stopped and goes on. Each
step is verified on the device by `ostrakon status` and `ostrakon dump`; the exit code is 0 only if every step held.

  --keep  keeps the folder with the image file
";

/// Needs QEMU's RISC-V machines and Rust's core for the target; says how to get them.
pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let mut wishes = wishes();
    for argument in arguments {
        match argument.to_str() {
            Some("--help" | "-h") => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Some("--keep") => wishes.keep = true,
            _ => {
                return Err(Failure::usage(format!(
                    "firmware does not know {}\n\n{HELP}",
                    argument.display()
                )));
            }
        }
    }
    look_for_qemu()?;
    show(&wishes).map(|()| ExitCode::SUCCESS)
}

/// A pair, so that after each step the one of the other kind serves.
fn wishes() -> Wishes {
    Wishes {
        voters: 0,
        clients: 0,
        firmware: 1,
        linux: 1,
        linux_clients: 1,
        acts: Acts::FailOvers,
        ..Wishes::default()
    }
}

/// What CI runs. Returns what could not be checked on this machine.
pub(crate) fn check() -> Result<Vec<String>> {
    let compiler = match Compiler::of(TARGET)? {
        Ok(compiler) => compiler,
        Err(reason) => return Ok(vec![format!("the firmware: {reason}")]),
    };
    // Lints are those of the compiler in use.
    if compiler == Compiler::Prebuilt {
        succeed(cargo_for("clippy", &compiler).args(["--", "-D", "warnings"]))?;
    }
    if let Err(failure) = look_for_qemu() {
        return Ok(vec![format!("the firmware beside Linux mounts: {failure}")]);
    }
    show(&wishes())?;
    Ok(Vec::new())
}

/// Fails with the command that installs QEMU if it is not there.
pub(super) fn look_for_qemu() -> Result<()> {
    ensure(is_there(FIRMWARE_QEMU), || {
        format!(
            "{FIRMWARE_QEMU} is not installed, or does not run (on Debian: apt-get install --no-install-recommends \
             qemu-system-misc)"
        )
    })
}

/// Builds it.
pub(super) fn build() -> Result<()> {
    let compiler = Compiler::of(TARGET)?.map_err(Failure::new)?;
    succeed(&mut cargo_for("build", &compiler))
}

/// Where it lies when it was built.
pub(super) fn path() -> PathBuf {
    target_folder()
        .join("qemu")
        .join(TARGET)
        .join("release")
        .join(NAME)
}

fn cargo_for(verb: &str, compiler: &Compiler) -> Command {
    let mut command = cargo([verb]);
    compiler
        .prepare(&mut command)
        .args(["--release", "--package", NAME, "--target", TARGET])
        .current_dir(workspace().join("platform-qemu"))
        .arg("--target-dir")
        .arg(target_folder().join("qemu"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}
