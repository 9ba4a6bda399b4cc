//! The `ostrakon` command, one file for each subcommand.

mod dump;
mod exit;
mod fence;
mod fence_kill;
mod format;
mod generate;
mod metadata;
mod metrics;
mod mount;
mod mount_args;
mod narrate;
mod notify;
mod printer;
mod rekey;
mod run;
mod set_quorum_count;
mod show;
mod size;
mod status;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::fence::coverage;
use crate::program;

pub use exit::Exit;
pub use narrate::{Description, Narrator};

/// What every help text ends with.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  an error of the system or the device
  2  the command line makes no sense, or asks for a combination that cannot work
  3  refused: the device holds something, is in use, or has mounted clients
  4  no ostrakon volume there, or one that cannot be read
  5  the mount ended, but not cleanly: forced, or it left its record behind";

/// Leader election of hosts through one shared block device.
///
/// Every host that sees the device may mount the volume on it. A mount with --server-addr is a voter: when no server
/// can be reached, the voters elect one through the device alone, and it fences its predecessors before it serves.
#[derive(Parser, Debug)]
#[command(name = "ostrakon", version, after_help = EXIT_CODES, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

// The documentation of each is that of its arguments, beside what it does.
#[derive(Subcommand, Debug)]
enum Command {
    Format(format::Args),
    Mount(Box<mount_args::Args>),
    Run(Box<run::Args>),
    Status(status::Args),
    Dump(dump::Args),
    SetQuorumCount(set_quorum_count::Args),
    Rekey(rekey::Args),
    Fence(fence::Args),
    FenceKill(fence_kill::Args),
    #[command(hide = true)]
    Generate(generate::Args),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    if let Some(code) = as_keeper() {
        return ExitCode::from(code);
    }
    let parsed = command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors, and clap knows which stream each belongs on.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            }
            .into();
        }
    };
    let exit = match cli.command {
        Command::Format(args) => format::run(&args),
        Command::Mount(args) => mount::run(&args),
        Command::Run(args) => return run::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Dump(args) => dump::run(&args),
        Command::SetQuorumCount(args) => set_quorum_count::run(&args),
        Command::Rekey(args) => rekey::run(&args),
        Command::Fence(args) => fence::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::FenceKill(args) => return fence_kill::run(&args),
    };
    exit.into()
}

/// What this program is when it was started by itself, between a mount and the program that it runs.
fn as_keeper() -> Option<u8> {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next()?;
    if first == program::KEEPER_ARGUMENT {
        return Some(program::keep(arguments.collect()));
    }
    if first == program::EXEC_ARGUMENT {
        let keeper = arguments.next()?.to_str()?.parse().ok()?;
        return Some(program::exec(keeper, &arguments.collect::<Vec<_>>()));
    }
    None
}

/// The definition of the command line, for those who generate documents from it.
pub fn command() -> clap::Command {
    let coverage = format!("{}\n\n{EXIT_CODES}", coverage::table());
    let cli = Cli::command().mut_subcommand("run", |run| {
        run.mut_arg("fence", |fence| {
            fence
                .value_name("agent:PROGRAM|script:PROGRAM|lease")
                .help("How earlier leaders are silenced: agent:PROGRAM, script:PROGRAM or lease; may be repeated. Required")
        })
        .mut_arg("json", |json| {
            json.help(
                "One JSON object a line instead of text, each with event, rid, at_ms and, where they apply, term and server_addr",
            )
        })
    });
    cli.mut_subcommands(|subcommand| match subcommand.get_after_help() {
        // An agent's exit codes are given by its protocol.
        Some(_) => subcommand,
        None if ["mount", "run"].contains(&subcommand.get_name()) => subcommand
            .after_help(EXIT_CODES)
            .after_long_help(coverage.clone()),
        None => subcommand.after_help(EXIT_CODES),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
