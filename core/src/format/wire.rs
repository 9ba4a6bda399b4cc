//! Messages between clients and the server.
//!
//! A message is a frame header, then a body. A frame says its own length, so core consumes whole frames only. On a
//! connection between two mounts everything behind the length is sealed (see [`crate::noise`]); within a mount, where no
//! byte leaves it, the same frame goes as it is.

use core::fmt;
use core::mem::offset_of;
use core::net::SocketAddr;

use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute, transmute_ref};

use super::FenceParam;
use super::field::{self, AddrBytes, BadField, BallotBytes, check, zero};
use super::hello::HANDSHAKE;
use crate::bounds::{FENCE_PARAM_BYTES, MESSAGE_BYTES_MAX};
use crate::ids::{Ballot, BootId, HostId, Rid, VolumeId};

/// Wire version that this build speaks.
pub const WIRE_VERSION: u16 = 1;

/// Bytes of the frame header.
pub const FRAME_BYTES: usize = 24;

/// Bytes of the length at the beginning of a frame, which is never sealed.
pub const LENGTH_BYTES: usize = 2;

/// Bytes at the end of a sealed frame that authenticate it.
pub const TAG_BYTES: usize = 16;

/// Bytes that the body of a message has room for, sealed or not.
pub const BODY_BYTES_MAX: usize = MESSAGE_BYTES_MAX - FRAME_BYTES - TAG_BYTES;

/// `oS` in a hex dump: how a hello begins.
pub(super) const MAGIC: u16 = u16::from_le_bytes(*b"oS");

const _: () = assert!(FRAME_BYTES.is_multiple_of(8), "bodies begin aligned");
const _: () = assert!(Greeting::BYTES <= BODY_BYTES_MAX);
const _: () = assert!(MESSAGE_BYTES_MAX <= u16::MAX as usize, "two bytes say the length");

/// Number of a request within its session: 1 for the first, one more for each. 0 in messages that are no request.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct RequestId(pub u64);

/// What a message is. Values from [`Command::SERVICE`] belong to services.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Command(pub u16);

impl Command {
    /// First message of a connection, and its answer.
    pub const GREETING: Self = Self(1);
    /// The client unmounts.
    pub const FAREWELL: Self = Self(2);
    /// Are you there? Not a request: answered at once, never resent.
    pub const PING: Self = Self(3);
    /// The server is about to stop on purpose.
    pub const RESIGNING: Self = Self(4);
    /// First command of the services.
    pub const SERVICE: Self = Self(0x100);
}

/// How a request ended.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u16)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// Another volume.
    WrongVolume = 1,
    /// A wire or format version that this server does not speak.
    WrongVersion = 2,
    /// No room for another client.
    Full = 3,
    /// The client was evicted; it must mount anew.
    Evicted = 4,
    /// The message makes no sense.
    Malformed = 5,
    /// No service knows this command.
    UnknownCommand = 6,
    /// Services have statuses of their own, carried in the body.
    ServiceError = 7,
}

/// A frame, in either direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// What it is.
    pub command: Command,
    /// Whether it answers the request `id`.
    pub answer: bool,
    /// How the request ended; `Ok` in messages that are no answer.
    pub status: Status,
    /// The request.
    pub id: RequestId,
    /// From a client: every request below this one was answered and is forgotten.
    pub released: RequestId,
    /// The rest.
    pub body: &'a [u8],
}

/// Why bytes are no message. The connection is closed then: there is no way to find the next frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WireError {
    /// A hello that does not begin with the magic.
    Magic(u16),
    /// A handshake that this build does not speak.
    Handshake(u16),
    /// A frame longer than [`crate::bounds::MESSAGE_BYTES_MAX`] or shorter than its header, or a body of a length
    /// that its command does not have.
    Length(u32),
    /// A field with an impossible value.
    Field(&'static str),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Magic(found) => write!(
                f,
                "not an ostrakon message (magic {found:04x}, expected {MAGIC:04x})"
            ),
            Self::Handshake(found) => write!(f, "handshake {found}, this build speaks {HANDSHAKE}"),
            Self::Length(found) => {
                write!(
                    f,
                    "impossible length {found} (a frame has {FRAME_BYTES} to {MESSAGE_BYTES_MAX} bytes)"
                )
            }
            Self::Field(name) => write!(f, "field {name} has an impossible value"),
        }
    }
}

