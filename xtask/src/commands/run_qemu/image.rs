//! Building the image, for the bare target where it is installed and by the host target's `core` where it is not.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use ostrakon_xtask::failure::{During, Result};

use crate::cargo::{cargo, output, succeed, target_folder, workspace};

const BARE_TARGET: &str = "x86_64-unknown-none";
const HOST_TARGET: &str = "x86_64-unknown-linux-gnu";
const NAME: &str = "ostrakon-qemu";

/// The image and how it was built.
pub(super) struct Image {
    /// An ELF file that QEMU boots by PVH.
    pub(super) path: PathBuf,
    /// For people.
    pub(super) how: String,
    /// What decodes its log, if it is not text.
    pub(super) decoder: Option<PathBuf>,
}

/// Cargo in the folder of the image, for the target given.
fn cargo_for(verb: &str, target: &str) -> Command {
    let mut command = cargo([verb, "--release", "--target", target]);
    command
        .current_dir(workspace().join("platform-qemu"))
        .arg("--target-dir")
        .arg(target_folder().join("qemu"))
        // Flags meant for hosted programs have no place in the image.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

/// Builds the image, and what decodes its log if that is to be defmt's. `freestanding`: as if the bare target were not there.
pub(super) fn build(defmt: bool, freestanding: bool) -> Result<Image> {
    let installed = is_installed(BARE_TARGET)?;
    let bare = installed && !freestanding;
    let target = if bare { BARE_TARGET } else { HOST_TARGET };
    let mut command = cargo_for("build", target);
    if defmt {
        // Every level is compiled in; the command line of the image chooses.
        command.args(["--features", "defmt"]).env("DEFMT_LOG", "trace");
    }
    succeed(&mut command)?;
    let decoder = defmt.then(build_decoder).transpose()?;
    let folder = target_folder().join("qemu");
    let path = folder.join(target).join("release").join(NAME);
    let how = match (bare, installed) {
        (true, _) => format!("for {BARE_TARGET}"),
        (false, true) => format!("for {HOST_TARGET}, freestanding, as asked"),
        (false, false) => format!(
            "for {HOST_TARGET}, freestanding, because {BARE_TARGET} is not installed (rustup target add {BARE_TARGET})"
        ),
    };
    Ok(Image { path, how, decoder })
}

/// The decoder is a package of its own: nothing else needs what it depends on.
fn build_decoder() -> Result<PathBuf> {
    let folder = target_folder().join("qemu-decoder");
    // Not optimized: it has little to do, and takes half as long to build.
    let mut command = cargo(["build"]);
    command
        .current_dir(workspace().join("platform-qemu/decoder"))
        .arg("--target-dir")
        .arg(&folder);
    succeed(&mut command)?;
    Ok(folder.join("debug/ostrakon-qemu-decoder"))
}

/// The image is formatted, and builds without a warning for both targets. Returns what could not be checked.
pub(super) fn lint() -> Result<Vec<String>> {
    let mut format = cargo(["fmt", "--all", "--check"]);
    succeed(format.current_dir(workspace().join("platform-qemu")))?;
    let mut skipped = Vec::new();
    for target in [BARE_TARGET, HOST_TARGET] {
        if !is_installed(target)? {
            skipped.push(format!(
                "the image for {target}: not installed (rustup target add {target})"
            ));
            continue;
        }
        for features in [&[][..], &["--features", "defmt"]] {
            succeed(
                cargo_for("clippy", target)
                    .args(features)
                    .args(["--", "-D", "warnings"]),
            )?;
        }
    }
    Ok(skipped)
}

fn is_installed(target: &str) -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command
        .args(["--print", "target-libdir", "--target", target])
        .stderr(Stdio::null());
    let folder = output(&mut command)?;
    let files = match std::fs::read_dir(folder.trim()) {
        Ok(files) => files,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error).during(format!("looking into {}", folder.trim())),
    };
    let is_core = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("libcore-");
    Ok(files.flatten().any(|file| is_core(&file.file_name())))
}
