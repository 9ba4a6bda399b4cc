//! Leading, and stopping cleanly (R9).

use crate::bounds::{
    BARREN_AFTER, BARREN_FORGOTTEN, BELL_INTERVAL, CYCLE_PAUSE, LEADER_READS_FAILED_MAX, RETRY_PAUSE,
    RINGING_TIME, SCRUB_INTERVAL, URGENT_BELL_INTERVAL,
};
use crate::decide::safety::{self, Stopping};
use crate::event::{Event, GaveUp};
use crate::format::{Doorbell, VoteKind};
use crate::ids::Ballot;
use crate::rules::{self, Rule};
use crate::superio::{Copies, SuperView, SuperWriter};
use crate::time::{Duration, Instant};

use super::Election;
use super::cycle::Step;
use super::stage::{Stage, Stop};

/// A stop that is not done after this many quiet times (lease and W) never will be.
const STOPS_PER_QUIET_TIME: u64 = 3;

/// Looks in the time of one lease: two may fail before the right runs out.
const LOOKS_PER_LEASE: u16 = 3;

impl Election {
    /// A cycle, or only a look at the doorbell.
    pub(super) fn begin_leading(&mut self, now: Instant) {
        let Stage::Lead(lead) = &mut self.stage else {
            return;
        };
        let starting = !self.facts.serving && now.since(lead.since) < self.voter.fence_time_max;
        let look_due = self
            .voter
            .lease
            .is_some_and(|lease| now.since(lead.looked).0 >= lease.divided(LOOKS_PER_LEASE).0);
        if starting || look_due || now < lead.ringing_until || lead.scrub_at <= now {
            lead.looked = now;
            self.begin_cycle(now);
        } else {
            self.step = Step::BellDue;
        }
    }

    /// When the leader looks again.
    pub(super) fn rest_leading(&mut self, now: Instant) {
        let Stage::Lead(lead) = &self.stage else {
            return self.rest(now, Duration::ZERO);
        };
        let unhurried = if now < lead.ringing_until {
            Duration(self.pace.answer_interval().0 / 4)
        } else {
            BELL_INTERVAL
        };
        let mut pause = if !self.facts.serving {
            CYCLE_PAUSE.times(2)
        } else if self.facts.away > 0 {
            // One of them may ring, refused as well, and then waits for a word of this leader only for two looks.
            unhurried.min(URGENT_BELL_INTERVAL)
        } else {
            unhurried
        };
        if let Some(lease) = self.voter.lease {
            let look_at = lead.looked + lease.divided(LOOKS_PER_LEASE);
            pause = pause.min(look_at.since(now));
        }
        self.rest(now, pause);
    }

    pub(super) fn decide_leading(&mut self, now: Instant) {
        let Stage::Lead(lead) = &mut self.stage else {
            return self.read_super(true);
        };
        lead.reads_failed = 0;
        let ballot = lead.ballot;
        if let Some(by) = self.successor(now, ballot) {
            self.stop_leading(now, ballot, Some(by));
            return self.rest(now, Duration::ZERO);
        }
        if self.yields(now, ballot) || self.log.is_fenced(ballot) {
            self.stop_leading(now, ballot, None);
            return self.rest(now, Duration::ZERO);
        }
        if !rules::holds(Rule::LookEndsWithSuper)
            && let Some(lease) = self.voter.lease
        {
            self.right_until = self.right_until.max(self.collect_began + lease);
        }
        if self.voter.lease.is_some() {
            self.read_super(true)
        } else {
            self.write_as_leader(now)
        }
    }

    /// A higher ballot for which this leader stops: one that is sealed, or, under a lease, any when less than half
    /// of the right is left.
    fn successor(&self, now: Instant, own: Ballot) -> Option<Ballot> {
        let higher = safety::aborts_for(&self.log, own)?;
        let late = self
            .voter
            .lease
            .is_some_and(|lease| self.right_until.since(now).0 < lease.0 / 2);
        (late || self.is_sealed_elsewhere(higher)).then_some(higher)
    }

