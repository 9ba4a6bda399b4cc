//! What a host has to tell: core's events, and what only a platform knows.

use std::path::PathBuf;

use ostrakon_core::disk::DiskRequest;
use ostrakon_core::event::Event;

use crate::fence::FenceReport;
use crate::fence::coverage::Silencing;
use crate::program::RunnerEvent;

use super::HookReport;

/// What a host has to tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HostEvent {
    /// Of the mount.
    Mount(Event),
    /// Of the platform.
    Notice(Notice),
}

/// What only a platform knows.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Notice {
    /// The file system refuses O_DIRECT: see [`crate::disk::Caching::PageCache`].
    PageCache(PathBuf),
    /// A disk request failed, in the words of the system. Told once for each kind of failure in a row.
    DiskError {
        /// The request.
        request: DiskRequest,
        /// What the system said.
        words: String,
    },
    /// The listener could not be made, in the words of the system.
    CannotListen(String),
    /// How a leader of this mount's making is silenced: what that survives.
    Silencing(Silencing),
    /// A fence request was answered.
    Fence(FenceReport),
    /// A hook has ended.
    Hook(HookReport),
    /// Of the program that runs while this mount leads.
    Program(RunnerEvent),
}
