//! `cargo xtask fuzz`: the search for inputs that break something, guided by coverage.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use lexopt::{Arg, ValueExt};
use ostrakon_xtask::failure::{During, Failure, Result, demand, ensure};

use crate::cargo::{cargo, output, succeed, target_folder, words, workspace};

const HELP: &str = "\
cargo xtask fuzz [TARGET …] [--minutes M]

Searches for inputs that break a target, guided by the coverage of core, for M minutes each (1 unless given), one target after
the other; all of them unless some are named:

  blocks    each kind of block, damaged, its checksum made right again
  messages  frames in a stream, greetings and welcomes, likewise
  image     whole devices: damaged, forged, cut short; a mount of them
  cluster   sequences of operations on the mounts of one device

What it has learned stays in target/fuzz/corpus. What it finds is printed as a line for tests/fuzz/corpus/TARGET.txt, from where
the ordinary tests run it for good. libFuzzer is C++: a C++ compiler is needed (on Debian: apt-get install --yes g++).
";

/// The targets, as `ostrakon-fuzz` calls them.
const TARGETS: [&str; 4] = ["blocks", "messages", "image", "cluster"];

/// What instruments the code for libFuzzer, as cargo-fuzz does it, but with the stable compiler: no sanitizer, of which code
/// without `unsafe` has no need. Assertions and overflow checks stay on.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1";

/// The longest input.
const LENGTH_MAX: u32 = 4_096;

pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let (mut targets, mut minutes) = (Vec::new(), 1.0_f64);
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Long("minutes") => {
                minutes = parser.value()?.parse()?;
                demand(minutes > 0.0, || {
                    format!("--minutes {minutes}: a number above 0 was expected, as 0.5 for half a minute")
                })?;
            }
            Arg::Value(name) => targets.push(known(&name.to_string_lossy())?),
            other => return Err(other.unexpected().into()),
        }
    }
    if targets.is_empty() {
        targets.extend(TARGETS);
    }
    let compiler = Command::new("c++").arg("--version").output();
    ensure(compiler.is_ok_and(|output| output.status.success()), || {
        "missing: c++, with which libFuzzer is built. On Debian: apt-get install --yes g++".to_owned()
    })?;
    let program = build()?;
    let mut found = Vec::new();
    for target in targets {
        found.extend(search(&program, target, minutes)?);
    }
    ensure(found.is_empty(), || found.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn known(name: &str) -> Result<&'static str> {
    let target = TARGETS.into_iter().find(|target| *target == name);
    target.ok_or_else(|| Failure::usage(format!("there is no target {name}\n\n{HELP}")))
}

fn folder() -> PathBuf {
    target_folder().join("fuzz")
}

/// Builds libFuzzer's program, in a folder of its own: the flags would build everything anew each time.
fn build() -> Result<PathBuf> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or_else(|| Failure::new(format!("rustc -vV names no host: {version}")))?;
    let mut command = cargo([
        "build",
        "--release",
        "--package",
        "ostrakon-fuzz",
        "--features",
        "guided",
    ]);
    // With a target named, build scripts are not instrumented.
    command.args(["--bin", "guided", "--target", host, "--target-dir"]);
    succeed(command.arg(folder()).env("RUSTFLAGS", FLAGS))?;
    Ok(folder().join(host).join("release/guided"))
}

/// Searches with one target; returns what it found, in words.
fn search(program: &Path, target: &str, minutes: f64) -> Result<Option<String>> {
    let corpus = folder().join("corpus").join(target);
    let found = folder().join(format!("found-{target}"));
    std::fs::create_dir_all(&corpus).during(format!("making {}", corpus.display()))?;
    plant(target, &corpus)?;
    let _ = std::fs::remove_file(&found);
    eprintln!("== {target}: {minutes} minutes");
    let mut command = Command::new(program);
    command
        .arg(&corpus)
        .arg(format!("-max_total_time={}", (minutes * 60.0).ceil()))
        .arg(format!("-max_len={LENGTH_MAX}"))
        .arg(format!("-exact_artifact_path={}", found.display()))
        .args(["-print_final_stats=1", "-timeout=60"])
        .env("OSTRAKON_FUZZ_TARGET", target);
    let status = command.status().during(format!("running {}", words(&command)))?;
    if status.success() {
        return Ok(None);
    }
    let input = std::fs::read(&found).during(format!(
        "{target} ended with {status}; reading {}",
        found.display()
    ))?;
    Ok(Some(format!(
        "{target} is broken by this line for tests/fuzz/corpus/{target}.txt:\n{}",
        hexadecimal(&input)
    )))
}

/// Puts the inputs that the repository keeps into the folder that libFuzzer reads.
fn plant(target: &str, corpus: &Path) -> Result<()> {
    let kept = workspace().join(format!("tests/fuzz/corpus/{target}.txt"));
    let text = std::fs::read_to_string(&kept).during(format!("reading {}", kept.display()))?;
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    for (number, line) in lines.enumerate() {
        let input =
            bytes(line).ok_or_else(|| Failure::new(format!("{}: {line:?} is no input", kept.display())))?;
        let path = corpus.join(format!("kept-{number}"));
        std::fs::write(&path, input).during(format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn hexadecimal(input: &[u8]) -> String {
    input.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(line: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(line.get(at..at + 2)?, 16).ok();
    (0..line.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_come_back() {
        assert_eq!(bytes(&hexadecimal(&[0, 7, 0xff])), Some(vec![0, 7, 0xff]));
        assert_eq!(bytes("0"), None);
    }

    #[test]
    fn targets_are_those_that_the_help_tells_of() {
        assert!(
            TARGETS
                .iter()
                .all(|target| HELP.contains(&format!("\n  {target} ")))
        );
        assert!(known("blocks").is_ok() && known("bricks").is_err());
    }
}
