//! How long a healed world may take. Virtual time, so that a busy machine changes nothing.

use ostrakon_core::bounds::EVICTED_FAREWELL_TIME;
use ostrakon_core::time::Duration;

use super::clock::Time;
use super::host::ProcId;
use super::options::{Options, Silence};
use super::world::{Happening, World, stall};

/// For what does not depend on how a world was made: a doorbell may have backed off to half of it.
const GRACE: Time = 60_000_000;

/// By so much the timers of a process that leaves may be late, all together.
const SCHEDULERS: Time = 200_000;

impl Options {
    /// The longest time in which all of the region is read once.
    pub(super) fn cycle(&self) -> Time {
        let requests = 3 + 64 / u64::from(self.transfer_blocks);
        self.disk.latency.1 * requests
    }

    /// How long a leader that promised a lease may have to be waited for.
    fn lease_ms(&self) -> u64 {
        match self.silence {
            Silence::Fence => 0,
            Silence::Lease(ms) | Silence::Both(ms) => ms + self.write_time_max_ms,
        }
    }

    /// Time in which a live quorum has a server when faults have stopped: twice what the slowest of 10,000 runs took, whose disk is
    /// slow and gives one block at a time, or whose fences take as long as W.
    pub fn time_to_server(&self) -> Time {
        let waits = 4 * self.write_time_max_ms + 3 * self.silence_max_ms + self.fence_time_max_ms;
        GRACE + (waits + 2 * self.lease_ms()) * 1_000 + 25 * self.cycle() + 6 * self.fence.delay.1
    }

    /// Time in which a process that was told to leave has ended, if that was not to wait for ever: once for the farewell, once for
    /// what it has to wind up, and what it waits for if it hears meanwhile that it was evicted. Clocks may run slow, schedulers late.
    pub(super) fn time_to_leave(&self) -> Option<Time> {
        let once = self.unmount_time_max_ms? * 1_000;
        let all = 2 * once + EVICTED_FAREWELL_TIME.0;
        Some(all + all / 1_000 + SCHEDULERS)
    }

    /// Time in which everybody is connected to it. A leader whose address is bad yields to another one first.
    pub fn time_to_connect(&self) -> Time {
        self.time_to_server() + GRACE + 2 * self.recovery_ms * 1_000
    }
}

impl World {
    /// Virtual time after which a world is given up whatever it waits for: until it has come to rest, until all have left, or until
    /// a verb of a scenario has come true. A doorbell may have backed off to 30 s; a voter's place comes back when its ghost was
    /// fenced (tried every 30 s) or silent for two minutes; and each of the other time-outs may have to pass a few times.
    pub fn patience(&self) -> Time {
        let options = &self.options;
        let waits = 8 * options.write_time_max_ms + 6 * options.silence_max_ms + 4 * options.recovery_ms;
        (200_000 + waits + 4 * options.fence_time_max_ms + 6 * options.lease_ms()) * 1_000
            + 400 * options.cycle()
            + 10 * options.fence.delay.1
            + 5 * options.hosts() as u64 * options.net.delay.1
    }

    /// Takes note of the first server and of the moment when this holds for the first time, and judges how long that takes.
    pub(super) fn judge_time(&mut self, connected: bool) {
        let after = self.now - self.course.calm_at;
        if self.server().is_some() {
            self.course.to_server.get_or_insert(after);
        }
        if connected {
            self.course.to_connect.get_or_insert(after);
        }
        // The 2019 rules promise nothing of that kind. And no time is stated for a voter whose place is held by a ghost, which
        // has to be fenced or forgotten first.
        if self.is_of_2019() || self.waits_for_a_place() {
            return;
        }
        let (server, all) = (self.options.time_to_server(), self.options.time_to_connect());
        if self.course.to_server.unwrap_or(after) > server {
            self.too_late("no server", server);
        } else if self.course.to_connect.unwrap_or(after) > all {
            self.too_late("not everybody is connected to the server", all);
        }
    }

    /// A process is told to leave: from now on it has its time for that.
    pub(super) fn expect_leaving_in_time(&mut self, proc: ProcId) {
        if let Some(time) = self.options.time_to_leave().filter(|_| !self.is_of_2019()) {
            self.after(time, Happening::TimeToHaveLeft(proc));
        }
    }

    /// Whether this process has waited for as long as it waits, so that it may go without having wound up everything, as one that dies.
    pub(super) fn has_waited_enough(&self, proc: ProcId) -> bool {
        let Some(most) = self.options.unmount_time_max_ms else {
            return false;
        };
        let proc = &self.procs[proc];
        let now = self.hosts[proc.host].clock.local(self.now);
        let waited = proc.told_to_leave.map(|told| now.since(told));
        waited.is_some_and(|waited| waited >= Duration::from_millis(most))
    }

    /// Its time is over, unless it did not run all the while.
    pub(super) fn judge_leaving(&mut self, proc: ProcId) {
        let Some(time) = self.options.time_to_leave().filter(|_| !self.procs[proc].dead) else {
            return;
        };
        let due = self.procs[proc].runs_since + time;
        if !self.is_running(proc) {
            self.after(time, Happening::TimeToHaveLeft(proc));
        } else if self.now < due {
            self.at(due, Happening::TimeToHaveLeft(proc));
        } else {
            let name = self.procs[proc].name.clone();
            stall!(
                self,
                "{name} was told to leave, and has not ended {} ms later",
                time / 1_000
            );
        }
    }

    fn too_late(&mut self, what: &str, limit: Time) {
        let state = self.describe();
        stall!(
            self,
            "{what} within {} ms of the end of the faults: {state}",
            limit / 1_000
        );
    }

    /// Whether a voter lives that the server had no place for.
    fn waits_for_a_place(&self) -> bool {
        let mut live = self.hosts.iter().filter_map(|host| host.process.as_ref());
        live.any(|process| self.procs[process.id].turned_down)
    }
}
