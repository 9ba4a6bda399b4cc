//! What can be done to a world: the verbs that scenarios use and that chaos draws from. Each says whether it has changed
//! anything.

use ostrakon_core::bounds::{BLOCK_BYTES, REGION_BLOCKS};
use ostrakon_core::format::SUPER_COPIES;
use ostrakon_core::ids::BlockNo;

use super::clock::Time;
use super::disk::{Area, Path};
use super::film::Shot;
use super::host::{ProcId, Stashed};
use super::net::Guise;
use super::options::{Mischief, Silence};
use super::service::ADD_ONE;
use super::trace::note;
use super::world::{Happening, World};

impl World {
    /// Something goes wrong with this host (or is mended).
    fn disturb(&mut self, host: usize) {
        self.hosts[host].disturbed = self.now;
    }

    /// Something goes wrong with what all share.
    fn disturb_all(&mut self) {
        self.disturbed = self.now;
    }

    /// The process dies; its machine goes on and resets its connections.
    pub(crate) fn crash_process(&mut self, proc: ProcId) {
        self.kill(proc, false);
    }

    fn kill(&mut self, proc: ProcId, silent: bool) {
        let host = self.procs[proc].host;
        if self.process_on(host) != Some(proc) {
            return;
        }
        self.hosts[host].process = None;
        self.procs[proc].dead = true;
        self.procs[proc].connected = None;
        self.disturb_all();
        note!(
            self,
            &self.procs[proc].name,
            "{}",
            if silent { "loses power" } else { "crashes" }
        );
        self.shoot(|| Shot::Dies(proc, silent));
        self.abandon_conns(proc, silent);
        self.abandon_flights(proc);
        self.plan_restart(host);
    }

    pub(crate) fn plan_restart(&mut self, host: usize) {
        if let Some(span) = self.options.restart_after {
            let after = span.draw(&mut self.dice);
            self.after(after, Happening::Start(host));
        }
    }

    /// Starts a process on this host if none runs there; powers it on first.
    pub(crate) fn start_if_free(&mut self, host: usize) -> bool {
        let free = self.hosts[host].process.is_none();
        if free {
            self.disturb_all();
            self.start_process(host);
        }
        free
    }

    /// The process on this host dies, if there is one.
    pub fn crash(&mut self, host: usize) -> bool {
        let proc = self.process_on(host);
        if let Some(proc) = proc {
            self.crash_process(proc);
        }
        proc.is_some()
    }

    /// The machine loses its power: silence instead of resets.
    pub fn power_off(&mut self, host: usize) -> bool {
        if let Some(proc) = self.process_on(host) {
            self.kill(proc, true);
        }
        let had_power = std::mem::take(&mut self.hosts[host].power);
        if had_power {
            note!(self, &self.hosts[host].name, "has no power");
            self.disturb_all();
        }
        had_power
    }

    /// A new process, with a new rid, on a host that has none.
    pub fn restart(&mut self, host: usize) -> bool {
        self.start_if_free(host)
    }

    /// The process on this host stops running until it is resumed.
    pub fn pause(&mut self, host: usize) -> bool {
        self.disturb(host);
        let running = self.hosts[host]
            .process
            .as_mut()
            .filter(|process| !process.paused);
        let Some(process) = running else {
            return false;
        };
        process.paused = true;
        let id = process.id;
        note!(self, &self.procs[id].name, "is paused");
        self.shoot(|| Shot::Pauses(id));
        true
    }

    /// It runs again, and finds everything that reached it meanwhile.
    pub fn resume(&mut self, host: usize) -> bool {
        let Some(process) = &self.hosts[host].process else {
            return false;
        };
        let (proc, paused) = (process.id, process.paused);
        self.resume_process(proc);
        paused
    }

    pub(crate) fn resume_process(&mut self, proc: ProcId) {
        let host = self.procs[proc].host;
        self.disturb_all();
        let paused = |process: &mut Box<super::host::Process>| process.id == proc && process.paused;
        let Some(mut process) = self.hosts[host].process.take_if(paused) else {
            return;
        };
        note!(self, &self.procs[proc].name, "runs again");
        self.shoot(|| Shot::Resumes(proc));
        process.paused = false;
        self.procs[proc].runs_since = self.now;
        let held = process.held.take();
        // All that has come in is handed over before anything is polled: a time-out is judged last.
        let (offers, inputs): (Vec<_>, Vec<_>) = std::mem::take(&mut process.inbox)
            .into_iter()
            .partition(|what| matches!(what, Stashed::Offer(..)));
        self.put_process(host, process);
        if let Some((request, bytes)) = held {
            self.submit(proc, request, &bytes);
        }
        for what in offers {
            if let Stashed::Offer(key, end) = what {
                self.offer_end(key, end);
            }
        }
        for what in inputs {
            self.tell(proc, what);
        }
        self.touch(host);
    }

