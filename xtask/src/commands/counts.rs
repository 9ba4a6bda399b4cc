//! `cargo xtask counts`: instructions of small things that are done often. Unlike times they come out the same on a busy machine.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use lexopt::Arg;
use ostrakon_xtask::failure::{During, Failure, Result, ensure};

use crate::cargo::{build, output, target_folder, workspace};

const HELP: &str = "\
cargo xtask counts [--write | --check]

Counts the instructions of collects, checksums, encoders and decoders with callgrind, and prints them. --write keeps them in
core/COUNTS.md; --check fails when one has grown by more than a tenth over that table. Needs valgrind (Debian: apt-get install
valgrind).
";

const HEAD: &str = "\
# Instructions

Counted by `cargo xtask counts` with callgrind, on x86_64, optimized, with the portable checksum; one run of each. Collect and
merge: all 64 blocks of the quorum region, with a log of three leaders in each, or full ones; the decision is part of it, and
stands alone as well, with the last block of sixteen writers' and without its checksum.

`cargo xtask counts --check`, a step of CI, fails when one of them has grown by more than a tenth; `--write` keeps new ones. A
change of compiler can do that too.

";

/// Runs within one count: see `ostrakon-counts`.
const RUNS: u64 = 100;

/// Growth without a new table, in percent.
const GROWTH_PERCENT: u64 = 10;

/// Counts that are lower are judged as if they were this high: a few instructions more are nothing.
const LEAST: u64 = 100;

#[derive(Clone, PartialEq, Eq, Debug)]
struct Count {
    name: String,
    instructions: u64,
}

pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let mut wish = None;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Long("write") => wish = Some(true),
            Arg::Long("check") => wish = Some(false),
            other => return Err(other.unexpected().into()),
        }
    }
    if let Some(why) = missing() {
        return Err(Failure::new(why));
    }
    let counts = measure()?;
    print!("{}", table(&counts));
    match wish {
        None => {}
        Some(true) => {
            let text = format!("{HEAD}{}", table(&counts));
            std::fs::write(file(), text).during(format!("writing {}", file().display()))?;
        }
        Some(false) => judge(&counts)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The step of CI; says what could not be checked.
pub(crate) fn check() -> Result<Vec<String>> {
    if let Some(why) = missing() {
        return Ok(vec![why]);
    }
    judge(&measure()?).map(|()| Vec::new())
}

fn missing() -> Option<String> {
    if !cfg!(target_arch = "x86_64") {
        return Some("the instructions of core/COUNTS.md are those of x86_64".to_owned());
    }
    let found = Command::new("valgrind").arg("--version").output();
    let there = found.is_ok_and(|output| output.status.success());
    (!there).then(|| "valgrind is not installed (Debian: apt-get install valgrind)".to_owned())
}

fn file() -> PathBuf {
    workspace().join("core/COUNTS.md")
}

fn measure() -> Result<Vec<Count>> {
    let arguments = [
        "build",
        "--release",
        "--package",
        "ostrakon-bench",
        "--bin",
        "ostrakon-counts",
    ];
    let files = build(&arguments, "ostrakon-counts")?;
    let program = &files[files.len() - 1];
    let names = output(&mut Command::new(program))?;
    names
        .lines()
        .map(|name| {
            count(program, name).map(|instructions| Count {
                name: name.to_owned(),
                instructions,
            })
        })
        .collect()
}

fn count(program: &Path, name: &str) -> Result<u64> {
    let log = target_folder().join(format!("callgrind-{}.log", std::process::id()));
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--toggle-collect=*measured*", "--collect-atstart=no"])
        .arg(format!("--log-file={}", log.display()))
        .arg(program)
        .arg(name);
    output(&mut command)?;
    let text = std::fs::read_to_string(&log).during(format!("reading {}", log.display()))?;
    // It is read; nobody needs it any more.
    let _ = std::fs::remove_file(&log);
    let total = text
        .lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok());
    let total =
        total.ok_or_else(|| Failure::new(format!("expected a count in what callgrind says:\n{text}")))?;
    ensure(total > 0, || format!("callgrind counted nothing of {name:?}"))?;
    Ok(total / RUNS)
}

fn table(counts: &[Count]) -> String {
    let mut text = String::from("| what | instructions |\n|---|--:|\n");
    for count in counts {
        let _ = writeln!(text, "| {} | {} |", count.name, count.instructions);
    }
    text
}

fn parse(text: &str) -> Vec<Count> {
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let &["", name, number, ""] = cells.as_slice() else {
            return None;
        };
        Some(Count {
            name: name.to_owned(),
            instructions: number.parse().ok()?,
        })
    });
    rows.collect()
}

fn judge(counts: &[Count]) -> Result<()> {
    let kept = std::fs::read_to_string(file()).during(format!("reading {}", file().display()))?;
    let complaints = complaints(counts, &parse(&kept));
    ensure(complaints.is_empty(), || complaints.join("\n"))
}

fn complaints(counts: &[Count], kept: &[Count]) -> Vec<String> {
    let mut complaints = Vec::new();
    for count in counts {
        let (name, found) = (&count.name, count.instructions);
        match kept.iter().find(|kept| kept.name == *name) {
            None => complaints.push(format!(
                "{name}: not in core/COUNTS.md; cargo xtask counts --write"
            )),
            Some(before) => {
                let most = before.instructions.max(LEAST) * (100 + GROWTH_PERCENT) / 100;
                if found > most {
                    complaints.push(format!(
                        "{name}: grew from {} to {found} instructions; cargo xtask counts --write if that is meant",
                        before.instructions
                    ));
                }
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(instructions: u64) -> Vec<Count> {
        vec![Count {
            name: "collect".to_owned(),
            instructions,
        }]
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        assert_eq!(parse(&format!("{HEAD}{}", table(&counted(7)))), counted(7));
    }

    #[test]
    fn growth_by_more_than_a_tenth_is_told() {
        assert!(complaints(&counted(1_100), &counted(1_000)).is_empty());
        assert!(complaints(&counted(10), &counted(1_000)).is_empty());
        assert!(
            complaints(&counted(9), &counted(2)).is_empty(),
            "a few are nothing"
        );
        assert_eq!(complaints(&counted(1_101), &counted(1_000)).len(), 1);
        assert_eq!(complaints(&counted(1), &[]).len(), 1);
    }
}
