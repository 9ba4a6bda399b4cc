//! A block device or image file, opened so that nothing is cached.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use ostrakon_core::bounds::BLOCK_BYTES;
use ostrakon_core::ids::BlockNo;
use rustix::fs::{Advice, FileType, FlockOperation, Mode, OFlags, SeekFrom};
use rustix::io::{Errno, ReadWriteFlags};

use super::IoError;

/// What the device is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Looking only.
    Read,
    /// Reading and writing.
    ReadWrite,
    /// Reading and writing, refused with `EBUSY` if it is a block device that something on this host uses
    /// (a mounted file system, a volume manager).
    Exclusive,
}

/// What holds a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hold {
    /// One of any number of mounts.
    Shared,
    /// A tool that rewrites it: no mount on this host.
    Alone,
}

/// How the bytes get to the device and back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caching {
    /// O_DIRECT: nothing is cached on this host.
    Direct,
    /// The file system refuses O_DIRECT. Writes are synchronous and the page cache is dropped before each
    /// read, which is right for the processes of one host, and for several hosts only if the file system
    /// keeps their caches in step.
    PageCache,
}

/// Whether it is a device or a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceKind {
    /// A block device.
    Block,
    /// A regular file that stands for one.
    Image,
}

/// Why a device could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The system says no.
    Os {
        /// The device.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// Neither a block device nor a regular file.
    Kind {
        /// The device.
        path: PathBuf,
        /// What it is.
        found: FileType,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Os { path, error } => write!(f, "cannot open {}: {error}", path.display()),
            Self::Kind { path, found } => write!(
                f,
                "{} is a {found:?}, expected a block device or a regular file",
                path.display()
            ),
        }
    }
}

impl std::error::Error for OpenError {}

impl OpenError {
    /// Whether something on this host holds the block device.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Os { error, .. } if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()))
    }
}

/// A block device or image file.
#[derive(Debug)]
pub struct DeviceFile {
    file: OwnedFd,
    path: PathBuf,
    kind: DeviceKind,
    caching: Caching,
    delay: Duration,
    stall: Option<PathBuf>,
}

/// How often an operation that hangs looks whether it still does.
const STALL_INTERVAL: Duration = Duration::from_millis(10);

impl DeviceFile {
    /// Opens `path` with O_DIRECT, or without where a file system (never a block device) refuses that.
    pub fn open(path: &Path, access: Access) -> Result<Self, OpenError> {
        let os = |error: Errno| OpenError::Os {
            path: path.to_owned(),
            error: error.into(),
        };
        let found = FileType::from_raw_mode(rustix::fs::stat(path).map_err(os)?.st_mode);
        let kind = match found {
            FileType::BlockDevice => DeviceKind::Block,
            FileType::RegularFile => DeviceKind::Image,
            found => {
                return Err(OpenError::Kind {
                    path: path.to_owned(),
                    found,
                });
            }
        };
        let mut flags = OFlags::CLOEXEC
            | match access {
                Access::Read => OFlags::RDONLY,
                Access::ReadWrite | Access::Exclusive => OFlags::RDWR,
            };
        if access == Access::Exclusive && kind == DeviceKind::Block {
            flags |= OFlags::EXCL;
        }
        match Self::open_as(path, kind, flags, Caching::Direct) {
            Err(Errno::INVAL) if kind == DeviceKind::Image => {
                Self::open_as(path, kind, flags, Caching::PageCache).map_err(os)
            }
            opened => opened.map_err(os),
        }
    }

    fn open_as(path: &Path, kind: DeviceKind, flags: OFlags, caching: Caching) -> Result<Self, Errno> {
        let cached = match caching {
            Caching::Direct => OFlags::DIRECT,
            Caching::PageCache => OFlags::SYNC,
        };
        Ok(Self {
            file: rustix::fs::open(path, flags | cached, Mode::empty())?,
            path: path.to_owned(),
            kind,
            caching,
            delay: Duration::ZERO,
            stall: None,
        })
    }

    /// Makes every operation take this much longer: a slow disk for tests and demonstrations.
    pub fn set_delay(&mut self, delay: Duration) {
        self.delay = delay;
    }

