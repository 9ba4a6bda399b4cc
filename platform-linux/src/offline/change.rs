//! What is changed of a volume without a leader: `quorum_count`, and the key.

use std::fmt;
use std::path::Path;

use ostrakon_core::bounds::TORN_MAX;
use ostrakon_core::disk::{DiskOutcome, DiskRequest, IoId};
use ostrakon_core::format::SuperBlock;
use ostrakon_core::ids::{Ballot, VolumeId};
use ostrakon_core::superio::SuperWriter;

use super::{OfflineError, Region, Table, Volume, checksum};
use crate::disk::{Access, AlignedBuffer, DeviceFile, Hold, IoError};
use crate::entropy;

/// Why nothing was changed.
#[derive(Debug)]
pub enum ChangeError {
    /// The volume cannot be read or written.
    Volume(OfflineError),
    /// A mount of this host holds the device.
    Held,
    /// A server is named that nobody fenced and that did not stop cleanly.
    ServerLive(Ballot),
    /// A leader is in the election log that is not known to be gone.
    EntryLive(Ballot),
    /// Clients are mounted.
    Mounted(usize),
    /// So much is damaged that somebody may be hidden by it.
    Damaged(String),
    /// Something was written to the device meanwhile.
    Changed,
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Volume(error) => write!(f, "{error}"),
            Self::Held => f.write_str("a mount on this host holds the device: unmount it first"),
            Self::ServerLive(ballot) => write!(
                f,
                "the super block names server {ballot}, which neither stopped cleanly nor was fenced: \
                 mount and unmount a voter, which settles it"
            ),
            Self::EntryLive(ballot) => write!(
                f,
                "the election log has the entry of leader {ballot}, which is not known to be gone: \
                 mount and unmount a voter, which settles it"
            ),
            Self::Mounted(count) => write!(f, "{count} mounted, expected none: unmount them first"),
            Self::Damaged(what) => write!(f, "{what}: mount a voter, which repairs it"),
            Self::Changed => {
                f.write_str("somebody wrote to the volume meanwhile: nothing may mount during this")
            }
        }
    }
}

impl std::error::Error for ChangeError {}

impl From<OfflineError> for ChangeError {
    fn from(error: OfflineError) -> Self {
        Self::Volume(error)
    }
}

/// Writes a new `quorum_count` to both copies of the super block and returns the old one.
///
/// # Panics
/// If `count` is 0.
pub fn quorum_count(path: &Path, count: u16) -> Result<u16, ChangeError> {
    assert!(count > 0, "somebody has to vote");
    Ok(change(path, |state| state.quorum_count = count)?.quorum_count)
}

/// Replaces the volume's key by another one and returns the volume's id. Who knows the old one, from a copy of the device or
/// from a host that was taken out of the cluster, is a stranger from then on; nobody is mounted, so that no session with
/// the old one is left either.
pub fn rekey(path: &Path) -> Result<VolumeId, ChangeError> {
    let key = entropy::volume_key();
    Ok(change(path, |state| state.key = key)?.volume)
}

/// Changes the super block in both copies and returns what it was before.
///
/// Only a leader may write the super block while there is one. Nothing on the device can lock out a mount that
/// begins at this very moment on another host, so the election's traces are read twice, before and after.
fn change(path: &Path, change: impl Fn(&mut SuperBlock)) -> Result<SuperBlock, ChangeError> {
    let device = DeviceFile::open(path, Access::ReadWrite).map_err(OfflineError::Open)?;
    match device.hold(Hold::Alone) {
        Ok(true) => {}
        Ok(false) => return Err(ChangeError::Held),
        Err(error) => return Err(io_error(&device, 0, error)),
    }
    let mut volume = Volume::on(device)?;
    check(&volume)?;
    let before = *volume.state();
    let mut ours = before;
    ours.seq += 1;
    change(&mut ours);
    let region = Region::read(&volume);
    write(&volume, change)?;
    volume.reread()?;
    if *volume.state() != ours || Region::read(&volume).blocks != region.blocks {
        return Err(ChangeError::Changed);
    }
    Ok(before)
}

fn io_error(device: &DeviceFile, block: u64, error: IoError) -> ChangeError {
    ChangeError::Volume(OfflineError::Io {
        path: device.path().to_owned(),
        block,
        error,
    })
}

fn check(volume: &Volume) -> Result<(), ChangeError> {
    if let Some(ballot) = volume.view().live_server() {
        return Err(ChangeError::ServerLive(ballot));
    }
    let region = Region::read(volume);
    if let Some(&ballot) = region.live_entries(volume.view().trimmed()).keys().next() {
        return Err(ChangeError::EntryLive(ballot));
    }
    let damaged = region.damaged().count();
    // A sealed leader stands in so many blocks that this many may be lost (rule R4).
    if damaged > TORN_MAX {
        let what = format!("{damaged} blocks of the quorum region are damaged, expected at most {TORN_MAX}");
        return Err(ChangeError::Damaged(what));
    }
    let table = Table::read(volume);
    let mounted = table.records(volume.state().unmount_barrier);
    let mounted = mounted.filter(|record| !record.evicted).count();
    if mounted > 0 {
        return Err(ChangeError::Mounted(mounted));
    }
    if let Some(lost) = table.lost().next() {
        let what = format!(
            "both copies of a block of the client table are damaged (blocks {} and {})",
            lost.at[0], lost.at[1]
        );
        return Err(ChangeError::Damaged(what));
    }
    Ok(())
}

fn write(volume: &Volume, change: impl FnOnce(&mut SuperBlock)) -> Result<(), ChangeError> {
    let mut writer = SuperWriter::new(volume.view());
    let mut buffer = AlignedBuffer::blocks(1);
    writer.start(change);
    let mut writes = 0;
    loop {
        let limit = ostrakon_core::time::Duration::ZERO;
        let request = writer.poll_disk(IoId(writes), limit, checksum, buffer.bytes_mut());
        let Some(DiskRequest::Write {
            id, first, durable, ..
        }) = request
        else {
            unreachable!("a busy writer asks for a write, not for {request:?}");
        };
        volume
            .device()
            .write_at(first, buffer.bytes(), durable)
            .map_err(|error| io_error(volume.device(), first.0, error))?;
        writes += 1;
        if writer.handle_disk(id, DiskOutcome::Done).is_some() {
            return Ok(());
        }
    }
}
