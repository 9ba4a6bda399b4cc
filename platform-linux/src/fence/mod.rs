//! Fencing: making sure that a victim's writes can reach the device no more.
//!
//! - `known`: what this host knows by itself (an earlier boot of its own, a process that is dead).
//! - [`FenceAgent`]: a ClusterLabs fence agent, fed on standard input, or a script with the victim in its environment.
//! - [`FenceMap`]: what an operator says of each victim.
//! - [`Fencer`]: requests carried out off the loop.
//! - [`coverage`]: which failures each way of silencing survives.
//! - [`Reservation`]: SCSI-3 persistent reservations, a device that writes for nobody but its registrants.
//! - [`kill`]: our own agent, which kills a process of this host.

mod agent;
mod child;
pub mod coverage;
mod fencer;
pub mod kill;
mod known;
mod map;
mod params;
mod reservation;

pub use agent::{AgentError, FenceAgent};
pub use fencer::{FenceReport, Fencer, How, Means};
pub use map::FenceMap;
pub use params::{NotUtf8, fence_param, fence_param_text};
pub use reservation::Reservation;
