//! `cargo xtask bench`: ostrakon beside what a user would pick instead, in one run.

use std::ffi::OsString;
use std::process::ExitCode;

use lexopt::{Arg, ValueExt};
use ostrakon_xtask::failure::{During, Result};

use crate::cargo::{build, ostrakon_binary, pass_on, target_folder, workspace};

const HELP: &str = "\
cargo xtask bench [--quick] [--only PART …]

Measures ostrakon, and etcd, sanlock and sbd where they are installed, on this machine and on the disk of the target folder,
and writes tables and charts. A whole run (about twenty minutes) writes BENCHMARKS.md and xtask/benchmarks/; a quick one, or
one of some parts, writes the same below target/bench/. What cannot be measured here is listed with the reason.

Parts: failover, peers, frozen, idle, elections, scale, cost. Everything at once needs root (loop devices), 30,000 open files,
and on Debian: apt-get install etcd-server etcd-client sanlock sbd
";

pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let mut passed_on = Vec::new();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Long("quick") => passed_on.push("--quick".to_owned()),
            Arg::Long("only") => passed_on.extend(["--only".to_owned(), parser.value()?.string()?]),
            other => return Err(other.unexpected().into()),
        }
    }
    let binary = ostrakon_binary(true)?;
    let arguments = [
        "build",
        "--release",
        "--package",
        "ostrakon-bench",
        "--bin",
        "ostrakon-bench",
    ];
    let program = build(&arguments, "ostrakon-bench")?;
    let (document, charts) = if passed_on.is_empty() {
        let root = workspace();
        (root.join("BENCHMARKS.md"), root.join("xtask/benchmarks"))
    } else {
        let folder = target_folder().join("bench");
        std::fs::create_dir_all(&folder).during(format!("making {}", folder.display()))?;
        (folder.join("BENCHMARKS.md"), folder.join("charts"))
    };
    // The last one is the program: a library of the same name comes before it.
    let mut command = std::process::Command::new(&program[program.len() - 1]);
    command
        .args(passed_on)
        .arg("--binary")
        .arg(binary)
        .arg("--target")
        .arg(target_folder())
        .arg("--document")
        .arg(document)
        .arg("--charts")
        .arg(charts);
    let status = command.status().during("running ostrakon-bench")?;
    Ok(pass_on(status))
}
