//! What a platform decides when it mounts.

use core::net::SocketAddr;

use crate::bounds::QUIET_MS_MAX;
use crate::checksum::{self, Checksum, PaddedChecksum};
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
    /// An unmount that waits longer for its answer leaves its record behind; one that needs as long again to stop what it serves leaves
    /// its ballot behind, and the next leader may have its host fenced. `None` waits for ever.
    pub unmount_time_max: Option<Duration>,
    /// The checksum routine.
    pub checksum: Checksum,
    /// The same for what ends with zeros.
    pub padded: PaddedChecksum,
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

/// What of a configuration every machine of a mount keeps for itself: small, because there are several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Basics {
    pub(crate) rid: Rid,
    pub(crate) host: HostId,
    pub(crate) boot: BootId,
    pub(crate) write_time_max: Duration,
    pub(crate) silence_max: Duration,
    pub(crate) recovery_time: Duration,
    pub(crate) transfer_blocks: u32,
    pub(crate) checksum: Checksum,
    pub(crate) padded: PaddedChecksum,
    pub(crate) can_fence: bool,
}

impl From<&Config> for Basics {
    fn from(config: &Config) -> Self {
        Self {
            rid: config.rid,
            host: config.host,
            boot: config.boot,
            write_time_max: config.write_time_max,
            silence_max: config.silence_max,
            recovery_time: config.recovery_time,
            transfer_blocks: config.transfer_blocks,
            checksum: config.checksum,
            padded: config.padded,
            can_fence: config.voter.as_ref().is_some_and(|voter| voter.can_fence),
        }
    }
}

/// A configuration that cannot work.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ConfigError {
    /// `transfer_blocks` is not between 1 and [`crate::bounds::TRANSFER_BLOCKS_MAX`].
    TransferBlocks(u32),
    /// A time that must not be zero is.
    ZeroTime(&'static str),
    /// A quiet time (lease and W) beyond what a log entry has room for: 2^31 milliseconds.
    QuietTime,
}

impl core::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TransferBlocks(found) => {
                let most = crate::bounds::TRANSFER_BLOCKS_MAX;
                write!(f, "{found} blocks in a disk request, expected 1 to {most}")
            }
            Self::ZeroTime(name) => write!(f, "{name} is zero"),
            Self::QuietTime => write!(
                f,
                "the lease and the longest time of a write add up to more than 24 days"
            ),
        }
    }
}

impl core::error::Error for ConfigError {}

impl Config {
    /// Whether a mount can work with this.
    ///
    /// # Errors
    /// The first thing that cannot.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(1..=crate::bounds::TRANSFER_BLOCKS_MAX).contains(&self.transfer_blocks) {
            return Err(ConfigError::TransferBlocks(self.transfer_blocks));
        }
        let lease = self.voter.and_then(|voter| voter.lease);
        let times = [
            ("write_time_max", Some(self.write_time_max)),
            ("silence_max", Some(self.silence_max)),
            ("recovery_time", Some(self.recovery_time)),
            ("lease", lease),
        ];
        if let Some((name, _)) = times.iter().find(|(_, time)| *time == Some(Duration::ZERO)) {
            return Err(ConfigError::ZeroTime(name));
        }
        let linger = self.voter.map_or(Duration::ZERO, |voter| voter.linger);
        let quiet = lease.unwrap_or(Duration::ZERO) + linger + self.write_time_max;
        if quiet.as_millis_ceil() > u64::from(QUIET_MS_MAX) {
            return Err(ConfigError::QuietTime);
        }
        Ok(())
    }

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
            padded: checksum::padded,
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

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    fn voter() -> Config {
        let addr = SocketAddr::from(([10, 0, 0, 1], 7000));
        Config {
            voter: Some(VoterConfig::fencing(addr, FenceParam::default())),
            ..Config::client(Rid::new(1).unwrap())
        }
    }

    fn leased(lease: Duration, linger: Duration) -> Config {
        let mut config = voter();
        config.voter = config.voter.map(|voter| VoterConfig {
            lease: Some(lease),
            linger,
            ..voter
        });
        config
    }

    #[test]
    fn what_works_is_taken() {
        let second = Duration::from_secs(1);
        for config in [voter(), leased(second, Duration::ZERO), leased(second, second)] {
            assert_eq!(config.check(), Ok(()));
        }
        for blocks in [1, crate::bounds::TRANSFER_BLOCKS_MAX] {
            let config = Config {
                transfer_blocks: blocks,
                ..voter()
            };
            assert_eq!(config.check(), Ok(()));
        }
    }

    #[test]
    fn what_cannot_work_is_named() {
        let zero = Duration::ZERO;
        let most = crate::bounds::TRANSFER_BLOCKS_MAX;
        let table = [
            (
                Config {
                    transfer_blocks: 0,
                    ..voter()
                },
                "0 blocks in a disk request",
            ),
            (
                Config {
                    transfer_blocks: most + 1,
                    ..voter()
                },
                "65 blocks in a disk request, expected 1 to 64",
            ),
            (
                Config {
                    write_time_max: zero,
                    ..voter()
                },
                "write_time_max is zero",
            ),
            (
                Config {
                    silence_max: zero,
                    ..voter()
                },
                "silence_max is zero",
            ),
            (
                Config {
                    recovery_time: zero,
                    ..voter()
                },
                "recovery_time is zero",
            ),
            (leased(zero, zero), "lease is zero"),
        ];
        for (config, words) in table {
            let error = config.check().expect_err(words).to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }

    #[test]
    fn a_promise_longer_than_a_log_entry_has_room_for_is_refused() {
        let whole = Duration::from_millis(u64::from(QUIET_MS_MAX));
        let (own, second) = (voter().write_time_max, Duration::from_secs(1));
        let rest = Duration(whole.0 - own.0);
        assert_eq!(leased(rest, Duration::ZERO).check(), Ok(()));
        assert_eq!(leased(Duration(rest.0 - second.0), second).check(), Ok(()));
        for config in [
            leased(Duration(rest.0 + 1), Duration::ZERO),
            leased(rest, Duration(1)),
        ] {
            let error = config.check().expect_err("one microsecond too long");
            assert_eq!(error, ConfigError::QuietTime);
            assert!(error.to_string().contains("24 days"));
        }
    }
}
