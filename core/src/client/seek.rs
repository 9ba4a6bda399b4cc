//! Where to look for a server, and when.

use super::{Link, Target};
use crate::bounds::{
    LOST_TIME, LOST_WAIT_MAX, LOST_WAIT_MIN, LOST_WAIT_PART, RECONNECT_WAIT_MAX, RECONNECT_WAIT_MIN,
    TRY_PAUSES,
};
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
    /// When the next try is due, and the shortest wait after that.
    next: Instant,
    wait: Duration,
    /// Since when somebody is about to serve: since a server was lost, or something else was seen.
    news: Instant,
    /// When the newest try began.
    began: Instant,
    /// Before this the lost server is not tried again.
    knock_at: Instant,
    /// The super block was read for the try that is due.
    has_read: bool,
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
            news: now,
            began: now,
            knock_at: now,
            has_read: false,
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
        (self.next, self.news) = (now, now);
        self.wait = Duration::ZERO;
    }

    /// A try begins, with a reading of its own.
    pub(super) const fn begin(&mut self, now: Instant) {
        self.began = now;
    }

    /// A reading of its own ended: what it says is used now.
    pub(super) const fn read(&mut self, now: Instant) {
        self.next = now;
        self.has_read = true;
    }

    /// Whether the super block was read for the try that is due.
    pub(super) const fn has_read(&self) -> bool {
        self.has_read
    }

    /// Whether this server is not worth a try now: it is the one that was lost, and was tried in vain a moment ago. There
    /// is time meanwhile to look for its successor.
    pub(super) fn has_just_failed(&self, now: Instant, to: Target) -> bool {
        self.lost == Some(to.server) && now < self.knock_at
    }

    /// The super block was read: an error that comes later is news.
    pub(super) const fn settled(&mut self) {
        self.told_error = None;
    }

    // Out of line: it is called from everywhere, and times of 64 bits are long code on 32.
    #[inline(never)]
    fn later(&mut self, now: Instant) {
        self.at_once = false;
        self.has_read = false;
        let wait = self.wait.max(self.pace(now));
        self.next = now + (wait - Duration(wait.0 / 4).drawn(self.early));
        if !self.has_just_lost(now) {
            self.wait = wait.max(Duration(wait.0 / 2 * 3).min(RECONNECT_WAIT_MAX));
        }
    }

    /// Somebody is about to serve if a server was lost just now.
    fn has_just_lost(&self, now: Instant) -> bool {
        self.lost.is_some() && now.since(self.since) < LOST_TIME
    }

    /// The wait between two tries. Whoever serves next is found soon after it does, by the time that this took, whenever it
    /// is, and with few readings. Where a try takes long, because thousands come at once, there are fewer.
    fn pace(&self, now: Instant) -> Duration {
        if !self.has_just_lost(now) {
            return RECONNECT_WAIT_MIN;
        }
        let lasts = Duration(now.since(self.news).0 / LOST_WAIT_PART);
        let took = now.since(self.began).times(TRY_PAUSES);
        lasts.max(took).clamp(LOST_WAIT_MIN, LOST_WAIT_MAX)
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
        // Bounded: a clock that jumped is not a server that is slow.
        let took = Duration(now.since(self.began).0 / 2);
        self.knock_at = now + took.clamp(RECONNECT_WAIT_MIN, RECONNECT_WAIT_MAX);
        self.later(now);
    }

    /// A server lets its answer to a greeting wait: for all that is known it is not reached, though the try goes on.
    pub(super) fn waited(&mut self, to: Target) {
        self.not_reached(to, false);
    }

    fn not_reached(&mut self, to: Target, refused: bool) {
        self.failures = self.failures.saturating_add(1);
        if self.lost == Some(to.server) {
            self.refused = refused && !self.resigned;
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
            wait: Duration::ZERO,
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
