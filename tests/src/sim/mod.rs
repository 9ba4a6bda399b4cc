//! The simulator. One seed decides everything; the same seed gives the same run, byte for byte.
//!
//! The real [`Mount`](ostrakon_core::mount::Mount) runs on every host, as it does on every platform. Around it:
//!
//! - [`world`]: virtual time, the queue of what is going to happen, hosts, and the step that makes it happen.
//! - [`disk`], [`net`], [`fence`], [`clock`]: the seams of a platform, as bad as [`atlas`] says they may be.
//! - [`checksum`]: the routines of every host, which find nothing out twice.
//! - [`host`]: a machine and the process that runs on it: crash, pause, restart, and the order of calls.
//! - [`machine`]: what runs in the process: the real mount, or [`of2019`], the rules that ours are compared with.
//! - [`check`]: what must hold after each step.
//! - [`options`], [`faults`], [`run`], [`core_first`], [`patience`]: random runs in two phases, and how long they may take; [`runner`]: many of them on all cores,
//!   and [`course`], what it tells of them.
//! - [`film`], [`draw`]: what happened, as a space-time diagram.
//! - [`scenario`]: verbs for runs that are told, not drawn; [`power_cut`]: the same, cut at any write. [`stories`]: those
//!   that show what a rule is for.

pub mod atlas;
pub mod check;
pub mod checksum;
pub mod clock;
pub mod core_first;
pub mod course;
pub mod dice;
pub mod disk;
pub mod draw;
pub mod faults;
pub mod fence;
pub mod film;
pub mod format;
pub mod host;
pub mod machine;
pub mod net;
pub mod of2019;
pub mod options;
pub mod patience;
pub mod power_cut;
pub mod run;
pub mod runner;
pub mod scenario;

pub mod service;
pub mod stories;
pub mod trace;
pub mod world;

#[cfg(test)]
mod tests;

pub use options::Options;
pub use run::{Outcome, random_run};
pub use scenario::{Scenario, voters};

pub use world::World;
