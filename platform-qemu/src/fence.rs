//! Fencing by the control line: who is asked for, until when.

use heapless::Vec;
use ostrakon_core::bounds::LOG_ENTRIES_MAX;
use ostrakon_core::fence::{FenceOutcome, FenceRequest};
use ostrakon_core::ids::{Ballot, BootId, HostId};
use ostrakon_core::time::{Duration, Instant};

use crate::control::{Control, Order};
use crate::log::{info, warning};

/// Fences that wait for their answer at once: one for each entry of an election log.
const PENDING_MAX: usize = LOG_ENTRIES_MAX;

struct Pending {
    victim: Ballot,
    deadline: Instant,
}

/// Fences by the control line.
pub(crate) struct Fencer {
    host: HostId,
    boot: BootId,
    limit: Duration,
    pending: Vec<Pending, PENDING_MAX>,
    answers: Vec<(Ballot, FenceOutcome), PENDING_MAX>,
}

impl Fencer {
    /// For this machine and boot.
    pub(crate) const fn new(host: HostId, boot: BootId, limit: Duration) -> Self {
        Self {
            host,
            boot,
            limit,
            pending: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Takes a request.
    pub(crate) fn begin(&mut self, now: Instant, request: &FenceRequest, control: &mut Control) {
        let victim = &request.victim;
        // Whoever started this machine anew ended what ran on it before: its own earlier boot is silent.
        let own_past = self.host != HostId(0) && victim.host == self.host && victim.boot != self.boot;
        if own_past {
            info!("fence: {} was an earlier boot of this machine", victim.ballot);
            return self.answer(victim.ballot, FenceOutcome::Done);
        }
        self.pending.retain(|pending| pending.victim != victim.ballot);
        let pending = Pending {
            victim: victim.ballot,
            deadline: now + self.limit,
        };
        if self.pending.push(pending).is_err() {
            return self.answer(victim.ballot, FenceOutcome::Failed);
        }
        control.say(format_args!(
            "fence {} {} {} {}",
            victim.ballot.term, victim.ballot.rid, victim.addr, request.attempt
        ));
    }

    fn answer(&mut self, victim: Ballot, outcome: FenceOutcome) {
        self.answers.retain(|&(other, _)| other != victim);
        let kept = self.answers.push((victim, outcome));
        assert!(kept.is_ok(), "no log has that many entries");
    }

    /// Takes an order of the control line, if it is an answer.
    pub(crate) fn hear(&mut self, order: Order) {
        let (victim, outcome) = match order {
            Order::Done(victim) => (victim, FenceOutcome::Done),
            Order::Failed(victim) => (victim, FenceOutcome::Failed),
            Order::Unmount | Order::Force | Order::Panic | Order::Hang => return,
        };
        let asked = self.pending.iter().any(|pending| pending.victim == victim);
        self.pending.retain(|pending| pending.victim != victim);
        if asked {
            self.answer(victim, outcome);
        } else {
            warning!("fence: an answer about {}, whom nobody asked for", victim);
        }
    }

    /// Tells every answer, and a failure for whom none came in time.
    pub(crate) fn turn(&mut self, now: Instant, mut tell: impl FnMut(Ballot, FenceOutcome)) {
        while let Some((victim, outcome)) = self.answers.pop() {
            tell(victim, outcome);
        }
        self.pending.retain(|pending| {
            let in_time = now < pending.deadline;
            if !in_time {
                tell(pending.victim, FenceOutcome::Failed);
            }
            in_time
        });
    }

    /// When a [`turn`](Self::turn) is due without an order.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if !self.answers.is_empty() {
            return Some(Instant(0));
        }
        self.pending.iter().map(|pending| pending.deadline).min()
    }
}