    /// Whether to stop cleanly because others ask for it: (a) a quorum, and more voters than this leader hears;
    /// (b) a mount that cannot reach this server, which nobody has reached: a bad `server_addr`.
    fn yields(&mut self, now: Instant, own: Ballot) -> bool {
        if self.facts.remote_seen {
            self.said.barren = false;
        }
        if self.said.barren && now.since(self.said.yielded_at) >= BARREN_FORGOTTEN {
            // Whoever it went for never came to serve, or nobody stayed with it: it may ask again.
            (self.said.barren, self.said.yielded_to) = (false, None);
        }
        if !self.facts.serving {
            return false;
        }
        let (quorum, mine) = (self.quorum_count(), self.facts.voters.max(1));
        let outvoted = self.peers.active(self.collect_began).any(|peer| {
            let votes = |ballot: Ballot| 1 + self.peers.votes(ballot.term, ballot.rid);
            peer.own().is_some_and(|theirs| {
                peer.won() && theirs > own && votes(theirs) >= quorum && votes(theirs) > mine
            })
        });
        if outvoted {
            return true;
        }
        let (barren, before) = (self.said.barren, self.said.yielded_to);
        let asker = self.peers.active(self.collect_began).find(|peer| {
            peer.kind == VoteKind::Ask && !peer.barren() && (!barren || before != Some(peer.rid))
        });
        let patient = matches!(&self.stage, Stage::Lead(lead) if now.since(lead.since) < BARREN_AFTER);
        match asker
            .filter(|_| !self.facts.remote_seen && !patient)
            .map(|peer| peer.rid)
        {
            Some(asker) => {
                self.said.barren = true;
                self.said.yielded_to = Some(asker);
                self.said.yielded_at = now;
                true
            }
            None => false,
        }
    }

    /// The end of a look under a lease: a collect without a higher live ballot, then a super block that has not
    /// moved past this one, give the right to act for one lease from the beginning of that collect.
    pub(super) fn looked_as_leader(&mut self, now: Instant, view: &SuperView) {
        let Stage::Lead(lead) = &self.stage else { return };
        let own = lead.ballot;
        let right = safety::look_gives_right(&self.log, view, own);
        if let Some(lease) = self.voter.lease.filter(|_| right) {
            self.right_until = self.right_until.max(self.collect_began + lease);
        }
        self.write_as_leader(now);
    }

    /// Writes while it starts, answers the bell, or makes its seal whole; else only looks.
    fn write_as_leader(&mut self, now: Instant) {
        let whole = self.witness.is_sealed();
        let Stage::Lead(lead) = &mut self.stage else {
            return self.rest(now, Duration::ZERO);
        };
        if lead.scrub_at <= now && whole {
            lead.scrub_at = now + SCRUB_INTERVAL;
        }
        let starting = !self.facts.serving && now.since(lead.since) < self.voter.fence_time_max;
        if starting || now < lead.ringing_until || lead.scrub_at <= now {
            self.write_vote();
        } else {
            self.step = Step::BellDue;
        }
    }

    pub(super) fn bell_seen(&mut self, now: Instant, bell: Option<Doorbell>) {
        let Stage::Lead(lead) = &mut self.stage else {
            return self.rest(now, Duration::ZERO);
        };
        lead.reads_failed = 0;
        lead.bell_looked = now;
        let ring = bell.and_then(|bell| bell.rid.map(|rid| (rid, bell.ring)));
        let ring = ring
            .filter(|&(rid, _)| rid != self.config.rid)
            .map(|(rid, ring)| (rid.value(), ring));
        let fresh = ring.is_some() && ring != lead.bell;
        if fresh {
            lead.bell = ring;
            lead.bell_since.get_or_insert(now);
            lead.ringing_until = now + RINGING_TIME;
            // Shows at once that it lives; how many voters it has follows when they had time to answer.
            return self.rest(now, Duration::ZERO);
        }
        if lead.ringing_until <= now {
            lead.bell_since = None;
        }
        self.rest_leading(now);
    }

    pub(super) fn leader_read_failed(&mut self, now: Instant) {
        let Stage::Lead(lead) = &mut self.stage else {
            return;
        };
        lead.reads_failed += 1;
        if lead.reads_failed >= LEADER_READS_FAILED_MAX {
            let ballot = lead.ballot;
            self.stop_leading_on_failure(now, ballot);
        }
    }

    /// The device fails under the leader: its server closes everything at once, and this ballot stays live until
    /// the device is back or somebody fences it.
    pub(super) fn stop_leading_on_failure(&mut self, now: Instant, ballot: Ballot) {
        self.io_failing = true;
        self.stop_leading(now, ballot, None);
    }

    pub(super) fn stop_leading(&mut self, now: Instant, ballot: Ballot, by: Option<Ballot>) {
        self.stage = Stage::Stop(Stop {
            ballot,
            unnamed: 0,
            since: now,
            fresh: false,
        });
        if let Some(by) = by {
            self.tell(Event::Superseded { ballot, by });
        }
        self.wake(now);
    }

