//! Names for disk requests: each machine of a mount has its own, so that completions find their way back.

use crate::disk::IoId;

/// Which machine of a mount asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub(crate) enum Owner {
    Election = 1,
    Server = 2,
    Client = 3,
}

impl Owner {
    /// Whose request this is.
    pub(crate) const fn of(id: IoId) -> Option<Self> {
        match id.0 >> 24 {
            1 => Some(Self::Election),
            2 => Some(Self::Server),
            3 => Some(Self::Client),
            _ => None,
        }
    }
}

/// Draws names for the requests of one machine.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct IoIds {
    owner: Owner,
    next: u32,
}

impl IoIds {
    pub(crate) const fn new(owner: Owner) -> Self {
        Self { owner, next: 0 }
    }

    /// A name that none of the last sixteen million requests of this machine had.
    pub(crate) const fn draw(&mut self) -> IoId {
        self.next = (self.next + 1) & 0x00ff_ffff;
        IoId(((self.owner as u32) << 24) | self.next)
    }
}
