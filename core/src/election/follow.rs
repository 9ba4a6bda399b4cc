//! Taking part without a ballot: gate, follow, ask, rest.

use crate::bounds::{
    ASKING_TIME, BACKOFF_MAX, BACKOFF_MIN, BARREN_FORGOTTEN, BARREN_TIME, BELL_INTERVAL,
    CROWDED_GATE_WAIT_MAX, GATE_WAIT_MAX, OUTVOTED_TIME, RING_PAUSE, TERM_MAX, VOTERS_MAX,
};
use crate::decide::peers::Peer;
use crate::decide::prevote::{LeaderSeen, Verdict, judge};
use crate::event::{Event, Fault};
use crate::format::{Answer, VoteKind};
use crate::ids::{Ballot, Rid, Term};
use crate::time::{Duration, Instant};

use super::Election;
use super::cycle::Step;
use super::stage::{Ask, Stage, Timer, TimerKind, VictimState};

impl Election {
    /// Begins to take part.
    pub(super) fn enter(&mut self, now: Instant) {
        // In place: on a stack of firmware there is no room for another of each.
        self.log.clear();
        self.peers.clear();
        self.witness.forget();
        self.stage = if self.admitted {
            let random = self.random();
            Stage::Follow(Timer {
                since: now,
                random,
                kind: TimerKind::Fresh,
            })
        } else {
            Stage::Gate { wait_until: None }
        };
    }

    /// The follow stage with a fresh election timer.
    pub(super) fn follow(&mut self, now: Instant) -> Stage {
        let random = self.random();
        Stage::Follow(Timer {
            since: now,
            random,
            kind: TimerKind::Plain,
        })
    }

    /// The follow stage with the long timer of one that was beaten or has just stopped.
    pub(super) fn stand_back(&mut self, now: Instant) -> Stage {
        let random = self.random();
        Stage::Follow(Timer {
            since: now,
            random,
            kind: TimerKind::StandsBack,
        })
    }

    /// Whether an election timer has run out, judged by what cycles take now: one slow cycle, or a clock that jumped,
    /// must not hold up an election for long after. One stands back only while another voter is active.
    pub(super) fn is_over(&self, now: Instant, timer: Timer) -> bool {
        let recently = self.recently(now);
        let slowest = self.peers.slowest_cycle(recently);
        let length = if timer.kind == TimerKind::StandsBack && self.peers.active(recently).next().is_some() {
            self.pace.stand_back(slowest, timer.random)
        } else {
            self.pace.election_timeout(slowest, timer.random)
        };
        // Else it would be back before those that it yielded to have noticed.
        let at_least = if self.said.barren {
            BARREN_TIME
        } else {
            Duration::ZERO
        };
        now.since(timer.since) >= length.max(at_least)
    }

    /// Since when a write counts as recent.
    pub(super) fn recently(&self, now: Instant) -> Instant {
        Instant(
            now.0
                .saturating_sub(ASKING_TIME.max(self.pace.cycle().times(8)).0),
        )
    }

    /// Whether there is no reason to wait before asking: the server's connection broke and another is refused, and no
    /// election was lost since. That all voters ask at the same moment does no harm: see `lets_another_first`.
    fn may_ask_at_once(&self, timer: Timer) -> bool {
        let server = self.view.and_then(|view| view.live_server());
        let refused = self
            .lost
            .is_some_and(|lost| lost.refused && server.is_none_or(|server| server == lost.server));
        timer.kind == TimerKind::Fresh && refused && !self.said.barren
    }

    /// Of several askers that may all stand, the highest does. Each of them would vote for itself, and none be elected:
    /// so the others leave it one election time-out to raise its term. Returns whether to go on asking.
    fn lets_another_first(&self, now: Instant, ask: &mut Ask) -> bool {
        let recently = self.recently(now);
        let higher = self
            .peers
            .active(recently.max(ask.since))
            .any(|peer| peer.kind == VoteKind::Ask && peer.rid > self.config.rid);
        let since = *ask.passed.get_or_insert(now);
        let longest = self.pace.election_timeout(self.peers.slowest_cycle(recently), 0);
        higher && now.since(since) < longest
    }

