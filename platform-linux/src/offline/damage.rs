//! Why a block says nothing.

use std::fmt;

use ostrakon_core::format::BlockError;

use crate::disk::IoError;

/// Why a block says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// Read, and not believed.
    Invalid(BlockError),
    /// Not read.
    Unreadable(IoError),
}

impl From<IoError> for Damage {
    fn from(error: IoError) -> Self {
        Self::Unreadable(error)
    }
}

impl From<BlockError> for Damage {
    fn from(error: BlockError) -> Self {
        Self::Invalid(error)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => write!(f, "{error}"),
            Self::Unreadable(error) => write!(f, "unreadable: {error}"),
        }
    }
}
