//! Messages between clients and the server.
//!
//! A message is a frame header, then a body. A frame says its own length, so core consumes whole frames only.

use core::net::SocketAddr;

use super::FenceParam;
use crate::ids::{Ballot, BootId, HostId, Rid, VolumeId};

/// Bytes of the frame header.
pub const FRAME_BYTES: usize = 32;

/// Number of a request within its session: 1 for the first, one more for each. 0 in messages that are no request.
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
    /// Not the frame magic.
    Magic(u16),
    /// A version of the wire protocol that this build does not speak.
    Version(u16),
    /// Longer than [`crate::bounds::MESSAGE_BYTES_MAX`] or shorter than its header.
    Length(u32),
    /// A field with an impossible value.
    Field(&'static str),
    /// The checksum of the frame does not match.
    Checksum,
}

impl<'a> Message<'a> {
    /// The first whole message in `bytes` and its length in bytes; `Ok(None)` while it is not complete.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, WireError> {
        let _ = bytes;
        todo!()
    }

    /// Writes the message into `out` and returns its length; `None` if `out` is too short or the body too long.
    pub fn encode(&self, out: &mut [u8]) -> Option<usize> {
        let _ = out;
        todo!()
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
}

impl Greeting {
    /// Bytes of the body.
    pub const BYTES: usize = 136;

    /// Writes the body.
    pub fn encode(&self, out: &mut [u8; Self::BYTES]) {
        let _ = out;
        todo!()
    }

    /// Reads the body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let _ = body;
        todo!()
    }
}

impl Welcome {
    /// Bytes of the body.
    pub const BYTES: usize = 32;

    /// Writes the body.
    pub fn encode(&self, out: &mut [u8; Self::BYTES]) {
        let _ = out;
        todo!()
    }

    /// Reads the body.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let _ = body;
        todo!()
    }
}
