//! The successors of a state: what every process, and all that is in flight, can do next.

use ostrakon_core::superio::SuperView;

use crate::action::{Action, Violation};
use crate::config::Config;
use crate::real::Real;
use crate::state::{
    BLOCKS_MAX, Block, GHOSTS_MAX, LateUpdate, LateWrite, PROCESSES_MAX, Process, Stage, State, Step, Super,
    members, seen,
};

/// A step, where it leads, and what it violates.
pub type Successor = (Action, State, Option<Violation>);

/// Works out the successors of one state.
pub struct World<'a> {
    pub(crate) config: &'a Config,
    pub(crate) state: &'a State,
    pub(crate) real: Real<'a>,
    out: &'a mut Vec<Successor>,
}

impl<'a> World<'a> {
    /// Appends all successors of `state` to `out`.
    pub fn successors(config: &'a Config, state: &'a State, out: &'a mut Vec<Successor>) {
        let real = Real::new(config, state);
        let mut world = Self {
            config,
            state,
            real,
            out,
        };
        (0..config.processes).for_each(|p| world.process(p));
        world.late();
    }

    pub(crate) fn emit(&mut self, action: Action, mut next: State) {
        let violation = self.violation(&next);
        if self.config.calm && self.config.copies == 1 && violation.is_none() {
            begin_at_once(self.config, &mut next);
        }
        self.forget(&mut next);
        self.out.push((action, next, violation));
    }

    fn process(&mut self, p: usize) {
        let me = &self.state.processes[p];
        match me.step {
            Step::Begin | Step::AfterSeal | Step::BeforeClaim | Step::EndLook | Step::Stopping => {
                self.read(p)
            }
            Step::Collect => self.collect(p),
            Step::Collected => self.write(p),
            Step::Writing => self.writing(p),
            Step::Press => self.press(p),
            Step::Update => self.updating(p),
            Step::Idle => self.lead(p),
        }
        if *me != Process::default() && !self.config.calm {
            let mut next = *self.state;
            next.processes[p] = Process::default();
            self.emit(Action::Crash(p as u8), next);
        }
    }

    fn late(&mut self) {
        for at in 0..GHOSTS_MAX {
            let write = self.state.late[at];
            if write.at > 0 {
                let mut next = *self.state;
                next.late[at] = LateWrite::default();
                land(&mut next, None, usize::from(write.at) - 1, write.block);
                self.emit(Action::LateWrite(write.at - 1), next);
            }
        }
        let LateUpdate { at, update, .. } = self.state.late_update;
        if at > 0 {
            let mut next = *self.state;
            next.late_update = LateUpdate::default();
            self.emit(Action::DropUpdate, next);
            next.supers[usize::from(at) - 1] = update;
            self.emit(Action::LateUpdate, next);
        }
    }

    /// One read of the super block, and what follows when the reading has ended.
    fn read(&mut self, p: usize) {
        if self.config.copies == 1 {
            let view = self.real.atomic_view(self.state.supers[0]);
            return self.read_ended(p, Action::ReadSuper(p as u8, None), *self.state, &view);
        }
        for copy in 0..2 {
            if self.state.processes[p].found_copy == copy as u8 + 1 {
                continue;
            }
            let whole = (self.state.supers[copy], false);
            let mixed = self.is_written(copy).then_some((Super::default(), true));
            for (found, overlapped) in [Some(whole), mixed].into_iter().flatten() {
                let action = Action::ReadSuper(p as u8, Some((copy as u8, overlapped)));
                let (next, ended) = self.pass(p, copy, found);
                match ended {
                    None => self.emit(action, next),
                    Some((_, true)) => self.out.push((action, next, Some(Violation::Stale))),
                    Some((view, false)) => self.read_ended(p, action, next, &view),
                }
            }
        }
    }

    /// Whether a write of this copy of the super block is in flight.
    fn is_written(&self, copy: usize) -> bool {
        let by_process =
            |process: &Process| process.step == Step::Update && usize::from(process.copy) == copy;
        self.state.processes.iter().any(by_process) || usize::from(self.state.late_update.at) == copy + 1
    }

    /// A copy of the super block was read. The reading may end with a view, and that may be stale: older than what
    /// stood there when the reading began.
    fn pass(&self, p: usize, copy: usize, found: Super) -> (State, Option<(SuperView, bool)>) {
        let mut next = *self.state;
        let me = &mut next.processes[p];
        if me.found_copy == 0 {
            if me.only_copy == 0 {
                me.newest = self.state.newest().seq;
            }
            (me.found_copy, me.found) = (copy as u8 + 1, found);
            return (next, None);
        }
        let copies = if copy == 0 {
            [found, me.found]
        } else {
            [me.found, found]
        };
        let belief = self.real.belief(copies, (me.only_copy, me.only));
        (me.found_copy, me.found) = (0, Super::default());
        (me.only_copy, me.only) = (0, Super::default());
        match belief {
            Ok(view) => {
                let stale = view.state.seq < u64::from(std::mem::take(&mut me.newest));
                (next, Some((view, stale)))
            }
            Err((only_copy, only)) => {
                (me.only_copy, me.only) = (only_copy, only);
                (next, None)
            }
        }
    }

