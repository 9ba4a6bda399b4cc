//! `cargo xtask test`: every test of the workspace, then what was skipped and why.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{ExitCode, Stdio};

use lexopt::Arg;
use ostrakon_xtask::failure::{During, Failure, Result};
use ostrakon_xtask::skipped;

use crate::cargo::{cargo, target_folder, words};

const HELP: &str = "\
cargo xtask test [ARGUMENTS OF cargo test]

Runs `cargo test --workspace`, documentation tests included, to its end even when one suite fails. Then says how
many passed in all, and lists each test that could not run on this machine with the reason.
";

/// Numbers of all suites together.
#[derive(Default, Debug, PartialEq, Eq)]
struct Totals {
    suites: u32,
    passed: u32,
    failed: u32,
    ignored: u32,
}

pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let mut parser = lexopt::Parser::from_args(arguments.clone());
    if let Some(Arg::Long("help") | Arg::Short('h')) = parser.next()? {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    all(&arguments).map(|()| ExitCode::SUCCESS)
}

/// Runs every test; further arguments go to `cargo test`.
pub(crate) fn all(arguments: &[OsString]) -> Result<()> {
    let reasons = target_folder().join("skipped-tests.txt");
    std::fs::create_dir_all(target_folder()).during("making the target folder")?;
    std::fs::write(&reasons, "").during(format!("emptying {}", reasons.display()))?;
    let mut command = cargo(["test", "--workspace", "--no-fail-fast"]);
    command
        .args(arguments)
        .env(skipped::FILE_VARIABLE, &reasons)
        .stdout(Stdio::piped());
    let mut child = command.spawn().during(format!("running {}", words(&command)))?;
    let mut totals = Totals::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.during("reading what the tests print")?;
            println!("{line}");
            totals.add(&line);
        }
    }
    let status = child.wait().during("waiting for the tests")?;
    print_skipped(&reasons)?;
    println!(
        "In all {} suites: {} passed; {} failed; {} ignored",
        totals.suites, totals.passed, totals.failed, totals.ignored
    );
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("{} ended with {status}", words(&command))))
    }
}

impl Totals {
    /// Adds a suite's last line: `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let (_, counts) = result.split_once(". ").unwrap_or_default();
        self.suites += 1;
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else {
                continue;
            };
            let number: u32 = number.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

fn print_skipped(reasons: &Path) -> Result<()> {
    let text = std::fs::read_to_string(reasons).during(format!("reading {}", reasons.display()))?;
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    println!(
        "\nSkipped on this machine: {}",
        if lines.is_empty() { "nothing" } else { "" }
    );
    for line in lines {
        println!("  {line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_added_up() {
        let mut totals = Totals::default();
        let lines = [
            "running 2 tests",
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 5 filtered out; finished in 0.00s",
            "test result: FAILED. 1 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ];
        lines.into_iter().for_each(|line| totals.add(line));
        let expected = Totals {
            suites: 2,
            passed: 3,
            failed: 4,
            ignored: 1,
        };
        assert_eq!(totals, expected);
    }
}
