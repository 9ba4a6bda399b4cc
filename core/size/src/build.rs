//! Builds the probe for a target.

use std::path::{Path, PathBuf};
use std::process::Command;

use ostrakon_xtask::bare::Compiler;

use crate::Result;

/// Targets of firmware: three of 32 bits, two of 64.
pub(crate) const TARGETS: [&str; 5] = [
    "thumbv7em-none-eabi",
    "thumbv6m-none-eabi",
    "riscv32imac-unknown-none-elf",
    "aarch64-unknown-none",
    "x86_64-unknown-none",
];

/// Those that are held to the table each time: a build takes a while.
pub(crate) const CHECKED: [&str; 2] = ["thumbv7em-none-eabi", "riscv32imac-unknown-none-elf"];

/// What is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Variant {
    /// Client, voter, and server for eight clients.
    Voter,
    /// A plain client.
    Client,
}

impl Variant {
    /// As it stands in the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Voter => "voter, 8 clients",
            Self::Client => "plain client",
        }
    }
    const fn features(self) -> &'static str {
        match self {
            Self::Voter => "firmware,voter",
            Self::Client => "firmware",
        }
    }
}

fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}

/// A file of core's folder.
pub(crate) fn core_file(name: &str) -> PathBuf {
    workspace().join("core").join(name)
}

/// Builds the probe and returns its static library. The sizes of stack frames are a feature of unstable compilers
/// that every compiler has; nothing else of it is used.
pub(crate) fn probe(compiler: &Compiler, target: &str, variant: Variant) -> Result<PathBuf> {
    // One folder for both, so that what they share is built once. The library of the one takes the place of the other's.
    let folder = workspace().join("target/size");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(workspace())
        .env("RUSTC_BOOTSTRAP", "1")
        .arg("rustc");
    let status = compiler
        .prepare(&mut cargo)
        .args(["--quiet", "--package", "ostrakon-size-probe", "--lib"])
        .args(["--profile", "firmware", "--crate-type", "staticlib"])
        .args(["--features", variant.features(), "--target", target])
        .arg("--target-dir")
        .arg(&folder)
        .args(["--", "-Zemit-stack-sizes"])
        .status()?;
    if !status.success() {
        return Err(format!("the probe does not build for {target}").into());
    }
    Ok(folder.join(target).join("firmware/libostrakon_size_probe.a"))
}