impl core::error::Error for WireError {}

const FLAG_ANSWER: u16 = 1;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct FrameBytes {
    length: U16,
    command: U16,
    status: U16,
    flags: U16,
    id: U64,
    released: U64,
}

const _: () = assert!(size_of::<FrameBytes>() == FRAME_BYTES);
const _: () = assert!(offset_of!(FrameBytes, command) == LENGTH_BYTES);
const _: () = assert!(offset_of!(FrameBytes, status) == 4);
const _: () = assert!(offset_of!(FrameBytes, flags) == 6);
const _: () = assert!(offset_of!(FrameBytes, id) == 8);
const _: () = assert!(offset_of!(FrameBytes, released) == 16);

impl Status {
    const ALL: [Self; 8] = [
        Self::Ok,
        Self::WrongVolume,
        Self::WrongVersion,
        Self::Full,
        Self::Evicted,
        Self::Malformed,
        Self::UnknownCommand,
        Self::ServiceError,
    ];

    fn read(stored: U16) -> Result<Self, BadField> {
        Self::ALL
            .into_iter()
            .find(|&status| status as u16 == stored.get())
            .ok_or(BadField {
                name: "status",
                found: u64::from(stored.get()),
            })
    }
}

/// The length of the first frame in `bytes`, header and tag included; `Ok(None)` while it is not complete. The length is
/// judged as soon as it has come in: nobody waits for the rest of what cannot be a message.
///
/// # Errors
/// An impossible length.
pub fn frame_length(bytes: &[u8]) -> Result<Option<usize>, WireError> {
    let Some(&[low, high]) = bytes.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_le_bytes([low, high]));
    if !(FRAME_BYTES..=MESSAGE_BYTES_MAX).contains(&length) {
        return Err(WireError::Length(length as u32));
    }
    Ok((bytes.len() >= length).then_some(length))
}

/// Says how long a frame is, header and tag included.
pub(crate) fn put_length(frame: &mut [u8], length: usize) {
    // Frames are no longer than MESSAGE_BYTES_MAX, which fits.
    frame[..LENGTH_BYTES].copy_from_slice(&(length as u16).to_le_bytes());
}

impl<'a> Message<'a> {
    /// Reads a whole frame without its tag. Its length was judged by [`frame_length`].
    ///
    /// # Errors
    /// A field with an impossible value, or a body longer than [`BODY_BYTES_MAX`].
    pub fn decode(frame: &'a [u8]) -> Result<Self, WireError> {
        let Ok((head, body)) = FrameBytes::ref_from_prefix(frame) else {
            return Err(WireError::Length(frame.len() as u32));
        };
        if body.len() > BODY_BYTES_MAX {
            return Err(WireError::Length(frame.len() as u32));
        }
        field::flags("flags", u64::from(head.flags.get()), u64::from(FLAG_ANSWER))?;
        let answer = head.flags.get() & FLAG_ANSWER != 0;
        let status = Status::read(head.status)?;
        check(answer || status == Status::Ok, "status", status as u64)?;
        Ok(Self {
            command: Command(head.command.get()),
            answer,
            status,
            id: RequestId(head.id.get()),
            released: RequestId(head.released.get()),
            body,
        })
    }