    pub(super) fn decide_following(&mut self, now: Instant) {
        if !self.wanted {
            return self.take_leave();
        }
        if self.said.barren && now.since(self.said.yielded_at) >= BARREN_FORGOTTEN {
            // Whoever took over is not to be reached either: perhaps nobody was given the time to come here.
            (self.said.barren, self.said.yielded_to) = (false, None);
        }
        let on_disk = self.highest_term();
        self.said.abstain.get_or_insert(on_disk);
        let voted_now = self.adopt_term_and_vote();
        let beaten = voted_now || self.rival().is_some();
        let decided = match self.stage {
            Stage::Gate { wait_until } => {
                self.pass_gate(now, wait_until);
                true
            }
            Stage::Follow(_) | Stage::Ask(_) | Stage::Rest { .. } if beaten => {
                self.stage = self.follow(now);
                false
            }
            Stage::Follow(timer) if self.is_over(now, timer) || self.may_ask_at_once(timer) => {
                self.start_asking(now, BACKOFF_MIN);
                false
            }
            Stage::Ask(_) => self.go_on_asking(now),
            Stage::Rest { .. } => self.go_on_resting(now),
            _ => false,
        };
        if !decided {
            self.write_as_follower(now);
        }
    }

    /// Leaves the election, once everything that was given up is declared void.
    fn take_leave(&mut self) {
        let word_is_due = self.said.void_due || self.said.void_spreads.is_some();
        if word_is_due && !matches!(self.stage, Stage::Gate { .. }) {
            return self.write_vote();
        }
        self.stage = Stage::Off;
        self.dead = None;
        self.step = Step::Rest(Instant(u64::MAX));
    }

    /// Above P voters the highest rids abstain.
    fn write_as_follower(&mut self, now: Instant) {
        let before = self
            .peers
            .active(self.recently(now))
            .filter(|peer| peer.rid < self.config.rid)
            .count();
        if before >= VOTERS_MAX {
            self.tell(Event::Fault(Fault::TooManyVoters {
                active: before as u16,
            }));
            return self.rest(now, CROWDED_GATE_WAIT_MAX);
        }
        self.write_vote();
    }

    /// A mount that no server has admitted looks twice, with a random wait between, before its first write.
    fn pass_gate(&mut self, now: Instant, wait_until: Option<Instant>) {
        let random = self.random();
        let Some(until) = wait_until else {
            let crowded = self.peers.iter().count() > VOTERS_MAX / 2;
            let longest = if crowded {
                CROWDED_GATE_WAIT_MAX
            } else {
                GATE_WAIT_MAX
            };
            let wait = longest.drawn(random);
            self.stage = Stage::Gate {
                wait_until: Some(now + wait),
            };
            return self.rest(now, wait);
        };
        if now < until {
            return self.rest(now, until.since(now));
        }
        let active = self.peers.active(Instant(0)).count();
        if active >= VOTERS_MAX - 1 {
            self.tell(Event::Fault(Fault::TooManyVoters {
                active: active as u16,
            }));
            self.peers.clear();
            self.stage = Stage::Gate { wait_until: None };
            return self.rest(now, CROWDED_GATE_WAIT_MAX);
        }
        self.stage = self.follow(now);
        self.write_vote();
    }

    /// The highest term in blocks, entries and super block.
    pub(super) fn highest_term(&self) -> Term {
        let entries = self
            .log
            .ballots()
            .map(|ballot| ballot.term)
            .max()
            .unwrap_or(Term(0));
        let state = self.state().map_or(Term(0), |state| {
            let server = state.server.map_or(Term(0), |server| server.term);
            server.max(state.fenced.term)
        });
        self.said
            .term
            .max(self.peers.highest_term())
            .max(entries)
            .max(state)
    }

