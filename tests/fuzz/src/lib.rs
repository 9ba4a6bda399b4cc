//! Fuzzing: every parser of core, whole devices, and sequences of operations on its state machines.
//!
//! A [`Target`] makes something of any bytes and fails on a panic. [`TARGETS`] are run in two ways:
//!
//! - `cargo test -p ostrakon-fuzz`, and so CI: the small corpus, then random bytes for a bounded time;
//! - `cargo xtask fuzz TARGET`: libFuzzer, guided by coverage, for as long as one likes. What it finds is printed as one
//!   line for [`corpus`], where it stays.
//!
//! Checksums would hide the parsers behind them, so targets make them right again after they have damaged a block.

#![forbid(unsafe_code)]

pub mod blocks;
pub mod cluster;
pub mod corpus;
pub mod handshake;
pub mod image;
pub mod messages;
pub mod mutate;
pub mod volume;

// The generators of core's property tests, which name core's modules as core itself does.
#[path = "../../../core/src/format/tests/any.rs"]
pub(crate) mod any;
use ostrakon_core::{bounds, format, ids, time};

use arbitrary::{Result, Unstructured};

/// Something that takes any bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it looks for.
    pub about: &'static str,
    /// Makes something of the bytes; an error says only that they did not suffice.
    pub run: fn(&mut Unstructured<'_>) -> Result<()>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "blocks",
        about: "each kind of block: what is believed is exactly what a writer writes",
        run: blocks::run,
    },
    Target {
        name: "messages",
        about: "hellos, offers, frames in a stream, greetings, welcomes and pongs: what is believed is exactly what a peer sends",
        run: messages::run,
    },
    Target {
        name: "image",
        about: "whole devices, damaged, forged or cut short: a mount of them ends in words or serves, and forgets no leader",
        run: image::run,
    },
    Target {
        name: "cluster",
        about: "sequences of operations on two mounts: completions, failures, bytes, time, orders, in any order",
        run: cluster::run,
    },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

impl Target {
    /// Runs on these bytes.
    ///
    /// # Panics
    /// If it found something.
    pub fn run(&self, bytes: &[u8]) {
        // Bytes that do not suffice are no finding.
        let _ = (self.run)(&mut Unstructured::new(bytes));
    }
}
