//! What crosses the border: plain structures, integers for everything that C could get wrong.

use crate::{OSTRAKON_FENCE_PARAM_BYTES, ostrakon_service};

/// One candidacy: ordered by term, then rid. Both 0 where there is none. The term is the fencing token.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ostrakon_ballot {
    /// Number of the election.
    pub term: u64,
    /// The mount that was elected.
    pub rid: u64,
}

/// An IP address and a port.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ostrakon_address {
    /// In network order; the first four bytes for IPv4.
    pub ip: [u8; 16],
    /// Scope of an IPv6 address, else 0.
    pub scope: u32,
    /// Port, in the order of this host.
    pub port: u16,
    /// 4, 6, or 0 for none.
    pub family: u8,
    /// 0.
    pub reserved: u8,
}

/// What a platform decides when it mounts. Fill it with `ostrakon_config_default` first. Times are microseconds.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ostrakon_config {
    /// `sizeof(ostrakon_config)`.
    pub size: u32,
    /// Blocks that one disk request may span, 1 to 64. The buffers of `ostrakon_poll_disk` are that large.
    pub transfer_blocks: u32,
    /// Identity of this mount: random, not 0, never used before.
    pub rid: u64,
    /// 32 bytes of the platform's entropy, not all 0, never used before: the keys of every connection come from them.
    pub seed: [u8; 32],
    /// This machine; 0 if it has no identity.
    pub host: u64,
    /// This boot of it; all 0 if it has no identity.
    pub boot: [u8; 16],
    /// W: the longest time that a write of a living process may take.
    pub write_time_max_us: u64,
    /// A peer that was not heard for this long is taken for disconnected.
    pub silence_max_us: u64,
    /// A client that is known and does not return within this time is evicted.
    pub recovery_time_us: u64,
    /// An unmount that waits longer for its answer leaves its record behind, one that cannot stop leading in as long again its ballot; 0
    /// waits for ever.
    pub unmount_time_max_us: u64,
    /// A voter: how long one look gives the right to act; 0 promises no lease.
    pub lease_us: u64,
    /// A voter: how long a predecessor's fence may take before another voter is let try.
    pub fence_time_max_us: u64,
    /// A voter: largest rate error of two hosts' clocks, in parts per million.
    pub clock_error_ppm: u32,
    /// 1 for a voter, 0 for a plain client.
    pub voter: u8,
    /// A voter: 1 if this platform can fence others.
    pub can_fence: u8,
    /// 0.
    pub reserved: [u8; 2],
    /// A voter: where it listens when it serves.
    pub server_addr: ostrakon_address,
    /// A voter: what others need to fence it.
    pub fence_param: [u8; OSTRAKON_FENCE_PARAM_BYTES],
    /// What the server does for its clients beyond electing; null for nothing. Copied, its context is not.
    pub service: *const ostrakon_service,
}

/// What to do with the disk.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ostrakon_disk_kind {
    /// Read `count` blocks from `first_block`.
    Read = 0,
    /// Write them, from the buffer given to `ostrakon_poll_disk`.
    Write = 1,
    /// Make every completed write durable.
    Flush = 2,
}

/// A disk request. It must be answered by `ostrakon_handle_disk` within `limit_us`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ostrakon_disk_request {
    /// What to do.
    pub kind: ostrakon_disk_kind,
    /// Names the request until it is answered.
    pub id: u32,
    /// First block.
    pub first_block: u64,
    /// Microseconds within which it must be answered.
    pub limit_us: u64,
    /// Blocks, 1 to `transfer_blocks`.
    pub count: u32,
    /// Of a write: 1 if completion must mean durable by itself; 0 may wait for the next flush.
    pub durable: u32,
}

/// How a disk request ended.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ostrakon_disk_outcome {
    /// It worked.
    Done = 0,
    /// The device itself says that the medium is bad there.
    Medium = 1,
    /// No answer within the limit. A write may still land, up to `write_time_max_us` after it was given out.
    TimedOut = 2,
    /// Anything else.
    Failed = 3,
}

/// What to do with the network.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ostrakon_net_kind {
    /// Accept connections at `address`. Answered by `ostrakon_handle_listening`.
    Listen = 0,
    /// Close the listener.
    Unlisten = 1,
    /// Open connection `conn` to `address`. Answered by `ostrakon_handle_connected` or `ostrakon_handle_closed`.
    Connect = 2,
    /// Close connection `conn` at once, without an answer. What was transmitted on it before should still go out.
    Close = 3,
}

/// A network request.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ostrakon_net_request {
    /// What to do.
    pub kind: ostrakon_net_kind,
    /// The connection, for CONNECT and CLOSE.
    pub conn: u32,
    /// The address, for LISTEN and CONNECT.
    pub address: ostrakon_address,
}

/// Why a connection is gone or never came to be.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ostrakon_close {
    /// The peer's host answered that nobody listens there.
    Refused = 0,
    /// The peer closed or reset it.
    ByPeer = 1,
    /// No route, time-out, a local error.
    Failed = 2,
}

/// A mount to be fenced: no write of it may reach the device any more, and those in flight must be done or dropped.
/// It must be answered by `ostrakon_handle_fence` with this `victim`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ostrakon_fence_request {
    /// Whom.
    pub victim: ostrakon_ballot,
    /// The machine it runs on.
    pub host: u64,
    /// The boot of that machine.
    pub boot: [u8; 16],
    /// Where it listens, or would.
    pub address: ostrakon_address,
    /// What it published for those who may have to fence it.
    pub fence_param: [u8; OSTRAKON_FENCE_PARAM_BYTES],
    /// 1 for the first try.
    pub attempt: u32,
    /// 0.
    pub reserved: u32,
}

/// What became of a fence request.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ostrakon_fence_outcome {
    /// The victim is silent for good.
    Done = 0,
    /// Refused, unanswered or unsure.
    Failed = 1,
}
