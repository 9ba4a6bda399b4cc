//! What a platform decides when it mounts.

use core::net::SocketAddr;

use crate::checksum::{self, Checksum};
use crate::format::FenceParam;
use crate::ids::{BootId, HostId, Rid};
use crate::time::Duration;

/// What a platform decides when it mounts. The volume itself decides the quorum count and the geometry.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Identity of this mount instance: random, never used before.
    pub rid: Rid,
    /// This machine.
    pub host: HostId,
    /// This boot of it.
    pub boot: BootId,
    /// Takes part in elections, and how; `None` for a plain client.
    pub voter: Option<VoterConfig>,
    /// W: the longest time a write of a living process may take (assumption A3). Every disk request is
    /// answered within it.
    pub write_time_max: Duration,
    /// Blocks that one disk request may span, 1 to [`crate::bounds::TRANSFER_BLOCKS_MAX`].
    pub transfer_blocks: u32,
    /// A peer that was not heard for this long is taken for disconnected.
    pub silence_max: Duration,
    /// A client that is known and does not (re)connect within this time is evicted.
    pub recovery_time: Duration,
    /// An unmount that waits longer for a quorum leaves its record behind; `None` waits for ever.
    pub unmount_time_max: Option<Duration>,
    /// The checksum routine.
    pub checksum: Checksum,
}

/// How a voter takes part.
#[derive(Clone, Copy, Debug)]
pub struct VoterConfig {
    /// Where it listens when it serves.
    pub server_addr: SocketAddr,
    /// What others need to fence it.
    pub fence_param: FenceParam,
    /// Whether this platform can fence others. Without, only leaders that promise a lease can be succeeded.
    pub can_fence: bool,
    /// The read lease: how long one look gives the right to act; `None` promises nothing.
    pub lease: Option<Duration>,
    /// How much longer than its right a leader that froze may go on before a watchdog ends it: part of its promise, so
    /// that others wait for lease, linger and W. Zero without a watchdog; counts only under a lease.
    pub linger: Duration,
    /// Largest rate error of two hosts' clocks, in parts per million (for waiting out another's lease).
    pub clock_error_ppm: u32,
    /// How long a predecessor's fence may take before this leader gives up and lets another try.
    pub fence_time_max: Duration,
}

impl Config {
    /// A plain client with sensible times.
    pub const fn client(rid: Rid) -> Self {
        Self {
            rid,
            host: HostId(0),
            boot: BootId([0; 16]),
            voter: None,
            write_time_max: Duration::from_secs(4),
            transfer_blocks: crate::bounds::TRANSFER_BLOCKS_MAX,
            silence_max: Duration::from_secs(3),
            recovery_time: Duration::from_secs(10),
            unmount_time_max: None,
            checksum: checksum::portable,
        }
    }
}

impl VoterConfig {
    /// A voter on a platform that can fence.
    pub const fn fencing(server_addr: SocketAddr, fence_param: FenceParam) -> Self {
        Self {
            server_addr,
            fence_param,
            can_fence: true,
            lease: None,
            linger: Duration::ZERO,
            clock_error_ppm: 500,
            fence_time_max: Duration::from_secs(30),
        }
    }
}