    fn read_ended(&mut self, p: usize, action: Action, mut next: State, view: &SuperView) {
        match self.state.processes[p].step {
            Step::Begin => self.begin(p, view, &mut next),
            Step::AfterSeal => self.after_seal(p, view, &mut next),
            Step::BeforeClaim => self.before_claim(p, view, &mut next),
            Step::EndLook => self.end_look(p, view, &mut next),
            Step::Stopping => return self.stop(p, action, view, next),
            _ => {}
        }
        self.emit(action, next);
    }

    /// What must never happen, between this state and the next one.
    fn violation(&self, next: &State) -> Option<Violation> {
        let (before, after) = (self.state.newest(), next.newest());
        if after.seq == 0 || after.fenced < before.fenced || after.server < before.server {
            return Some(Violation::WentBack);
        }
        let twice = self.config.copies == 2
            && next.supers[0].seq == next.supers[1].seq
            && next.supers[0] != next.supers[1];
        if twice || (after != before && after.seq <= before.seq) {
            return Some(Violation::LostUpdate);
        }
        if let Some(forgotten) = self.forgotten(next) {
            return Some(Violation::Forgotten(forgotten));
        }
        let late = (next.late_update.at > 0).then_some(next.late_update.ballot);
        let processes = next.processes.iter().filter(|process| self.may_act(process));
        let mut acting = processes.map(|process| process.own).chain(late);
        let first = acting.next()?;
        if acting.next().is_some() {
            return Some(Violation::TwoLeaders);
        }
        (first < after.server).then_some(Violation::NotSilent(first))
    }

    /// A sealed ballot, not covered by `fenced`, that a collect may miss.
    fn forgotten(&self, next: &State) -> Option<u8> {
        if !self.config.watch_seals {
            return None;
        }
        let fenced = next.newest().fenced;
        let is_sealed = |process: &&Process| {
            !matches!(process.stage, Stage::Follow | Stage::Seal) || process.step == Step::AfterSeal
        };
        let carriers = |own: u8| {
            next.blocks
                .iter()
                .filter(|block| block.log & (1 << own) != 0)
                .count()
        };
        let sealed = next.processes.iter().filter(is_sealed).map(|process| process.own);
        // The number of the mark that covers a ballot is twice its own.
        let mut live = sealed.filter(|&own| fenced < 2 * own);
        live.find(|&own| carriers(own) <= usize::from(self.config.left_out))
    }

    /// Whether a process can write outside the region without looking at anything before.
    fn may_act(&self, process: &Process) -> bool {
        process.step == Step::Update
            || (process.stage == Stage::Lead && (!self.config.lease || process.right))
    }

    /// Forgets what can make no difference any more, so that fewer states differ, and orders what has no order.
    fn forget(&self, next: &mut State) {
        let waiting = (0..PROCESSES_MAX)
            .filter(|&p| {
                next.processes[p].step == Step::AfterSeal || next.processes[p].stage == Stage::Silence
            })
            .fold(0, |set, p| set | 1 << p);
        let in_logs = next.blocks.iter().map(|block| block.log);
        let known = in_logs
            .chain(next.processes.iter().map(|process| process.log | process.victims))
            .chain(next.late.iter().map(|late| late.block.log))
            .fold(0, |set, log| set | log);
        for process in &mut next.processes {
            process.marks &= known;
            process.right_before &= waiting;
            process.look_before &= waiting;
            if process.stage != Stage::Seal {
                process.looked = false;
                process.seen.iter_mut().for_each(|seen| *seen &= seen::READ);
            }
            if !self.config.lease || process.own == 0 {
                (process.right, process.look_expired) = (false, false);
                (process.right_before, process.look_before) = (0, 0);
            }
            let keeps_log = matches!(
                process.step,
                Step::Collect | Step::Collected | Step::Writing | Step::EndLook
            ) || (process.step == Step::AfterSeal);
            if !keeps_log {
                process.log = 0;
            }
            if process.step != Step::Collect {
                process.left_out = 0;
                process.voids = 0;
                process.seen.iter_mut().for_each(|seen| *seen &= !seen::READ);
            }
            if !matches!(process.step, Step::Collect | Step::EndLook) {
                process.trimmed = 0;
            }
        }
        next.late.sort_unstable();
    }

