//! `cargo xtask coverage`: how much of core the tests run.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use lexopt::Arg;
use ostrakon_xtask::failure::{Result, ensure};

use crate::cargo::{cargo, succeed, target_folder};

const HELP: &str = "\
cargo xtask coverage [--html] [--all]

Runs the tests of core, of the simulator and of the fuzzer with instrumented code, and prints for each file of core how many of
its regions, lines and branches they ran. --all runs the tests of the whole workspace, real processes included; --html also
writes target/llvm-cov/html, which shows each line.

Needs cargo-llvm-cov (cargo install --locked cargo-llvm-cov) and the toolchain's component llvm-tools (rustup component add llvm-tools).
";

/// What is not core, or only core's tests.
const NOT_CORE: &str =
    r"(tests|xtask|platform-linux|core/c|core/size)/|tests\.rs$|core/src/session/(world|disk)";

pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let (mut html, mut all) = (false, false);
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Long("html") => html = true,
            Arg::Long("all") => all = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let there = cargo(["llvm-cov", "--version"]).output();
    ensure(there.is_ok_and(|output| output.status.success()), || {
        "missing: cargo-llvm-cov. cargo install --locked cargo-llvm-cov brings it, and rustup component add \
         llvm-tools what it calls"
            .to_owned()
    })?;
    let packages: &[&str] = if all {
        &["--workspace"]
    } else {
        &[
            "--package=ostrakon-core",
            "--package=ostrakon-tests",
            "--package=ostrakon-fuzz",
        ]
    };
    succeed(branches(&["--no-report"]).args(packages))?;
    succeed(&mut branches(&["report", "--ignore-filename-regex", NOT_CORE]))?;
    if html {
        succeed(
            branches(&["report", "--html", "--ignore-filename-regex", NOT_CORE])
                .arg("--output-dir")
                .arg(target_folder().join("llvm-cov")),
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// cargo-llvm-cov, which counts branches only with a flag that the stable compiler has, but keeps for its nightly builds.
fn branches(arguments: &[&str]) -> Command {
    let mut command = cargo(["llvm-cov"]);
    command
        .args(arguments)
        .arg("--branch")
        .env("RUSTC_BOOTSTRAP", "1");
    command
}
