//! From the model's bytes to the types of core and back: every decision is taken by core.

use core::net::{Ipv4Addr, SocketAddr};

use ostrakon_core::decide::log::Log;
use ostrakon_core::decide::safety;
use ostrakon_core::decide::witness::Witness;
use ostrakon_core::format::{FenceParam, Geometry, LogEntry, SuperBlock};
use ostrakon_core::ids::{Ballot, BlockNo, BootId, HostId, Mark, Rid, Term, VolumeId, VolumeKey, WriteNr};
use ostrakon_core::superio::{Belief, Copies, SuperView, belief};
use ostrakon_core::time::Duration;

use crate::config::Config;
use crate::state::{Ballots, Process, State, Super, members, seen};

/// What a leader under a lease promises, in milliseconds; any number does, because time is not measured here.
const QUIET_MS: u32 = 1;

/// Translates for one state: which rid took which ballot is part of it.
#[derive(Clone, Copy)]
pub struct Real<'a> {
    config: &'a Config,
    rids: &'a [u8],
}

impl<'a> Real<'a> {
    /// A translator.
    pub const fn new(config: &'a Config, state: &'a State) -> Self {
        Self {
            config,
            rids: &state.rids,
        }
    }

    /// The ballot with this number. A set of ballots in one term is ordered by rid alone.
    pub fn ballot(&self, number: u8) -> Ballot {
        let (term, rid) = if self.config.one_term {
            (1, number)
        } else {
            (number, self.rids[usize::from(number)])
        };
        Ballot {
            term: Term(u64::from(term)),
            rid: Rid::new(u64::from(rid)).expect("a ballot in use has an owner"),
        }
    }

    fn number(&self, ballot: Ballot) -> u8 {
        if self.config.one_term {
            ballot.rid.value() as u8
        } else {
            ballot.term.0 as u8
        }
    }

