//! The Linux shim of ostrakon: what core asks a platform for, and a loop that drives one mount.
//!
//! - [`disk`]: a block device or image file, uncached and durable, behind threads that may hang.
//! - [`net`]: TCP without blocking.
//! - [`clock`], [`entropy`], [`machine`]: time, randomness, which host this is.
//! - [`runtime`]: locks by which the processes of one host know of one another's death.
//! - [`fence`]: fence agents, and what a host knows about the dead without one.
//! - [`program`]: a program that runs while, and only while, this host leads.
//! - [`host`]: the loop that polls a mount and carries out what it asks.
//! - [`offline`]: reading and rewriting a volume without a mount.
//! - [`cli`]: the `ostrakon` command.

// Denied, not forbidden: one file has its reason (host/ioctl.rs).
#![deny(unsafe_code)]

pub mod cli;
pub mod clock;
pub mod disk;
pub mod entropy;
pub mod fence;
pub mod host;
pub mod machine;
pub mod net;
pub mod offline;
pub mod program;
pub mod runtime;

const _: () = assert!(
    !ostrakon_core::rules::CAN_BE_SWITCHED_OFF,
    "core was built for the simulator, with rules that can be left out: no real device may meet it"
);
