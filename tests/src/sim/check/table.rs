//! Checks of the client table: the durable acknowledgement of every mount and unmount.

use std::collections::BTreeMap;

use ostrakon_core::format::wire::Status;
use ostrakon_core::format::{CLIENTS_PER_BLOCK, ClientRecord, TableBlock};
use ostrakon_core::ids::{Ballot, BlockNo, Rid};

use super::TableCopy;
use crate::sim::checksum::checksum;
use crate::sim::disk::Path;
use crate::sim::host::ProcId;
use crate::sim::world::{World, violate};

impl World {
    pub(super) fn table_landed(&mut self, proc: ProcId, block: usize, copy: usize, damaged: bool) {
        if !damaged
            && !self.procs[proc].cut
            && self
                .check
                .server
                .is_none_or(|ballot| ballot.rid != self.procs[proc].rid)
        {
            let name = &self.procs[proc].name;
            violate!(
                self,
                "a table write of {name} lands, but the server is {:?}",
                self.check.server
            );
        }
        for record in self.look_at_table(block, copy) {
            self.check_taken_out(&record);
        }
        if !damaged && self.check.table[block][copy].is_none() {
            violate!(
                self,
                "{} left an invalid table block {block}",
                self.procs[proc].name
            );
        }
    }

    /// A server has deleted this record, or marked it as evicted: its mount leaves, or was evicted, as the server said before
    /// it wrote, or the barrier has released it.
    fn check_taken_out(&mut self, record: &ClientRecord) {
        let released = record.barrier < self.check.barrier;
        let Some(&id) = self.by_rid.get(&record.rid) else {
            return;
        };
        let proc = &self.procs[id];
        if !proc.unmounting && !proc.evicted && !released {
            let name = proc.name.clone();
            violate!(
                self,
                "{name} was taken out of the table, and neither leaves nor was evicted"
            );
        }
    }

    /// Decodes a copy of a table block as it stands, and finds out who came and who went. Returns the records of those who
    /// went.
    pub(in crate::sim) fn look_at_table(&mut self, block: usize, copy: usize) -> Vec<ClientRecord> {
        let geometry = self.device.geometry();
        let at =
            BlockNo(geometry.clients.0 + block as u64 + copy as u64 * u64::from(geometry.clients_blocks));
        let known = self.device.lend_known();
        let decoded = TableBlock::decode(self.device.blocks(at.0, 1), at, self.volume, checksum);
        let before = newest(&self.check.table[block]);
        self.check.table[block][copy] = decoded.ok().map(|decoded| TableCopy {
            seq: decoded.seq,
            records: (0..CLIENTS_PER_BLOCK)
                .filter_map(|index| decoded.record(index))
                .collect(),
        });
        drop(known);
        let after = newest(&self.check.table[block]);
        if self.check.table[block].iter().all(Option::is_none) {
            violate!(self, "both copies of table block {block} are lost");
        }
        for (rid, record) in before.iter().filter(|(rid, _)| !after.contains_key(rid)) {
            self.check.records.remove(rid);
            // Who was evicted was judged then; now it has given its place back.
            if !record.evicted {
                self.record_gone(*rid);
            }
        }
        let mut gone: Vec<_> = before.into_values().filter(|record| !record.evicted).collect();
        gone.retain(|record| after.get(&record.rid).is_none_or(|after| after.evicted));
        for (rid, record) in after {
            self.record_stands(rid, record);
        }
        gone
    }

    fn record_stands(&mut self, rid: Rid, record: ClientRecord) {
        let before = self.check.records.insert(rid, record);
        self.check.recorded.insert(rid);
        let Some(&id) = self.by_rid.get(&rid) else {
            return violate!(self, "the table holds {rid}, who never lived");
        };
        let proc = &self.procs[id];
        let counts = !record.evicted && record.barrier >= self.check.barrier;
        let released = proc.dead
            && matches!(
                proc.ended,
                Some(ostrakon_core::event::Unmounted::Farewell | ostrakon_core::event::Unmounted::Barrier)
            );
        if before.is_none() && released && counts {
            let name = proc.name.clone();
            violate!(self, "{name} left, and now it is in the table again");
        }
        if record.evicted && before.is_some_and(|before| !before.evicted) {
            self.record_gone(rid);
        }
    }

