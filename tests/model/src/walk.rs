//! The walk through the region: collect, merge, decide, write (R1, R2, R4, R5, R10).

use ostrakon_core::decide::safety;
use ostrakon_core::superio::SuperView;

use crate::action::Action;
use crate::state::{Block, GHOSTS_MAX, LateWrite, Process, Stage, State, Step, seen};
use crate::world::{World, give_up, highest, land, let_go};

/// Cycles with the entry in the log after which a leader of the 2019 rules leads.
const CYCLES_2019: u8 = 2;

impl World<'_> {
    /// The super block was read before a collect.
    pub(crate) fn begin(&self, p: usize, view: &SuperView, next: &mut State) {
        let trimmed = self.real.mark_number(self.real.trimmed(view));
        let me = &mut next.processes[p];
        if me.own != 0
            && self.config.rules.check_fenced
            && safety::is_overtaken(view, self.real.ballot(me.own))
        {
            if me.claimed { let_go(me) } else { give_up(me) }
        }
        me.trimmed = trimmed;
        me.step = Step::Collect;
        (me.log, me.voids, me.left_out) = (0, 0, 0);
        (me.look_before, me.look_expired) = (0, false);
        for seen in &mut me.seen {
            let carried = *seen & seen::NOW != 0 && me.looked;
            *seen &= seen::CHANGED | seen::MINE;
            *seen |= if carried { seen::BEFORE } else { 0 };
        }
        if self.config.blocks == 0 {
            me.log = (1..=self.config.ballots)
                .filter(|&ballot| self.state.rids[usize::from(ballot)] != 0)
                .fold(0, |set, ballot| set | 1 << ballot);
            let voids = self
                .state
                .processes
                .iter()
                .fold(0, |set, process| set | self.real.own_voids(process));
            next.processes[p].voids = voids;
            self.collected(p, next);
        }
    }

    pub(crate) fn collect(&mut self, p: usize) {
        let me = self.state.processes[p];
        for at in (0..self.config.blocks).filter(|&at| me.seen[at] & seen::READ == 0) {
            let mut next = *self.state;
            self.see(p, at, self.state.blocks[at], &mut next);
            self.read_block(Action::Read(p as u8, at as u8), p, next);

            let mut next = *self.state;
            next.processes[p].seen[at] = me.seen[at] & seen::BEFORE | seen::READ | seen::CHANGED;
            if me.left_out < self.config.left_out {
                next.processes[p].left_out += 1;
                self.read_block(Action::LeaveOut(p as u8, at as u8), p, next);
            } else if !self.config.rules.invalid_is_not_empty && self.is_block_written(p, at) {
                self.read_block(Action::TakeForEmpty(p as u8, at as u8), p, next);
            }
        }
    }

    fn is_block_written(&self, reader: usize, at: usize) -> bool {
        let others = self
            .state
            .processes
            .iter()
            .enumerate()
            .filter(|&(p, _)| p != reader);
        others
            .into_iter()
            .any(|(_, process)| usize::from(process.writing) == at + 1)
    }

    /// A valid block was read.
    fn see(&self, p: usize, at: usize, block: Block, next: &mut State) {
        let me = &mut next.processes[p];
        if !self.config.rules.merge_all_terms {
            if block.term < me.term {
                me.seen[at] |= seen::READ;
                return;
            }
            if block.term > me.term {
                (me.term, me.log) = (block.term, 0);
            }
        }
        me.log |= block.log;
        me.marks |= block.marks;
        me.voids |= block.voids;
        let mut seen = me.seen[at] & (seen::BEFORE | seen::MINE) | seen::READ;
        if me.seen[at] & seen::CHANGED == 0 {
            seen |= seen::SAME;
        }
        if seen & seen::MINE != 0 {
            seen |= seen::MINE_READ;
        }
        if me.own != 0 && block.log & (1 << me.own) != 0 {
            seen |= seen::NOW;
        }
        me.seen[at] = seen;
    }

    fn read_block(&mut self, action: Action, p: usize, mut next: State) {
        let all = (0..self.config.blocks).all(|at| next.processes[p].seen[at] & seen::READ != 0);
        if all {
            self.collected(p, &mut next);
        }
        self.emit(action, next);
    }

    /// The collect is complete: merge (R1) and decide.
    fn collected(&self, p: usize, next: &mut State) {
        let me = &mut next.processes[p];
        let voids = me.voids | self.real.own_voids(me);
        let log = self.real.merge((me.log, me.marks), voids, me.trimmed, me.own);
        me.log = self.real.ballots(&log);
        me.marks |= self.real.marked(&log);
        me.step = Step::Collected;
        if me.own == 0 {
            return;
        }
        let higher = safety::aborts_for(&log, self.real.ballot(me.own)).is_some();
        if me.stage == Stage::Lead {
            return self.looked(me, higher);
        }
        if higher && self.config.rules.abort && !me.claimed {
            return give_up(me);
        }
        match me.stage {
            Stage::Seal => {
                let sealed = if !self.config.rules.count_blocks {
                    me.cycles >= CYCLES_2019
                } else {
                    self.config.blocks == 0 || self.real.is_sealed(me)
                };
                me.looked = true;
                if sealed {
                    me.step = Step::AfterSeal;
                    self.mark_older_looks(p, next);
                }
            }
            Stage::Silence => self.spare_the_marked(p, next),
            Stage::Claim => me.step = Step::BeforeClaim,
            _ => {}
        }
    }

    /// Every look that began before now began before this seal.
    fn mark_older_looks(&self, sealer: usize, next: &mut State) {
        if self.config.lease {
            for (_, process) in next
                .processes
                .iter_mut()
                .enumerate()
                .filter(|&(p, _)| p != sealer)
            {
                process.right_before |= 1 << sealer;
                process.look_before |= 1 << sealer;
            }
        }
    }

    /// A leader's collect is complete.
    fn looked(&self, me: &mut Process, higher: bool) {
        if !self.config.lease {
            return;
        }
        if self.config.rules.look_ends_with_super {
            me.step = Step::EndLook;
        } else if higher {
            me.step = Step::Idle;
        } else {
            self.renew(me);
        }
    }

    /// A look gives the right to act, counted from its beginning.
    pub(crate) fn renew(&self, me: &mut Process) {
        if !me.look_expired {
            (me.right, me.right_before) = (true, me.look_before);
        }
        me.step = if self.config.keeps_writing {
            Step::Collected
        } else {
            Step::Idle
        };
    }

    /// Writes one block, perhaps as one that has just been elected, or gives its ballot up.
    pub(crate) fn write(&mut self, p: usize) {
        let me = self.state.processes[p];
        if me.stage == Stage::Seal && !self.config.calm {
            let mut next = *self.state;
            give_up(&mut next.processes[p]);
            self.emit(Action::GiveUp(p as u8, me.own), next);
        }
        if self.config.blocks == 0 {
            return self.elect(p, None);
        }
        for at in
            (0..self.config.blocks).filter(|&at| !self.config.calm || is_picked(&me, at, self.config.blocks))
        {
            if me.own == 0 {
                self.elect(p, Some(at));
            }
            self.write_block(p, at, *self.state, None);
            if self.state.torn_left > 0 {
                self.tear(p, at);
            }
            self.die_writing(p, at);
        }
    }

    /// Declares itself elected: votes protect nothing here. A new ballot is higher than all
    /// in the merged log; that it is higher than what the super block names is not relied on.
    fn elect(&mut self, p: usize, at: Option<usize>) {
        let me = self.state.processes[p];
        if self.config.one_term && me.rid != 0 {
            return;
        }
        let known = highest(me.log).max(me.voided);
        for ballot in known + 1..=self.config.ballots {
            if self.state.rids[usize::from(ballot)] != 0 {
                continue;
            }
            let mut next = *self.state;
            let elected = &mut next.processes[p];
            if elected.rid == 0 {
                elected.rid = ballot;
            }
            next.rids[usize::from(ballot)] = elected.rid;
            elected.own = ballot;
            elected.stage = Stage::Seal;
            elected.log |= 1 << ballot;
            elected.term = if self.config.rules.merge_all_terms {
                0
            } else {
                ballot
            };
            match at {
                Some(at) => self.write_block(p, at, next, Some(ballot)),
                None => {
                    elected.step = Step::Begin;
                    self.emit(Action::Write(p as u8, 0, Some(ballot)), next);
                }
            }
        }
    }

    fn write_block(&mut self, p: usize, at: usize, mut next: State, elected: Option<u8>) {
        let (process, number) = (p as u8, at as u8);
        if self.config.overlap {
            next.processes[p].step = Step::Writing;
            next.processes[p].writing = number + 1;
            self.emit(Action::BeginWrite(process, number, elected), next);
        } else {
            self.complete(p, at, &mut next);
            self.emit(Action::Write(process, number, elected), next);
        }
    }

    fn block_of(&self, me: &Process) -> Block {
        Block {
            log: me.log,
            marks: me.log & me.marks,
            voids: self.real.own_voids(me),
            term: me.term,
        }
    }

    fn complete(&self, p: usize, at: usize, next: &mut State) {
        land(next, Some(p), at, self.block_of(&next.processes[p]));
        let me = &mut next.processes[p];
        me.writing = 0;
        me.step = match me.stage {
            Stage::Silence => Step::Press,
            Stage::Lead => Step::Idle,
            _ => Step::Begin,
        };
        if !self.config.rules.count_blocks && me.stage == Stage::Seal {
            me.cycles = (me.cycles + 1).min(CYCLES_2019);
        }
    }

    pub(crate) fn writing(&mut self, p: usize) {
        let at = usize::from(self.state.processes[p].writing - 1);
        let mut next = *self.state;
        self.complete(p, at, &mut next);
        self.emit(Action::EndWrite(p as u8), next);
        if self.state.torn_left > 0 {
            self.tear(p, at);
        }
        self.die_writing(p, at);
    }

    /// The write tears; whoever issued it lives on, or dies in a later step.
    fn tear(&mut self, p: usize, at: usize) {
        let mut next = *self.state;
        next.torn_left -= 1;
        land(&mut next, None, at, Block::default());
        let me = &mut next.processes[p];
        me.looked = false;
        me.writing = 0;
        me.seen
            .iter_mut()
            .for_each(|seen| *seen &= !(seen::MINE | seen::BEFORE));
        me.step = match me.stage {
            Stage::Silence => Step::Press,
            Stage::Lead => Step::Idle,
            _ => Step::Begin,
        };
        self.emit(Action::Tear(p as u8, at as u8), next);
    }

    /// The write outlives its process.
    fn die_writing(&mut self, p: usize, at: usize) {
        let free = (0..GHOSTS_MAX).find(|&ghost| self.state.late[ghost].at == 0);
        let (Some(free), true) = (free, self.state.late_left > 0) else {
            return;
        };
        let me = &self.state.processes[p];
        let mut next = *self.state;
        next.late_left -= 1;
        next.late[free] = LateWrite {
            at: at as u8 + 1,
            rid: me.rid,
            block: self.block_of(me),
        };
        next.processes[p] = Process::default();
        self.emit(Action::DieWriting(p as u8, at as u8), next);
    }
}

/// Which block: one that does not carry the own ballot, if there is one. Safety does not rest on that.
fn is_picked(me: &Process, at: usize, blocks: usize) -> bool {
    let carries = |seen: &u8| seen & seen::NOW != 0;
    me.stage != Stage::Seal || !carries(&me.seen[at]) || me.seen[..blocks].iter().all(carries)
}
