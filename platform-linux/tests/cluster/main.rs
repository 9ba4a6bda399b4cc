//! Clusters of real processes on real image files: what issue after issue promised, from the outside.
//!
//! Times are printed, and asserted only generously: these tests share a machine with others.

#![forbid(unsafe_code)]

mod damage;
mod events;
mod failover;
mod idle;
mod insider;
mod intruders;
mod leaving;
mod one_server;
mod support;
mod watch;
mod wrong_address;
