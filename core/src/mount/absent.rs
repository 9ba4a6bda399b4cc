//! The election of a build without the feature `voter`: there is none, and the compiler knows it, so that a plain client
//! carries neither its code nor its memory.

use crate::disk::{DiskOutcome, DiskRequest, IoId};
use crate::election::{LeaderFacts, Lost};
use crate::event::Event;
use crate::fence::{FenceOutcome, FenceRequest};
use crate::format::LogEntry;
use crate::ids::{Ballot, Rid};
use crate::superio::SuperView;
use crate::time::Instant;

/// Never exists; has the calls of [`crate::election::Election`] that a mount makes.
pub(super) enum Election {}

macro_rules! never {
    ($($call:ident(&mut self $(, $argument:ty)*) $(-> $result:ty)?;)*) => {$(
        pub(super) fn $call(&mut self $(, _: $argument)*) $(-> $result)? {
            match *self {}
        }
    )*};
    ($($call:ident(&self $(, $argument:ty)*) $(-> $result:ty)?;)*) => {$(
        pub(super) fn $call(&self $(, _: $argument)*) $(-> $result)? {
            match *self {}
        }
    )*};
}

impl Election {
    never! {
        set_wanted(&mut self, Instant, bool, Option<Lost>);
        set_admitted(&mut self, bool);
        set_facts(&mut self, Instant, LeaderFacts);
        set_server_off(&mut self, Instant, bool);
        leave(&mut self, Instant);
        resign(&mut self, Instant);
        handle_disk(&mut self, Instant, IoId, DiskOutcome<'_>);
        handle_fence(&mut self, Instant, Ballot, FenceOutcome);
        poll(&mut self, Instant);
        poll_disk(&mut self, Instant, &mut [u8]) -> Option<DiskRequest>;
        poll_fence(&mut self, Instant) -> Option<FenceRequest>;
        poll_event(&mut self) -> Option<Event>;
    }
    never! {
        wish(&self) -> Option<(Ballot, &SuperView)>;
        fenced_predecessors(&self) -> core::iter::Empty<Rid>;
        own(&self) -> Option<Ballot>;
        logged(&self, Rid) -> Option<LogEntry>;
        wrote_since(&self, Rid, Instant) -> bool;
        is_disk_failing(&self) -> bool;
        bell_since(&self) -> Option<Instant>;
        right(&self, Instant) -> Option<Ballot>;
        is_off(&self) -> bool;
        is_abandoned(&self) -> bool;
        right_until(&self, Instant) -> Option<Instant>;
        view(&self) -> Option<(&SuperView, u32)>;
        votes_while_asking(&self) -> Option<(u16, u16)>;
        next_deadline(&self) -> Option<Instant>;
    }
}
