//! With a ballot: candidate, seal, silence the predecessors, claim the super block.

use crate::bounds::{ASK_TIME, FENCE_RETRY_PAUSE, VOID_WRITES_MAX};
use crate::decide::safety;
use crate::event::{Event, Fault, GaveUp, Silenced};
use crate::fence::FenceOutcome;
use crate::format::PackedEntry;
use crate::ids::{Ballot, Mark};
use crate::rules::{self, Rule};
use crate::superio::{Copies, SuperView, SuperWriter};
use crate::time::{Duration, Instant};

use super::cycle::Step;
use super::stage::{Lead, Silence, Stage, Timer, TimerKind, Victim, VictimState};
use super::{EVENTS_MAX, EVENTS_SPARE, Election};

impl Election {
    /// Becomes a candidate of a new term; returns whether the cycle's write was decided.
    pub(super) fn stand(&mut self, now: Instant) -> bool {
        let active = 1 + self.peers.active(self.recently(now)).count();
        let room = self.log.has_room_for(self.config.rid, active);
        let Some(term) = self.next_term().filter(|_| room) else {
            self.tell(Event::Fault(Fault::LogAlmostFull));
            self.rest(now, Duration::from_secs(1));
            return true;
        };
        let ballot = Ballot {
            term,
            rid: self.config.rid,
        };
        self.said.term = term;
        self.said.voted = Some(self.config.rid);
        self.own = Some(ballot);
        let timer = Timer {
            since: now,
            random: self.random(),
            kind: TimerKind::Plain,
        };
        self.stage = Stage::Candidate { ballot, timer };
        self.write_vote();
        true
    }

    pub(super) fn decide_standing(&mut self, now: Instant) {
        let Some(own) = self.own else {
            self.stage = self.follow(now);
            return self.write_vote();
        };
        let higher = safety::aborts_for(&self.log, own);
        if self.log.is_fenced(own) {
            // It lives all the same. Nobody will silence it any more, so that it has to do so by itself.
            if !self.claimed {
                self.withdraw(now, GaveUp::Overtaken);
                return self.write_vote();
            }
            self.stop_leading(now, own, None);
            return self.rest(now, Duration::ZERO);
        }
        if self.claimed {
            return self.decide_claimed(now, own, higher);
        }
        if let Some(higher) = higher {
            self.withdraw(now, GaveUp::Higher(higher));
        } else if !self.wanted {
            let why = if self.leaves {
                GaveUp::Unmounting
            } else {
                GaveUp::ServerReached
            };
            self.withdraw(now, why);
        }
        match &self.stage {
            Stage::Candidate { timer, .. } => {
                let timer = *timer;
                self.count_votes(now, own, timer);
            }
            Stage::Seal { .. } if self.witness.is_sealed() || !rules::holds(Rule::Seal) => {
                return self.read_super(true);
            }
            Stage::Silence(_) => return self.silence(now),
            Stage::Claim { .. } => return self.read_super(true),
            Stage::Withdraw { why } => {
                let fencing = |victim: &Victim| matches!(victim.state, VictimState::Fencing { .. });
                if !self.victims.iter().any(fencing) {
                    let why = *why;
                    self.give_up(now, why);
                }
            }
            _ => {}
        }
        self.write_vote();
    }

    /// After the point of no return: goes on, or stops for a higher ballot.
    fn decide_claimed(&mut self, now: Instant, own: Ballot, higher: Option<Ballot>) {
        // Sealed or not: with a higher live ballot in sight nothing gives this one the right to go on.
        if let Some(higher) = higher {
            self.stop_leading(now, own, Some(higher));
            return self.rest(now, Duration::ZERO);
        }
        self.read_super(true);
    }

    /// Whether the owner of this ballot says that it is sealed.
    pub(super) fn is_sealed_elsewhere(&self, ballot: Ballot) -> bool {
        self.peers
            .find(ballot.rid)
            .is_some_and(|peer| peer.own() == Some(ballot) && peer.sealed())
    }