    /// Waits until the server has nothing outstanding, then reads the super block; under a lease that ran out it
    /// needs a look first.
    pub(super) fn begin_stopping(&mut self, now: Instant) {
        if !rules::holds(Rule::OneBallot) && self.io_failing {
            let Stage::Stop(Stop { ballot, .. }) = self.stage else {
                return;
            };
            return self.stopped(now, ballot, false);
        }
        if self.server_off || !rules::holds(Rule::StopLast) {
            if let Stage::Stop(stop) = &mut self.stage {
                stop.fresh = true;
            }
            match self.view.filter(|_| !rules::holds(Rule::StopReads)) {
                Some(seen) => self.write_stop(&seen),
                None => self.begin_cycle(now),
            }
        } else {
            self.rest(now, RETRY_PAUSE)
        }
    }

    pub(super) fn stop_reading(&mut self, now: Instant, view: &SuperView, after: bool) {
        let Stage::Stop(stop) = self.stage else {
            return;
        };
        if !stop.fresh {
            // A cycle that was under way when the stop began ends here: R9 is the last write, after all of the server's,
            // and rests on a reading that began after them.
            return self.rest(now, Duration::ZERO);
        }
        let Stop { ballot, unnamed, .. } = stop;
        match safety::stopping(view, ballot) {
            Stopping::Over { clean } => return self.stopped(now, ballot, clean),
            Stopping::Unnamed => return self.not_named(now, stop, view.copies, unnamed),
            // A fence that was confirmed and did nothing: whoever believed it may be writing this block.
            Stopping::Named if self.log.is_fenced(ballot) => return self.abandon(ballot),
            Stopping::Named => {}
        }
        // It still names this ballot, be it half way through this very stop: nobody has moved past it.
        let right = after && safety::aborts_for(&self.log, ballot).is_none();
        if let Some(lease) = self.voter.lease.filter(|_| right) {
            self.right_until = self.right_until.max(self.collect_began + lease);
        }
        match (self.may_act(now) || !rules::holds(Rule::StopWithinRight), after) {
            (true, _) => self.write_stop(view),
            (false, false) => self.begin_look(now),
            (false, true) => self.wait_or_abandon(now, stop),
        }
    }

    fn write_stop(&mut self, view: &SuperView) {
        let Stage::Stop(Stop { ballot, .. }) = self.stage else {
            return;
        };
        let mut writer = SuperWriter::new(view);
        writer.start(|state| safety::stop(state, ballot));
        self.writer = Some(writer);
        self.step = Step::SuperWrite;
    }

    /// A stop that cannot be completed, because a higher ballot is live that nobody serves under, or because a copy of
    /// the super block is damaged: after a while this mount is given up, so that another one with a fresh rid can take
    /// part, and silence this ballot like any other.
    fn wait_or_abandon(&mut self, now: Instant, stop: Stop) {
        let lease = self.voter.lease.unwrap_or(Duration::ZERO);
        if now.since(stop.since) < (lease + self.config.write_time_max).times(STOPS_PER_QUIET_TIME) {
            return self.rest(now, RETRY_PAUSE);
        }
        self.abandon(stop.ballot);
    }

    /// The ballot stays as it is, and this mount ends.
    fn abandon(&mut self, ballot: Ballot) {
        self.tell(Event::StoppedServing { ballot, clean: false });
        self.abandoned = true;
        self.stage = Stage::Off;
        self.step = Step::Rest(Instant(u64::MAX));
    }

    /// The R8 write failed and may never have landed: after W and two readings of both copies that do not name
    /// the ballot it may be voided after all (R3).
    fn not_named(&mut self, now: Instant, stop: Stop, copies: Copies, unnamed: u8) {
        let unnamed = safety::unnamed_readings(copies, unnamed);
        if !safety::may_void(self.claimed, unnamed) {
            self.stage = Stage::Stop(Stop { unnamed, ..stop });
            return self.wait_or_abandon(now, stop);
        }
        self.claimed = false;
        self.give_up(now, GaveUp::ServerFailed);
        self.rest(now, Duration::ZERO);
    }

    /// The ballot is history.
    pub(super) fn stopped(&mut self, now: Instant, ballot: Ballot, clean: bool) {
        self.own = None;
        self.claimed = false;
        self.io_failing = false;
        self.drop_own_from_log();
        self.tell(Event::StoppedServing { ballot, clean });
        self.stage = self.stand_back(now);
        if !self.wanted && !self.said.void_due {
            self.stage = Stage::Off;
        }
        self.rest(now, Duration::ZERO);
    }
}
