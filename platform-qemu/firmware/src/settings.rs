//! What whoever starts the board decides: `key=value` words of the command line, in the device tree.

use core::net::{Ipv4Addr, SocketAddr};

use fdt::Fdt;
use ostrakon_core::checksum;
use ostrakon_core::config::{Config, VoterConfig};
use ostrakon_core::format::FenceParam;
use ostrakon_core::ids::{BootId, Rid};
use ostrakon_core::time::Duration;
use ostrakon_devices::{Exit, Place};

/// What the command line says.
pub(crate) struct Settings {
    /// `name=`: for logs only.
    pub(crate) name: &'static str,
    /// `server=IP:PORT`: where others reach this node when it serves. Without it, a plain client.
    server: Option<SocketAddr>,
    /// `io-timeout-ms=`, `silence-ms=`, `recovery-ms=`, as `ostrakon mount` has them.
    write_time_max: Duration,
    silence_max: Duration,
    recovery_time: Duration,
    /// `fence-timeout-ms=`: a fence that is not confirmed for this long has failed.
    pub(crate) fence_time_max: Duration,
    /// `network-cut-ms=`; the addresses are those of QEMU's user network.
    pub(crate) place: Place,
}

impl Settings {
    /// Reads the words that QEMU put into its device tree.
    ///
    /// # Safety
    /// `at` is the address of a device tree that nobody writes to.
    ///
    /// # Errors
    /// If there is none, or a word makes no sense.
    pub(crate) unsafe fn of_device_tree(at: usize) -> Result<Self, Exit> {
        // SAFETY: promised by the caller.
        let tree: Fdt<'static> = unsafe { Fdt::from_ptr(at as *const u8) }.map_err(|_| Exit::CommandLine)?;
        let chosen = tree.find_node("/chosen").ok_or(Exit::CommandLine)?;
        let line = chosen.property("bootargs").and_then(|line| line.as_str());
        let mut settings = Self {
            name: "",
            server: None,
            write_time_max: Duration::from_secs(4),
            silence_max: Duration::from_secs(4),
            recovery_time: Duration::from_secs(10),
            fence_time_max: Duration::from_secs(30),
            place: Place {
                ip: Ipv4Addr::new(10, 0, 2, 15),
                prefix: 24,
                gateway: Ipv4Addr::new(10, 0, 2, 2),
                cut_max: Duration::from_secs(20),
            },
        };
        for word in line.unwrap_or_default().split_ascii_whitespace() {
            settings.take(word).ok_or(Exit::CommandLine)?;
        }
        Ok(settings)
    }

    fn take(&mut self, word: &'static str) -> Option<()> {
        let (key, value) = word.split_once('=')?;
        let ms = || value.parse().ok().map(Duration::from_millis);
        match key {
            "name" => self.name = value,
            "server" => self.server = Some(value.parse().ok()?),
            "io-timeout-ms" => self.write_time_max = ms()?,
            "silence-ms" => self.silence_max = ms()?,
            "recovery-ms" => self.recovery_time = ms()?,
            "fence-timeout-ms" => self.fence_time_max = ms()?,
            "network-cut-ms" => self.place.cut_max = ms()?,
            _ => return None,
        }
        Some(())
    }

    /// What core is given; `rid` and `boot` are drawn from the source of entropy.
    ///
    /// # Errors
    /// If it makes no sense together.
    pub(crate) fn config(&self, rid: u64, boot: [u8; 16]) -> Result<Config, Exit> {
        // One in 2^64 is 0, which is no rid.
        let rid = Rid::new(rid).ok_or(Exit::NoDevice)?;
        let voter = self.server.map(|addr| VoterConfig {
            fence_time_max: self.fence_time_max,
            ..VoterConfig::fencing(addr, FenceParam::default())
        });
        let config = Config {
            boot: BootId(boot),
            voter,
            write_time_max: self.write_time_max,
            silence_max: self.silence_max,
            recovery_time: self.recovery_time,
            // One buffer of one block, and the small table: memory is short here.
            transfer_blocks: 1,
            checksum: checksum::compact,
            ..Config::client(rid)
        };
        config.check().map_err(|_| Exit::CommandLine)?;
        Ok(config)
    }
}
