//! Why a volume cannot be worked with.

use std::fmt;
use std::path::PathBuf;

use ostrakon_core::bounds::BLOCK_BYTES;
use ostrakon_core::disk::DiskError;
use ostrakon_core::format::BlockError;
use ostrakon_core::superio::SuperError;

use crate::disk::{IoError, OpenError};

/// Why a volume cannot be worked with: what was found, what was expected, what to do.
#[derive(Debug)]
pub enum OfflineError {
    /// The device cannot be opened.
    Open(OpenError),
    /// The device answers with an error.
    Io {
        /// The device.
        path: PathBuf,
        /// First block of the operation.
        block: u64,
        /// The error.
        error: IoError,
    },
    /// No volume there.
    NotAVolume(PathBuf),
    /// A volume, and its super block cannot be believed.
    Super {
        /// The device.
        path: PathBuf,
        /// Why.
        error: SuperError,
    },
    /// Less device than volume.
    Truncated {
        /// The device.
        path: PathBuf,
        /// Blocks that the device has.
        found: u64,
        /// Blocks that the volume takes.
        expected: u64,
    },
}

impl fmt::Display for OfflineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => write!(f, "{error}"),
            Self::Io { path, block, error } => write!(f, "{}: block {block}: {error}", path.display()),
            Self::NotAVolume(path) => write!(
                f,
                "{} holds no ostrakon volume; `ostrakon format` makes one",
                path.display()
            ),
            Self::Super { path, error } => {
                write!(f, "{}: the super block cannot be believed: ", path.display())?;
                super_error(*error, f)
            }
            Self::Truncated {
                path,
                found,
                expected,
            } => write!(
                f,
                "{} has {found} blocks of {BLOCK_BYTES} bytes, but the volume on it takes {expected}: \
                 the device was truncated, or is not the whole device",
                path.display()
            ),
        }
    }
}

impl std::error::Error for OfflineError {}

fn super_error(error: SuperError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        SuperError::Io(DiskError::TimedOut) => f.write_str("the device does not answer"),
        SuperError::Io(_) => f.write_str("the device answers with an error"),
        SuperError::Invalid([first, second]) => {
            write!(f, "both copies are invalid (first: {first}; second: {second})")
        }
        SuperError::Medium => f.write_str("the device reports bad medium under it"),
        SuperError::Unsettled => f.write_str(
            "no two readings agree: something keeps writing there, or the device does not keep what it is told",
        ),
    }
}

/// A failed reading of the super block in words.
pub fn super_error_text(error: SuperError) -> String {
    struct Words(SuperError);
    impl fmt::Display for Words {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            super_error(self.0, f)
        }
    }
    Words(error).to_string()
}

/// Whether an invalid block is none of ours at all.
pub(super) const fn is_foreign(error: &BlockError) -> bool {
    matches!(error, BlockError::Magic { .. } | BlockError::Length { .. })
}
