//! The host: one loop that polls a mount and carries out what it asks.
//!
//! - [`Host`]: the loop, in the order of calls that core's `Mount` prescribes.
//! - [`Orders`]: what other threads (signals, a service) may order it to do.
//! - [`HostEvent`]: what it tells.
//! - [`Hooks`]: commands that are run when something happens to the mount.
//! - [`Guard`], [`Watchdog`]: what ends this process, or this host, before it acts past its right.
//! - [`HeapMemory`]: memory for as many clients as a volume has room for.

mod driver;
mod events;
mod guard;
mod hooks;
mod ioctl;
mod memory;
mod orders;
mod watchdog;

pub use driver::{Heartbeat, Host, HostOptions, StartError};
pub use events::{HostEvent, Notice};
pub use guard::Guard;
pub use hooks::{HookCommands, HookReport, Hooks};
pub use memory::HeapMemory;
pub use orders::{Order, Orders};
pub use watchdog::{Watchdog, WatchdogError};