    /// Writes the message into `out`, without a tag, and returns its length; `None` if `out` is too short or the body
    /// longer than [`BODY_BYTES_MAX`].
    ///
    /// # Panics
    /// If a message that is no answer has a status other than `Ok`.
    pub fn encode(&self, out: &mut [u8]) -> Option<usize> {
        assert!(
            self.answer || self.status == Status::Ok,
            "only answers have a status"
        );
        if self.body.len() > BODY_BYTES_MAX {
            return None;
        }
        let length = FRAME_BYTES + self.body.len();
        let whole = out.get_mut(..length)?;
        let head = FrameBytes {
            length: (length as u16).into(),
            command: self.command.0.into(),
            status: (self.status as u16).into(),
            flags: if self.answer { FLAG_ANSWER } else { 0 }.into(),
            id: self.id.0.into(),
            released: self.released.0.into(),
        };
        let (header, body) = whole.split_at_mut(FRAME_BYTES);
        header.copy_from_slice(head.as_bytes());
        body.copy_from_slice(self.body);
        Some(length)
    }
}

/// Body of a client's greeting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Greeting {
    /// The volume.
    pub volume: VolumeId,
    /// Disk format version of the client.
    pub format: u16,
    /// The client.
    pub rid: Rid,
    /// Wants to take part in elections.
    pub voter: bool,
    /// Is unmounting: it will say farewell, and is content to hear that it is forgotten already.
    pub farewell: bool,
    /// The server that last answered its greeting; `None` at first contact.
    pub server: Option<Ballot>,
    /// Its machine.
    pub host: HostId,
    /// The boot of its machine.
    pub boot: BootId,
    /// Where a voter would serve.
    pub addr: Option<SocketAddr>,
    /// How to fence it.
    pub fence_param: FenceParam,
}

/// Body of the answer to a greeting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Welcome {
    /// The server's ballot.
    pub server: Ballot,
    /// The unmount barrier that the client's record carries.
    pub barrier: u64,
    /// Admitted as a voter. A voter beyond P is a plain client.
    pub voter: bool,
    /// The client was known already.
    pub known: bool,
    /// How long the client may say nothing before it pings, in milliseconds; not 0.
    pub ping_ms: u16,
}

const GREETING_VOTER: u16 = 1;
const GREETING_FAREWELL: u16 = 2;
const GREETING_KNOWN: u16 = GREETING_VOTER | GREETING_FAREWELL;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct GreetingBytes {
    volume: [u8; 16],
    format: U16,
    flags: U16,
    reserved_20: [u8; 4],
    rid: U64,
    server: BallotBytes,
    host: U64,
    boot: [u8; 16],
    addr: AddrBytes,
    fence_param: [u8; FENCE_PARAM_BYTES],
}

const _: () = assert!(size_of::<GreetingBytes>() == Greeting::BYTES);
const _: () = assert!(offset_of!(GreetingBytes, format) == 16);
const _: () = assert!(offset_of!(GreetingBytes, flags) == 18);
const _: () = assert!(offset_of!(GreetingBytes, rid) == 24);
const _: () = assert!(offset_of!(GreetingBytes, server) == 32);
const _: () = assert!(offset_of!(GreetingBytes, host) == 48);
const _: () = assert!(offset_of!(GreetingBytes, boot) == 56);
const _: () = assert!(offset_of!(GreetingBytes, addr) == 72);
const _: () = assert!(offset_of!(GreetingBytes, fence_param) == 96);

const WELCOME_VOTER: u16 = 1;
const WELCOME_REMEMBERED: u16 = 2;
const WELCOME_KNOWN: u16 = WELCOME_VOTER | WELCOME_REMEMBERED;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct WelcomeBytes {
    server: BallotBytes,
    barrier: U64,
    flags: U16,
    ping_ms: U16,
    reserved_28: [u8; 4],
}

const _: () = assert!(size_of::<WelcomeBytes>() == Welcome::BYTES);
const _: () = assert!(offset_of!(WelcomeBytes, barrier) == 16);
const _: () = assert!(offset_of!(WelcomeBytes, flags) == 24);
const _: () = assert!(offset_of!(WelcomeBytes, ping_ms) == 26);

/// A body of the one length that its command has.
fn whole_body<const BYTES: usize>(body: &[u8]) -> Result<&[u8; BYTES], WireError> {
    // No body is longer than a message, but whoever calls this may hold any slice.
    <&[u8; BYTES]>::try_from(body)
        .map_err(|_| WireError::Length(u32::try_from(body.len()).unwrap_or(u32::MAX)))
}

