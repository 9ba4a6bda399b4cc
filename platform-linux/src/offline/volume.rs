//! A device that holds a volume.

use std::path::Path;
use std::thread;
use std::time::Duration;

use ostrakon_core::bounds::{BLOCK_BYTES, TRANSFER_BLOCKS_MAX};
use ostrakon_core::disk::{DiskOutcome, DiskRequest, IoId};
use ostrakon_core::format::{BlockError, SUPER_COPIES, SuperBlock};
use ostrakon_core::ids::BlockNo;
use ostrakon_core::superio::{SuperError, SuperReader, SuperView};

use super::error::is_foreign;
use super::{Damage, OfflineError, checksum};
use crate::disk::{Access, AlignedBuffer, DeviceFile, OpenError};

/// Between two readings of something that a writer may be in the middle of.
const SETTLE_TIME: Duration = Duration::from_millis(5);

/// Readings of a block that is invalid or unreadable before that is taken for its state (rule R10: reads overlap
/// writes, and a write takes far less than this many times [`SETTLE_TIME`] on a healthy device).
const READINGS_MAX: usize = 20;

/// A device that holds a volume, and the super block that was believed when it was opened.
#[derive(Debug)]
pub struct Volume {
    device: DeviceFile,
    view: SuperView,
}

impl Volume {
    /// Opens a device and believes its super block. Waits as long as the device takes.
    pub fn open(path: &Path, access: Access) -> Result<Self, OfflineError> {
        let device = DeviceFile::open(path, access).map_err(OfflineError::Open)?;
        Self::on(device)
    }

    /// Believes the super block of an open device.
    pub fn on(device: DeviceFile) -> Result<Self, OfflineError> {
        let blocks = size_blocks(&device)?;
        if blocks <= SUPER_COPIES[1].0 {
            return Err(OfflineError::NotAVolume(device.path().to_owned()));
        }
        let view = read_super(&device)?;
        let expected = view.state.geometry.total_blocks();
        if expected > blocks {
            return Err(OfflineError::Truncated {
                path: device.path().to_owned(),
                found: blocks,
                expected,
            });
        }
        Ok(Self { device, view })
    }

    /// What was believed.
    pub const fn view(&self) -> &SuperView {
        &self.view
    }

    /// The newest state of the super block.
    pub const fn state(&self) -> &SuperBlock {
        &self.view.state
    }

    /// The device.
    pub const fn device(&self) -> &DeviceFile {
        &self.device
    }

    /// The device, for a mount that takes it over.
    pub fn into_device(self) -> DeviceFile {
        self.device
    }

    /// Reads the super block again.
    pub fn reread(&mut self) -> Result<(), OfflineError> {
        self.view = read_super(&self.device)?;
        Ok(())
    }

    /// Reads blocks until `judge` accepts them; what it still does not accept after [`READINGS_MAX`] readings is
    /// damage.
    pub(super) fn read_settled<T>(
        &self,
        first: BlockNo,
        count: usize,
        judge: impl Fn(BlockNo, &[u8]) -> Result<T, BlockError>,
    ) -> Vec<Result<T, Damage>> {
        let mut judged = Vec::with_capacity(count);
        let mut buffer = AlignedBuffer::blocks(TRANSFER_BLOCKS_MAX as usize);
        while judged.len() < count {
            let next = BlockNo(first.0 + judged.len() as u64);
            let blocks = (count - judged.len()).min(TRANSFER_BLOCKS_MAX as usize);
            let bytes = &mut buffer.bytes_mut()[..blocks * BLOCK_BYTES];
            match self.device.read_at(next, bytes) {
                Ok(()) => judged.extend(
                    (next.0..)
                        .zip(bytes.chunks(BLOCK_BYTES))
                        .map(|(at, block)| judge(BlockNo(at), block).map_err(Damage::Invalid)),
                ),
                // One of them cannot be read: which one shows when each is read again by itself.
                Err(error) => judged.extend((0..blocks).map(|_| Err(Damage::Unreadable(error)))),
            }
        }
        for _ in 1..READINGS_MAX {
            if judged.iter().all(Result::is_ok) {
                break;
            }
            thread::sleep(SETTLE_TIME);
            for (at, state) in (first.0..)
                .map(BlockNo)
                .zip(&mut judged)
                .filter(|(_, state)| state.is_err())
            {
                let bytes = &mut buffer.bytes_mut()[..BLOCK_BYTES];
                let read = self.device.read_at(at, bytes).map_err(Damage::Unreadable);
                *state = read.and_then(|()| judge(at, bytes).map_err(Damage::Invalid));
            }
        }
        judged
    }
}

/// Whole blocks that a device has.
pub(super) fn size_blocks(device: &DeviceFile) -> Result<u64, OfflineError> {
    let bytes = device.size().map_err(|error| OfflineError::Io {
        path: device.path().to_owned(),
        block: 0,
        error,
    })?;
    Ok(bytes / BLOCK_BYTES as u64)
}

fn read_super(device: &DeviceFile) -> Result<SuperView, OfflineError> {
    let mut reader = SuperReader::new(None);
    let mut buffer = AlignedBuffer::blocks(1);
    reader.start();
    let mut reads = 0;
    loop {
        let request = reader.poll_disk(IoId(reads), ostrakon_core::time::Duration::ZERO);
        let Some(DiskRequest::Read { id, first, .. }) = request else {
            unreachable!("a running reader asks for a read, not for {request:?}");
        };
        let read = device.read_at(first, buffer.bytes_mut());
        let outcome = match read {
            Ok(()) => DiskOutcome::Read(buffer.bytes()),
            Err(error) => DiskOutcome::Failed(error.class()),
        };
        let judged = reader.handle_disk(id, outcome, checksum);
        reads += 1;
        match (judged, read) {
            (Some(Ok(view)), _) => return Ok(view),
            (Some(Err(SuperError::Io(_))), Err(error)) => {
                return Err(OfflineError::Io {
                    path: device.path().to_owned(),
                    block: first.0,
                    error,
                });
            }
            (Some(Err(error)), _) => return Err(super_error(device, error)),
            // The end of a pass: a writer needs some time to finish what it is at.
            (None, _) if reads.is_multiple_of(2) => thread::sleep(SETTLE_TIME),
            (None, _) => {}
        }
    }
}

fn super_error(device: &DeviceFile, error: SuperError) -> OfflineError {
    let path = device.path().to_owned();
    match error {
        SuperError::Invalid(copies) if copies.iter().all(is_foreign) => OfflineError::NotAVolume(path),
        error => OfflineError::Super { path, error },
    }
}

impl From<OpenError> for OfflineError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}
