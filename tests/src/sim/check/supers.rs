//! Checks of the super block: who writes it, when, and that nothing in it goes back.

use std::net::SocketAddr;

use ostrakon_core::format::{SUPER_COPIES, SuperBlock};
use ostrakon_core::ids::Ballot;

use crate::sim::checksum::checksum;
use crate::sim::disk::Area;
use crate::sim::host::ProcId;
use crate::sim::world::{World, violate};

impl World {
    /// A super block write is issued: every predecessor has to be silent before the first of a ballot (R7, R8).
    pub(super) fn super_submitted(&mut self, proc: ProcId, copy: usize, bytes: &[u8]) {
        let name = self.procs[proc].name.clone();
        let state = match SuperBlock::decode(bytes, SUPER_COPIES[copy], Some(self.volume), checksum) {
            Ok(state) => state,
            Err(error) => return violate!(self, "{name} writes an invalid super block: {error}"),
        };
        let Some(ballot) = state.server.filter(|ballot| ballot.rid == self.procs[proc].rid) else {
            return violate!(self, "{name} writes a super block that names {:?}", state.server);
        };
        let Some(leader) = self.check.leaders.get_mut(&ballot) else {
            return violate!(
                self,
                "{name} writes the super block, but never won under {ballot}"
            );
        };
        let (sealed, gave_up) = (leader.sealed, leader.gave_up);
        let first = !std::mem::replace(&mut leader.issued, true);
        let newer = self.check.server.filter(|&newest| newest > ballot);
        if let (Some(newer), false) = (newer, self.procs[proc].cut) {
            violate!(
                self,
                "{name} writes the super block under {ballot}, but {newer} has taken over"
            );
        } else if !sealed || gave_up {
            violate!(
                self,
                "{name} writes the super block under {ballot}: sealed {sealed}, given up {gave_up}"
            );
        } else if first {
            self.check_predecessors(&name, ballot);
        }
    }

    /// Whether this is a super block that says that its server has stopped (R9).
    pub(super) fn says_stopped(&self, area: Area, bytes: &[u8]) -> bool {
        let Area::Super(copy) = area else { return false };
        let state = SuperBlock::decode(bytes, SUPER_COPIES[copy], Some(self.volume), checksum);
        state.is_ok_and(|state| state.server.is_some_and(|ballot| state.fenced.covers(ballot)))
    }

    fn check_predecessors(&mut self, name: &str, ballot: Ballot) {
        let earlier = self.check.leaders.range(..ballot);
        let mut loud = earlier.filter(|(_, leader)| leader.issued && !self.is_silent(leader));
        if let Some((&loud, leader)) = loud.next_back() {
            let other = self.procs[leader.proc].name.clone();
            violate!(
                self,
                "{name} takes over under {ballot}, but {other} is not silent under {loud} (R7)"
            );
        }
    }

    pub(super) fn super_landed(&mut self, proc: ProcId, copy: usize, damaged: bool) {
        let before = self.check.supers;
        self.look_at_super(copy);
        self.check_newest(proc);
        let Some(state) = self.check.supers[copy] else {
            if !damaged {
                violate!(self, "{} left an invalid super block", self.procs[proc].name);
            }
            return;
        };
        if damaged && before[copy] == Some(state) {
            // Only sectors of the torn write landed in which the two do not differ.
            return;
        }
        self.check_super_order(proc, before, &state);
        self.check.fenced = self.check.fenced.max(state.fenced);
        self.check.server = self.check.server.max(state.server);
        if state.unmount_barrier > self.check.barrier {
            self.barrier_rises(state.unmount_barrier);
        }
        self.note_clean_stop();
        self.check_rights();
        self.shoot_super();
    }

    /// Whatever becomes of a write, the newest state stays in one copy: the device opens, and what it says of itself
    /// does not go back.
    fn check_newest(&mut self, proc: ProcId) {
        let newest = self.check.super_block().map_or(0, |state| state.seq);
        let before = std::mem::replace(&mut self.check.newest_seq, newest);
        if newest < before {
            let name = &self.procs[proc].name;
            violate!(
                self,
                "a write of {name} has lost state {before} of the super block: the newest is {newest} (R8)"
            );
        }
    }

    /// Decodes a copy as it stands.
    pub(in crate::sim) fn look_at_super(&mut self, copy: usize) {
        let at = SUPER_COPIES[copy];
        let bytes = self.device.blocks(at.0, 1);
        let _known = self.device.lend_known();
        let decoded = SuperBlock::decode(bytes, at, Some(self.volume), checksum).ok();
        self.check.supers[copy] = decoded.filter(|_| !self.device.is_bad(at.0, 1));
    }

