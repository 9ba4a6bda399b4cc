//! The two questions to a watchdog for which there is no other way than `ioctl`.
//!
//! The only file of this crate with `unsafe`: rustix asks its caller to know that a request's number and the type of
//! its argument belong together, which no compiler can check.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use rustix::ioctl::{Getter, Opcode, Updater, ioctl, opcode};

/// `WDIOC_SETTIMEOUT` and `WDIOC_GETTIMEOUT` of linux/watchdog.h: an `int`, in seconds.
const SET_TIMEOUT: Opcode = opcode::read_write::<i32>(b'W', 6);
const GET_TIMEOUT: Opcode = opcode::read::<i32>(b'W', 7);

/// Sets a watchdog's time-out in seconds; returns the one that it took.
pub(super) fn set_watchdog_timeout(device: &File, seconds: i32) -> io::Result<i32> {
    let mut value = seconds;
    // SAFETY: WDIOC_SETTIMEOUT reads one int and writes one int back, which is what the opcode says and what an
    // i32 is; a device that knows no such request answers with an error and touches nothing.
    unsafe { ioctl(device, Updater::<SET_TIMEOUT, i32>::new(&mut value)) }?;
    Ok(value)
}

/// A watchdog's time-out in seconds.
pub(super) fn watchdog_timeout(device: &File) -> io::Result<i32> {
    // SAFETY: WDIOC_GETTIMEOUT writes one int, as above, and any int is an i32.
    let value = unsafe { ioctl(device, Getter::<GET_TIMEOUT, i32>::new()) }?;
    Ok(value)
}
