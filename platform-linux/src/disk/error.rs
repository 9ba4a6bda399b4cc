//! What went wrong with the device, in words for people and in the classes that core tells apart.

use std::fmt;
use std::io;

use ostrakon_core::disk::DiskError;
use rustix::io::Errno;

/// Why an operation on the device failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IoError {
    /// The system call failed.
    Os(Errno),
    /// Fewer bytes were moved than asked for: the range reaches beyond the end of the device.
    Short {
        /// Bytes moved.
        found: usize,
        /// Bytes asked for.
        expected: usize,
    },
}

impl IoError {
    /// The class of the error, as core tells them apart: only what the device itself says of its medium is
    /// [`DiskError::Medium`]. The block layer reports sense key 3 as `ENODATA` and a failed protection check
    /// as `EILSEQ`; file systems with checksums report `EBADMSG`.
    pub fn class(self) -> DiskError {
        match self {
            Self::Os(Errno::BADMSG | Errno::ILSEQ | Errno::NODATA) => DiskError::Medium,
            // The block layer gave up waiting: what a write did is as open as after our own limit.
            Self::Os(Errno::TIMEDOUT) => DiskError::TimedOut,
            Self::Os(_) | Self::Short { .. } => DiskError::Failed,
        }
    }
}

impl From<Errno> for IoError {
    fn from(errno: Errno) -> Self {
        Self::Os(errno)
    }
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Os(errno) => write!(f, "{}", io::Error::from(errno)),
            Self::Short { found, expected } => {
                write!(
                    f,
                    "{found} bytes moved, expected {expected}: the device ends before that"
                )
            }
        }
    }
}

impl std::error::Error for IoError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_devices_own_word_is_a_medium_error() {
        let cases = [
            (Errno::BADMSG, DiskError::Medium),
            (Errno::ILSEQ, DiskError::Medium),
            (Errno::NODATA, DiskError::Medium),
            (Errno::IO, DiskError::Failed),
            (Errno::NXIO, DiskError::Failed),
            (Errno::TIMEDOUT, DiskError::TimedOut),
        ];
        for (errno, class) in cases {
            assert_eq!(IoError::Os(errno).class(), class, "{errno:?}");
        }
        let short = IoError::Short {
            found: 512,
            expected: 4096,
        };
        assert_eq!(short.class(), DiskError::Failed);
    }
}