impl Greeting {
    /// Bytes of the body.
    pub const BYTES: usize = 136;

    /// Writes the body.
    pub fn encode(&self, out: &mut [u8; Self::BYTES]) {
        let mut flags = 0;
        if self.voter {
            flags |= GREETING_VOTER;
        }
        if self.farewell {
            flags |= GREETING_FAREWELL;
        }
        *out = transmute!(GreetingBytes {
            volume: self.volume.0,
            format: self.format.into(),
            flags: flags.into(),
            reserved_20: [0; 4],
            rid: self.rid.value().into(),
            server: self.server.into(),
            host: self.host.0.into(),
            boot: self.boot.0,
            addr: self.addr.into(),
            fence_param: self.fence_param.0,
        });
    }

    /// Reads the body. The volume and the format version are for the server to judge, which answers with a status.
    ///
    /// # Errors
    /// A body of another length, or a field with an impossible value.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let bytes: &GreetingBytes = transmute_ref!(whole_body::<{ Self::BYTES }>(body)?);
        zero("reserved_20", &bytes.reserved_20)?;
        let flags = bytes.flags.get();
        field::flags("flags", u64::from(flags), u64::from(GREETING_KNOWN))?;
        Ok(Self {
            volume: VolumeId(bytes.volume),
            format: bytes.format.get(),
            rid: field::rid("rid", bytes.rid)?,
            voter: flags & GREETING_VOTER != 0,
            farewell: flags & GREETING_FAREWELL != 0,
            server: field::ballot("server", &bytes.server)?,
            host: HostId(bytes.host.get()),
            boot: BootId(bytes.boot),
            addr: bytes.addr.read()?,
            fence_param: FenceParam(bytes.fence_param),
        })
    }
}

impl Welcome {
    /// Bytes of the body.
    pub const BYTES: usize = 32;

    /// Writes the body.
    pub fn encode(&self, out: &mut [u8; Self::BYTES]) {
        let mut flags = 0;
        if self.voter {
            flags |= WELCOME_VOTER;
        }
        if self.known {
            flags |= WELCOME_REMEMBERED;
        }
        *out = transmute!(WelcomeBytes {
            server: Some(self.server).into(),
            barrier: self.barrier.into(),
            flags: flags.into(),
            ping_ms: self.ping_ms.into(),
            reserved_28: [0; 4],
        });
    }

    /// Reads the body.
    ///
    /// # Errors
    /// A body of another length, or a field with an impossible value.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let bytes: &WelcomeBytes = transmute_ref!(whole_body::<{ Self::BYTES }>(body)?);
        zero("reserved_28", &bytes.reserved_28)?;
        let flags = bytes.flags.get();
        field::flags("flags", u64::from(flags), u64::from(WELCOME_KNOWN))?;
        Ok(Self {
            server: field::ballot("server", &bytes.server)?.ok_or(WireError::Field("server"))?,
            barrier: bytes.barrier.get(),
            voter: flags & WELCOME_VOTER != 0,
            known: flags & WELCOME_REMEMBERED != 0,
            ping_ms: decode_pong(&bytes.ping_ms.to_bytes())?,
        })
    }
}

/// Bytes of the body of a server's answer to a ping.
pub const PONG_BYTES: usize = 2;

/// The body of a server's answer to a ping: how long the client may say nothing before it pings again, in milliseconds.
pub const fn encode_pong(ping_ms: u16) -> [u8; PONG_BYTES] {
    ping_ms.to_le_bytes()
}

/// Reads the body.
///
/// # Errors
/// A body of another length, or no time at all.
pub fn decode_pong(body: &[u8]) -> Result<u16, WireError> {
    let ping_ms = u16::from_le_bytes(*whole_body(body)?);
    (ping_ms != 0)
        .then_some(ping_ms)
        .ok_or(WireError::Field("ping_ms"))
}
