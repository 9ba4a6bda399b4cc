//! `cargo xtask`: everything one does with this repository beyond plain cargo.

#![forbid(unsafe_code)]

mod cargo;
mod commands;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use ostrakon_xtask::failure::{Failure, Result};

const HELP: &str = "\
cargo xtask COMMAND [OPTIONS]

Commands:
  demo      a cluster of real processes on one image file: elects, fails over, fences, leaves
  test      every test of the workspace, and what was skipped and why
  ci        what must hold before anything is merged; each step also by itself
  torture   fail-overs of real processes, many in a row, judged by what the program under `run` wrote
  scsi      the reservation fence on real SCSI commands: two guests under QEMU on one iSCSI target
  package   a Debian package of the program, its unit, its man pages and its completions
  sim       the simulator (options are passed on)
  bench     fail-over, idle cost, scale: beside etcd, sanlock and sbd, in one run (--quick, --only PART)
  counts    instructions of small things (--write, --check)
  size      code, RAM and stack of core on small targets (--write, --check)
  bare-compiler  where rustup has no bare targets: Debian's compiler, unpacked into the target folder
  mutants   breaks core in one place after the other: does a test notice?
  coverage  how much of core the tests run
  fuzz      inputs that break parsers or state machines, searched for with coverage
  power-cuts  the simulator's scenarios, cut at every write to the device
  model     the exhaustive search over the election's decisions (options are passed on)
  firmware  the example of a RISC-V board's firmware under QEMU, beside Linux mounts on one disk
  run-qemu  bare images under QEMU on one disk: elect, fail over, fence, leave

cargo xtask COMMAND --help says more. Exit codes: 0 all is well, 1 something failed, 2 a wrong argument; others are those of the
program that a command runs, and its help lists them.
";

const BARE_COMPILER_HELP: &str = "\
cargo xtask bare-compiler [--if-needed]

Downloads Debian's compiler for bare targets (about 150 MB, with apt-get) and unpacks it into the target folder; installs
nothing. With --if-needed only where rustup does not have the targets.
";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next();
    match run(command, arguments.collect()) {
        Ok(code) => code,
        Err(failure) => {
            // If nobody reads this either, the exit code still says it.
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Fetches a compiler for bare targets; downloads nothing unless it is asked in so many words.
fn bare_compiler(arguments: &[OsString]) -> Result<ExitCode> {
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    match words.iter().map(AsRef::as_ref).collect::<Vec<&str>>()[..] {
        [] => ostrakon_xtask::bare::provide(false)?,
        ["--if-needed"] => ostrakon_xtask::bare::provide(true)?,
        ["--help" | "-h"] => print!("{BARE_COMPILER_HELP}"),
        _ => {
            return Err(Failure::usage(format!(
                "bare-compiler does not know {}\n\n{BARE_COMPILER_HELP}",
                words.join(" ")
            )));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run(command: Option<OsString>, arguments: Vec<OsString>) -> Result<ExitCode> {
    let Some(command) = command else {
        return Err(Failure::usage(format!("expected a command\n\n{HELP}")));
    };
    match command.to_str() {
        Some("demo") => commands::demo::run(arguments),
        Some("test") => commands::test::run(arguments),
        Some("torture") => commands::torture::run(arguments),
        Some("scsi") => commands::scsi::run(arguments),
        Some("package") => commands::package::run(arguments),
        Some("ci") => commands::ci::run(arguments),
        Some("sim") => commands::sim::run(arguments),
        Some("bench") => commands::bench::run(arguments),
        Some("counts") => commands::counts::run(arguments),
        Some("size") => commands::size::run(arguments),
        Some("bare-compiler") => bare_compiler(&arguments),
        Some("mutants") => commands::mutants::run(arguments),
        Some("coverage") => commands::coverage::run(arguments),
        Some("fuzz") => commands::fuzz::run(arguments),
        Some("power-cuts") => commands::power_cuts::run(arguments),
        Some("model") => commands::sim::model(arguments),
        Some("firmware") => commands::run_qemu::run_firmware(arguments),
        Some("run-qemu") => commands::run_qemu::run(arguments),
        Some(commands::run_qemu::AGENT_COMMAND) => commands::run_qemu::agent(&arguments),
        Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(Failure::usage(format!(
            "there is no command {}\n\n{HELP}",
            command.to_string_lossy()
        ))),
    }
}