    fn count_votes(&mut self, now: Instant, own: Ballot, timer: Timer) {
        let votes = 1 + self.peers.votes(own.term, own.rid);
        let outdone = self.peers.newest_candidate(own.term).is_some();
        if let Some(rival) = self.rival() {
            self.give_up(now, GaveUp::Higher(rival));
        } else if votes >= self.quorum_count() {
            let trimmed = self.trimmed();
            let entry = self.own_entry(own);
            self.log
                .add(&PackedEntry::from(&entry), trimmed, &|_| crate::ids::Term(0));
            self.stage = Stage::Seal { ballot: own };
            self.tell(Event::Elected(own));
        } else if outdone || self.is_over(now, timer) {
            self.give_up(now, GaveUp::TooFewVotes);
        }
    }

    /// Gives the ballot up for good (R5): declares it void with every write from now on.
    pub(super) fn give_up(&mut self, now: Instant, why: GaveUp) {
        assert!(
            safety::may_void(self.claimed, 0),
            "R3: nothing is voided after its R8 write was issued"
        );
        let Some(ballot) = self.own.take() else { return };
        self.said.void_term = self.said.void_term.max(ballot.term);
        self.said.void_due = true;
        if self.has_entered_log() {
            self.said.void_spreads = Some((ballot, VOID_WRITES_MAX));
        }
        self.drop_own_from_log();
        self.stage = if why == GaveUp::TooFewVotes {
            self.follow(now)
        } else {
            self.stand_back(now)
        };
        self.tell(Event::GaveUp { ballot, why });
    }

    pub(super) fn drop_own_from_log(&mut self) {
        let trimmed = self.trimmed();
        let (peers, said, me) = (&self.peers, &self.said, self.config.rid);
        let void_term = |rid| {
            if rid == me {
                said.void_term
            } else {
                peers.void_term(rid)
            }
        };
        // Nothing is added, so that it cannot be too full.
        let _ = self.log.settle(trimmed, &void_term, None);
    }

    /// Gives up at once, or when the fences that were fired are answered.
    fn withdraw(&mut self, now: Instant, why: GaveUp) {
        match &self.stage {
            Stage::Silence(_) => self.stage = Stage::Withdraw { why },
            Stage::Withdraw { .. } => {}
            _ => self.give_up(now, why),
        }
    }

    /// The super block has moved past the own ballot.
    pub(super) fn overtaken(&mut self, now: Instant, own: Ballot) {
        if matches!(self.stage, Stage::Stop(_)) {
            return;
        }
        if !self.claimed {
            return self.withdraw(now, GaveUp::Overtaken);
        }
        // Nothing is left to void or to stop: a successor has silenced this ballot, by a lease that ran out.
        if let Some(by) = self.state().and_then(|state| state.server) {
            self.tell(Event::Superseded { ballot: own, by });
        }
        self.tell(Event::StoppedServing {
            ballot: own,
            clean: false,
        });
        self.own = None;
        self.claimed = false;
        self.stage = self.stand_back(now);
    }

    /// The super block was read again: after the seal (R6), before the claim (R8), or as the end of a look.
    pub(super) fn looked_again(&mut self, now: Instant, view: &SuperView) {
        match &self.stage {
            Stage::Seal { ballot } => {
                let ballot = *ballot;
                self.begin_silencing(now, ballot);
                self.silence(now);
            }
            Stage::Claim { ballot } => {
                let ballot = *ballot;
                self.claim(now, ballot, view);
            }
            Stage::Lead(_) => self.looked_as_leader(now, view),
            _ => self.rest(now, Duration::ZERO),
        }
    }

