//! Reading the client table when a server starts.

use super::memory::{ClientSlot, Standing};
use super::table::Layout;
use crate::bounds::{BLOCK_BYTES, LOAD_BLOCKS_MAX, LOAD_RETRY_WAIT, LOAD_TRIES_MAX};
use crate::disk::{DiskError, DiskOutcome, DiskRequest, IoId};
use crate::event::Fault;
use crate::format::{ClientRecord, TableBlock};
use crate::time::{Duration, Instant};

/// A copy that was not valid; otherwise 1 more than the copy's sequence number.
const INVALID: u64 = 0;

/// How a reading stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Loading {
    /// There is more to read.
    More,
    /// Everything is in the slots.
    Done {
        /// The highest sequence number that was seen.
        seq: u64,
        /// Some blocks are to be written again before anything is acknowledged upon them.
        repair: bool,
    },
    /// It cannot be read.
    Failed(Fault),
}

/// Reads both copies of every block, in parts of as many blocks as one request may span, [`LOAD_BLOCKS_MAX`] at most, and believes the newest
/// valid copy of each.
#[derive(Clone, Debug)]
pub(super) struct Loader {
    layout: Layout,
    /// Records of a lower barrier are deleted.
    barrier: u64,
    first: u32,
    count: u32,
    copy: usize,
    issued: Option<IoId>,
    tries: u32,
    /// No request before this moment: the last one failed.
    wait_until: Option<Instant>,
    /// Blocks before this one are read one at a time, because a part with them has bad medium.
    single_before: u32,
    /// What the first copies of this part said.
    seqs: [u64; LOAD_BLOCKS_MAX as usize],
    seq_max: u64,
    repair: bool,
}

impl Loader {
    pub(super) fn new(layout: Layout, barrier: u64, transfer_blocks: u32) -> Self {
        let mut loader = Self {
            layout,
            barrier,
            first: 0,
            count: 0,
            copy: 0,
            issued: None,
            tries: 0,
            wait_until: None,
            single_before: 0,
            seqs: [INVALID; LOAD_BLOCKS_MAX as usize],
            seq_max: 0,
            repair: false,
        };
        loader.measure(transfer_blocks);
        loader
    }

    /// Decides how long the part that begins at `first` is.
    fn measure(&mut self, transfer_blocks: u32) {
        let left = self.layout.blocks() - self.first;
        let most = if self.first < self.single_before {
            1
        } else {
            transfer_blocks
        };
        self.count = left.min(most).clamp(1, LOAD_BLOCKS_MAX);
    }

