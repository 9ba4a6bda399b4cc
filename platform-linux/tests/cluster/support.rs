//! What all of these tests start from.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::cluster::{Cluster, MountId, PATIENCE};
use ostrakon_xtask::failure::{Failure, Result};

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ostrakon"))
}

/// Where clusters have their folders.
pub(crate) fn folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// A fresh volume that nobody has mounted.
pub(crate) fn volume(name: &str, quorum_count: u16) -> Result<Cluster> {
    Cluster::format(binary(), folder(), name, quorum_count)
}

/// A fresh volume with voters, connected to one of them.
pub(crate) fn voters(name: &str, count: usize, quorum_count: u16) -> Result<(Cluster, Vec<MountId>)> {
    let mut cluster = volume(name, quorum_count)?;
    let ids = (0..count)
        .map(|number| cluster.voter(&format!("voter{number}")))
        .collect::<Result<Vec<_>>>()?;
    cluster.wait_connected(&ids, Mark::START)?;
    Ok((cluster, ids))
}

/// The mount that the device names as server.
pub(crate) fn leader(cluster: &Cluster) -> Result<MountId> {
    // Nobody is named in the moment in which one yields to another.
    let status = cluster.wait_status(PATIENCE, "a server", |status| status.server_addr.is_some())?;
    let found = status
        .server
        .as_ref()
        .and_then(|server| cluster.by_rid(&server.rid));
    found.ok_or_else(|| cluster.failed(&format!("expected a server of ours; the device shows {status:?}")))
}

/// All of these but one.
pub(crate) fn without(ids: &[MountId], gone: MountId) -> Vec<MountId> {
    ids.iter().copied().filter(|&id| id != gone).collect()
}

/// Dice whose seed is printed: a failing test shows it.
pub(crate) struct Dice(u64);

impl Dice {
    /// Another seed each time, or the one of `OSTRAKON_SEED`.
    pub(crate) fn new() -> Result<Self> {
        let seed = match std::env::var("OSTRAKON_SEED") {
            Ok(text) => text
                .parse()
                .map_err(|error| Failure::new(format!("OSTRAKON_SEED={text}: {error}")))?,
            Err(_) => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(1, |now| now.as_nanos() as u64),
        };
        println!("OSTRAKON_SEED={seed}");
        Ok(Self(seed | 1))
    }

    /// Any number (xorshift64*).
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    /// Any bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.roll().to_le_bytes()[7]).collect()
    }
}