    /// Its log entry.
    fn entry(&self, number: u8, marks: Ballots) -> LogEntry {
        LogEntry {
            ballot: self.ballot(number),
            host: HostId(0),
            boot: BootId([0; 16]),
            addr: SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1),
            quiet_ms: if self.config.lease { QUIET_MS } else { 0 },
            fenced: marks & (1 << number) != 0,
            fence_param: FenceParam::default(),
        }
    }

    /// The mark of this number.
    pub fn mark(&self, number: u8) -> Mark {
        let ballot = number.div_ceil(2);
        match number {
            0 => Mark::NONE,
            _ if number.is_multiple_of(2) => Mark::at(self.ballot(ballot)),
            _ => Mark::below(self.ballot(ballot)),
        }
    }

    /// The number of a mark.
    pub fn mark_number(&self, mark: Mark) -> u8 {
        let used = (1..=self.config.ballots).filter(|&ballot| self.rids[usize::from(ballot)] != 0);
        used.flat_map(|ballot| [2 * ballot - 1, 2 * ballot])
            .find(|&number| self.mark(number) == mark)
            .unwrap_or(0)
    }

    /// The highest term of each rid that `voids` declares void.
    fn void_term(&self, voids: Ballots) -> impl Fn(Rid) -> Term + use<'_> {
        move |rid| {
            let of_rid = |&number: &u8| self.ballot(number).rid == rid;
            members(voids)
                .rev()
                .find(of_rid)
                .map_or(Term(0), |number| self.ballot(number).term)
        }
    }

    /// Ballots that this process declares void.
    pub fn own_voids(&self, process: &Process) -> Ballots {
        (1..=process.voided)
            .filter(|&number| self.rids[usize::from(number)] == process.rid)
            .fold(0, |set, number| set | 1 << number)
    }

    /// R1: what a process makes of the logs it read, and of the `marks` of their entries.
    pub fn merge(&self, (read, marks): (Ballots, Ballots), voids: Ballots, trimmed: u8, own: u8) -> Log {
        let (mut log, trimmed) = (Log::new(), self.mark(trimmed));
        let read = if self.config.rules.void_before_highest {
            read
        } else {
            self.highest_of_each_rid(read)
        };
        members(read).for_each(|number| {
            log.add(
                &(&self.entry(number, marks)).into(),
                trimmed,
                &self.void_term(voids),
            );
        });
        let own = (own != 0).then(|| self.entry(own, 0));
        log.settle(trimmed, &self.void_term(voids), own.as_ref())
            .expect("a log has room for all ballots of the model");
        log
    }

    fn highest_of_each_rid(&self, ballots: Ballots) -> Ballots {
        members(ballots)
            .filter(|&low| {
                !members(ballots)
                    .any(|high| high > low && self.rids[usize::from(high)] == self.rids[usize::from(low)])
            })
            .fold(0, |set, number| set | 1 << number)
    }

    /// The ballots of a log.
    pub fn ballots(&self, log: &Log) -> Ballots {
        log.ballots()
            .fold(0, |set, ballot| set | 1 << self.number(ballot))
    }

    /// Those of them that are marked.
    pub fn marked(&self, log: &Log) -> Ballots {
        let marked = log.ballots().filter(|&ballot| log.is_fenced(ballot));
        marked.fold(0, |set, ballot| set | 1 << self.number(ballot))
    }

    /// R7: the predecessors that are not silent already.
    pub fn victims(&self, log: &Log, own: u8, view: &SuperView) -> Ballots {
        let victims = safety::victims(log, self.ballot(own))
            .filter(|victim| {
                safety::is_silent(
                    victim.ballot(),
                    victim.quiet_ms(),
                    victim.is_fenced(),
                    Term(0),
                    self.trimmed(view),
                    Duration::ZERO,
                    0,
                )
                .is_none()
            })
            .fold(0, |set, victim| set | 1 << self.number(victim.ballot()));
        if self.config.rules.fence_all {
            return victims;
        }
        members(victims).next_back().map_or(0, |highest| 1 << highest)
    }

    /// What a reading says is silent for good.
    pub fn trimmed(&self, view: &SuperView) -> Mark {
        if self.config.rules.stop_in_both {
            view.trimmed()
        } else {
            view.state.fenced
        }
    }

    /// R4: whether the own ballot is sealed, at the end of the collect that has just completed.
    pub fn is_sealed(&self, process: &Process) -> bool {
        const ME: u64 = 1;
        const OTHER: u64 = 2;
        let (me, other) = (Rid::new(ME).expect("not 0"), Rid::new(OTHER).expect("not 0"));
        let target = Some(self.ballot(process.own));
        let blocks = || process.seen.iter().take(self.config.blocks).enumerate();
        let mut witness = Witness::new();
        if process.looked {
            witness.begin(target);
            blocks().for_each(|(at, seen)| witness.valid(at, other, WriteNr(1), seen & seen::BEFORE != 0));
            witness.complete();
        }
        if let Some((at, _)) = blocks().find(|(_, seen)| *seen & seen::MINE_READ != 0) {
            witness.wrote(at, me, WriteNr(1));
        }
        witness.begin(target);
        for (at, seen) in blocks() {
            let carries = seen & seen::NOW != 0;
            if seen & seen::MINE_READ != 0 {
                witness.valid(at, me, WriteNr(1), carries);
            } else if seen & seen::SAME != 0 {
                witness.valid(at, other, WriteNr(1), carries);
            } else {
                witness.valid(at, other, WriteNr(2), carries);
            }
        }
        witness.complete();
        if self.config.rules.second_collect {
            witness.is_sealed_by(self.config.seal)
        } else {
            witness.carriers().count() >= self.config.seal
        }
    }

    /// What a copy says, if it is valid.
    pub fn state_of(&self, copy: Super) -> Option<SuperBlock> {
        (copy.seq != 0).then(|| SuperBlock {
            volume: VolumeId([0; 16]),
            seq: u64::from(copy.seq),
            quorum_count: 1,
            fenced: self.mark(copy.fenced),
            server: (copy.server != 0).then(|| self.ballot(copy.server)),
            server_addr: None,
            unmount_barrier: 0,
            geometry: Geometry {
                region: BlockNo(0),
                doorbell: BlockNo(0),
                clients: BlockNo(0),
                clients_blocks: 0,
                clients_max: 0,
                fences: BlockNo(0),
                reserved: BlockNo(0),
                reserved_blocks: 0,
            },
            key: VolumeKey([0; 32]),
        })
    }

    /// The bytes of the model for a state of the super block.
    pub fn copy_of(&self, state: &SuperBlock) -> Super {
        Super {
            seq: state.seq as u8,
            fenced: self.mark_number(state.fenced),
            server: state.server.map_or(0, |server| self.number(server)),
        }
    }

    /// R10: what a pass over both copies is worth, after one that found `only` (copy plus 1, or 0).
    pub fn belief(&self, copies: [Super; 2], only: (u8, Super)) -> Result<SuperView, (u8, Super)> {
        let [first, second] = copies.map(|copy| self.state_of(copy));
        let previous = match only {
            (0, _) => None,
            (copy, state) => self.state_of(state).map(|state| (usize::from(copy - 1), state)),
        };
        match belief(first.as_ref(), second.as_ref(), previous) {
            Belief::Believed(view) => Ok(view),
            Belief::Again(None) => Err((0, Super::default())),
            Belief::Again(Some((copy, state))) if !self.config.rules.two_passes => Ok(SuperView {
                state,
                copies: Copies::Only(copy),
            }),
            Belief::Again(Some((copy, state))) => Err((copy as u8 + 1, self.copy_of(&state))),
        }
    }

    /// What the one copy of a model with an atomic super block says.
    pub fn atomic_view(&self, copy: Super) -> SuperView {
        SuperView {
            state: self.state_of(copy).expect("an atomic super block is valid"),
            copies: Copies::Equal,
        }
    }
}