    /// The process is frozen between deciding on its next write and issuing it. Not under a lease: see the atlas.
    pub fn freeze_in_write(&mut self, host: usize) -> bool {
        self.disturb(host);
        let may = self.options.silence == Silence::Fence;
        let host = &mut self.hosts[host];
        may && !std::mem::replace(&mut host.freeze_in_write, true) && host.process.is_some()
    }

    /// The process crashes as soon as it has issued its next write.
    pub fn crash_in_write(&mut self, host: usize) -> bool {
        let host = &mut self.hosts[host];
        !std::mem::replace(&mut host.crash_in_write, true) && host.process.is_some()
    }

    /// Its next crash tears the writes that are under way then, as far as the budget allows.
    pub fn tear_next_write(&mut self, host: usize) {
        self.hosts[host].tear_next_write = true;
    }

    /// Nothing gets from one host to the other.
    pub fn cut_one_way(&mut self, from: usize, to: usize) -> bool {
        let whole = !self.net.is_cut(from, to);
        note!(
            self,
            "net",
            "from {} to {}: cut",
            self.hosts[from].name,
            self.hosts[to].name
        );
        self.net.set_cut(from, to, true);
        self.shoot(|| Shot::Link(from, to, true));
        self.disturb_all();
        whole
    }

    /// Nothing gets from either host to the other.
    pub fn cut_link(&mut self, a: usize, b: usize) -> bool {
        self.cut_one_way(a, b) | self.cut_one_way(b, a)
    }

    /// Nothing gets to this host or away from it.
    pub fn isolate(&mut self, host: usize) -> bool {
        let others = (0..self.hosts.len()).filter(|&other| other != host);
        others.fold(false, |cut, other| self.cut_link(host, other) | cut)
    }

    /// Every link is whole again, and everybody answers for itself.
    pub fn heal(&mut self) -> bool {
        let broken = !self.net.is_whole();
        if broken {
            note!(self, "net", "is whole again");
            for from in 0..self.hosts.len() {
                for to in 0..self.hosts.len() {
                    if self.net.is_cut(from, to) {
                        self.shoot(|| Shot::Link(from, to, false));
                    }
                    self.net.set_cut(from, to, false);
                }
            }
            for host in 0..self.hosts.len() {
                self.unmask(host);
            }
            self.disturb_all();
            self.wake_pipes();
        }
        broken
    }

    /// Every link between two of these hosts is whole again.
    pub fn heal_between(&mut self, hosts: &[usize]) {
        for &from in hosts {
            for &to in hosts {
                if self.net.is_cut(from, to) {
                    self.shoot(|| Shot::Link(from, to, false));
                }
                self.net.set_cut(from, to, false);
            }
            self.unmask(from);
        }
        self.disturb_all();
        self.wake_pipes();
    }

    /// The disk vanishes for one host: errors, or (`hangs`) no answers.
    pub fn lose_disk(&mut self, host: usize, hangs: bool) -> bool {
        self.set_path(host, if hangs { Path::Hanging } else { Path::Failing })
    }

    /// The disk is there again.
    pub fn find_disk(&mut self, host: usize) -> bool {
        self.set_path(host, Path::Fine)
    }

    fn set_path(&mut self, host: usize, path: Path) -> bool {
        note!(self, &self.hosts[host].name, "way to the disk: {path:?}");
        // A machine without power finds its way again when it starts.
        let power = self.hosts[host].power;
        let before = std::mem::replace(&mut self.hosts[host].path, path);
        self.shoot(|| Shot::Path(host, path == Path::Fine));
        self.disturb(host);
        self.disturb_all();
        power && before != path
    }

    /// A block of the region rots, or (`medium`) cannot be read, within the budget.
    pub fn rot_region(&mut self, medium: bool) -> bool {
        if (medium && self.is_of_2019()) || !self.spend_torn() {
            // The 2019 rules read the region whole, and never promised to survive a sector that cannot be read.
            return false;
        }
        let block = self.device.random_region_block(&mut self.dice);
        self.damage(block, medium);
        true
    }

    /// A copy of the super block rots, if both are valid, agree, and are not being written.
    pub fn rot_super(&mut self, medium: bool) -> bool {
        if self.is_of_2019() {
            // Has one copy, and never promised to survive that.
            return false;
        }
        let busy = self.is_written(|area| matches!(area, Area::Super(_)));
        let [Some(first), Some(second)] = self.check.supers else {
            return false;
        };
        let may = first == second && !busy;
        if may {
            let copy = self.dice.below(2) as usize;
            self.damage(SUPER_COPIES[copy].0, medium);
        }
        may
    }