    /// Makes every operation hang while there is a file at `path`: a device that stalls, for tests.
    pub fn set_stall(&mut self, path: Option<PathBuf>) {
        self.stall = path;
    }

    /// What tests and demonstrations have it wait for.
    fn hold_back(&self) {
        std::thread::sleep(self.delay);
        while self.stall.as_ref().is_some_and(|path| path.exists()) {
            std::thread::sleep(STALL_INTERVAL);
        }
    }

    /// Where it was found.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Device or file.
    pub const fn kind(&self) -> DeviceKind {
        self.kind
    }

    /// Whether anything is cached.
    pub const fn caching(&self) -> Caching {
        self.caching
    }

    /// Bytes that it has.
    pub fn size(&self) -> Result<u64, IoError> {
        Ok(rustix::fs::seek(&self.file, SeekFrom::End(0))?)
    }

    /// Takes a hold that lasts as long as this open file; `false` if somebody on this host holds it otherwise.
    /// A file system without locks grants every hold: it is a help against mistakes, not what safety rests on.
    pub fn hold(&self, hold: Hold) -> Result<bool, IoError> {
        let operation = match hold {
            Hold::Shared => FlockOperation::NonBlockingLockShared,
            Hold::Alone => FlockOperation::NonBlockingLockExclusive,
        };
        match rustix::fs::flock(&self.file, operation) {
            Ok(()) | Err(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS | Errno::INVAL) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads whole blocks from `first`. Waits as long as the device takes.
    pub fn read_at(&self, first: BlockNo, bytes: &mut [u8]) -> Result<(), IoError> {
        self.hold_back();
        let offset = self.offset(first)?;
        if self.caching == Caching::PageCache {
            let length = std::num::NonZeroU64::new(bytes.len() as u64);
            rustix::fs::fadvise(&self.file, offset, length, Advice::DontNeed)?;
        }
        let expected = bytes.len();
        let found = rustix::io::retry_on_intr(|| rustix::io::pread(&self.file, &mut *bytes, offset))?;
        whole(found, expected)
    }

    /// Writes whole blocks from `first`; with `durable` the write is durable when this returns.
    /// Waits as long as the device takes.
    pub fn write_at(&self, first: BlockNo, bytes: &[u8], durable: bool) -> Result<(), IoError> {
        self.hold_back();
        let offset = self.offset(first)?;
        if !durable {
            let found = rustix::io::retry_on_intr(|| rustix::io::pwrite(&self.file, bytes, offset))?;
            return whole(found, bytes.len());
        }
        let slices = [io::IoSlice::new(bytes)];
        let written = rustix::io::retry_on_intr(|| {
            rustix::io::pwritev2(&self.file, &slices, offset, ReadWriteFlags::DSYNC)
        });
        match written {
            // A kernel or file system without the flag: the same promise in two steps.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                let found = rustix::io::retry_on_intr(|| rustix::io::pwrite(&self.file, bytes, offset))?;
                whole(found, bytes.len())?;
                self.flush_now()
            }
            written => whole(written?, bytes.len()),
        }
    }

    /// Makes every completed write durable.
    pub fn flush(&self) -> Result<(), IoError> {
        self.hold_back();
        self.flush_now()
    }

    fn flush_now(&self) -> Result<(), IoError> {
        Ok(rustix::io::retry_on_intr(|| {
            rustix::fs::fdatasync(self.file.as_fd())
        })?)
    }

    fn offset(&self, first: BlockNo) -> Result<u64, IoError> {
        first
            .0
            .checked_mul(BLOCK_BYTES as u64)
            .ok_or(IoError::Os(Errno::OVERFLOW))
    }
}

fn whole(found: usize, expected: usize) -> Result<(), IoError> {
    if found == expected {
        Ok(())
    } else {
        Err(IoError::Short { found, expected })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::disk::AlignedBuffer;

    fn image(blocks: u64) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(blocks * BLOCK_BYTES as u64).unwrap();
        file
    }

    #[test]
    fn a_durable_write_is_read_through_another_open_file() {
        let image = image(8);
        let writer = DeviceFile::open(image.path(), Access::ReadWrite).unwrap();
        let reader = DeviceFile::open(image.path(), Access::Read).unwrap();
        for (round, durable) in [(1u8, true), (2, false), (3, true)] {
            let mut out = AlignedBuffer::blocks(2);
            out.bytes_mut().fill(round);
            writer.write_at(BlockNo(3), out.bytes(), durable).unwrap();
            writer.flush().unwrap();
            let mut back = AlignedBuffer::blocks(3);
            reader.read_at(BlockNo(3), back.bytes_mut()).unwrap();
            assert_eq!(&back.bytes()[..2 * BLOCK_BYTES], out.bytes());
            assert!(back.bytes()[2 * BLOCK_BYTES..].iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn what_another_program_wrote_is_seen_and_not_a_cached_copy() {
        let image = image(2);
        let reader = DeviceFile::open(image.path(), Access::Read).unwrap();
        let mut back = AlignedBuffer::blocks(1);
        for round in 0..4u8 {
            image.as_file().write_all_at(&[round; BLOCK_BYTES], 4096).unwrap();
            image.as_file().sync_data().unwrap();
            reader.read_at(BlockNo(1), back.bytes_mut()).unwrap();
            assert!(back.bytes().iter().all(|&byte| byte == round));
        }
    }

    #[test]
    fn without_direct_io_two_processes_still_see_each_others_writes() {
        let image = image(4);
        let open = || {
            let flags = OFlags::RDWR | OFlags::CLOEXEC;
            DeviceFile::open_as(image.path(), DeviceKind::Image, flags, Caching::PageCache).unwrap()
        };
        let (one, two) = (open(), open());
        let mut buffer = AlignedBuffer::blocks(1);
        for round in 1..5u8 {
            buffer.bytes_mut().fill(round);
            one.write_at(BlockNo(2), buffer.bytes(), round % 2 == 0).unwrap();
            buffer.bytes_mut().fill(0);
            two.read_at(BlockNo(2), buffer.bytes_mut()).unwrap();
            assert!(buffer.bytes().iter().all(|&byte| byte == round));
        }
    }

    #[test]
    fn the_end_of_the_device_is_an_error_and_never_empty_blocks() {
        let image = image(4);
        let device = DeviceFile::open(image.path(), Access::ReadWrite).unwrap();
        let mut buffer = AlignedBuffer::blocks(2);
        assert_eq!(device.size().unwrap(), 4 * BLOCK_BYTES as u64);
        assert_eq!(
            device.read_at(BlockNo(3), buffer.bytes_mut()),
            Err(IoError::Short {
                found: 4096,
                expected: 8192
            })
        );
        assert!(device.read_at(BlockNo(u64::MAX), buffer.bytes_mut()).is_err());
    }

    #[test]
    fn a_device_opened_for_reading_refuses_writes() {
        let image = image(4);
        let device = DeviceFile::open(image.path(), Access::Read).unwrap();
        let buffer = AlignedBuffer::blocks(1);
        let error = device.write_at(BlockNo(0), buffer.bytes(), true).unwrap_err();
        assert_eq!(error, IoError::Os(Errno::BADF));
    }

    #[test]
    fn mounts_share_a_device_that_a_tool_holds_alone() {
        let image = image(1);
        let open = || DeviceFile::open(image.path(), Access::ReadWrite).unwrap();
        let (one, two, tool) = (open(), open(), open());
        assert!(one.hold(Hold::Shared).unwrap() && two.hold(Hold::Shared).unwrap());
        assert!(!tool.hold(Hold::Alone).unwrap());
        drop((one, two));
        assert!(tool.hold(Hold::Alone).unwrap());
        assert!(!open().hold(Hold::Shared).unwrap());
    }

    #[test]
    fn a_directory_or_a_missing_file_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let error = DeviceFile::open(folder.path(), Access::Read)
            .unwrap_err()
            .to_string();
        assert!(error.contains("expected a block device"), "{error}");
        let absent = folder.path().join("absent");
        let error = DeviceFile::open(&absent, Access::Read).unwrap_err().to_string();
        assert!(
            error.contains("absent") && error.contains("No such file"),
            "{error}"
        );
    }
}