    fn begin_silencing(&mut self, now: Instant, ballot: Ballot) {
        self.victims.clear();
        let mut longest = Duration::ZERO;
        for entry in safety::victims(&self.log, ballot) {
            let asked = self.ask_time(entry.ballot());
            longest = longest.max(asked);
            let victim = Victim {
                ballot: entry.ballot(),
                quiet_ms: entry.quiet_ms(),
                state: VictimState::Asked,
                due: now + asked,
            };
            // Cannot fail: the log has no more entries than there are places.
            let _ = self.victims.push(victim);
        }
        let until = now + longest + self.voter.fence_time_max;
        self.stage = Stage::Silence(Silence {
            ballot,
            sealed_at: now,
            until,
            rang: None,
        });
        self.tell(Event::Sealed(ballot));
    }

    /// How long a predecessor is asked to be silent by itself.
    fn ask_time(&self, ballot: Ballot) -> Duration {
        if self.is_dead(ballot) {
            Duration::ZERO
        } else if self.live_server() == Some(ballot) {
            ASK_TIME.max(self.pace.longest_io().times(4))
        } else {
            self.pace
                .election_timeout(self.peers.slowest_cycle(self.collect_began), 0)
        }
    }

    /// Whether it left the doorbell unanswered and has not been seen to write since: one that was only late is asked like
    /// any other that lives.
    fn is_dead(&self, ballot: Ballot) -> bool {
        let writes = |since| {
            self.peers
                .find(ballot.rid)
                .is_some_and(|peer| peer.own() == Some(ballot) && peer.is_active(since))
        };
        self.dead
            .is_some_and(|(dead, since)| dead == ballot && !writes(since))
    }

    /// Brings every victim one step further; claims the super block when all are silent.
    fn silence(&mut self, now: Instant) {
        let Stage::Silence(silence) = self.stage else {
            return;
        };
        let trimmed = self.trimmed();
        let mut refused = None;
        for at in 0..self.victims.len() {
            let mut victim = self.victims[at];
            if let Err(why) = self.press(now, silence.sealed_at, trimmed, &mut victim) {
                refused = Some(why);
            } else if !victim.state.is_silent() && silence.until < now && victim.quiet_ms == 0 {
                refused = Some(GaveUp::FenceRefused(victim.ballot));
            }
            self.victims[at] = victim;
        }
        let ballot = silence.ballot;
        let done = self.victims.iter().all(|victim| victim.state.is_silent());
        if done {
            self.stage = Stage::Claim { ballot };
        }
        match refused {
            _ if done && rules::holds(Rule::ReadAgain) => return self.read_super(true),
            _ if done => {
                let seen = self.view.expect("a look led here");
                return self.claim(now, ballot, &seen);
            }
            Some(why) => self.withdraw(now, why),
            None => {}
        }
        self.write_vote();
    }

    /// One victim: void, stopped, out of its lease, or due to be fenced (R7).
    fn press(
        &mut self,
        now: Instant,
        sealed_at: Instant,
        trimmed: Mark,
        victim: &mut Victim,
    ) -> Result<(), GaveUp> {
        if self.events.len() + EVENTS_SPARE >= EVENTS_MAX {
            return Ok(());
        }
        let ballot = victim.ballot;
        if victim.state == VictimState::Asked {
            // A clock that jumped may have passed for a slow disk when the time was set.
            victim.due = victim.due.min(sealed_at + self.ask_time(ballot).times(2));
        }
        let silent = safety::is_silent(
            ballot,
            victim.quiet_ms,
            self.log.is_fenced(ballot),
            self.peers.void_term(ballot.rid),
            trimmed,
            now.since(sealed_at),
            self.voter.clock_error_ppm,
        );
        let how = match (victim.state, silent) {
            (VictimState::Silent | VictimState::Fenced | VictimState::Fencing { .. }, _) => return Ok(()),
            (_, Some(how)) => how,
            _ if !rules::holds(Rule::Silence) => Silenced::Fenced,
            (VictimState::Asked, None) if self.withdraws(now, sealed_at, ballot) => return Ok(()),
            (VictimState::Asked, None) if victim.due <= now => {
                victim.due = now;
                victim.state = match (self.voter.can_fence, victim.quiet_ms) {
                    (true, _) => VictimState::FenceDue { attempt: 1 },
                    (false, 0) => return Err(GaveUp::CannotFence(ballot)),
                    (false, _) => VictimState::Waiting,
                };
                return Ok(());
            }
            _ => return Ok(()),
        };
        victim.state = match how {
            Silenced::FencedBefore => VictimState::Fenced,
            _ => VictimState::Silent,
        };
        self.tell(Event::Silenced { victim: ballot, how });
        Ok(())
    }

