//! Exit codes, and the one way an error is told.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use crate::offline::OfflineError;
use crate::offline::change::ChangeError;

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// An error of the system or the device.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Refused: something is there, or in use.
    Refused = 3,
    /// No volume, or one that cannot be read.
    NoVolume = 4,
    /// A mount that did not end cleanly.
    NotClean = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// Says why on standard error, and ends so.
    pub(super) fn because(self, why: impl Display) -> Self {
        eprintln!("ostrakon: {why}");
        self
    }

    /// The exit code of an error of a volume.
    pub(super) const fn of(error: &OfflineError) -> Self {
        match error {
            OfflineError::Open(_) | OfflineError::Io { .. } => Self::Failed,
            OfflineError::NotAVolume(_) | OfflineError::Super { .. } | OfflineError::Truncated { .. } => {
                Self::NoVolume
            }
        }
    }
}

/// Says why nothing was changed offline, and ends so.
pub(super) fn refusal(device: &Path, error: ChangeError) -> Exit {
    match error {
        ChangeError::Volume(error) => Exit::of(&error).because(error),
        error => Exit::Refused.because(format_args!("{}: {error}", device.display())),
    }
}
