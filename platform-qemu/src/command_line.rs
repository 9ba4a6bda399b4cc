//! The kernel's command line: `key=value` words.

use core::fmt;
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use heapless::String;
use ostrakon_core::ids::{BlockNo, HostId};
use ostrakon_core::time::Duration;
use ostrakon_devices::Place;

use crate::log::Level;

/// Bytes of a node's name.
pub(crate) const NAME_BYTES: usize = 16;

/// How earlier leaders are silenced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FenceMode {
    /// By whoever listens on the control line.
    Line,
    /// By the read lease: time, with all that it does not cover.
    Lease(Duration),
}

/// What the command line says.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `name=`: for logs only.
    pub(crate) name: String<NAME_BYTES>,
    /// `server=IP:PORT`: where others reach this node if it serves. A voter has it, a plain client has not.
    pub(crate) server: Option<SocketAddrV4>,
    /// `fence=line` or `fence=lease`, with `lease-ms=`.
    pub(crate) fence: FenceMode,
    /// `host=HEX`: this machine's identity across its boots; without it an earlier boot counts as a stranger.
    pub(crate) host: HostId,
    /// `ip=ADDRESS/PREFIX`, `gateway=ADDRESS`, `network-cut-ms=`. QEMU's own gateway also leads to its host's loopback
    /// network, so that guests and processes of that host know one another by the same addresses.
    pub(crate) place: Place,
    /// `log=error|warn|info|debug|trace`.
    pub(crate) level: Level,
    /// `io-timeout-ms=`: W.
    pub(crate) write_time_max: Duration,
    /// `silence-ms=`.
    pub(crate) silence_max: Duration,
    /// `recovery-ms=`.
    pub(crate) recovery_time: Duration,
    /// `fence-timeout-ms=`.
    pub(crate) fence_time_max: Duration,
    /// `watchdog-ms=`: with a lease, QEMU's watchdog resets this machine when the main loop does not come round for this
    /// long.
    pub(crate) watchdog: Option<Duration>,
    /// `conformance=BLOCK`: instead of mounting, core's test of a platform's disk, on as many blocks from there as one request
    /// may span. It overwrites them, and wants the same disk twice.
    pub(crate) conformance: Option<BlockNo>,
}

/// A word that makes no sense.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BadWord<'a> {
    word: &'a str,
    expected: &'static str,
}

impl fmt::Display for BadWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} on the command line: expected {}",
            self.word, self.expected
        )
    }
}

impl Default for Settings {
    /// The addresses are those of QEMU's user network.
    fn default() -> Self {
        Self {
            name: String::new(),
            server: None,
            fence: FenceMode::Line,
            host: HostId(0),
            place: Place {
                ip: Ipv4Addr::new(10, 0, 2, 15),
                prefix: 24,
                gateway: Ipv4Addr::new(10, 0, 2, 2),
                cut_max: Duration::from_secs(20),
            },
            level: Level::Info,
            write_time_max: Duration::from_secs(4),
            silence_max: Duration::from_secs(4),
            recovery_time: Duration::from_secs(10),
            fence_time_max: Duration::from_secs(30),
            watchdog: None,
            conformance: None,
        }
    }
}

impl Settings {
    /// Reads the words.
    ///
    /// # Errors
    /// The first word that makes no sense. Words without `=` and those with a dot in the key are the loader's.
    pub(crate) fn parse(line: &str) -> Result<Self, BadWord<'_>> {
        let mut settings = Self::default();
        let mut lease = Duration::from_secs(3);
        for word in line.split_ascii_whitespace() {
            let Some((key, value)) = word.split_once('=') else {
                continue;
            };
            if key.contains('.') {
                continue;
            }
            let taken = match key {
                "lease-ms" => ms(value).map(|ms| lease = ms),
                _ => settings.set(key, value),
            };
            taken.map_err(|expected| BadWord { word, expected })?;
        }
        if let FenceMode::Lease(time) = &mut settings.fence {
            *time = lease;
        }
        // A slower one would reset a machine that froze only after others had taken its place.
        let guards = matches!(settings.fence, FenceMode::Lease(time) if settings.watchdog.is_none_or(|dog| dog <= time));
        if settings.watchdog.is_some() && !guards {
            return Err(BadWord {
                word: "watchdog-ms",
                expected: "fence=lease with it, and a lease-ms no shorter",
            });
        }
        Ok(settings)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        match key {
            "name" => self.name = String::try_from(value).map_err(|_| "a name of at most 16 bytes")?,
            "server" => self.server = Some(server(value)?),
            "fence" => self.fence = fence(value)?,
            "host" => self.host = HostId(u64::from_str_radix(value, 16).map_err(|_| "up to 16 hex digits")?),
            "ip" => (self.place.ip, self.place.prefix) = network(value)?,
            "gateway" => self.place.gateway = value.parse().map_err(|_| "an IPv4 address")?,
            "log" => self.level = Level::parse(value).ok_or("error, warn, info, debug or trace")?,
            "io-timeout-ms" => self.write_time_max = ms(value)?,
            "silence-ms" => self.silence_max = ms(value)?,
            "recovery-ms" => self.recovery_time = ms(value)?,
            "fence-timeout-ms" => self.fence_time_max = ms(value)?,
            "watchdog-ms" => self.watchdog = Some(ms(value)?),
            "network-cut-ms" => self.place.cut_max = ms(value)?,
            "conformance" => {
                self.conformance = Some(BlockNo(value.parse().map_err(|_| "the number of a block")?))
            }
            _ => return Err("a key that this image knows"),
        }
        Ok(())
    }
}

fn ms(value: &str) -> Result<Duration, &'static str> {
    match value.parse() {
        Ok(ms @ 50..=86_400_000) => Ok(Duration::from_millis(ms)),
        _ => Err("milliseconds, from 50 to a day"),
    }
}

fn fence(value: &str) -> Result<FenceMode, &'static str> {
    match value {
        "line" => Ok(FenceMode::Line),
        "lease" => Ok(FenceMode::Lease(Duration::ZERO)),
        _ => Err("line or lease"),
    }
}

fn server(value: &str) -> Result<SocketAddrV4, &'static str> {
    match value.parse() {
        Ok(SocketAddr::V4(addr)) if addr.port() != 0 && !addr.ip().is_unspecified() => Ok(addr),
        _ => Err("an IPv4 address and port by which all others reach this node"),
    }
}

fn network(value: &str) -> Result<(Ipv4Addr, u8), &'static str> {
    let expected = "ADDRESS/PREFIX";
    let (ip, prefix) = value.split_once('/').ok_or(expected)?;
    let prefix = prefix
        .parse()
        .ok()
        .filter(|&prefix| prefix <= 32)
        .ok_or(expected)?;
    Ok((ip.parse().map_err(|_| expected)?, prefix))
}
