//! C interface of ostrakon's core: one opaque mount in the caller's memory, polled.
//!
//! The header `include/ostrakon.h` is generated from this crate and compared in a test. Functions mirror
//! [`ostrakon_core::mount::Mount`] one to one, and its order of calls is theirs. Nothing allocates, waits, reads a
//! clock or keeps a global state.
//!
//! Misuse is answered with an [`ostrakon_error`] as far as C allows: null and misaligned pointers, memory that holds
//! no mount or one that was moved or ended, buffers that are too small, values that no enumerator has, calls out of a
//! callback. What C cannot tell is a pointer to too little memory, and two threads at once: both stay the caller's.
//!
//! - `error`: what went wrong, and its text. `types`, `convert`: what crosses the border, and how it is judged.
//! - `memory`: the caller's memory, and the guard in front of every call.
//! - `lifecycle`, `input`, `output`: the calls, by the direction of what they carry.
//! - `event`: what a mount tells. `service`: callbacks of a service. `volume`: laying a volume out.

#![no_std]
#![allow(non_camel_case_types, reason = "the names are C's")]

mod convert;
mod error;
mod event;
mod input;
mod lifecycle;
mod memory;
mod output;
#[cfg(feature = "panic-handler")]
mod panic;
mod service;
mod types;
mod volume;

const _: () = assert!(
    !ostrakon_core::rules::CAN_BE_SWITCHED_OFF,
    "core was built for the simulator, with rules that can be left out: no real device may meet it"
);

pub use error::{ostrakon_error, ostrakon_error_text};
pub use event::{
    ostrakon_detail, ostrakon_event, ostrakon_event_kind, ostrakon_event_text, ostrakon_poll_event,
};
pub use input::*;
pub use lifecycle::*;
pub use memory::{
    OSTRAKON_MOUNT_ALIGN, OSTRAKON_MOUNT_BASE_BYTES, OSTRAKON_MOUNT_CLIENT_BYTES, ostrakon_mount,
};
pub use output::*;
pub use service::{ostrakon_request, ostrakon_service};
pub use types::*;
pub use volume::{ostrakon_format_block, ostrakon_new_volume};

use ostrakon_core::bounds;

/// Bytes of a block: the unit of every read and write.
pub const OSTRAKON_BLOCK_BYTES: usize = 4096;

/// Bytes of the buffer that `ostrakon_poll_transmit` fills: the longest message.
pub const OSTRAKON_MESSAGE_BYTES: usize = 1024;

/// Bytes of the parameter by which others fence a voter.
pub const OSTRAKON_FENCE_PARAM_BYTES: usize = 40;

/// Name of the client's connection. The server counts its connections from 0.
pub const OSTRAKON_CONN_CLIENT: u32 = 0xffff_fffe;

/// First command that belongs to services.
pub const OSTRAKON_COMMAND_SERVICE: u16 = 0x100;

/// Longest body of a request.
pub const OSTRAKON_REQUEST_BYTES: usize = 48;

// The header has numbers, not names of core's; here they are held together.
const _: () = assert!(OSTRAKON_BLOCK_BYTES == bounds::BLOCK_BYTES);
const _: () = assert!(OSTRAKON_MESSAGE_BYTES == bounds::MESSAGE_BYTES_MAX);
const _: () = assert!(OSTRAKON_FENCE_PARAM_BYTES == bounds::FENCE_PARAM_BYTES);
const _: () = assert!(OSTRAKON_CONN_CLIENT == ostrakon_core::net::ConnId::CLIENT.0);
const _: () = assert!(OSTRAKON_COMMAND_SERVICE == ostrakon_core::format::wire::Command::SERVICE.0);
const _: () = assert!(OSTRAKON_REQUEST_BYTES == bounds::REQUEST_KEPT_BYTES);
