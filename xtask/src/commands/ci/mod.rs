//! `cargo xtask ci`: what must hold before anything is merged. Each step also runs by itself.

mod big_endian;
mod freestanding;
mod sources;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use lexopt::Arg;
use ostrakon_xtask::failure::{Failure, Result, ensure};

use crate::cargo::{cargo, output, succeed};
use crate::commands::{counts, run_qemu, size, test};

/// A step: what it is called, what it shows, and how. It returns what it could not check on this machine.
struct Step {
    name: &'static str,
    about: &'static str,
    run: fn() -> Result<Vec<String>>,
}

/// In the order in which they run: the quick ones first, the tests, whose last lines are what one looks for, last.
const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        about: "the sources are formatted (rustfmt)",
        run: fmt,
    },
    Step {
        name: "sources",
        about: "`unsafe` is forbidden outside platform crates; core asks for no platform; no file is too long; nothing is left undone",
        run: sources::check,
    },
    Step {
        name: "clippy",
        about: "no warnings, in tests neither",
        run: clippy,
    },
    Step {
        name: "doc",
        about: "the documentation builds without a warning, every link of it leads somewhere",
        run: doc,
    },
    Step {
        name: "client",
        about: "core without the feature `voter`: a plain client, without warnings",
        run: client,
    },
    Step {
        name: "no-std",
        about: "core builds without std and without alloc, for bare targets where a compiler is to be had",
        run: freestanding::check,
    },
    Step {
        name: "big-endian",
        about: "core's tests of bytes, built for a big-endian machine and run by an emulator",
        run: big_endian::check,
    },
    Step {
        name: "size",
        about: "core has not grown on 32-bit targets beyond what core/SIZE.md says, and keeps its budget",
        run: size::check,
    },
    Step {
        name: "sim",
        about: "a fixed small part of the simulator's runs",
        run: sim,
    },
    Step {
        name: "rules-off",
        about: "each rule for safety left out of core: a story in the simulator notices",
        run: rules_off,
    },
    Step {
        name: "qemu",
        about: "the bare image: its lints, and clusters of it under QEMU",
        run: run_qemu::check,
    },
    Step {
        name: "firmware",
        about: "the example of a RISC-V board's firmware, beside Linux mounts under QEMU",
        run: run_qemu::check_firmware,
    },
    Step {
        name: "counts",
        about: "instructions of small things: no more than a tenth above core/COUNTS.md",
        run: counts::check,
    },
    Step {
        name: "test",
        about: "every test: what `cargo xtask test` runs",
        run: tests,
    },
];

/// Runs of the simulator in CI, from a fixed seed: the same ones each time, so that a failure is never a matter
/// of luck. Longer runs are started by hand.
const SIM_ARGUMENTS: [&str; 4] = ["--seed", "1", "--runs", "10000"];

pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let mut chosen = Vec::new();
    let mut keep_going = false;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => {
                print!("{}", help());
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Long("keep-going") => keep_going = true,
            Arg::Value(name) => chosen.push(step(&name.to_string_lossy())?),
            other => return Err(other.unexpected().into()),
        }
    }
    if chosen.is_empty() {
        chosen.extend(STEPS);
    }
    run_steps(&chosen, keep_going)
}

fn help() -> String {
    let mut text = String::from(
        "cargo xtask ci [--keep-going] [STEP …]\n\nRuns all steps in this order, or those named. Stops at the \
         first that fails, unless it is to keep going.\n\n",
    );
    for step in STEPS {
        text.push_str(&format!("  {:10} {}\n", step.name, step.about));
    }
    text
}

fn step(name: &str) -> Result<&'static Step> {
    let found = STEPS.iter().find(|step| step.name == name);
    found.ok_or_else(|| Failure::usage(format!("there is no step {name}\n\n{}", help())))
}

/// Runs steps, then says how each went and what it could not check here.
fn run_steps(steps: &[&Step], keep_going: bool) -> Result<ExitCode> {
    let mut report = String::new();
    let mut failed = Vec::new();
    for step in steps {
        eprintln!("== {}: {}", step.name, step.about);
        let started = Instant::now();
        let outcome = (step.run)();
        let word = if outcome.is_ok() { "ok" } else { "FAILED" };
        report.push_str(&format!(
            "  {:10} {word:6}  {:6.1} s\n",
            step.name,
            started.elapsed().as_secs_f32()
        ));
        match outcome {
            Ok(unchecked) => {
                unchecked
                    .iter()
                    .for_each(|reason| report.push_str(&format!("            skipped: {reason}\n")));
            }
            Err(failure) => {
                eprintln!("error: {failure}");
                failed.push(step.name);
                if !keep_going {
                    break;
                }
            }
        }
    }
    eprint!("== steps\n{report}");
    ensure(failed.is_empty(), || format!("failed: {}", failed.join(", ")))?;
    Ok(ExitCode::SUCCESS)
}

fn fmt() -> Result<Vec<String>> {
    succeed(&mut cargo(["fmt", "--all", "--check"]))?;
    Ok(Vec::new())
}

fn clippy() -> Result<Vec<String>> {
    succeed(&mut cargo([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    Ok(Vec::new())
}

fn client() -> Result<Vec<String>> {
    succeed(&mut cargo([
        "clippy",
        "--package",
        "ostrakon-core",
        "--no-default-features",
        "--",
        "-D",
        "warnings",
    ]))?;
    Ok(Vec::new())
}

fn doc() -> Result<Vec<String>> {
    let mut command = cargo(["doc", "--workspace", "--no-deps"]);
    succeed(command.env("RUSTDOCFLAGS", "-Dwarnings"))?;
    Ok(Vec::new())
}

fn sim() -> Result<Vec<String>> {
    let metadata = output(&mut cargo(["metadata", "--no-deps", "--format-version", "1"]))?;
    if !metadata.contains("tests/src/bin/sim") {
        return Ok(vec!["the simulator is not there yet".to_owned()]);
    }
    crate::commands::sim::check_digests()?;
    let arguments = SIM_ARGUMENTS.map(OsString::from).to_vec();
    match crate::commands::sim::run(arguments)? {
        code if code == ExitCode::SUCCESS => Ok(Vec::new()),
        _ => Err(Failure::new("the simulator found something")),
    }
}

fn rules_off() -> Result<Vec<String>> {
    succeed(&mut cargo([
        "test",
        "--package",
        "ostrakon-tests",
        "--features",
        "rules-off",
        "--test",
        "rules_off",
    ]))?;
    Ok(Vec::new())
}

fn tests() -> Result<Vec<String>> {
    test::all(&[])?;
    Ok(Vec::new())
}