    /// The older copy of a block of the table rots, if both are valid and neither is being written.
    pub fn rot_table(&mut self) -> bool {
        let block = self.dice.below(self.check.table.len() as u64) as usize;
        let busy = self.is_written(|area| matches!(area, Area::Table { .. }));
        let [Some(first), Some(second)] = &self.check.table[block] else {
            return false;
        };
        let older = usize::from(first.seq > second.seq);
        if !busy {
            let layout = self.device.geometry();
            let at = layout.clients.0 + block as u64 + older as u64 * u64::from(layout.clients_blocks);
            self.damage(at, false);
        }
        !busy
    }

    fn is_written(&self, kind: impl Fn(Area) -> bool) -> bool {
        let mut writes = self
            .flights
            .iter()
            .filter(|flight| flight.is_write && (flight.may_land() || !flight.answered));
        writes.any(|flight| kind(self.device.area(flight.target, flight.count)))
    }

    fn damage(&mut self, block: u64, medium: bool) {
        note!(
            self,
            "disk",
            "block {} {}",
            BlockNo(block),
            if medium { "is on bad medium" } else { "rots" }
        );
        if medium {
            self.device.spoil(block);
        } else {
            self.device.rot(block, &mut self.dice);
        }
        self.rotted(self.device.area(block, 1));
        self.disturb_all();
    }

    /// The clock jumps forward, if no write is under way anywhere and nobody promises a lease: see the atlas.
    pub fn jump_clock(&mut self, host: usize, by: Time) -> bool {
        let may = !self.options.silence.has_lease() && !self.is_written(|_| true);
        if may {
            note!(self, &self.hosts[host].name, "clock jumps by {by} us");
            self.hosts[host].clock.jump(self.now, by);
            self.disturb(host);
            self.disturb_all();
            self.touch(host);
        }
        may && self.process_on(host).is_some()
    }

    /// The process on this host begins to leave.
    pub fn unmount(&mut self, host: usize) -> bool {
        let Some(proc) = self.process_on(host).filter(|&proc| self.is_running(proc)) else {
            return false;
        };
        let stays = !std::mem::replace(&mut self.procs[proc].unmounting, true);
        if stays {
            note!(self, &self.procs[proc].name, "is told to leave");
            let now = self.hosts[host].clock.local(self.now);
            self.procs[proc].told_to_leave = Some(now);
            let mut process = self.take_process(host);
            process.mount.unmount(now);
            self.put_process(host, process);
            self.touch(host);
            self.expect_leaving_in_time(proc);
        }
        stays
    }

    /// The process on this host leaves by force.
    pub fn force(&mut self, host: usize) -> bool {
        let Some(proc) = self.process_on(host).filter(|&proc| self.is_running(proc)) else {
            return false;
        };
        note!(self, &self.procs[proc].name, "is told to leave by force");
        let forced = std::mem::replace(&mut self.procs[proc].forced, true);
        self.disturb_all();
        let now = self.hosts[host].clock.local(self.now);
        let mut process = self.take_process(host);
        process.mount.force(now);
        self.put_process(host, process);
        self.touch(host);
        !forced
    }

    /// The process on this host asks the service for a sum. False if it takes no request now.
    pub fn request(&mut self, host: usize) -> bool {
        let Some(proc) = self.process_on(host).filter(|&proc| self.is_running(proc)) else {
            return false;
        };
        let number = self.dice.any();
        let mut process = self.take_process(host);
        let id = process.mount.submit(ADD_ONE, &number.to_le_bytes());
        self.put_process(host, process);
        self.touch(host);
        if let Some(id) = id {
            note!(
                self,
                &self.procs[proc].name,
                "asks for {number} + 1 in request {}",
                id.0
            );
            self.procs[proc].asked.insert(id.0, number);
        }
        id.is_some()
    }

    /// Every connection of this host breaks.
    pub fn reset_connections_of(&mut self, host: usize) {
        note!(
            self,
            "net",
            "every connection of {} is reset",
            self.hosts[host].name
        );
        for (key, _) in self.net.conns_of(host) {
            self.reset_conn(key);
        }
        self.disturb_all();
    }

    /// A random connection breaks.
    pub fn reset_some_connection(&mut self) -> bool {
        let keys = self.net.keys();
        let key = self.dice.pick(&keys);
        if let Some(key) = key {
            note!(self, "net", "connection {key} is reset");
            self.reset_conn(key);
            self.disturb_all();
        }
        key.is_some()
    }

    /// Chaos strikes, and draws when it will strike again.
    pub(crate) fn strike(&mut self) {
        if !self.chaos {
            return;
        }
        let after = self.options.chaos.every.draw(&mut self.dice);
        self.after(after, Happening::Chaos);
        if let Some(index) = self.dice.weighted(&self.options.chaos.weights) {
            let mischief = Mischief::ALL[index];
            if !mischief.kills() || self.log_has_room() {
                let struck = self.do_mischief(mischief);
                self.check.counts.strikes += u64::from(struck);
            }
        }
    }

