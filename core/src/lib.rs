//! ostrakon's core: hosts that share one block device elect one of them as server through that device alone.
//!
//! `no_std`, no allocation, no `unsafe`, no clock and no ambient randomness: a platform passes in the time and
//! a seed, carries out requests for disk, network and fencing, and hands back what came of them.
//!
//! The folders are the architecture, and dependencies point up this list only:
//!
//! - [`ids`], [`time`], [`bounds`], [`checksum`]: values and limits.
//! - [`format`]: bytes of blocks and messages.
//! - [`noise`]: the handshake with the volume's key, and what is sealed after it.
//! - [`disk`], [`net`], [`fence`]: the seams of a platform, as requests and completions.
//! - [`rules`]: the rules that safety rests on, by name; a test build can leave one out.
//! - [`superio`]: reading and writing the super block in its two copies.
//! - [`config`], [`event`], [`service`]: what a platform decides, what it is told, what a server does.
//! - [`decide`]: decisions without I/O.
//! - [`election`]: the election of one voter as a state machine.
//! - [`session`]: requests and answers across connections and servers, shared by the next two.
//! - [`client`]: finds a server, greets, keeps in touch, sends again, leaves.
//! - [`server`]: greets, records, recovers, says farewell.
//! - [`mount`]: the composition that a platform polls.
//! - `tell`: events for the crates `log` and `defmt`, with the features of their names.
//! - [`conformance`]: the test by which a platform learns whether its disk keeps what the rules assume.

#![no_std]
#![forbid(unsafe_code)]

pub mod bounds;
pub mod checksum;
pub mod client;
pub mod config;
pub mod conformance;
pub mod decide;
pub mod disk;
pub mod election;
pub mod event;
pub mod fence;
pub mod format;
pub mod ids;
mod io;
pub mod mount;
pub mod net;
pub mod noise;
pub mod rules;
pub mod server;
pub mod service;
pub mod session;
pub mod superio;
mod tell;
pub mod time;

/// The porting guide's examples are compiled with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../PORTING.md")]
struct PortingGuide;