    /// A look-alike of `state`: processes and blocks have no names of their own.
    pub fn canonical(config: &Config, state: &State) -> State {
        let mut next = *state;
        if config.processes > 1 {
            order_processes(&mut next, config.processes);
        }
        if config.blocks > 1 {
            order_blocks(&mut next, config);
        }
        next
    }
}

/// Whoever is about to begin a cycle reads the super block at once.
fn begin_at_once(config: &Config, next: &mut State) {
    for p in 0..config.processes {
        if next.processes[p].step != Step::Begin {
            continue;
        }
        let state = *next;
        let real = Real::new(config, &state);
        let mut out = Vec::new();
        let world = World {
            config,
            state: &state,
            real,
            out: &mut out,
        };
        world.begin(p, &real.atomic_view(state.supers[0]), next);
    }
}

/// Puts the processes in an order that says nothing of blocks.
fn order_processes(state: &mut State, processes: usize) {
    let key = |process: &Process| {
        let mut key = *process;
        (key.right_before, key.look_before, key.writing) = (0, 0, 0);
        key.seen = [0; BLOCKS_MAX];
        let mut seen = process.seen;
        seen.sort_unstable();
        (key, seen)
    };
    let mut order = [0, 1, 2];
    order[..processes].sort_by_key(|&p| key(&state.processes[p]));
    if order == [0, 1, 2] {
        return;
    }
    let before = state.processes;
    let renamed = |set: u8| {
        (0..processes)
            .filter(|&p| set & (1 << order[p]) != 0)
            .fold(0, |set, p| set | 1 << p)
    };
    for p in 0..processes {
        let mut process = before[order[p]];
        process.right_before = renamed(process.right_before);
        process.look_before = renamed(process.look_before);
        state.processes[p] = process;
    }
}

/// Puts the blocks in order, with all that is known of each.
fn order_blocks(state: &mut State, config: &Config) {
    let column = |at: usize| {
        let number = at as u8 + 1;
        let seen: [u8; PROCESSES_MAX] = core::array::from_fn(|p| state.processes[p].seen[at]);
        let writing: [bool; PROCESSES_MAX] = core::array::from_fn(|p| state.processes[p].writing == number);
        let late: [bool; GHOSTS_MAX] = core::array::from_fn(|ghost| state.late[ghost].at == number);
        (state.blocks[at], seen, writing, late)
    };
    let mut order: [usize; BLOCKS_MAX] = core::array::from_fn(|at| at);
    order[..config.blocks].sort_by_key(|&at| column(at));
    if order.is_sorted() {
        return;
    }
    let before = *state;
    let renamed = |number: u8| {
        let place = order.iter().position(|&at| at + 1 == usize::from(number));
        place.map_or(0, |place| place as u8 + 1)
    };
    for (place, &at) in order.iter().enumerate() {
        state.blocks[place] = before.blocks[at];
        for p in 0..PROCESSES_MAX {
            state.processes[p].seen[place] = before.processes[p].seen[at];
        }
    }
    for process in &mut state.processes {
        process.writing = renamed(process.writing);
    }
    for late in &mut state.late {
        late.at = renamed(late.at);
    }
}

/// A region write lands.
pub(crate) fn land(next: &mut State, writer: Option<usize>, at: usize, block: Block) {
    next.blocks[at] = block;
    for (p, process) in next.processes.iter_mut().enumerate() {
        if writer == Some(p) {
            process.seen.iter_mut().for_each(|seen| *seen &= !seen::MINE);
            process.seen[at] |= seen::MINE | seen::CHANGED;
        } else {
            process.seen[at] = (process.seen[at] | seen::CHANGED) & !seen::MINE;
        }
        if process.stage != Stage::Seal {
            process.seen[at] &= seen::READ;
        }
    }
}

/// The instance that had this rid is gone, with its slot.
pub(crate) fn kill(next: &mut State, rid: u8) {
    for process in next.processes.iter_mut().filter(|process| process.rid == rid) {
        *process = Process::default();
    }
}

/// Gives the own ballot up for good.
pub(crate) fn give_up(process: &mut Process) {
    process.voided = process.own;
    let_go(process);
}

/// Has no live ballot any more.
pub(crate) fn let_go(process: &mut Process) {
    *process = Process {
        step: process.step,
        rid: process.rid,
        voided: process.voided,
        log: process.log & !(1 << process.own),
        marks: process.marks,
        voids: process.voids,
        trimmed: process.trimmed,
        term: process.term,
        seen: process.seen.map(|seen| seen & seen::READ),
        left_out: process.left_out,
        ..Process::default()
    };
}

/// Highest ballot in a set.
pub(crate) fn highest(ballots: u8) -> u8 {
    members(ballots).next_back().unwrap_or(0)
}
