//! Laying out a volume, and refusing to do so over something that somebody may still want.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use ostrakon_core::bounds::{BLOCK_BYTES, FENCE_BLOCKS, REGION_BLOCKS};
use ostrakon_core::format::{
    Doorbell, Geometry, SUPER_COPIES, SuperBlock, encode_empty, encode_fence, encode_table_block, identify,
};
use ostrakon_core::ids::{BlockNo, Mark, Term, VolumeId};

use super::error::is_foreign;
use super::signatures::{self, Signature};
use super::volume::size_blocks;
use super::{OfflineError, Table, Volume, checksum};
use crate::disk::{Access, AlignedBuffer, DeviceFile, Hold, IoError};
use crate::entropy;

/// How a volume is to be laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FormatOptions {
    /// Votes that elect a leader, from 1.
    pub quorum_count: u16,
    /// Clients to make room for, from 1.
    pub clients_max: u32,
    /// Bytes of an image file that is to be made; `None` for a device or file that is there.
    pub size: Option<u64>,
    /// Destroy what is there, and do not mind who uses it.
    pub force: bool,
}

/// A volume that was laid out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Formatted {
    /// What its super block says.
    pub state: SuperBlock,
    /// What was destroyed.
    pub destroyed: Vec<String>,
}

/// Why nothing was laid out.
#[derive(Debug)]
pub enum FormatError {
    /// The device cannot be opened, read or written.
    Volume(OfflineError),
    /// The image file cannot be made.
    Create {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// Something is there.
    Holds {
        /// The device.
        path: PathBuf,
        /// What it is.
        found: Vec<String>,
    },
    /// Something on this host uses it.
    InUse {
        /// The device.
        path: PathBuf,
        /// What does.
        by: &'static str,
    },
    /// Not enough room.
    TooSmall {
        /// Blocks that the device has.
        found: u64,
        /// Blocks that the volume would take.
        expected: u64,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Volume(error) => write!(f, "{error}"),
            Self::Create { path, error } if error.kind() == std::io::ErrorKind::AlreadyExists => write!(
                f,
                "{} is there already, and --size makes a new file: leave out --size to format what is there, or choose \
                 another name",
                path.display()
            ),
            Self::Create { path, error } => write!(f, "cannot make {}: {error}", path.display()),
            Self::Holds { path, found } => write!(
                f,
                "{} holds: {}. Formatting would destroy it; --force does so",
                path.display(),
                found.join("; ")
            ),
            Self::InUse { path, by } => write!(
                f,
                "{} is in use by {by}: end that first; --force formats it all the same",
                path.display()
            ),
            Self::TooSmall { found, expected } => write!(
                f,
                "{found} blocks of {BLOCK_BYTES} bytes, but the volume takes {expected} ({} KiB): \
                 use a larger device or a smaller --clients-max",
                expected * BLOCK_BYTES as u64 / 1024
            ),
        }
    }
}

impl std::error::Error for FormatError {}

impl From<OfflineError> for FormatError {
    fn from(error: OfflineError) -> Self {
        Self::Volume(error)
    }
}

/// Lays out a volume on `path`.
///
/// # Panics
/// If `quorum_count` or `clients_max` is 0.
pub fn format(path: &Path, options: &FormatOptions) -> Result<Formatted, FormatError> {
    assert!(options.quorum_count > 0, "somebody has to vote");
    let Some(size) = options.size else {
        return format_existing(path, options);
    };
    create(path, size).map_err(|error| FormatError::Create {
        path: path.to_owned(),
        error,
    })?;
    let formatted = format_existing(path, options);
    if formatted.is_err() {
        // Only what was made a moment ago is removed.
        let _ = fs::remove_file(path);
    }
    formatted
}

fn create(path: &Path, size: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.set_len(size)?;
    file.sync_all()
}

fn format_existing(path: &Path, options: &FormatOptions) -> Result<Formatted, FormatError> {
    let device = open(path, options.force)?;
    let blocks = size_blocks(&device)?;
    let geometry = Geometry::plan(blocks, options.clients_max).map_err(|expected| FormatError::TooSmall {
        found: blocks,
        expected,
    })?;
    let (found, marks) = inspect(&device)?;
    if !found.is_empty() && !options.force {
        let path = path.to_owned();
        return Err(FormatError::Holds { path, found });
    }
    let state = SuperBlock {
        volume: entropy::volume_id(),
        seq: 1,
        quorum_count: options.quorum_count,
        fenced: Mark::NONE,
        server: None,
        server_addr: None,
        unmount_barrier: 0,
        geometry,
        key: entropy::volume_key(),
    };
    lay_out(&device, &state, &marks).map_err(|error| OfflineError::Io {
        path: path.to_owned(),
        block: 0,
        error,
    })?;
    Ok(Formatted {
        state,
        destroyed: found,
    })
}

