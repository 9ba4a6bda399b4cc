//! From the seal to the clean stop: silence, claim, lead, stop (R3, R6, R7, R8, R9, and the read lease).

use ostrakon_core::decide::log::Log;
use ostrakon_core::decide::safety::{self, Stopping};
use ostrakon_core::format::SuperBlock;
use ostrakon_core::superio::SuperView;

use crate::action::Action;
use crate::state::{LateUpdate, LateWrite, Process, Stage, State, Step, Super, members};
use crate::world::{World, give_up, kill, let_go};

impl World<'_> {
    fn is_overtaken(&self, view: &SuperView, own: u8) -> bool {
        self.config.rules.check_fenced && safety::is_overtaken(view, self.real.ballot(own))
    }

    /// R6, and the victims of R7.
    pub(crate) fn after_seal(&self, p: usize, view: &SuperView, next: &mut State) {
        let me = &mut next.processes[p];
        if self.is_overtaken(view, me.own) {
            give_up(me);
            me.step = Step::Begin;
            return;
        }
        let log = self.log_of(me);
        me.victims = self.real.victims(&log, me.own, view);
        if !self.config.rules.read_again {
            me.update = self.real.copy_of(&view.state);
            me.copy = view.first_to_write() as u8;
        }
        me.stage = Stage::Silence;
        me.step = Step::Press;
        if me.victims == 0 {
            self.silenced(p, next, false);
        }
    }

    fn log_of(&self, me: &Process) -> Log {
        self.real.merge((me.log, me.marks), 0, 0, me.own)
    }

    /// All victims are silent: R8 is next. Under a lease that was waited out it takes another look first.
    fn silenced(&self, p: usize, next: &mut State, look: bool) {
        let me = &mut next.processes[p];
        me.stage = Stage::Claim;
        me.step = if look { Step::Begin } else { Step::BeforeClaim };
        if !self.config.rules.read_again {
            let state = self
                .real
                .state_of(me.update)
                .expect("it was valid when it was read");
            let copy = me.copy;
            self.issue(p, next, &state, copy, safety::claim);
        }
    }

    pub(crate) fn press(&mut self, p: usize) {
        let me = self.state.processes[p];
        if self.config.lease {
            self.wait_out(p);
        } else {
            members(me.victims).for_each(|victim| self.fence(p, victim));
        }
        if self.config.marks {
            self.leave_marks(p);
        }
        if self.config.keeps_writing {
            let mut next = *self.state;
            next.processes[p].step = Step::Begin;
            self.emit(Action::Cycle(p as u8), next);
        }
    }

    /// Gives up before all victims are silent; those that are stay marked.
    fn leave_marks(&mut self, p: usize) {
        let me = self.state.processes[p];
        let mut next = *self.state;
        give_up(&mut next.processes[p]);
        next.processes[p].step = Step::Begin;
        self.emit(Action::GiveUp(p as u8, me.own), next);
        if !self.config.rules.mark_confirmed {
            for victim in members(me.victims & !me.marks) {
                let mut next = *self.state;
                next.processes[p].marks |= 1 << victim;
                self.emit(Action::MarkEarly(p as u8, victim), next);
            }
        }
    }

    /// What the collect showed to be marked needs no fence any more.
    pub(crate) fn spare_the_marked(&self, p: usize, next: &mut State) {
        let me = &mut next.processes[p];
        let left = me.victims & !me.marks;
        if left != me.victims && left == 0 {
            me.victims = 0;
            self.silenced(p, next, false);
        } else {
            me.victims = left;
        }
    }

    /// A fence was confirmed: the victim is gone, and what it had in flight is done or dropped (A4).
    fn fence(&mut self, p: usize, victim: u8) {
        let rid = self.state.rids[usize::from(victim)];
        let mut next = *self.state;
        next.processes[p].victims &= !(1 << victim);
        if self.config.marks {
            next.processes[p].marks |= 1 << victim;
        }
        let updating = self
            .state
            .processes
            .iter()
            .find(|process| process.rid == rid && process.step == Step::Update);
        if self.config.rules.fence_stops_writes {
            let dropped = |late: &LateWrite| late.at > 0 && late.rid == rid;
            next.late
                .iter_mut()
                .filter(|late| dropped(late))
                .for_each(|late| *late = LateWrite::default());
            let late = next.late_update;
            if late.at > 0 && self.state.rids[usize::from(late.ballot)] == rid {
                next.late_update = LateUpdate::default();
            }
        } else if let Some(updating) = updating {
            next.late_update = late_update(updating);
        }
        kill(&mut next, rid);
        if next.processes[p].victims == 0 {
            self.silenced(p, &mut next, false);
        }
        self.emit(Action::Fence(p as u8, victim, false), next);
        if let Some(updating) = updating.filter(|_| self.state.torn_updates_left > 0) {
            next.torn_updates_left -= 1;
            next.supers[usize::from(updating.copy)] = Super::default();
            self.emit(Action::Fence(p as u8, victim, true), next);
        }
    }

    /// The leases of all victims have run out: rights from looks begun before the seal are over, and what was
    /// written under them has landed or failed.
    fn wait_out(&mut self, p: usize) {
        let bit = 1 << p;
        let under_way = |process: &Process| process.step == Step::Update && process.right_before & bit != 0;
        if self.state.late_update.at > 0 || self.state.processes.iter().any(under_way) {
            return;
        }
        let mut next = *self.state;
        for process in &mut next.processes {
            if process.right_before & bit != 0 {
                process.right = false;
            }
            process.look_expired |= process.look_before & bit != 0;
        }
        next.processes[p].victims = 0;
        self.silenced(p, &mut next, true);
        self.emit(Action::WaitedOut(p as u8), next);
    }

    /// R8.
    pub(crate) fn before_claim(&self, p: usize, view: &SuperView, next: &mut State) {
        let me = &mut next.processes[p];
        if self.is_overtaken(view, me.own) {
            if me.claimed {
                let_go(me)
            } else {
                give_up(me)
            }
            me.step = Step::Begin;
            return;
        }
        if self.config.lease {
            if me.look_expired {
                me.step = Step::Begin;
                return;
            }
            (me.right, me.right_before) = (true, me.look_before);
        }
        self.issue(p, next, &view.state, view.first_to_write() as u8, |state, own| {
            safety::claim(state, own)
        });
    }

    /// A write of the super block is issued.
    fn issue(
        &self,
        p: usize,
        next: &mut State,
        state: &SuperBlock,
        first: u8,
        change: impl FnOnce(&mut SuperBlock, ostrakon_core::ids::Ballot),
    ) {
        let me = &mut next.processes[p];
        let mut update = *state;
        change(&mut update, self.real.ballot(me.own));
        update.seq = state.seq + 1;
        me.update = self.real.copy_of(&update);
        let two = self.config.copies == 2;
        me.copy = if two && self.config.rules.copy_order {
            first
        } else {
            0
        };
        me.second_due = two;
        me.step = Step::Update;
        me.claimed = true;
        me.unnamed = 0;
    }

    pub(crate) fn updating(&mut self, p: usize) {
        let me = self.state.processes[p];
        let process = p as u8;
        let mut landed = *self.state;
        landed.supers[usize::from(me.copy)] = me.update;
        self.landed(&mut landed.processes[p]);
        self.emit(Action::EndUpdate(process), landed);

        if self.state.failing_updates_left > 0 {
            self.update_failed(p);
            if self.state.late_update.at == 0 {
                let mut next = *self.state;
                next.failing_updates_left -= 1;
                next.late_update = late_update(&me);
                next.processes[p] = Process::default();
                self.emit(Action::DieUpdating(process, true), next);
            }
        }
        if self.state.torn_updates_left > 0 {
            let mut next = *self.state;
            next.torn_updates_left -= 1;
            next.supers[usize::from(me.copy)] = Super::default();
            next.processes[p] = Process::default();
            self.emit(Action::DieUpdating(process, false), next);
        }
    }

    /// One write of an update has landed.
    fn landed(&self, me: &mut Process) {
        if me.second_due {
            me.second_due = false;
            me.copy = 1 - me.copy;
            return;
        }
        (me.update, me.copy) = (Super::default(), 0);
        if me.stage == Stage::Claim {
            (me.stage, me.step) = (Stage::Lead, Step::Idle);
        } else {
            let_go(me);
            me.step = Step::Begin;
        }
    }

    /// The write is taken for failed; W has passed, so that it never lands, unless a rule is off.
    fn update_failed(&mut self, p: usize) {
        let me = self.state.processes[p];
        let rules = &self.config.rules;
        let claiming = me.stage == Stage::Claim;
        let mut failed = *self.state;
        failed.failing_updates_left -= 1;
        let process = &mut failed.processes[p];
        (process.update, process.copy, process.second_due) = (Super::default(), 0, false);
        process.step = Step::Stopping;
        process.stage = Stage::Stop;
        self.emit(Action::FailUpdate(p as u8, false), failed);
        if claiming {
            // It may also claim again.
            let mut again = failed;
            (again.processes[p].stage, again.processes[p].step) = (Stage::Claim, Step::BeforeClaim);
            self.emit(Action::FailUpdate(p as u8, false), again);
        }
        if self.state.late_update.at != 0 {
            return;
        }
        failed.late_update = late_update(&me);
        let process = &mut failed.processes[p];
        if claiming && !rules.no_void_after_claim {
            give_up(process);
            process.step = Step::Begin;
        } else if claiming && !rules.wait_for_failed_claim {
            process.step = Step::Stopping;
        } else if !claiming && !rules.one_ballot {
            let_go(process);
            process.step = Step::Begin;
        } else {
            return;
        }
        self.emit(Action::FailUpdate(p as u8, true), failed);
    }

    /// A leader stops, looks, or takes part in the region.
    pub(crate) fn lead(&mut self, p: usize) {
        let mut stop = *self.state;
        (stop.processes[p].stage, stop.processes[p].step) = (Stage::Stop, Step::Stopping);
        self.emit(Action::Stop(p as u8), stop);
        if self.config.lease || self.config.keeps_writing {
            let mut cycle = *self.state;
            cycle.processes[p].step = Step::Begin;
            self.emit(Action::Cycle(p as u8), cycle);
        }
    }

    /// The end of a look.
    pub(crate) fn end_look(&self, p: usize, view: &SuperView, next: &mut State) {
        let me = &mut next.processes[p];
        if self.is_overtaken(view, me.own) {
            let_go(me);
            me.step = Step::Begin;
            return;
        }
        if safety::look_gives_right(&self.log_of(me), view, self.real.ballot(me.own)) {
            self.renew(me);
        } else {
            me.step = Step::Idle;
        }
    }

    /// R9, and the end of a claim that failed (R3).
    pub(crate) fn stop(&mut self, p: usize, action: Action, view: &SuperView, mut next: State) {
        let me = &mut next.processes[p];
        let own = self.real.ballot(me.own);
        match safety::stopping(view, own) {
            Stopping::Over { .. } => {
                let_go(me);
                me.step = Step::Begin;
            }
            Stopping::Unnamed => {
                me.unnamed = safety::unnamed_readings(view.copies, me.unnamed);
                if safety::may_void(true, me.unnamed) {
                    give_up(me);
                    me.step = Step::Begin;
                }
            }
            Stopping::Named if self.config.lease && !me.right && self.config.rules.stop_within_right => {
                return;
            }
            Stopping::Named => {
                self.issue(
                    p,
                    &mut next,
                    &view.state,
                    view.first_to_write() as u8,
                    safety::stop,
                );
            }
        }
        self.emit(action, next);
    }
}

fn late_update(me: &Process) -> LateUpdate {
    LateUpdate {
        at: me.copy + 1,
        ballot: me.own,
        update: me.update,
    }
}
