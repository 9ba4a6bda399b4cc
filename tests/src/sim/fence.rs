//! The fence service: what a leader's platform does to silence a predecessor, and what it says about it.

use ostrakon_core::fence::{FenceOutcome, FenceRequest};
use ostrakon_core::ids::Ballot;

use super::clock::Time;
use super::film::Shot;
use super::host::{ProcId, Stashed, host_id};
use super::options::FenceKind;
use super::trace::note;
use super::world::{Happening, World, violate};

/// Something that the fence service does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FenceStep {
    /// Acts on the victim, on behalf of a process.
    Act(ProcId, Ballot),
    /// Tells a process what became of its request.
    Report(ProcId, Ballot, FenceOutcome),
}

impl World {
    /// A process asks for a fence.
    pub(crate) fn fence_request(&mut self, by: ProcId, request: &FenceRequest) {
        let victim = request.victim.ballot;
        note!(
            self,
            &self.procs[by].name,
            "asks to fence {victim}, attempt {}",
            request.attempt
        );
        if !self.is_of_2019() {
            self.check_fence_request(by, request);
        }
        let profile = self.options.fence;
        let limit: Time = self.options.fence_time_max_ms * 1_000;
        let delay = profile.delay.draw(&mut self.dice);
        let report = delay + profile.report.draw(&mut self.dice);
        let refused = self.dice.chance(profile.refuse_ppm);
        let hangs = self.dice.chance(profile.hang_ppm);
        let false_alarm = self.dice.chance(profile.false_alarm_ppm);
        if !refused {
            self.after(delay, Happening::Fence(FenceStep::Act(by, victim)));
        }
        let confirmed = !refused && !hangs && !false_alarm && report <= limit;
        let (after, outcome) = match confirmed {
            true => (report, FenceOutcome::Done),
            false if hangs => (limit, FenceOutcome::Failed),
            false => (report.min(limit), FenceOutcome::Failed),
        };
        self.after(after, Happening::Fence(FenceStep::Report(by, victim, outcome)));
        if outcome == FenceOutcome::Failed && !refused && !hangs && !false_alarm {
            // It took longer than anybody waits, and says so when it is done.
            self.after(
                report,
                Happening::Fence(FenceStep::Report(by, victim, FenceOutcome::Done)),
            );
        }
    }

    /// The fence service does something.
    pub(crate) fn fence_step(&mut self, step: FenceStep) {
        match step {
            FenceStep::Act(by, victim) => self.act(by, victim),
            FenceStep::Report(by, victim, outcome) => {
                note!(
                    self,
                    &self.procs[by].name,
                    "hears of the fence of {victim}: {outcome:?}"
                );
                self.tell(by, Stashed::Fence(victim, outcome));
            }
        }
    }

    fn act(&mut self, by: ProcId, victim: Ballot) {
        let Some(&proc) = self.by_rid.get(&victim.rid) else {
            // Nobody ever had this rid: a torn log was believed.
            return;
        };
        let host = self.procs[proc].host;
        let own_machine = host == self.procs[by].host;
        self.count_fence(proc, victim);
        self.procs[proc].fenced = true;
        self.shoot(|| Shot::Fenced { by, victim: proc });
        match self.options.fence.kind {
            // Nobody shoots his own machine for what an earlier process of it did.
            FenceKind::PowerOff if !own_machine => {
                self.power_off(host);
            }
            FenceKind::KillProcess | FenceKind::PowerOff => self.crash_process(proc),
            FenceKind::CutDisk => {
                note!(self, &self.procs[proc].name, "is cut from the disk");
                self.procs[proc].cut = true;
                // Some time later an operator, or a watchdog, finds that it is of no use any more.
                let after = self.dice.scattered(10_000, 20_000_000);
                self.after(after, Happening::Reap(proc));
            }
        }
        // A3 and R7: nothing of the victim is under way any more when the fence is confirmed.
        self.drop_flights(proc);
    }

    /// What a log entry says of a machine has to be true, or the wrong one would be fenced.
    fn check_fence_request(&mut self, by: ProcId, request: &FenceRequest) {
        let entry = &request.victim;
        let Some(&proc) = self.by_rid.get(&entry.ballot.rid) else {
            violate!(
                self,
                "{} fences {}, who never lived",
                self.procs[by].name,
                entry.ballot
            );
            return;
        };
        let victim = &self.procs[proc];
        let host = &self.hosts[victim.host];
        if entry.host != host_id(victim.host) || entry.boot != victim.boot || entry.addr != host.addr {
            let name = victim.name.clone();
            violate!(self, "the log says of {name} what is not true: {entry:?}");
        } else if proc == by {
            violate!(self, "{} fences itself", self.procs[by].name);
        } else {
            self.check_victim(by, entry.ballot);
        }
    }
}
