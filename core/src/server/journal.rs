//! The fence records: what this mount knows of fences and has not written yet, and the ring on the device where it goes.
//!
//! Nobody but the serving leader may write outside the region, so what happens on the way there waits in memory. A candidate
//! that dies on the way takes its records with it; its victims then still stand in the log, and whoever leads next silences
//! them again, or finds them marked as fenced, and leaves the records.

use super::table::Layout;
use crate::bounds::{
    BLOCK_BYTES, FENCE_BLOCKS, FENCES_WAITING_MAX, LOAD_RETRY_WAIT, LOAD_TRIES_MAX, VOTERS_MAX,
};
use crate::disk::{DiskError, DiskOutcome, DiskRequest, IoId};
use crate::event::Fault;
use crate::fence::FenceOutcome;
use crate::format::{
    ClientRecord, FenceMethod, FenceReason, FenceRecord, FenceResult, FenceWay, LogEntry, encode_fence,
    fence_number,
};
use crate::ids::{Ballot, BlockNo, Term};
use crate::time::{Duration, Instant};

/// The method that stands in the record of a fence that an earlier candidate had confirmed.
const BEFORE: &str = "by a predecessor";

/// How far a record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stand {
    /// The platform was asked and has not answered.
    Asked,
    /// Counts clients that are evicted one after the other; to be written when that is over.
    Open,
    /// To be written.
    Due,
    /// Is being written.
    Writing,
}

#[derive(Clone, Debug)]
struct Waiting {
    record: FenceRecord,
    stand: Stand,
    /// Its block could not be written; another one is tried.
    failed: bool,
}

/// What a completion meant.
pub(super) enum Recorded {
    Fine,
    /// The ring cannot be read: what waited is given up.
    ReadFailed(Fault),
    /// A block could not be written, and may still be. No decision rests on a record, so that no server ends for one.
    WriteFailed(Fault),
}

/// What waits to be written, and where it goes.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    waiting: heapless::Vec<Waiting, FENCES_WAITING_MAX>,
    unix_s: u64,
    issued: Option<(IoId, BlockNo, u32)>,
    /// Blocks of the ring that were read; all of them before the first record is written.
    read: u32,
    /// Blocks before this one are read one at a time, because a part with them has bad medium.
    single_before: u32,
    tries: u32,
    wait_until: Option<Instant>,
    /// The highest number in the ring, and the block behind it.
    newest: u64,
    next: u32,
}

impl Journal {
    pub(super) const fn new() -> Self {
        Self {
            waiting: heapless::Vec::new(),
            unix_s: 0,
            issued: None,
            read: 0,
            single_before: 0,
            tries: 0,
            wait_until: None,
            newest: 0,
            next: 0,
        }
    }

    /// A new reign: others may have written since.
    pub(super) fn begin(&mut self) {
        self.issued = None;
        (self.read, self.single_before, self.tries) = (0, 0, 0);
        self.wait_until = None;
        (self.newest, self.next) = (0, 0);
    }

    /// What time it is, for records.
    pub(crate) const fn set_unix_time(&mut self, unix_s: u64) {
        self.unix_s = unix_s;
    }

    /// Whether a record waits to be written or is being written.
    pub(super) fn is_due(&self) -> bool {
        let due = |waiting: &Waiting| matches!(waiting.stand, Stand::Due | Stand::Writing);
        self.waiting.iter().any(due)
    }

