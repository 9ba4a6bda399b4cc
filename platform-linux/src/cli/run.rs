//! `ostrakon run`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::printer::Printer;
use super::{Exit, mount, mount_args};
use crate::program::{OnExit, ProgramOptions, find_program};

/// Run a program on exactly one host: on this one while, and only while, it is the volume's server.
///
/// Mounts as a voter, as `ostrakon mount` does, whose help explains --fence. When this host is elected, every earlier
/// leader is silent and the server serves, PROGRAM is started. When this host leads no longer, or leaves, PROGRAM and
/// everything it started is ended: SIGTERM to its process group, and SIGKILL to whatever is left in time that nothing
/// outlives the right to lead (under --fence lease before the lease runs out). Only then is the volume told that this host has
/// stopped. If ostrakon itself dies, even by SIGKILL, PROGRAM is killed at once.
///
/// PROGRAM finds in its environment: OSTRAKON_TERM, a number that only grows, from host to host and from start to start
/// of the server (a fencing token: hand it to what the program writes to, and have lower ones refused), OSTRAKON_RID,
/// OSTRAKON_DEVICE, OSTRAKON_VOLUME and OSTRAKON_SERVER_ADDR. Its standard output and error are those of ostrakon, whose own
/// events go to standard error; its standard input is empty. It inherits one open file, the lock of the mount: closing it does no harm.
///
/// SIGTERM and SIGINT end PROGRAM and leave the volume; a second one does not wait. SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and
/// SIGWINCH are passed on to PROGRAM.
///
/// Exit code: with --on-exit leave, when PROGRAM ended by itself and this host left cleanly, PROGRAM's (128 and the
/// number of the signal, if one ended it); else as follows.
#[derive(clap::Args, Debug)]
#[group(skip)]
pub(super) struct Args {
    #[command(flatten)]
    mount: mount_args::Args,
    /// What happens when PROGRAM ends by itself, whatever its exit code
    #[arg(long, value_enum, value_name = "POLICY", default_value = "resign")]
    on_exit: OnExit,
    /// How long PROGRAM may take to end after SIGTERM when this host leaves on purpose. One that is deposed has 800 ms at
    /// most, since its successor does not wait longer before it fences
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(0..=86_400_000))]
    stop_timeout_ms: u64,
    /// Append the events to this file instead of writing them to standard error
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// The program and its arguments
    #[arg(last = true, required = true, num_args = 1.., value_name = "PROGRAM")]
    command: Vec<OsString>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    if !args.mount.is_voter() {
        return Exit::Usage
            .because("run needs --server-addr and --fence: only a voter can become the server that PROGRAM runs beside")
            .into();
    }
    if args.mount.is_scsi() {
        return Exit::Usage
            .because(
                "--fence scsi bars a host from the volume's disk, and does not end PROGRAM there nor keep it from its own data: \
                 give --fence agent:PROGRAM or --fence lease",
            )
            .into();
    }
    let program = Path::new(&args.command[0]);
    if find_program(program).is_none() {
        return Exit::Usage
            .because(format_args!(
                "{}: no such program, or not executable",
                program.display()
            ))
            .into();
    }
    let printer = match &args.events {
        Some(path) => Printer::file(path),
        None => Printer::stderr(),
    };
    let printer = match printer {
        Ok(printer) => printer,
        Err(error) => {
            return Exit::Failed
                .because(format_args!("the events cannot be written: {error}"))
                .into();
        }
    };
    let options = ProgramOptions {
        command: args.command.clone(),
        on_exit: args.on_exit,
        stop_time: Duration::from_millis(args.stop_timeout_ms),
        device: args.mount.device.clone(),
    };
    match mount::run_with(&args.mount, Some(options), printer) {
        (Exit::Done, Some(ending)) if args.on_exit == OnExit::Leave => ending.exit_code().into(),
        (exit, _) => exit.into(),
    }
}