/// Opens the device so that nobody on this host uses it, unless forced.
fn open(path: &Path, force: bool) -> Result<DeviceFile, FormatError> {
    let in_use = |by| FormatError::InUse {
        path: path.to_owned(),
        by,
    };
    if force {
        return Ok(DeviceFile::open(path, Access::ReadWrite).map_err(OfflineError::Open)?);
    }
    let device = match DeviceFile::open(path, Access::Exclusive) {
        Err(error) if error.is_busy() => return Err(in_use("a file system or volume manager on this host")),
        opened => opened.map_err(OfflineError::Open)?,
    };
    match device.hold(Hold::Alone) {
        Ok(true) => Ok(device),
        Ok(false) => Err(in_use("a mount or another tool on this host")),
        Err(error) => Err(io_error(&device, error).into()),
    }
}

fn io_error(device: &DeviceFile, error: IoError) -> OfflineError {
    OfflineError::Io {
        path: device.path().to_owned(),
        block: 0,
        error,
    }
}

/// What a device holds, in words, and the marks that are to be erased.
fn inspect(device: &DeviceFile) -> Result<(Vec<String>, Vec<Signature>), FormatError> {
    let mut found = Vec::new();
    if bears_super(device).map_err(|error| io_error(device, error))? {
        found.push(describe_volume(device));
    }
    let marks = signatures::find(device).map_err(|error| io_error(device, error))?;
    found.extend(marks.iter().map(|mark| {
        let at = mark.bytes.start;
        format!("{} (its mark at byte {at})", mark.name)
    }));
    Ok((found, marks))
}

/// Whether either copy of a super block of ours is there, however damaged.
fn bears_super(device: &DeviceFile) -> Result<bool, IoError> {
    let mut buffer = AlignedBuffer::blocks(1);
    for at in SUPER_COPIES {
        device.read_at(at, buffer.bytes_mut())?;
        match identify(buffer.bytes(), at, checksum) {
            Err(error) if is_foreign(&error) => {}
            _ => return Ok(true),
        }
    }
    Ok(false)
}

fn describe_volume(device: &DeviceFile) -> String {
    // Opened anew, because a volume owns its device. The hold stays with the first.
    let volume = match Volume::open(device.path(), Access::Read) {
        Ok(volume) => volume,
        Err(error) => return format!("an ostrakon volume that cannot be read ({error})"),
    };
    let state = volume.state();
    let server = match (volume.view().live_server(), state.server_addr) {
        (Some(ballot), Some(addr)) => format!("server {ballot} at {addr}"),
        (Some(ballot), None) => format!("server {ballot} without an address"),
        (None, _) => "no server".to_owned(),
    };
    let mounted = Table::read(&volume).records(state.unmount_barrier).count();
    format!(
        "ostrakon volume {} with quorum count {}, {server}, {mounted} mounted",
        state.volume, state.quorum_count
    )
}

/// Writes everything, the super block last: a volume that was cut short while it was made is none.
fn lay_out(device: &DeviceFile, state: &SuperBlock, marks: &[Signature]) -> Result<(), IoError> {
    let mut buffer = AlignedBuffer::blocks(1);
    for at in SUPER_COPIES {
        device.write_at(at, buffer.bytes(), true)?;
    }
    for mark in marks {
        signatures::erase(device, mark)?;
    }
    let geometry = state.geometry;
    let volume = state.volume;
    for at in geometry.region.0..geometry.region.0 + REGION_BLOCKS as u64 {
        encode_empty(BlockNo(at), volume, checksum, buffer.bytes_mut());
        device.write_at(BlockNo(at), buffer.bytes(), false)?;
    }
    lay_out_bell(device, geometry.doorbell, volume, &mut buffer)?;
    lay_out_table(device, &geometry, volume)?;
    for at in geometry.fences.0..geometry.fences.0 + FENCE_BLOCKS as u64 {
        encode_fence(None, BlockNo(at), volume, checksum, buffer.bytes_mut());
        device.write_at(BlockNo(at), buffer.bytes(), false)?;
    }
    device.flush()?;
    for at in SUPER_COPIES {
        state.encode(at, checksum, buffer.bytes_mut());
        device.write_at(at, buffer.bytes(), true)?;
    }
    device.flush()
}

fn lay_out_bell(
    device: &DeviceFile,
    at: BlockNo,
    volume: VolumeId,
    buffer: &mut AlignedBuffer,
) -> Result<(), IoError> {
    let bell = Doorbell {
        rid: None,
        ring: 0,
        term: Term(0),
    };
    bell.encode(at, volume, checksum, buffer.bytes_mut());
    device.write_at(at, buffer.bytes(), false)
}

/// Each copy gets a number of its own, so that one of them is the newer from the first moment.
fn lay_out_table(device: &DeviceFile, geometry: &Geometry, volume: VolumeId) -> Result<(), IoError> {
    const BATCH: u64 = 64;
    let mut buffer = AlignedBuffer::blocks(BATCH as usize);
    let count = u64::from(geometry.clients_blocks);
    for (seq, start) in [(1, geometry.clients.0), (2, geometry.clients.0 + count)] {
        for first in (start..start + count).step_by(BATCH as usize) {
            let blocks = BATCH.min(start + count - first);
            let bytes = &mut buffer.bytes_mut()[..blocks as usize * BLOCK_BYTES];
            for (at, block) in (first..).zip(bytes.chunks_mut(BLOCK_BYTES)) {
                encode_table_block(seq, std::iter::empty(), BlockNo(at), volume, checksum, block);
            }
            device.write_at(BlockNo(first), bytes, false)?;
        }
    }
    Ok(())
}
