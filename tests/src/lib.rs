//! Tests of ostrakon as a whole: a deterministic simulator that drives the real core, and what is built on it.
//!
//! - [`sim`]: hosts, a shared disk, a network, clocks and a fence service in virtual time, all decided by one
//!   seed; invariants that are checked after every step; scenarios in verbs and random runs.

#![forbid(unsafe_code)]

pub mod sim;
