//! `cargo xtask coverage`: how much of core the tests run.

mod count;
mod unreached;

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use lexopt::{Arg, ValueExt};
use ostrakon_xtask::failure::{During, Result, demand, ensure};

use self::count::{Count, File};
use self::unreached::Unreached;
use crate::cargo::{cargo, succeed, target_folder, workspace};

const HELP: &str = "\
cargo xtask coverage [--runs N] [--all] [--missed] [--html]
cargo xtask coverage --again [--missed] [--html]

Runs the tests of core, of the simulator with all its scenarios, each with a power cut, of the fuzzer with its corpus and of
the exhaustive search, and then N random runs (1000 unless given), with instrumented code. Prints for each file of core how many of
its branches and lines they ran: of a piece of code that is compiled several times, what any of them ran counts.

  --all     runs the tests of the whole workspace too, real processes included
  --again   runs nothing, and tells what was counted before
  --missed  also lists each branch that was never taken
  --html    also writes target/llvm-cov/html, which shows each line

A branch that no test can take is listed with the reason in tests/unreached.txt, and not counted; a line of that list that is
wrong is an error. Needs cargo-llvm-cov (cargo install --locked cargo-llvm-cov) and the toolchain's component
llvm-tools (rustup component add llvm-tools).
";

/// What is not core, or only core's tests.
const NOT_CORE: &str =
    r"(tests|xtask|platform-linux|core/c|core/size)/|tests\.rs$|core/src/session/(world|disk)";

/// The packages whose tests run core without a platform. Of a core whose rules can be left out, so that leaving them out counts.
const TESTS: [&str; 6] = [
    "--package=ostrakon-core",
    "--package=ostrakon-tests",
    "--package=ostrakon-fuzz",
    "--package=ostrakon-model",
    "--features=ostrakon-tests/rules-off",
    "--no-fail-fast",
];

struct Options {
    runs: u64,
    missed: bool,
    html: bool,
    all: bool,
    again: bool,
}

pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let mut runs = None;
    let mut options = Options {
        runs: 1_000,
        missed: false,
        html: false,
        all: false,
        again: false,
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Long("runs") => runs = Some(parser.value()?.parse()?),
            Arg::Long("missed") => options.missed = true,
            Arg::Long("html") => options.html = true,
            Arg::Long("all") => options.all = true,
            Arg::Long("again") => options.again = true,
            other => return Err(other.unexpected().into()),
        }
    }
    demand(!options.again || (runs.is_none() && !options.all), || {
        "--again runs nothing: expected neither --runs nor --all with it".to_owned()
    })?;
    options.runs = runs.unwrap_or(options.runs);
    let there = cargo(["llvm-cov", "--version"]).output();
    ensure(there.is_ok_and(|output| output.status.success()), || {
        "missing: cargo-llvm-cov. cargo install --locked cargo-llvm-cov brings it, and rustup component add \
         llvm-tools what it calls"
            .to_owned()
    })?;
    let unreached = Unreached::read()?;
    if options.again {
        ensure(has_counted(&target_folder().join("llvm-cov-target")), || {
            "--again: nothing has been counted yet; cargo xtask coverage, without it, counts".to_owned()
        })?;
    } else {
        run_tests(&options)?;
    }
    let files = measured()?;
    report(&files, &unreached, options.missed)?;
    if options.html {
        succeed(
            branches(&["report", "--html", "--ignore-filename-regex", NOT_CORE])
                .arg("--output-dir")
                .arg(target_folder().join("llvm-cov")),
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether runs have left their counts in this folder.
fn has_counted(folder: &Path) -> bool {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .filter_map(|file| file.path().extension().map(|kind| kind == "profraw"))
        .any(|counts| counts)
}

fn run_tests(options: &Options) -> Result<()> {
    succeed(&mut cargo(["llvm-cov", "clean", "--workspace"]))?;
    succeed(branches(&["--no-report"]).args(TESTS))?;
    if options.runs > 0 {
        let runs = options.runs.to_string();
        succeed(&mut branches(&[
            "run",
            "--no-report",
            "--package=ostrakon-tests",
            "--features=rules-off",
            "--bin=sim",
            "--",
            "--seed=1",
            "--jobs=1",
            "--runs",
            &runs,
        ]))?;
    }
    if options.all {
        // A platform refuses to be built with a core whose rules can be left out.
        succeed(&mut branches(&["--no-report", "--workspace"]))?;
    }
    Ok(())
}

/// cargo-llvm-cov, which counts branches only with a flag that the stable compiler has, but keeps for its nightly builds.
/// What it runs is optimized, because counting makes it slow; one test at a time, because threads that count in the same
/// memory are slower together than one; and one power cut a scenario, which is where the time goes.
fn branches(arguments: &[&str]) -> Command {
    // It goes before the arguments of a program that is run.
    let end = arguments.iter().position(|&argument| argument == "--");
    let (own, programs) = arguments.split_at(end.unwrap_or(arguments.len()));
    let mut command = cargo(["llvm-cov"]);
    command
        .args(own)
        .args(["--branch", "--release"])
        .args(programs)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUST_TEST_THREADS", "1")
        .env("OSTRAKON_CUTS", "1")
        .env("OSTRAKON_SECOND_CUTS", "0");
    command
}

/// What the runs since the last `clean` counted, file by file.
fn measured() -> Result<Vec<File>> {
    let path = target_folder().join("coverage.json");
    succeed(
        branches(&[
            "report",
            "--json",
            "--skip-functions",
            "--ignore-filename-regex",
            NOT_CORE,
        ])
        .arg("--output-path")
        .arg(&path),
    )?;
    let text = std::fs::read_to_string(&path).during(format!("reading {}", path.display()))?;
    let export = serde_json::from_str(&text).during(format!("reading {}", path.display()))?;
    let root = workspace();
    count::files(&export, |name| {
        let path = Path::new(name);
        let inside = path.strip_prefix(&root).unwrap_or(path);
        let source = std::fs::read_to_string(path).during(format!("reading {name}"))?;
        Ok((inside.to_string_lossy().into_owned(), source))
    })
}

/// Prints a line for each file, and what all have together.
fn report(files: &[File], unreached: &Unreached, missed: bool) -> Result<()> {
    unreached.check(files)?;
    let mut all = (Count::default(), Count::default());
    println!("{:>22} {:>22}", "branches", "lines");
    for file in files {
        let (branches, lines) = (file.branches(unreached), file.lines);
        println!("{branches:>22} {lines:>22}  {}", file.name);
        all.0.add(branches);
        all.1.add(lines);
    }
    println!("{:>22} {:>22}  in all", all.0, all.1);
    println!(
        "{} branches are not counted, for the reasons in {}",
        unreached.len(),
        unreached::LIST
    );
    if missed {
        println!("\nNever taken:");
        for (file, branch) in files.iter().flat_map(|file| file.missed(unreached)) {
            println!("  {}:{}: {branch}", file, branch.line);
        }
    }
    Ok(())
}
