//! A program that runs on this host while, and only while, its mount leads.
//!
//! Between the mount and the program stands a *keeper*, a small process of its own:
//!
//! ```text
//! ostrakon run ── keeper ── PROGRAM (a process group of its own) ── whatever it starts
//! ```
//!
//! - It ends the program in time by its own clock, even while the process of the mount is frozen.
//! - It adopts every orphan of the program (a *subreaper*), so that nothing escapes by forking twice, and it says
//!   that the program is gone only when the last descendant is.
//! - When the mount's process dies, in whatever way, its end of their socket closes, and the keeper kills everything.
//!   When the keeper dies, the kernel kills the program.
//! - Keeper and program inherit the lock of the mount ([`crate::runtime`]): whoever finds it free knows that they
//!   are gone too. So a fence that waits for the lock waits for them.
//!
//! [`Runner`] is the mount's side, `keeper` the other, `wire` what they say to each other, [`tree`] how
//! processes are found.

mod exec;
mod keeper;
mod runner;
pub mod tree;
mod wire;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub use exec::find_program;
pub use runner::{Runner, RunnerEvent, Wants};
pub use wire::Ending;

/// The argument by which this program is told to be a keeper. Not for people.
pub const KEEPER_ARGUMENT: &str = "__keep";

/// The argument by which this program is told to become the program. Not for people.
pub const EXEC_ARGUMENT: &str = "__exec";

pub use exec::run as exec;
pub use keeper::run as keep;

/// What happens when the program ends by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum OnExit {
    /// This host resigns, so that another one takes over; it stays mounted and may be elected again
    Resign,
    /// The program is started again on this host, after a pause that doubles from 1 s to 30 s
    Restart,
    /// This host leaves the volume; the exit code is the program's
    Leave,
}

/// A program to run, and how.
#[derive(Clone, Debug)]
pub struct ProgramOptions {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// What happens when it ends by itself.
    pub on_exit: OnExit,
    /// How long it may take to end when this host leaves on purpose.
    pub stop_time: Duration,
    /// The device, for its environment.
    pub device: PathBuf,
}
