//! The machine: everything that knows the processor and the board. The rest of the image asks here.
//!
//! - [`boot`]: from the entry point to Rust.
//! - [`port`], [`mmio`]: device registers.
//! - [`interrupts`]: exceptions are fatal; interrupts only end a [`sleep`](interrupts::sleep_until).
//! - [`pci`], [`watchdog`]: what resets the machine when the main loop does not come round.
//! - [`clock`]: microseconds since boot, from the calibrated time stamp counter.
//! - [`exit`]: the end of the image, with a code for whoever started it.

pub(crate) mod boot;
pub(crate) mod clock;
pub(crate) mod exit;
pub(crate) mod interrupts;
#[cfg(not(target_os = "none"))]
mod memory_routines;
pub(crate) mod mmio;
mod pci;
pub(crate) mod port;
pub(crate) mod start_info;
pub(crate) mod watchdog;
