//! The device: opened so that nothing is cached, and served by a few threads so that a hung operation stops
//! nobody else.
//!
//! - [`DeviceFile`]: system calls, one at a time, waiting as long as they take.
//! - [`Pool`]: core's requests carried out by threads, each answered within its limit.

mod buffer;
mod error;
mod file;
mod pool;
mod worker;

pub use buffer::AlignedBuffer;
pub use error::IoError;
pub use file::{Access, Caching, DeviceFile, DeviceKind, Hold, OpenError};
pub use pool::{Completed, Outcome, Pool};

use ostrakon_core::ids::BlockNo;

/// What the threads of a [`Pool`] call: the device itself, or a test's device that hangs.
pub trait BlockIo: Send + Sync {
    /// Reads whole blocks from `first`.
    fn read(&self, first: BlockNo, bytes: &mut [u8]) -> Result<(), IoError>;
    /// Writes whole blocks from `first`, durably if `durable`.
    fn write(&self, first: BlockNo, bytes: &[u8], durable: bool) -> Result<(), IoError>;
    /// Makes every completed write durable.
    fn flush(&self) -> Result<(), IoError>;
}

impl BlockIo for DeviceFile {
    fn read(&self, first: BlockNo, bytes: &mut [u8]) -> Result<(), IoError> {
        self.read_at(first, bytes)
    }
    fn write(&self, first: BlockNo, bytes: &[u8], durable: bool) -> Result<(), IoError> {
        self.write_at(first, bytes, durable)
    }
    fn flush(&self) -> Result<(), IoError> {
        DeviceFile::flush(self)
    }
}
