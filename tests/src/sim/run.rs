//! A random run: first anything goes, then faults stop for a live quorum, which must get a server; then all leave.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use ostrakon_core::bounds::GHOST_FENCE_WAIT;
use ostrakon_core::ids::Rid;

use super::check::Counts;
use super::clock::Time;
use super::course::Course;
use super::dice::Dice;
use super::disk::Path;
use super::film::Shot;
use super::machine::Rules;
use super::options::{DiskProfile, FenceProfile, Options};
use super::trace::{Listen, note};
use super::world::{Happening, World, Wrong, stall, violate};

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// As it should.
    Fine,
    /// An invariant did not hold, or something did not happen.
    Wrong(Wrong),
    /// Something panicked.
    Panic(String),
}

impl Verdict {
    /// What went wrong, if anything did.
    pub fn failure(&self) -> Option<String> {
        match self {
            Self::Fine => None,
            Self::Wrong(wrong) => Some(wrong.to_string()),
            Self::Panic(what) => Some(format!("panic: {what}")),
        }
    }
}

/// What came of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// What was counted.
    pub counts: Counts,
    /// How it went.
    pub course: Course,
    /// Virtual time that passed.
    pub time: Time,
    /// Steps.
    pub steps: u64,
    /// Digest of the trace, if anybody listened.
    pub digest: u64,
}

/// For whom faults stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// For a quorum and the plain clients.
    Core,
    /// For everybody.
    All,
}

/// Time for which a healed world is watched for changes that nothing calls for.
const WATCH: Time = 8_000_000;

/// Runs what this seed decides.
pub fn random_run(seed: u64, listen: Listen) -> Outcome {
    random_run_under(Rules::Ours, seed, listen)
}

/// Runs what this seed decides under these rules: the worlds are the same, and what strikes them.
pub fn random_run_under(rules: Rules, seed: u64, listen: Listen) -> Outcome {
    random_world(rules, seed, listen).play_out()
}

/// Runs it and draws it, too.
pub fn drawn_run(rules: Rules, seed: u64, listen: Listen) -> (Outcome, String) {
    let mut world = random_world(rules, seed, listen);
    world.record();
    let outcome = world.play_out();
    let picture = world.draw(&format!("seed {seed}"), outcome.verdict.failure().as_deref());
    (outcome, picture)
}

/// The world of a random run before anything has happened in it.
pub fn random_world(rules: Rules, seed: u64, listen: Listen) -> World {
    let mut dice = Dice::new(seed);
    let mut options = Options {
        rules,
        ..Options::draw(&mut dice)
    };
    options.draw_extras(seed);
    World::new(options, dice, listen)
}

static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// Keeps what a panic says for the verdict instead of printing it. For programs that run many seeds.
pub fn catch_panics() {
    std::panic::set_hook(Box::new(|info| {
        if let Ok(mut last) = LAST_PANIC.lock() {
            *last = info.to_string();
        }
    }));
}

fn last_panic() -> String {
    LAST_PANIC
        .lock()
        .map_or_else(|_| String::new(), |last| last.clone())
}

impl World {
    fn play_out(&mut self) -> Outcome {
        let result = catch_unwind(AssertUnwindSafe(|| self.play_random()));
        let verdict = match (result, self.wrong.clone()) {
            (Err(_), _) => Verdict::Panic(last_panic()),
            (Ok(()), Some(wrong)) => Verdict::Wrong(wrong),
            (Ok(()), None) => Verdict::Fine,
        };
        Outcome {
            verdict,
            counts: self.check.counts,
            course: self.course,
            time: self.now,
            steps: self.steps(),
            digest: self.digest(),
        }
    }

    fn play_random(&mut self) {
        self.begin_chaos();
        self.let_chaos_reign();
        self.end_well();
    }

    /// The first phase goes on for its time, or until enough has happened.
    pub(super) fn let_chaos_reign(&mut self) {
        let end = self.options.chaos_ms * 1_000;
        self.at(end, Happening::Nothing);
        while self.now < end && self.steps() < self.options.chaos_events && self.step() {}
    }

    /// The first phase begins: hosts start, and anything goes.
    pub fn begin_chaos(&mut self) {
        for host in 0..self.hosts.len() {
            let at = self.dice.between(0, self.options.start_within_ms * 1_000);
            self.at(at, Happening::Start(host));
        }
        self.chaos = true;
        self.at(0, Happening::Chaos);
    }

    /// The second phase: faults stop, in some runs for a core quorum first; a live quorum has to get a server in time and come to rest; then all leave.
    pub fn end_well(&mut self) {
        if self.wrong.is_some() {
            return;
        }
        self.expect_a_core();
        if self.wrong.is_some() {
            return;
        }
        self.calm();
        if self.raise_a_quorum() {
            self.expect_convergence();
            if self.is_of_2019() {
                // They are known not to come to rest, and leaving is not part of the comparison.
                return;
            }
            self.expect_calm();
            self.expect_everybody_leaves();
        }
    }

    /// Faults stop. What they have damaged stays damaged.
    pub fn calm(&mut self) {
        self.stop_faults(Phase::All);
        self.heal();
        for host in 0..self.hosts.len() {
            self.mend(host);
        }
        self.settle();
    }

