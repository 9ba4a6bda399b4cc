//! One election call of 2019: pure, one step a cycle.

use super::block::{ENTRIES_MAX, Entry, Super, Vote};
use crate::sim::clock::Time;
use crate::sim::dice::Dice;

/// Cycles that a candidate waits with its entry in the log before it leads.
const LOG_CYCLES: u32 = 10;
const TIMER_MIN: Time = 250_000;
const TIMER_MAX: Time = 500_000;

/// What one election call remembers. The next call begins from nothing.
#[derive(Clone, Debug)]
pub(super) struct Ballot {
    me: u64,
    quorum: usize,
    term: u64,
    vote_for: u64,
    write_nr: u64,
    timer: Time,
    seen: u64,
    log_cycles: Option<u32>,
}

/// What a cycle comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// Write this.
    Write(Vote),
    /// Elected in this term, with these leaders to fence first.
    Elected(u64, Vec<Entry>),
    /// The log is full: no election can be completed any more.
    Full,
}

impl Ballot {
    /// A call begins.
    pub(super) fn new(me: u64, quorum: usize, now: Time, dice: &mut Dice) -> Self {
        Self {
            me,
            quorum,
            term: 0,
            vote_for: 0,
            write_nr: 0,
            timer: now + dice.between(TIMER_MIN, TIMER_MAX),
            seen: 0,
            log_cycles: None,
        }
    }

    /// The region was read: judges it.
    pub(super) fn turn(&mut self, now: Time, state: &Super, votes: &[Vote], dice: &mut Dice) -> Turn {
        let highest = votes.iter().map(|vote| vote.term).max().unwrap_or(0);
        if highest > self.term {
            (self.term, self.vote_for, self.log_cycles) = (highest, 0, None);
            self.timer = now + dice.between(TIMER_MIN, TIMER_MAX);
        }
        // Blocks of older terms are dropped before their logs are merged, and the log is rebuilt from nothing.
        let current: Vec<&Vote> = votes.iter().filter(|vote| vote.term == self.term).collect();
        let mut log = merge(&current, state.fenced_term);
        self.adopt(&current);
        // A sign of life of whom it votes for puts its own candidacy off.
        let candidate = current.iter().filter(|vote| vote.voter == self.vote_for);
        let seen = candidate.map(|vote| vote.write_nr).max().unwrap_or(0);
        if std::mem::replace(&mut self.seen, seen) < seen && self.vote_for != self.me {
            self.timer = now + dice.between(TIMER_MIN, TIMER_MAX);
        }
        if now >= self.timer {
            self.term += 1;
            (self.vote_for, self.log_cycles) = (self.me, None);
            self.timer = now + dice.between(TIMER_MIN, TIMER_MAX);
            log.retain(|entry| entry.term > state.fenced_term);
        }
        if self.vote_for == self.me && self.is_elected(&current) {
            let cycles = self.log_cycles.get_or_insert(LOG_CYCLES);
            if *cycles == 0 {
                log.retain(|entry| entry.term < self.term && entry.rid != self.me);
                return Turn::Elected(self.term, log);
            }
            *cycles -= 1;
            let own = Entry {
                term: self.term,
                rid: self.me,
            };
            if !log.contains(&own) {
                log.push(own);
            }
        } else {
            self.log_cycles = None;
        }
        if log.len() > ENTRIES_MAX {
            return Turn::Full;
        }
        self.write_nr += 1;
        Turn::Write(Vote {
            term: self.term,
            write_nr: self.write_nr,
            voter: self.me,
            vote_for: self.vote_for,
            log,
        })
    }

    /// Its own old vote, or that of the candidate with the highest write number.
    fn adopt(&mut self, current: &[&Vote]) {
        if self.vote_for != 0 {
            return;
        }
        let own = current.iter().filter(|vote| vote.voter == self.me);
        let candidates = current.iter().filter(|vote| vote.vote_for == vote.voter);
        let newest = |vote: &&&Vote| vote.write_nr;
        let chosen = own.max_by_key(newest).or(candidates.max_by_key(newest));
        self.vote_for = chosen.map_or(0, |vote| vote.vote_for);
    }

    /// Of each voter the block with the highest number counts.
    fn is_elected(&self, current: &[&Vote]) -> bool {
        let newest = |vote: &&&Vote| {
            let same = current.iter().filter(|other| other.voter == vote.voter);
            same.map(|other| other.write_nr).max() == Some(vote.write_nr)
        };
        let others = current.iter().filter(|vote| vote.voter != self.me);
        let votes = others.filter(newest).filter(|vote| vote.vote_for == self.me);
        let mut voters: Vec<u64> = votes.map(|vote| vote.voter).collect();
        voters.sort_unstable();
        voters.dedup();
        voters.len() + 1 >= self.quorum
    }
}

fn merge(current: &[&Vote], fenced_term: u64) -> Vec<Entry> {
    let mut log: Vec<Entry> = Vec::new();
    for entry in current.iter().flat_map(|vote| &vote.log) {
        if entry.term > fenced_term && !log.contains(entry) {
            log.push(*entry);
        }
    }
    log
}
