//! Where to look for a server, and when.

use super::{Link, Target};
use crate::bounds::{LOST_TIME, LOST_WAIT_MAX, LOST_WAIT_MIN, RECONNECT_WAIT_MAX, RECONNECT_WAIT_MIN};
use crate::event::Fault;
use crate::format::wire::Status;
use crate::ids::Ballot;
use crate::superio::SuperError;
use crate::time::{Duration, Instant};

/// The pace of the tries to reach a server, and what they found.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Seek {
    since: Instant,
    lost: Option<Ballot>,
    refused: bool,
    /// The server that was lost said that it resigns: it stops cleanly, and refuses because of that.
    resigned: bool,
    failures: u32,
    /// When the next try is due, and how long to wait after that.
    next: Instant,
    wait: Duration,
    /// How much sooner than others this mount comes, drawn once: thousands that lost one server at one moment do not read
    /// the device at one moment, again and again.
    early: u32,
    /// The first try after a loss goes where the last connection went, without reading.
    at_once: bool,
    /// What the newest try was for.
    pub(super) tried: Option<Target>,
    /// What was told already, so that it is told once.
    told_error: Option<SuperError>,
    told_refusal: Option<Status>,
    /// Tries whose server did not show that it knows the key, up to [`DOUBTS`], and whether that was told.
    doubts: u8,
}

/// Connections that end before the server has shown that it knows the key, until that is told: one may just have stopped.
const DOUBTS: u8 = 3;

impl Seek {
    pub(super) const fn new(now: Instant, early: u32) -> Self {
        Self {
            since: now,
            lost: None,
            refused: false,
            resigned: false,
            failures: 0,
            next: now,
            wait: RECONNECT_WAIT_MIN,
            early,
            at_once: false,
            tried: None,
            told_error: None,
            told_refusal: None,
            doubts: 0,
        }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    pub(super) const fn deadline(&self) -> Instant {
        self.next
    }

    pub(super) const fn trusts_old_view(&self) -> bool {
        self.at_once
    }

    /// There is news: the next try is due now, and the pace begins anew.
    pub(super) const fn hurry(&mut self, now: Instant) {
        self.next = now;
        self.wait = RECONNECT_WAIT_MIN;
    }

    /// A reading of its own ended: what it says is used now.
    pub(super) const fn read(&mut self, now: Instant) {
        self.next = now;
    }

    /// The super block was read: an error that comes later is news.
    pub(super) const fn settled(&mut self) {
        self.told_error = None;
    }

    fn later(&mut self, now: Instant) {
        self.at_once = false;
        self.next = now + (self.wait - Duration(self.wait.0 / 4).drawn(self.early));
        // By half: whoever serves next is found soon after it does, whenever that is, with few readings.
        let longer = Duration(self.wait.0 / 2 * 3).min(self.wait_max(now));
        self.wait = self.wait.max(longer);
    }

    /// Somebody is about to serve if a server was lost just now.
    fn wait_max(&self, now: Instant) -> Duration {
        if self.lost.is_some() && now.since(self.since) < LOST_TIME {
            LOST_WAIT_MAX
        } else {
            RECONNECT_WAIT_MAX
        }
    }

    /// Nobody serves, as far as is known.
    pub(super) fn found_nobody(&mut self, now: Instant) {
        self.later(now);
    }

    /// The super block could not be read. `Some` if that is news.
    pub(super) fn could_not_read(&mut self, now: Instant, error: SuperError) -> Option<Fault> {
        self.later(now);
        let news = self.told_error != Some(error);
        self.told_error = Some(error);
        news.then_some(Fault::Super(error))
    }

    /// A try to reach a server failed.
    pub(super) fn failed(&mut self, now: Instant, to: Target, refused: bool) {
        self.not_reached(to, refused);
        self.later(now);
    }

    /// A server lets its answer to a greeting wait: for all that is known it is not reached, though the try goes on.
    pub(super) fn waited(&mut self, to: Target) {
        self.not_reached(to, false);
    }

    fn not_reached(&mut self, to: Target, refused: bool) {
        self.failures = self.failures.saturating_add(1);
        if self.lost == Some(to.server) && !self.resigned {
            self.refused = refused;
        }
    }

    /// A server refused the greeting. `Some` if that is news.
    pub(super) fn refused(&mut self, status: Status) -> Option<Fault> {
        self.wait = RECONNECT_WAIT_MAX;
        let news = self.told_refusal != Some(status);
        self.told_refusal = Some(status);
        news.then_some(Fault::Refused(status))
    }

    /// A server did not show that it knows the key. `true` if that is worth being told, and was not yet.
    pub(super) fn doubted(&mut self, certain: bool) -> bool {
        if self.doubts == DOUBTS {
            return false;
        }
        self.doubts = if certain { DOUBTS } else { self.doubts + 1 };
        self.doubts == DOUBTS
    }

    /// A server of this volume was reached and has no place for this mount: no reason to elect another one, which
    /// would have none either.
    pub(super) fn turned_away(&mut self, now: Instant) {
        (self.since, self.lost, self.failures) = (now, None, 0);
        (self.refused, self.resigned) = (false, false);
        self.later(now);
    }

    /// The connection to a server broke: tries at once to reach it again, unless it said that it goes.
    pub(super) fn lost(&mut self, now: Instant, server: Option<Ballot>, resigned: bool) {
        *self = Self {
            lost: server,
            resigned,
            at_once: !resigned,
            wait: LOST_WAIT_MIN,
            ..Self::new(now, self.early)
        };
    }

    pub(super) const fn link(&self) -> Link {
        Link::Seeking {
            since: self.since,
            lost: self.lost,
            refused: self.refused,
            resigned: self.resigned,
            failures: self.failures,
        }
    }
}
