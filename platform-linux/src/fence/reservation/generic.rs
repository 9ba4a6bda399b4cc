//! `SG_IO`: a SCSI command to a block device, and what the device answered.
//!
//! Has `unsafe` for the reason of `host/ioctl.rs`: rustix asks its caller to know that a request's number and the type of
//! its argument belong together. The argument here also points to three buffers.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::fmt;
use std::fs::File;
use std::io;
use std::time::Duration;

use rustix::ioctl::{Opcode, Updater, ioctl};

use super::command::COMMAND_BYTES;

/// `SG_IO` of scsi/sg.h.
const SG_IO: Opcode = 0x2285;
const TO_DEVICE: i32 = -2;
const FROM_DEVICE: i32 = -3;
const SENSE_BYTES: usize = 64;
const ILLEGAL_REQUEST: u8 = 5;
const UNIT_ATTENTION: u8 = 6;

/// `struct sg_io_hdr` of scsi/sg.h.
#[repr(C)]
struct Header {
    interface_id: i32,
    direction: i32,
    command_bytes: u8,
    sense_bytes_max: u8,
    vectors: u16,
    data_bytes: u32,
    data: *mut c_void,
    command: *const u8,
    sense: *mut u8,
    timeout_ms: u32,
    flags: u32,
    pack_id: i32,
    user: *mut c_void,
    status: u8,
    masked_status: u8,
    message_status: u8,
    sense_bytes: u8,
    host_status: u16,
    driver_status: u16,
    residual: i32,
    duration_ms: u32,
    info: u32,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Header>() == 88);

/// Why a command did not succeed.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The system does not pass it on: no SCSI device, or no permission.
    System(io::Error),
    /// Another's reservation or registration is in the way.
    Conflict,
    /// The device knows no such command, or not with these fields.
    Unknown,
    /// The device was reset, or a reservation changed under us; it has told so now, and is to be asked again.
    Attention,
    /// Anything else.
    Other(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => write!(f, "the system does not pass SCSI commands on: {error}"),
            Self::Conflict => f.write_str("reservation conflict"),
            Self::Unknown => f.write_str("the device does not know this command (illegal request)"),
            Self::Attention => f.write_str("unit attention, again and again"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

/// Sends a command that brings `data` to the device.
pub(super) fn send(
    device: &File,
    command: &[u8; COMMAND_BYTES],
    data: &mut [u8],
    limit: Duration,
) -> Result<(), Refusal> {
    carry_out(device, command, data, TO_DEVICE, limit)
}

/// Sends a command that brings bytes from the device into `data`.
pub(super) fn receive(
    device: &File,
    command: &[u8; COMMAND_BYTES],
    data: &mut [u8],
    limit: Duration,
) -> Result<(), Refusal> {
    carry_out(device, command, data, FROM_DEVICE, limit)
}

fn carry_out(
    device: &File,
    command: &[u8; COMMAND_BYTES],
    data: &mut [u8],
    direction: i32,
    limit: Duration,
) -> Result<(), Refusal> {
    let mut sense = [0; SENSE_BYTES];
    let mut header = Header {
        interface_id: i32::from(b'S'),
        direction,
        command_bytes: COMMAND_BYTES as u8,
        sense_bytes_max: SENSE_BYTES as u8,
        vectors: 0,
        data_bytes: u32::try_from(data.len()).map_err(|_| Refusal::Other("too much data".to_owned()))?,
        data: data.as_mut_ptr().cast(),
        command: command.as_ptr(),
        sense: sense.as_mut_ptr(),
        timeout_ms: u32::try_from(limit.as_millis()).unwrap_or(u32::MAX),
        flags: 0,
        pack_id: 0,
        user: std::ptr::null_mut(),
        status: 0,
        masked_status: 0,
        message_status: 0,
        sense_bytes: 0,
        host_status: 0,
        driver_status: 0,
        residual: 0,
        duration_ms: 0,
        info: 0,
    };
    // SAFETY: SG_IO reads and writes one sg_io_hdr, which `Header` is. The three buffers it points to live until the call
    // returns, are as long as it says, and the kernel writes only to those that are mutable here. A device that knows no
    // such request answers with an error and touches nothing.
    unsafe { ioctl(device, Updater::<SG_IO, Header>::new(&mut header)) }
        .map_err(|errno| Refusal::System(errno.into()))?;
    judge(&header, &sense)
}

fn judge(header: &Header, sense: &[u8; SENSE_BYTES]) -> Result<(), Refusal> {
    let key = match sense[0] & 0x7f {
        0x70 | 0x71 => sense[2] & 0xf,
        0x72 | 0x73 => sense[1] & 0xf,
        _ => 0,
    };
    match (header.status, key) {
        (0, _) if header.host_status == 0 => Ok(()),
        (0x18, _) => Err(Refusal::Conflict),
        (0x02, ILLEGAL_REQUEST) => Err(Refusal::Unknown),
        (0x02, UNIT_ATTENTION) => Err(Refusal::Attention),
        (status, key) => Err(Refusal::Other(format!(
            "status {status:#04x}, sense key {key}, transport {:#06x}",
            header.host_status
        ))),
    }
}
