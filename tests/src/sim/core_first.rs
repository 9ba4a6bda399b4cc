//! Faults stop for a quorum first, and not for the voters beside it: it has to do without them.

use std::fmt;

use super::dice::Dice;
use super::disk::Path;
use super::run::Phase;
use super::trace::note;
use super::world::{Happening, World};

/// What the voters beside the core are like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rest {
    /// As chaos has left them.
    AsTheyAre,
    /// Frozen.
    Frozen,
    /// Nothing gets to them or away from them.
    CutOff,
    /// The disk has vanished for them: errors, or (`true`) no answers.
    NoDisk(bool),
}

impl Rest {
    /// Whether they may still vote. Then they must not be a quorum of their own, which there can be if fewer votes than most elect.
    const fn may_vote(self) -> bool {
        matches!(self, Self::AsTheyAre | Self::CutOff)
    }
}

/// How faults stop for a core quorum first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoreFirst {
    /// What the others are like.
    pub rest: Rest,
    /// The voter that is taken first, if it can be; the next ones follow it.
    pub first: usize,
}

impl CoreFirst {
    /// Draws one for so many voters.
    pub(super) fn draw(dice: &mut Dice, voters: usize) -> Self {
        let hangs = dice.one_in(2);
        let kinds = [Rest::AsTheyAre, Rest::Frozen, Rest::CutOff, Rest::NoDisk(hangs)];
        Self {
            rest: dice.pick(&kinds).unwrap_or(Rest::Frozen),
            first: dice.below(voters as u64) as usize,
        }
    }
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsTheyAre => "as they are",
            Self::Frozen => "frozen",
            Self::CutOff => "cut off from the network",
            Self::NoDisk(false) => "without a disk, which answers with errors",
            Self::NoDisk(true) => "without a disk, which does not answer",
        })
    }
}

impl fmt::Display for CoreFirst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "faults stop first for a quorum from voter {} on, the others are {}",
            self.first, self.rest
        )
    }
}

impl World {
    /// Faults stop for a core quorum and the plain clients, if the run is to have that and there are voters beside the core. It has
    /// to get a server, and to be connected to it, in the time that a whole world has.
    pub(super) fn expect_a_core(&mut self) {
        let Some(plan) = self.options.core_first.filter(|_| !self.is_of_2019()) else {
            return;
        };
        let Some(core) = self.core(plan) else { return };
        self.course.core_first = true;
        self.stop_faults(Phase::Core);
        let clients = self.options.voters..self.hosts.len();
        let well: Vec<usize> = core.iter().copied().chain(clients).collect();
        self.heal_between(&well);
        for &host in &well {
            self.mend(host);
        }
        for host in (0..self.options.voters).filter(|host| !core.contains(host)) {
            self.spoil(host, plan.rest);
        }
        for &host in &core {
            self.restart(host);
        }
        self.settle();
        self.run_until_so("a server of the core with its clients", |world| {
            let served = core.iter().all(|&host| world.is_here(host)) && world.are_served(&well);
            world.judge_time(served);
            served
        });
        let course = &mut self.course;
        (course.core_to_server, course.core_to_connect) = (course.to_server.take(), course.to_connect.take());
    }

    /// As many voters as are needed, none of which is leaving; `None` if there are not so many, or none beside them.
    fn core(&self, plan: CoreFirst) -> Option<Vec<usize>> {
        let (voters, quorum) = (self.options.voters, usize::from(self.options.quorum_count));
        // Where one cannot be reached all the others are needed, and a little more time.
        if quorum >= voters || self.options.unreachable.is_some() {
            return None;
        }
        let size = match plan.rest.may_vote() {
            true => quorum.max(voters - quorum + 1),
            false => quorum,
        };
        let stays = |&host: &usize| self.process_on(host).is_none() || self.is_here(host);
        let all = (0..voters).map(|host| (host + plan.first) % voters);
        let core: Vec<usize> = all.filter(stays).take(size).collect();
        (core.len() == size && size < voters).then_some(core)
    }

    /// A voter beside the core.
    fn spoil(&mut self, host: usize, rest: Rest) {
        note!(self, &self.hosts[host].name, "is beside the core: {rest:?}");
        match rest {
            Rest::AsTheyAre => {}
            Rest::Frozen => {
                self.pause(host);
                let frozen = self.process_on(host);
                self.forget_plans(|plan| !matches!(plan, Happening::Resume(proc) if Some(*proc) == frozen));
            }
            Rest::CutOff => {
                self.isolate(host);
            }
            Rest::NoDisk(hangs) => {
                self.lose_disk(host, hangs);
            }
        }
    }

    /// Whether there is a server with a disk that a quorum of voters is connected to, and everybody on these hosts who means to stay. (A server
    /// beside the core, which has a quorum, need not step down for somebody whose link to it is still cut.)
    fn are_served(&self, hosts: &[usize]) -> bool {
        let Some(on) = self.server() else { return false };
        let server = self.serves(on);
        let is_cut = |host: usize| self.net.is_out_of_reach(host, on);
        // What has just been cut is not noticed at once.
        let connected = |host: usize| {
            let proc = self.process_on(host).map(|proc| &self.procs[proc]);
            let told =
                proc.is_some_and(|proc| proc.connected == server && self.check.record(proc.rid).is_some());
            told && !is_cut(host) && self.hosts[on].path == Path::Fine
        };
        let voters = (0..self.options.voters).filter(|&host| connected(host)).count();
        let mut staying = hosts.iter().filter(|&&host| self.is_here(host));
        voters >= usize::from(self.options.quorum_count)
            && staying.all(|&host| connected(host) || is_cut(host))
    }
}