    /// When the next request is due, if it must wait.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.wait_until
    }

    pub(super) const fn is_outstanding(&self) -> bool {
        self.issued.is_some()
    }

    fn find(&mut self, term: Term, rid: crate::ids::Rid, why: FenceReason) -> Option<&mut Waiting> {
        let same = |record: &FenceRecord| (record.term, record.rid, record.why) == (term, rid, why);
        self.waiting.iter_mut().find(|waiting| same(&waiting.record))
    }

    /// Keeps a record; without room the newest one counts it.
    fn keep(&mut self, record: FenceRecord, stand: Stand) {
        if self.waiting.push(Waiting::new(record, stand)).is_err()
            && let Some(last) = self.waiting.last_mut()
        {
            last.count_another();
        }
    }

    /// The platform is asked to fence a mount.
    pub(crate) fn asked(&mut self, victim: &LogEntry, attempt: u32, by: Ballot) {
        // No election has term 0: such a victim is fenced for its voter's place.
        let why = match victim.ballot.term {
            Term(0) => FenceReason::Place,
            _ => FenceReason::Predecessor,
        };
        if let Some(waiting) = self.find(victim.ballot.term, victim.ballot.rid, why) {
            waiting.record.by = by;
            waiting.stand = Stand::Asked;
            return;
        }
        let mut record = of_entry(victim, by, why);
        if why == FenceReason::Place {
            record.attempts = attempt.saturating_sub(1);
        }
        self.keep(record, Stand::Asked);
    }

    /// The platform answered.
    pub(crate) fn answered(&mut self, victim: Ballot, outcome: FenceOutcome, method: FenceMethod) {
        let asked = |waiting: &Waiting| {
            waiting.stand == Stand::Asked
                && (waiting.record.term, waiting.record.rid) == (victim.term, victim.rid)
        };
        let unix_s = self.unix_s;
        let Some(index) = self.waiting.iter().position(asked) else {
            return;
        };
        let waiting = &mut self.waiting[index];
        waiting.stand = Stand::Due;
        let record = &mut waiting.record;
        record.unix_s = unix_s;
        record.method = method;
        record.attempts = record.attempts.saturating_add(1);
        record.result = match outcome {
            FenceOutcome::Done => FenceResult::Done,
            FenceOutcome::Failed => FenceResult::Failed,
        };
        // A place is tried for again and again: that must not push everything else out of the ring.
        let again = record.why == FenceReason::Place && record.result == FenceResult::Failed;
        if again && record.others == 0 && !record.attempts.is_power_of_two() {
            self.waiting.remove(index);
        }
    }

    /// The lease of a predecessor ran out.
    pub(crate) fn lapsed(&mut self, victim: &LogEntry, by: Ballot) {
        let mut record = of_entry(victim, by, FenceReason::Predecessor);
        record.how = FenceWay::Lease;
        self.silenced(record);
    }

    /// A candidate that never served had a predecessor fenced: its own record of that is gone with it.
    pub(crate) fn fenced_before(&mut self, victim: &LogEntry, by: Ballot) {
        let mut record = of_entry(victim, by, FenceReason::Predecessor);
        let own = self.find(record.term, record.rid, record.why);
        if own.is_some_and(|own| own.stand == Stand::Due && own.record.result == FenceResult::Done) {
            // That candidate was this mount, under an earlier ballot.
            return;
        }
        record.method = FenceMethod::of(BEFORE);
        self.silenced(record);
    }

    /// A predecessor is silent without a fence of this mount.
    fn silenced(&mut self, mut record: FenceRecord) {
        record.unix_s = self.unix_s;
        match self.find(record.term, record.rid, record.why) {
            Some(waiting) => {
                // What it counts of others it counts on.
                (record.attempts, record.others) = (waiting.record.attempts, waiting.record.others);
                *waiting = Waiting::new(record, Stand::Due);
            }
            None => self.keep(record, Stand::Due),
        }
    }

    /// A client did not return and is evicted. Plain clients share a record until [`close_shared`](Self::close_shared):
    /// thousands may go at once, and would leave nothing else in the ring.
    pub(super) fn evicted(&mut self, client: &ClientRecord, by: Ballot) {
        let shared = self.waiting.iter_mut().find(|waiting| {
            let record = &waiting.record;
            !client.voter && waiting.stand == Stand::Open && record.addr.is_none()
        });
        if let Some(shared) = shared {
            return shared.count_another();
        }
        let record = FenceRecord {
            term: Term(0),
            rid: client.rid,
            host: client.host,
            addr: client.addr.filter(|_| client.voter),
            by,
            unix_s: self.unix_s,
            attempts: 0,
            others: 0,
            why: FenceReason::Absent,
            how: FenceWay::Evicted,
            result: FenceResult::Done,
            method: FenceMethod::default(),
        };
        self.keep(record, if client.voter { Stand::Due } else { Stand::Open });
    }

    /// Nobody more is evicted for now: the record that those before share may be written.
    pub(super) fn close_shared(&mut self) {
        let open = self
            .waiting
            .iter_mut()
            .filter(|waiting| waiting.stand == Stand::Open);
        open.for_each(|waiting| waiting.stand = Stand::Due);
    }

    /// The next request: the ring is read once, then each record is written behind the newest.
    pub(super) fn poll_disk(
        &mut self,
        now: Instant,
        id: IoId,
        (may_act, limit): (bool, Duration),
        layout: &Layout,
        buffer: &mut [u8],
    ) -> Option<DiskRequest> {
        if FENCES_WAITING_MAX == 0
            || self.is_outstanding()
            || self.wait_until.is_some_and(|until| now < until)
        {
            return None;
        }
        let due = self
            .waiting
            .iter_mut()
            .find(|waiting| waiting.stand == Stand::Due)?;
        if self.read < FENCE_BLOCKS as u32 {
            let most = match self.read < self.single_before {
                true => 1,
                false => (buffer.len() / BLOCK_BYTES) as u32,
            };
            let count = (FENCE_BLOCKS as u32 - self.read).min(most);
            let first = layout.fence(self.read);
            self.issued = Some((id, first, count));
            self.wait_until = None;
            return Some(DiskRequest::Read {
                id,
                first,
                count,
                limit,
            });
        }
        if !may_act {
            return None;
        }
        due.stand = Stand::Writing;
        let record = due.record;
        let first = layout.fence(self.next);
        let seq = self.newest.saturating_add(1);
        let block = &mut buffer[..BLOCK_BYTES];
        encode_fence(Some((seq, &record)), first, layout.volume, layout.checksum, block);
        self.issued = Some((id, first, 1));
        Some(DiskRequest::Write {
            id,
            first,
            count: 1,
            durable: true,
            limit,
        })
    }

    /// Takes a completion; `None` if it is not for this machine.
    pub(super) fn handle_disk(
        &mut self,
        now: Instant,
        id: IoId,
        outcome: DiskOutcome<'_>,
        layout: &Layout,
    ) -> Option<Recorded> {
        if FENCES_WAITING_MAX == 0 {
            return None;
        }
        let (_, first, count) = self.issued.take_if(|issued| issued.0 == id)?;
        if self.read < FENCE_BLOCKS as u32 {
            return Some(self.take_read(now, outcome, first, count, layout));
        }
        let error = match outcome {
            DiskOutcome::Done => None,
            DiskOutcome::Failed(error) => Some(error),
            DiskOutcome::Read(_) => Some(DiskError::Failed),
        };
        let write = |error| Fault::Disk {
            first,
            write: true,
            error,
        };
        let written = self
            .waiting
            .iter()
            .position(|waiting| waiting.stand == Stand::Writing);
        Some(match (error, written) {
            (Some(error), written) => {
                self.advance();
                if let Some(written) = written {
                    self.try_elsewhere(written);
                }
                Recorded::WriteFailed(write(error))
            }
            (None, Some(written)) => {
                self.waiting.remove(written);
                self.advance();
                Recorded::Fine
            }
            // It changed meanwhile, and is written once more in the same place.
            (None, None) => Recorded::Fine,
        })
    }

    const fn advance(&mut self) {
        self.newest = self.newest.saturating_add(1);
        self.next = (self.next + 1) % FENCE_BLOCKS as u32;
    }

    /// One block that cannot be written costs no record; a device that takes none costs the record.
    fn try_elsewhere(&mut self, index: usize) {
        let waiting = &mut self.waiting[index];
        if core::mem::replace(&mut waiting.failed, true) {
            self.waiting.remove(index);
        } else {
            waiting.stand = Stand::Due;
        }
    }

    fn take_read(
        &mut self,
        now: Instant,
        outcome: DiskOutcome<'_>,
        first: BlockNo,
        count: u32,
        layout: &Layout,
    ) -> Recorded {
        let error = match outcome {
            DiskOutcome::Read(bytes) if bytes.len() == count as usize * BLOCK_BYTES => {
                for block in bytes.chunks(BLOCK_BYTES) {
                    self.take_block(block, layout);
                }
                return Recorded::Fine;
            }
            DiskOutcome::Failed(DiskError::Medium) if count > 1 => {
                self.single_before = self.read + count;
                return Recorded::Fine;
            }
            // A record is lost, nothing worse; writing over it may heal it.
            DiskOutcome::Failed(DiskError::Medium) => {
                self.take_block(&[], layout);
                return Recorded::Fine;
            }
            DiskOutcome::Failed(error) => error,
            DiskOutcome::Read(_) | DiskOutcome::Done => DiskError::Failed,
        };
        self.tries += 1;
        if self.tries == LOAD_TRIES_MAX {
            self.give_up();
            return Recorded::ReadFailed(Fault::Disk {
                first,
                write: false,
                error,
            });
        }
        self.wait_until = Some(now + LOAD_RETRY_WAIT);
        Recorded::Fine
    }

    /// Forgets what waits; the next record reads the ring anew.
    fn give_up(&mut self) {
        self.waiting.retain(|waiting| waiting.stand == Stand::Asked);
        self.begin();
    }

    fn take_block(&mut self, bytes: &[u8], layout: &Layout) {
        let at = layout.fence(self.read);
        self.read += 1;
        self.tries = 0;
        if let Ok(seq) = fence_number(bytes, at, layout.volume, layout.checksum)
            && seq > self.newest
        {
            self.newest = seq;
            self.next = self.read % FENCE_BLOCKS as u32;
        }
    }
}

impl Waiting {
    const fn new(record: FenceRecord, stand: Stand) -> Self {
        Self {
            record,
            stand,
            failed: false,
        }
    }

    fn count_another(&mut self) {
        self.record.others = self.record.others.saturating_add(1);
        if self.stand == Stand::Writing {
            self.stand = Stand::Due;
        }
    }
}

/// What is known of a victim before anything has come of it.
fn of_entry(victim: &LogEntry, by: Ballot, why: FenceReason) -> FenceRecord {
    FenceRecord {
        term: victim.ballot.term,
        rid: victim.ballot.rid,
        host: victim.host,
        addr: Some(victim.addr),
        by,
        unix_s: 0,
        attempts: 0,
        others: 0,
        why,
        how: FenceWay::Fence,
        result: FenceResult::Done,
        method: FenceMethod::default(),
    }
}

const _: () = assert!(
    FENCE_BLOCKS >= VOTERS_MAX,
    "the ring has room for one fence of everybody"
);