    /// No new ones come.
    pub(super) fn stop_faults(&mut self, phase: Phase) {
        match phase {
            Phase::Core => note!(self, "run", "faults stop for a core quorum"),
            Phase::All => {
                note!(self, "run", "faults stop");
                self.shoot(|| Shot::Calm);
            }
        }
        self.chaos = false;
        self.course.calm_at = self.now;
        self.options.disk = DiskProfile {
            split_ppm: self.options.disk.split_ppm,
            ..DiskProfile::healthy(self.options.disk.latency)
        };
        self.options.fence = FenceProfile::reliable(self.options.fence.kind, self.options.fence.delay);
        // Whoever is fenced from now on comes back.
        self.options
            .restart_after
            .get_or_insert(super::options::Span(500_000, 2_000_000));
    }

    /// What is wrong with this host is over.
    pub(super) fn mend(&mut self, host: usize) {
        let machine = &mut self.hosts[host];
        (
            machine.freeze_in_write,
            machine.crash_in_write,
            machine.tear_next_write,
        ) = (false, false, false);
        (machine.crash_in_super, machine.plot) = (None, None);
        machine.path = Path::Fine;
        self.resume(host);
        // One that was cut from the disk for good has to be mounted anew, by an operator.
        if let Some(proc) = self.process_on(host).filter(|&proc| self.procs[proc].cut) {
            self.crash_process(proc);
        }
    }

    /// Voters that have to mean to stay.
    fn voters_needed(&self) -> usize {
        let quorum = usize::from(self.options.quorum_count);
        match self.options.unreachable {
            None => quorum,
            // The others have to be able to do without it.
            Some(_) => self.options.voters.max(quorum),
        }
    }

    /// Voters that live and mean to stay.
    fn voters_here(&self) -> usize {
        (0..self.options.voters)
            .filter(|&host| self.is_here(host))
            .count()
    }

    /// Starts voters until enough of them live, and perhaps some more. False if there are too few on paper.
    fn raise_a_quorum(&mut self) -> bool {
        let voters = self.options.voters;
        let needed = self.voters_needed();
        if needed > voters {
            self.course.no_quorum_possible = true;
            return false;
        }
        let mut hosts: Vec<usize> = (0..self.hosts.len()).collect();
        self.dice.shuffle(&mut hosts);
        let extra = self.dice.below((voters - needed) as u64 + 1) as usize;
        for host in hosts {
            let wanted = if host < voters {
                self.voters_here() < needed + extra
            } else {
                self.dice.one_in(2)
            };
            if wanted && self.process_on(host).is_none() {
                self.restart(host);
            }
        }
        self.course.voters_leave = self.voters_here() < needed;
        true
    }

    /// Whether another voter has to start where one has left: others were leaving, too, and too few would stay.
    pub(super) fn misses_voters(&self) -> bool {
        self.course.voters_leave && self.voters_here() < self.voters_needed()
    }

    /// Whether a process runs there that means to stay.
    pub(super) fn is_here(&self, host: usize) -> bool {
        self.process_on(host)
            .is_some_and(|proc| !self.procs[proc].unmounting)
    }