    /// Adopts the term of a candidate's vote for itself, and votes for a living candidate of the own term, once.
    fn adopt_term_and_vote(&mut self) -> bool {
        if let Some(candidate) = self.peers.newest_candidate(self.said.term) {
            self.said.term = candidate.term;
            self.said.voted = None;
        }
        if self.said.voted.is_some() || self.said.abstain.is_none_or(|abstain| self.said.term <= abstain) {
            return false;
        }
        let term = self.said.term;
        let candidates = self
            .peers
            .active(self.collect_began)
            .filter(|peer| peer.is_candidate() && peer.term == term);
        self.said.voted = candidates.map(|peer| peer.rid).max();
        self.said.voted.is_some()
    }

    /// A leader-to-be that was seen to write in this collect: it seals, silences or starts.
    pub(super) fn rival(&self) -> Option<Ballot> {
        let trimmed = self.trimmed();
        let active = self.peers.active(self.collect_began);
        active
            .filter_map(|peer| peer.taking_over())
            .filter(|&ballot| !trimmed.covers(ballot))
            .max()
    }

    /// Whom a follower would vote for: an asker that was seen to write in this collect, unless a candidate was.
    pub(super) fn asker_to_support(&self) -> Option<(Rid, u32)> {
        let mut asker = None;
        for peer in self.peers.active(self.collect_began) {
            if peer.is_candidate() && peer.term == self.said.term {
                return None;
            }
            if peer.kind == VoteKind::Ask {
                asker = asker.max(Some((peer.rid, peer.round)));
            }
        }
        asker
    }

    fn start_asking(&mut self, now: Instant, backoff: Duration) {
        self.said.round = self.said.round.wrapping_add(1);
        let leader = self.live_server();
        self.stage = Stage::Ask(Ask {
            since: now,
            leader,
            rang: None,
            outvoted: None,
            passed: None,
            backoff,
            votes: 0,
        });
    }

    /// Counts and judges a pre-vote; returns whether the cycle's write was decided.
    fn go_on_asking(&mut self, now: Instant) -> bool {
        let leader = self.live_server();
        let Stage::Ask(mut ask) = self.stage.clone() else {
            return false;
        };
        if ask.leader != leader {
            ask = Ask {
                since: now,
                leader,
                rang: None,
                outvoted: None,
                passed: None,
                backoff: BACKOFF_MIN,
                votes: ask.votes,
            };
        }
        let since = ask.since.max(self.recently(now));
        let votes = 1 + self.peers.supporters(self.config.rid, self.said.round, since);
        if votes != ask.votes {
            self.tell(Event::Asking {
                votes,
                needed: self.quorum_count(),
            });
        }
        ask.votes = votes;
        let seen = self.leader_seen(now, &ask);
        let verdict = judge(votes, self.quorum_count(), seen);
        ask.outvoted = (verdict == Verdict::Outvoted).then(|| ask.outvoted.unwrap_or(now));
        match (verdict, ask.leader, ask.outvoted) {
            (Verdict::Stand, ..) if !self.lets_another_first(now, &mut ask) => {
                self.stage = Stage::Ask(ask);
                self.stand(now)
            }
            (_, Some(leader), Some(since)) if now.since(since) >= OUTVOTED_TIME => {
                self.stage = Stage::Rest {
                    until: now + ask.backoff,
                    backoff: ask.backoff,
                    leader,
                };
                self.rest(now, BELL_INTERVAL);
                true
            }
            _ => {
                self.stage = Stage::Ask(ask);
                false
            }
        }
    }

