//! Shows that a big-endian host reads and writes the same bytes: core's tests of the formats, of the checksum, of the sessions and
//! of the frozen volumes, built for s390x (IBM Z) and run by QEMU's emulation of its programs.

use std::process::Command;

use ostrakon_xtask::bare::has_core;
use ostrakon_xtask::failure::Result;

use crate::cargo::{cargo, is_there, succeed};

const TARGET: &str = "s390x-unknown-linux-gnu";
/// The linker, and what runs programs of that machine on this one.
const LINKER: &str = "s390x-linux-gnu-gcc";
const RUNNERS: [&str; 2] = ["qemu-s390x-static", "qemu-s390x"];
/// Where Debian's cross compiler has the libraries.
const LIBRARIES: &str = "/usr/s390x-linux-gnu";

/// Unit tests that are about bytes.
const FILTERS: [&str; 3] = ["format::", "checksum::", "noise::"];

/// Returns what is missing.
pub(super) fn check() -> Result<Vec<String>> {
    let Some(runner) = RUNNERS.into_iter().find(|program| is_there(program)) else {
        return Ok(vec![missing("qemu-s390x", "apt-get install qemu-user-static")]);
    };
    if !is_there(LINKER) {
        return Ok(vec![missing(
            LINKER,
            "apt-get install gcc-s390x-linux-gnu libc6-dev-s390x-cross",
        )]);
    }
    if !has_core(TARGET)? {
        return Ok(vec![missing(
            "the standard library",
            &format!("rustup target add {TARGET}"),
        )]);
    }
    let runner = format!("{runner} -L {LIBRARIES}");
    succeed(test(&runner).arg("--lib").arg("--").args(FILTERS))?;
    succeed(test(&runner).args(["--test", "frozen"]))?;
    Ok(Vec::new())
}

fn test(runner: &str) -> Command {
    let mut command = cargo(["test", "--package", "ostrakon-core", "--target", TARGET]);
    command
        .env("CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_LINKER", LINKER)
        .env("CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_RUNNER", runner)
        // Built once and run for a moment.
        .args(["--config", "profile.dev.package.ostrakon-core.opt-level=0"]);
    command
}

fn missing(what: &str, how: &str) -> String {
    format!("big-endian bytes: {what} for {TARGET} is not here ({how})")
}