    fn check_super_order(&mut self, proc: ProcId, before: [Option<SuperBlock>; 2], state: &SuperBlock) {
        let check = &self.check;
        let newest = before.iter().flatten().max_by_key(|copy| copy.seq);
        let fixed = |copy: &SuperBlock| (copy.volume, copy.quorum_count, copy.geometry, copy.key);
        let own_addr = state
            .server
            .and_then(|ballot| self.by_rid.get(&ballot.rid))
            .map(|&server| self.hosts[self.procs[server].host].addr);
        let stopped = state.server.is_some_and(|ballot| state.fenced.covers(ballot));
        let wrong = match newest {
            Some(newest) if state.seq < newest.seq => Some("its sequence number goes back"),
            Some(newest) if state.seq == newest.seq && state != newest => Some("two states share a number"),
            Some(newest) if state.seq > newest.seq + 1 => Some("its sequence number skips one"),
            Some(newest) if fixed(newest) != fixed(state) => Some("what format fixed has changed"),
            _ if state.fenced < check.fenced => Some("fenced goes back"),
            _ if state.server < check.server => Some("the server goes back: a newer one had taken over"),
            _ if state.unmount_barrier < check.barrier => Some("the barrier goes back"),
            _ if state.unmount_barrier > check.barrier + 1 => Some("the barrier skips one"),
            _ if state.server_addr.is_some() && state.server_addr != own_addr => {
                Some("the address is not the server's")
            }
            _ if stopped && state.server_addr.is_some() => Some("a server that stopped has an address"),
            _ => None,
        };
        if let Some(wrong) = wrong {
            let name = &self.procs[proc].name;
            violate!(
                self,
                "{name} wrote a super block: {wrong}: {before:?}, now {state:?}"
            );
        }
    }

    /// A stop is clean when both copies say so (R7, R9).
    fn note_clean_stop(&mut self) {
        let [Some(first), Some(second)] = self.check.supers else {
            return;
        };
        let Some(ballot) = first.server.filter(|_| first == second) else {
            return;
        };
        let Some(leader) = self.check.leaders.get_mut(&ballot) else {
            return;
        };
        if first.fenced.covers(ballot) {
            leader.stopped_at = leader.stopped_at.or(Some(self.now));
        }
    }

    /// The super block has changed: nobody else may have the right to act under what it has passed.
    fn check_rights(&mut self) {
        let Some(newest) = self.check.server else { return };
        let late = self.hosts.iter().find_map(|host| {
            let process = host.process.as_ref()?;
            let ballot = process.mount.right(host.clock.local(self.now))?;
            (ballot < newest && !self.procs[process.id].cut).then_some((process.id, ballot))
        });
        if let Some((proc, ballot)) = late {
            let name = self.procs[proc].name.clone();
            violate!(
                self,
                "{newest} takes over while {name} may act under {ballot}: two unfenced servers"
            );
        }
    }

    /// Only a leader whose first update of the super block stands in both copies writes anything else.
    pub(super) fn check_leads(&mut self, proc: ProcId, what: &str) {
        let rid = self.procs[proc].rid;
        let named = |copy: &Option<SuperBlock>| {
            copy.is_some_and(|copy| copy.server.is_some_and(|ballot| ballot.rid == rid))
        };
        // A copy that has rotted since does not count against the leader.
        let leads = self.check.supers.iter().any(named)
            && self.check.supers.iter().all(|copy| copy.is_none() || named(copy));
        if !leads && !self.procs[proc].cut {
            let name = &self.procs[proc].name;
            violate!(
                self,
                "{name} writes {what}, but the super block is {:?}",
                self.check.supers
            );
        }
    }

    pub(super) fn serving(&mut self, proc: ProcId, ballot: Ballot, addr: SocketAddr) {
        self.check.counts.served += 1;
        if let Some(leader) = self.check.leaders.get_mut(&ballot) {
            leader.serving = true;
        }
        let published = self
            .check
            .super_block()
            .is_some_and(|state| state.server == Some(ballot) && state.server_addr == Some(addr));
        let listens = self.net.listener(addr) == Some(proc);
        if !self.procs[proc].cut && (!published || !listens) {
            let name = &self.procs[proc].name;
            violate!(
                self,
                "{name} says that it serves: published {published}, listens {listens}"
            );
        }
    }
}