    /// False if that changed nothing: there is nobody there to be crashed, or nothing to be healed.
    fn do_mischief(&mut self, mischief: Mischief) -> bool {
        let hosts = self.hosts.len();
        let any = self.dice.below(hosts as u64) as usize;
        let other = self.dice.below(hosts as u64) as usize;
        let leader = self.server();
        match (mischief, leader) {
            (Mischief::Crash, _) => self.crash(any),
            (Mischief::CrashLeader, Some(leader)) => self.crash(leader),
            (Mischief::CrashInWrite, _) => {
                let target = self.leader_or(any);
                self.hosts[target].tear_next_write = self.dice.one_in(2);
                self.crash_in_write(target)
            }
            (Mischief::PowerOff, _) => self.power_off(any),
            (Mischief::Restart, _) => self.start_if_free(any),
            (Mischief::Pause, _) => self.pause_for_a_while(any),
            (Mischief::PauseLeader, Some(leader)) => self.pause_for_a_while(leader),
            (Mischief::FreezeInWrite, _) => {
                let target = self.leader_or(any);
                self.freeze_in_write(target)
            }
            (Mischief::Resume, _) => self.resume(any),
            (Mischief::Isolate, _) => self.isolate(any),
            (Mischief::IsolateLeader, Some(leader)) => self.isolate(leader),
            (Mischief::CutLink, _) if any != other && self.dice.one_in(2) => self.cut_link(any, other),
            (Mischief::CutLink, _) if any != other => self.cut_one_way(any, other),
            (Mischief::Heal, _) => self.heal(),
            (Mischief::ResetConnection, _) => self.reset_some_connection(),
            (Mischief::LoseDisk, _) => {
                let hangs = self.dice.one_in(2);
                self.lose_disk(any, hangs)
            }
            (Mischief::FindDisk, _) => self.find_disk(any),
            (Mischief::RotRegion, _) => self.rot_region(false),
            (Mischief::RotSuper, _) => self.rot_super(false),
            (Mischief::RotTable, _) => self.rot_table(),
            (Mischief::BadMedium, _) if self.dice.one_in(4) => self.rot_super(true),
            (Mischief::BadMedium, _) => self.rot_region(true),
            (Mischief::JumpClock, _) => {
                let by = self.dice.scattered(1_000, 3_600_000_000);
                self.jump_clock(any, by)
            }
            (Mischief::Stranger, _) => self.stranger(any, 1),
            (Mischief::Flood, _) => {
                let target = self.leader_or(any);
                self.stranger(target, 40)
            }
            (Mischief::Impostor, _) => {
                let target = self.leader_or(any);
                let guise = self.dice.pick(&Guise::ALL).unwrap_or(Guise::Mute);
                let after = self.dice.scattered(100_000, 20_000_000);
                let begins = !self.has_impostor(target) && self.impersonate(target, guise);
                if begins {
                    self.after(after, Happening::Unmask(target));
                }
                begins
            }
            (Mischief::Unmount, _) => self.unmount(any),
            (Mischief::Force, _) => self.force(any),
            (Mischief::Request, _) => self.request(any),
            (Mischief::CrashLeader | Mischief::PauseLeader | Mischief::IsolateLeader, None)
            | (Mischief::CutLink, _) => false,
        }
    }

    fn leader_or(&mut self, host: usize) -> usize {
        let leader = self.server().filter(|_| self.dice.one_in(2));
        leader.unwrap_or(host)
    }

    fn pause_for_a_while(&mut self, host: usize) -> bool {
        let ran = self.pause(host);
        if let Some(proc) = self.process_on(host) {
            let after = if self.dice.one_in(3) {
                self.dice.between(1_000_000, 20_000_000)
            } else {
                self.dice.scattered(1_000, 20_000_000)
            };
            self.after(after, Happening::Resume(proc));
        }
        ran
    }
}

/// What only a scenario does: it goes beyond what the atlas allows while anybody is mounted.
impl World {
    /// Every block of the quorum region turns to zeros.
    ///
    /// # Panics
    /// If anybody is mounted: no design survives that.
    pub fn erase_region(&mut self) {
        assert!(
            self.hosts.iter().all(|host| host.process.is_none()),
            "somebody is mounted"
        );
        note!(self, "disk", "the region is erased");
        let first = self.device.geometry().region.0;
        for index in 0..REGION_BLOCKS {
            self.device
                .write_sectors(first + index as u64, 0, &[0; BLOCK_BYTES]);
            self.rotted(Area::Region(index));
        }
    }
}