    /// Whether the owner of a ballot is seen to give it up: it only waits for fences that it fired. It is spared for half
    /// the time that a fence may take.
    fn withdraws(&self, now: Instant, sealed_at: Instant, ballot: Ballot) -> bool {
        let patience = Duration(self.voter.fence_time_max.0 / 2);
        let owner = self
            .peers
            .find(ballot.rid)
            .filter(|peer| peer.own() == Some(ballot) && !peer.won());
        owner.is_some_and(|peer| peer.is_active(self.collect_began)) && now.since(sealed_at) < patience
    }

    pub(super) fn fence_answered(&mut self, now: Instant, ballot: Ballot, outcome: FenceOutcome) {
        if !self.stage.awaits_fences() {
            return;
        }
        let Some(victim) = self.victims.iter_mut().find(|victim| victim.ballot == ballot) else {
            return;
        };
        let VictimState::Fencing { attempt } = victim.state else {
            return;
        };
        let event = match outcome {
            FenceOutcome::Done => {
                victim.state = VictimState::Fenced;
                self.log.mark_fenced(ballot);
                Event::Silenced {
                    victim: ballot,
                    how: Silenced::Fenced,
                }
            }
            FenceOutcome::Failed => {
                victim.due = now + FENCE_RETRY_PAUSE;
                victim.state = VictimState::FenceDue {
                    attempt: attempt.saturating_add(1),
                };
                Event::FenceFailed {
                    victim: ballot,
                    attempt: attempt.into(),
                }
            }
        };
        self.tell(event);
    }

    /// Rule R8. The super block was read just now, and does not cover the own ballot.
    fn claim(&mut self, now: Instant, ballot: Ballot, view: &SuperView) {
        if let Some(lease) = self
            .voter
            .lease
            .filter(|_| safety::look_gives_right(&self.log, view, ballot))
        {
            self.right_until = self.right_until.max(self.collect_began + lease);
        }
        if view.state.server == Some(ballot) && view.copies == Copies::Equal {
            return self.lead(now, ballot);
        }
        let mut writer = SuperWriter::new(view);
        writer.start(|state| safety::claim(state, ballot));
        self.writer = Some(writer);
        self.step = Step::SuperWrite;
    }

    /// The R8 write goes out: the point of no return.
    pub(super) fn claim_issued(&mut self, ballot: Ballot) {
        assert!(self.own == Some(ballot), "R3: the ballot claimed is the live one");
        self.claimed = true;
    }

    fn lead(&mut self, now: Instant, ballot: Ballot) {
        self.facts = super::LeaderFacts::default();
        self.stage = Stage::Lead(Lead {
            ballot,
            since: now,
            bell: None,
            bell_since: None,
            ringing_until: now,
            bell_looked: now,
            looked: now,
            scrub_at: now + crate::bounds::SCRUB_INTERVAL,
            reads_failed: 0,
        });
        self.rest(now, Duration::ZERO);
    }

    /// The super block stands in both copies as it was written.
    pub(super) fn super_written(&mut self, now: Instant) {
        if let Some(writer) = self.writer.take() {
            self.view = Some(SuperView {
                state: *writer.current(),
                copies: Copies::Equal,
            });
            self.views = self.views.wrapping_add(1);
        }
        match &self.stage {
            Stage::Claim { ballot } => {
                let ballot = *ballot;
                self.lead(now, ballot);
            }
            Stage::Stop(stop) => {
                let ballot = stop.ballot;
                self.stopped(now, ballot, true);
            }
            _ => self.rest(now, Duration::ZERO),
        }
    }
}
