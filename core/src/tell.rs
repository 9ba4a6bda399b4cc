//! Events for the log of a firmware, if it has one: the features `log` and `defmt`, each for the crate of its name. Without them
//! nothing here leaves a trace.
//!
//! Whoever wants other words leaves the features out and puts the events that [`Mount`](crate::mount::Mount) gives into its own.

use crate::event::Event;
#[cfg(feature = "defmt")]
use crate::ids::{Ballot, BlockNo, Rid, Term, VolumeId};

/// How much an event matters to people.
#[cfg(any(feature = "log", feature = "defmt"))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Weight {
    /// Something is wrong, or was lost.
    Warning,
    /// What an operator wants to read afterwards.
    News,
    /// What happens all the time.
    Detail,
}

#[cfg(any(feature = "log", feature = "defmt"))]
const fn weight(event: &Event) -> Weight {
    match event {
        Event::Fault(_)
        | Event::FenceFailed { .. }
        | Event::Evicted
        | Event::ClientEvicted(_)
        | Event::Superseded { .. }
        | Event::StoppedServing { clean: false, .. } => Weight::Warning,
        Event::Answered { .. } => Weight::Detail,
        _ => Weight::News,
    }
}

/// Tells an event.
#[inline]
pub(crate) fn event(event: &Event) {
    #[cfg(feature = "log")]
    {
        let level = match weight(event) {
            Weight::Warning => log::Level::Warn,
            Weight::News => log::Level::Info,
            Weight::Detail => log::Level::Debug,
        };
        log::log!(level, "{event:?}");
    }
    #[cfg(feature = "defmt")]
    match weight(event) {
        Weight::Warning => defmt::warn!("{}", event),
        Weight::News => defmt::info!("{}", event),
        Weight::Detail => defmt::debug!("{}", event),
    }
    let _ = event;
}

#[cfg(feature = "defmt")]
impl defmt::Format for Rid {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=u64:016x}", self.value());
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Term {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=u64}", self.0);
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Ballot {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=u64}.{}", self.term.0, self.rid);
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for BlockNo {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=u64}", self.0);
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for VolumeId {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=u128:032x}", u128::from_be_bytes(self.0));
    }
}