    /// Runs until this holds; without progress if it does not within the patience of the world.
    pub fn run_until_holds(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> bool {
        self.run_until_so(what, |world| holds(world))
    }

    /// The same; whoever looks may take notes.
    pub(super) fn run_until_so(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + self.patience();
        self.at(end, Happening::Nothing);
        for round in 0_u64.. {
            // A world of many hosts is long in looking at, and does not change much from step to step.
            let looks = round.is_multiple_of(1 + self.hosts.len() as u64) || self.now >= end;
            if looks && holds(self) {
                return true;
            }
            if self.now >= end {
                let state = self.describe();
                stall!(
                    self,
                    "{what} did not come about in {} ms: {state}",
                    self.patience() / 1_000
                );
            }
            if !self.step() {
                return false;
            }
        }
        false
    }

    pub(super) fn expect_convergence(&mut self) {
        self.run_until_so("a server with all its clients", |world| {
            let converged = world.is_converged();
            world.judge_time(converged);
            converged
        });
    }

    /// Whether there is a server that everybody who means to stay is connected to, and the others have gone, or are
    /// connected and held back because too few voters would stay.
    pub fn is_converged(&self) -> bool {
        let Some(server) = self.server().and_then(|host| self.serves(host)) else {
            return false;
        };
        let staying = self.check.records.values().filter(|record| {
            let here = self.by_rid.get(&record.rid).map(|&proc| &self.procs[proc]);
            record.voter && here.is_some_and(|proc| !proc.dead && !proc.unmounting)
        });
        let held = staying.count() < usize::from(self.options.quorum_count);
        let processes = self.hosts.iter().filter_map(|host| host.process.as_ref());
        processes.map(|process| &self.procs[process.id]).all(|proc| {
            let settled = !proc.unmounting || (held && proc.voter);
            let recorded = self.is_of_2019() || self.check.record(proc.rid).is_some();
            settled && proc.connected == Some(server) && recorded
        })
    }

    /// Whether there is nothing left to do: nothing has been fenced for longer than it takes until the next ghost's turn comes,
    /// and nobody is withdrawing any more. (Who gave up writes a block of each look until the region says so. That is a hundred
    /// looks or more, and one of a slow disk that gives a block at a time takes half a second.)
    pub(super) fn is_settled(&self) -> bool {
        if self.now - self.check.stood_at < 4 * self.options.cycle() {
            return false;
        }
        let quiet_for = self.now - self.check.fenced_at.max(self.disturbed);
        self.is_converged() && quiet_for > GHOST_FENCE_WAIT.0 + self.settling_time()
    }

    /// Time in which a server finds out who is not going to come back.
    fn settling_time(&self) -> Time {
        (self.options.recovery_ms + self.options.silence_max_ms) * 1_000 + 2_000_000
    }

    /// A healed world comes to rest, and stays as it is: no elections, no fences, no I/O but the server's.
    fn expect_calm(&mut self) {
        if self.wrong.is_some() {
            return;
        }
        self.run_until(self.now + self.settling_time());
        self.run_until_holds("rest", Self::is_settled);
        if self.wrong.is_some() {
            return;
        }
        let (elected, fences) = (self.check.counts.elected, self.check.counts.fences);
        let server = self.server();
        let requests: Vec<u64> = self.procs.iter().map(|proc| proc.requests).collect();
        self.run_until(self.now + WATCH);
        if self.wrong.is_some() {
            return;
        }
        if !self.is_converged() || elected != self.check.counts.elected || fences != self.check.counts.fences
        {
            let state = self.describe();
            stall!(self, "a calm and healthy world did not stay as it was: {state}");
        }
        for (id, before) in requests.into_iter().enumerate() {
            let proc = &self.procs[id];
            if Some(proc.host) != server && proc.requests != before {
                let (name, io) = (proc.name.clone(), proc.requests - before);
                stall!(
                    self,
                    "{name} does not serve and made {io} disk requests in a calm world"
                );
            }
        }
        if let Some(proc) = self
            .procs
            .iter()
            .find(|proc| !proc.dead && !proc.asked.is_empty())
        {
            let name = proc.name.clone();
            stall!(self, "{name} was not answered");
        }
    }

    pub(crate) fn expect_everybody_leaves(&mut self) {
        if self.wrong.is_some() {
            return;
        }
        self.options.restart_after = None;
        let mut hosts: Vec<usize> = (0..self.hosts.len()).collect();
        self.dice.shuffle(&mut hosts);
        if let Some(host) = self.options.unreachable {
            // Whoever stays to the last has to be reached by the others.
            self.unmount(host);
            self.run_until(self.now + 1_000_000);
        }
        let hurry = self.dice.scattered(1, 500_000);
        for host in hosts {
            self.unmount(host);
            let until = self.now + self.dice.between(0, hurry);
            self.run_until(until);
        }
        let nobody = |world: &Self| world.hosts.iter().all(|host| host.process.is_none());
        if self.run_until_holds("the end of all mounts", nobody) {
            self.check_left_clean();
        }
    }

    /// After everybody has left: no server, no address, nobody in the table but those that died. Who gave up waiting at the end and
    /// said so may have left its ballot or its record: whoever mounts next clears that up.
    fn check_left_clean(&mut self) {
        let [first, second] = self.check.supers;
        let stopped = first == second
            && first.is_some_and(|state| {
                state.server_addr.is_none() && state.server.is_none_or(|ballot| state.fenced.covers(ballot))
            });
        let gave_up = |rid: Rid| {
            self.process_named(rid)
                .is_some_and(|proc| self.procs[proc].gave_up)
        };
        let left_behind = self.check.server.is_some_and(|server| gave_up(server.rid));
        if !stopped && !left_behind {
            violate!(
                self,
                "all have left, and the super block says {first:?} and {second:?}"
            );
        }
        let ghost = self.check.records.values().find(|record| {
            let proc = &self.procs[self.by_rid[&record.rid]];
            record.barrier >= self.check.barrier && !record.evicted && proc.ended.is_some() && !proc.gave_up
        });
        if let Some(record) = ghost {
            let name = self.procs[self.by_rid[&record.rid]].name.clone();
            violate!(self, "all have left, and {name} is still in the table");
        }
    }

    /// Who is what, in one line.
    pub fn describe(&self) -> String {
        let server = self.server().map(|host| self.hosts[host].name.clone());
        let mut text = format!(
            "server {server:?} ({:?}, fenced {})",
            self.check.server, self.check.fenced
        );
        for host in &self.hosts {
            let Some(process) = &host.process else { continue };
            let proc = &self.procs[process.id];
            text += &format!("; {} {}", proc.name, proc.rid);
            text += &proc
                .connected
                .map_or(String::from(" not connected"), |server| format!(" to {server}"));
            for (flag, name) in [
                (process.paused, " paused"),
                (proc.unmounting, " unmounting"),
                (proc.cut, " cut"),
                (proc.turned_down, " turned down"),
            ] {
                text += if flag { name } else { "" };
            }
        }
        text
    }
}
