//! State-space search over the election: every interleaving of single-block reads and writes of two or three
//! processes that may declare themselves elected at any time, crash, come back, and suffer the faults that the
//! design claims to survive.
//!
//! The world around the decisions is the model's: who reads and writes what, and when. The decisions are core's:
//! `Log` merges (R1), `Witness` seals (R4), `decide::safety` aborts, silences, claims, voids and stops (R3, R5 to
//! R9, the lease), `superio` believes and trims (R7, R10).
//!
//! - [`config`]: the world and the rules, each of which can be switched off.
//! - [`state`]: one state, in bytes.
//! - [`real`]: from bytes to the types of core and back.
//! - [`world`], `walk`, `reign`: the steps.
//! - [`action`]: their names, and the violations.
//! - [`search`]: breadth first.
//! - [`worlds`]: the worlds that are explored, and the worlds in which a rule that goes is missed.

#![forbid(unsafe_code)]

pub mod action;
pub mod config;
pub mod real;
mod reign;
pub mod search;
pub mod state;
mod walk;
pub mod world;
pub mod worlds;