    /// A record was deleted, or marked as evicted.
    pub(in crate::sim) fn record_gone(&mut self, rid: Rid) {
        let Some(&id) = self.by_rid.get(&rid) else { return };
        let proc = &self.procs[id];
        let calm_for = self.now - self.hosts[proc.host].disturbed.max(self.disturbed);
        let patience = (self.options.recovery_ms + 2 * self.options.silence_max_ms) * 1_000 + 10_000_000;
        let healthy = self.is_running(id) && self.hosts[proc.host].path == Path::Fine && !proc.cut;
        let reachable = self.options.unreachable.is_none() && self.reaches_the_server(proc.host);
        if reachable && healthy && !proc.unmounting && proc.was_connected && calm_for > patience {
            let name = proc.name.clone();
            violate!(
                self,
                "{name} is mounted, healthy and undisturbed, and was taken out of the table"
            );
        }
    }

    /// Whether nothing is cut between this host and the one whose records these are: nobody else takes anybody out.
    fn reaches_the_server(&self, host: usize) -> bool {
        let server = self.check.server.and_then(|ballot| self.by_rid.get(&ballot.rid));
        server.is_none_or(|&server| {
            let server = self.procs[server].host;
            !self.net.is_out_of_reach(host, server)
        })
    }

    /// The barrier rises: everybody who is still in the table is released by it.
    pub(super) fn barrier_rises(&mut self, barrier: u64) {
        let released = |record: &&ClientRecord| {
            !record.evicted && record.barrier >= self.check.barrier && record.barrier < barrier
        };
        let unheard = self.check.records.values().filter(released).find_map(|record| {
            let proc = &self.procs[*self.by_rid.get(&record.rid)?];
            (!proc.unmounting && !proc.evicted && !proc.fenced).then(|| proc.name.clone())
        });
        self.check.barrier = barrier;
        if let Some(name) = unheard {
            violate!(
                self,
                "the barrier rises to {barrier} and releases {name}, who did not say farewell"
            );
        }
    }

    pub(crate) fn client_connected(&mut self, id: ProcId, server: Ballot) {
        let proc = &mut self.procs[id];
        proc.connected = Some(server);
        proc.was_connected |= !proc.unmounting;
        let rid = proc.rid;
        let (leaving, gone) = (proc.unmounting, proc.evicted || proc.unmounting);
        let name = proc.name.clone();
        // One that is leaving may greet a server that has forgotten it, or never knew it.
        if !self.check.recorded.contains(&rid) && !leaving {
            violate!(self, "{name} was told that it is mounted, but never had a record");
        } else if self.check.record(rid).is_none() && !gone && self.check.server == Some(server) {
            violate!(self, "{name} was told that it is mounted, but its record is gone");
        }
    }

    pub(super) fn client_evicted(&mut self, rid: Rid) {
        self.check.counts.evicted += 1;
        if let Some(&id) = self.by_rid.get(&rid) {
            self.procs[id].evicted = true;
        }
    }

    pub(super) fn answered(&mut self, id: ProcId, request: u64, status: Status, body: &[u8]) {
        let name = self.procs[id].name.clone();
        let Some(number) = self.procs[id].asked.remove(&request) else {
            return violate!(self, "{name} was answered what it did not ask: request {request}");
        };
        let right = number.wrapping_add(1).to_le_bytes();
        if status != Status::Ok || body != right {
            violate!(
                self,
                "{name} asked for {number} + 1 and was told {status:?} {body:?}"
            );
        }
    }
}

/// The records of a logical block: those of its newer valid copy.
fn newest(copies: &[Option<TableCopy>; 2]) -> BTreeMap<Rid, ClientRecord> {
    let newest = copies.iter().flatten().max_by_key(|copy| copy.seq);
    let records = newest.into_iter().flat_map(|copy| copy.records.iter());
    records.map(|record| (record.rid, *record)).collect()
}