    /// The newest answer of a leader, and how long it may leave the bell unanswered.
    #[inline(never)]
    fn patience(&self, leader: Ballot) -> (Option<Answer>, Duration) {
        let peer = self
            .peers
            .find(leader.rid)
            .filter(|peer| peer.own() == Some(leader));
        let answer = peer.and_then(Peer::answer);
        // A refused connection shortens the wait only for a leader that was not seen to write since: one that
        // answers lives, and is refused by a firewall or a wrong address.
        let writes = peer.is_some_and(|peer| peer.advanced().is_some());
        let refused = self
            .lost
            .is_some_and(|lost| lost.server == leader && lost.refused && !writes);
        let interval = answer.map(|answer| answer.interval);
        (answer, self.pace.dead_after(interval, refused))
    }

    /// What is known of the leader that the super block names: only silence after a ring says that it is dead.
    fn leader_seen(&mut self, now: Instant, ask: &Ask) -> LeaderSeen {
        let Some(leader) = ask.leader else {
            return LeaderSeen::None;
        };
        let (answer, patience) = self.patience(leader);
        let lately = ask.since.max(Instant(now.0.saturating_sub(patience.0)));
        let peer = self.peers.find(leader.rid);
        if let (Some(answer), true) = (answer, peer.is_some_and(|peer| peer.is_active(lately))) {
            self.dead = None;
            return LeaderSeen::Answers(answer);
        }
        match ask.rang {
            Some((first, _)) if now.since(first) > patience => {
                self.dead = Some((leader, now));
                LeaderSeen::Dead
            }
            _ => LeaderSeen::MayAnswer,
        }
    }

    /// The time until the leader that is asked about is taken for dead, should it not answer; no limit once it is over.
    pub(super) fn until_dead(&self, now: Instant, ask: &Ask) -> Duration {
        let over = ask.leader.zip(ask.rang).map(|(leader, (first, _))| {
            let (_, patience) = self.patience(leader);
            first + patience + Duration(1)
        });
        let left = over.map_or(Duration::ZERO, |over| over.since(now));
        if left == Duration::ZERO {
            Duration(u64::MAX)
        } else {
            left
        }
    }

    /// Leaves an answering leader alone, but joins others that ask. Returns whether there is nothing to write.
    fn go_on_resting(&mut self, now: Instant) -> bool {
        let Stage::Rest {
            until,
            backoff,
            leader,
        } = self.stage
        else {
            return false;
        };
        if self.live_server() != Some(leader) {
            self.stage = self.follow(now);
            return false;
        }
        let others_ask = self
            .peers
            .active(self.collect_began)
            .any(|peer| peer.kind == VoteKind::Ask);
        if others_ask || until <= now {
            self.start_asking(now, Duration(backoff.times(2).0.min(BACKOFF_MAX.0)));
            return false;
        }
        self.rest(now, Duration(until.since(now).0.min(BELL_INTERVAL.0)));
        true
    }

    /// Whether the doorbell is to be rung: for a leader that is asked about, or a predecessor that may still stop.
    pub(super) fn wants_to_ring(&self, now: Instant) -> bool {
        let due = |last: Instant| now.since(last) >= RING_PAUSE;
        match &self.stage {
            Stage::Ask(ask) => ask.leader.is_some() && ask.rang.is_none_or(|(_, last)| due(last)),
            Stage::Silence(silence) => {
                let mut victims = self.victims.iter();
                silence.rang.is_none_or(due) && victims.any(|victim| victim.state == VictimState::Asked)
            }
            _ => false,
        }
    }

    pub(super) fn rang(&mut self, now: Instant) {
        match &mut self.stage {
            Stage::Ask(ask) => ask.rang = Some((ask.rang.map_or(now, |(first, _)| first), now)),
            Stage::Silence(silence) => silence.rang = Some(now),
            _ => {}
        }
    }

    /// The term of a new candidacy; `None` if the terms are used up, which takes an absurd term below the bound.
    pub(super) fn next_term(&self) -> Option<Term> {
        Some(self.highest_term().next()).filter(|term| term.0 <= TERM_MAX)
    }
}