    /// When the next request is due, if it must wait.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.wait_until
    }

    pub(super) const fn is_outstanding(&self) -> bool {
        self.issued.is_some()
    }

    pub(super) fn poll_disk(&mut self, now: Instant, id: IoId, limit: Duration) -> Option<DiskRequest> {
        if self.issued.is_some() || self.wait_until.is_some_and(|until| now < until) {
            return None;
        }
        self.wait_until = None;
        self.issued = Some(id);
        Some(DiskRequest::Read {
            id,
            first: self.layout.at(self.first, self.copy),
            count: self.count,
            limit,
        })
    }

    /// Takes a completion; `None` if it is not for this machine.
    pub(super) fn handle_disk(
        &mut self,
        now: Instant,
        id: IoId,
        outcome: DiskOutcome<'_>,
        transfer_blocks: u32,
        clients: &mut [ClientSlot],
    ) -> Option<Loading> {
        if self.issued != Some(id) {
            return None;
        }
        self.issued = None;
        Some(match outcome {
            DiskOutcome::Read(bytes) if bytes.len() == self.count as usize * BLOCK_BYTES => {
                self.take(Some(bytes), transfer_blocks, clients)
            }
            DiskOutcome::Failed(DiskError::Medium) if self.count > 1 => {
                self.single_before = self.first + self.count;
                self.copy = 0;
                self.measure(transfer_blocks);
                Loading::More
            }
            DiskOutcome::Failed(DiskError::Medium) => self.take(None, transfer_blocks, clients),
            DiskOutcome::Failed(error) => self.again(now, error),
            DiskOutcome::Read(_) | DiskOutcome::Done => self.again(now, DiskError::Failed),
        })
    }

    fn again(&mut self, now: Instant, error: DiskError) -> Loading {
        self.tries += 1;
        if self.tries == LOAD_TRIES_MAX {
            return Loading::Failed(Fault::Disk {
                first: self.layout.at(self.first, self.copy),
                write: false,
                error,
            });
        }
        self.wait_until = Some(now + LOAD_RETRY_WAIT);
        Loading::More
    }

    /// Takes the bytes of one copy of this part; `None` if the medium is bad there.
    fn take(&mut self, bytes: Option<&[u8]>, transfer_blocks: u32, clients: &mut [ClientSlot]) -> Loading {
        self.tries = 0;
        for index in 0..self.count {
            let block = bytes.map_or(&[][..], |bytes| {
                let from = index as usize * BLOCK_BYTES;
                &bytes[from..from + BLOCK_BYTES]
            });
            if self.copy == 0 {
                self.take_first(index, block, clients);
            } else if !self.take_second(index, block, clients) {
                return Loading::Failed(Fault::TableDamaged(self.layout.at(self.first + index, 0)));
            }
        }
        if self.copy == 0 {
            self.copy = 1;
            return Loading::More;
        }
        self.copy = 0;
        self.first += self.count;
        if self.first >= self.layout.blocks() {
            return Loading::Done {
                seq: self.seq_max,
                repair: self.repair,
            };
        }
        self.measure(transfer_blocks);
        Loading::More
    }

    fn take_first(&mut self, index: u32, bytes: &[u8], clients: &mut [ClientSlot]) {
        let block = self.first + index;
        let layout = self.layout;
        let found = TableBlock::decode(bytes, layout.at(block, 0), layout.volume, layout.checksum).ok();
        self.seqs[index as usize] = self.note_seq(found.as_ref());
        self.fill(block, found.as_ref(), clients);
    }

    /// Takes a second copy, if it is the better one. `false` if there is nothing to believe: neither is valid, or
    /// they are of one age and say different things.
    fn take_second(&mut self, index: u32, bytes: &[u8], clients: &mut [ClientSlot]) -> bool {
        let block = self.first + index;
        let layout = self.layout;
        let found = TableBlock::decode(bytes, layout.at(block, 1), layout.volume, layout.checksum).ok();
        let (first, second) = (self.seqs[index as usize], self.note_seq(found.as_ref()));
        let agree = first != INVALID
            && found.is_some_and(|found| {
                let mut clients = clients[layout.slots(block)].iter().enumerate();
                clients.all(|(index, client)| client.record == self.record(&found, index))
            });
        if second > first {
            self.fill(block, found.as_ref(), clients);
        }
        let marks = &mut layout.head(clients, block).block;
        marks.second_first = first > second;
        // What only one copy says may be unacknowledged or acknowledged. Whoever builds upon it makes it two copies.
        marks.in_next_group = !agree;
        self.repair |= !agree;
        first != second || agree
    }

    fn note_seq(&mut self, found: Option<&TableBlock<'_>>) -> u64 {
        let Some(found) = found else { return INVALID };
        self.seq_max = self.seq_max.max(found.seq);
        found.seq.saturating_add(1)
    }

    /// A record that the barrier has not deleted.
    fn record(&self, found: &TableBlock<'_>, index: usize) -> Option<ClientRecord> {
        found
            .record(index)
            .filter(|record| record.barrier >= self.barrier)
    }

    fn fill(&self, block: u32, found: Option<&TableBlock<'_>>, clients: &mut [ClientSlot]) {
        for (index, client) in clients[self.layout.slots(block)].iter_mut().enumerate() {
            let record = found.and_then(|found| self.record(found, index));
            let standing = match record {
                None => Standing::Free,
                Some(record) if record.evicted => Standing::Ghost,
                Some(_) => Standing::Mounted,
            };
            client.fill(record, standing);
            client.expected = standing == Standing::Mounted;
        }
    }
}
