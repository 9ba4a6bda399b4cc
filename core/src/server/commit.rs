//! Writing the client table, in groups.
//!
//! A group takes every change there is. First the older copies of all blocks it touches are written and flushed, then
//! the other copies, and only then is anything of it acknowledged. So whatever write is the last before a crash, one copy of
//! each block is whole and holds every record that was acknowledged. Changes that come meanwhile go with the
//! next group; that a later write of this group may hold them already does no harm: nobody was told.

use super::memory::ClientSlot;
use super::table::Layout;
use crate::bounds::BLOCK_BYTES;
use crate::disk::{DiskError, DiskOutcome, DiskRequest, IoId};
use crate::event::Fault;
use crate::format::encode_table_block;
use crate::ids::BlockNo;
use crate::time::Duration;

/// What is due or under way. A pass writes one copy of every block of the group: 0 the older ones, 1 the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Idle,
    /// Blocks from `next` on are not written yet in this pass.
    Writing {
        pass: u64,
        next: u32,
    },
    Flushing {
        pass: u64,
    },
}

/// A request under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Issued {
    id: IoId,
    first: BlockNo,
    /// First logical block behind it.
    end: u32,
}

/// How a group stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Committing {
    /// There is more to write.
    More,
    /// Every change of the group is durable.
    Done,
    /// The device failed: what is on it is unknown.
    Failed(Fault),
}

/// Writes changes of the table in groups.
#[derive(Clone, Debug)]
pub(super) struct Committer {
    layout: Layout,
    /// Highest sequence number in the table; each pass counts one further.
    seq: u64,
    step: Step,
    issued: Option<Issued>,
    /// Blocks wait for the next group.
    waiting: bool,
}

impl Committer {
    /// Continues a table whose highest sequence number is `seq`; with `repair`, blocks are marked for the first group.
    pub(super) const fn new(layout: Layout, seq: u64, repair: bool) -> Self {
        Self {
            layout,
            seq,
            step: Step::Idle,
            issued: None,
            waiting: repair,
        }
    }

    /// Whether everything that changed is durable in both copies.
    pub(super) fn is_settled(&self) -> bool {
        self.step == Step::Idle && !self.waiting
    }

    /// The client in `slot` changed; the group that takes the change up acknowledges it.
    pub(super) fn mark(&mut self, slot: u32, clients: &mut [ClientSlot]) {
        clients[slot as usize].in_next_group = true;
        self.layout
            .head(clients, Layout::block_of(slot))
            .block
            .in_next_group = true;
        self.waiting = true;
    }

    pub(super) const fn is_outstanding(&self) -> bool {
        self.issued.is_some()
    }

    /// Gives out the next request; the bytes of a write go into `buffer`, whose whole blocks limit its length.
    pub(super) fn poll_disk(
        &mut self,
        id: IoId,
        limit: Duration,
        clients: &mut [ClientSlot],
        buffer: &mut [u8],
    ) -> Option<DiskRequest> {
        if self.issued.is_some() {
            return None;
        }
        if self.step == Step::Idle && !self.begin(clients) {
            return None;
        }
        if let Step::Writing { pass, next } = self.step {
            if let Some((first, count, copy)) = self.next_run(pass, next, buffer.len() / BLOCK_BYTES, clients)
            {
                return Some(self.write(id, limit, (first, count, copy), clients, buffer));
            }
            self.step = Step::Flushing { pass };
        }
        self.issued = Some(Issued {
            id,
            first: self.layout.at(0, 0),
            end: self.layout.blocks(),
        });
        Some(DiskRequest::Flush { id, limit })
    }

    /// Takes all waiting changes into a group. `false` if there is none.
    fn begin(&mut self, clients: &mut [ClientSlot]) -> bool {
        let mut any = false;
        if core::mem::take(&mut self.waiting) {
            for block in 0..self.layout.blocks() {
                let marks = &mut self.layout.head(clients, block).block;
                if !core::mem::take(&mut marks.in_next_group) {
                    continue;
                }
                marks.in_this_group = true;
                any = true;
                for client in &mut clients[self.layout.slots(block)] {
                    client.in_this_group = core::mem::take(&mut client.in_next_group);
                }
            }
        }
        if any {
            self.seq = self.seq.saturating_add(1);
            self.step = Step::Writing { pass: 0, next: 0 };
        }
        any
    }

    /// The next blocks of the group whose copies of this pass stand side by side: first, count, which copy.
    fn next_run(
        &self,
        pass: u64,
        next: u32,
        count_max: usize,
        clients: &mut [ClientSlot],
    ) -> Option<(u32, u32, usize)> {
        let mut copy_of = |block: u32| {
            let marks = self.layout.head(clients, block).block;
            let copy = usize::from(marks.second_first) ^ usize::from(pass == 1);
            marks.in_this_group.then_some(copy)
        };
        let blocks = self.layout.blocks();
        let (first, copy) = (next..blocks).find_map(|block| Some((block, copy_of(block)?)))?;
        let run = (first..blocks).take(count_max.max(1));
        let count = run.take_while(|&block| copy_of(block) == Some(copy)).count();
        Some((first, count as u32, copy))
    }

    fn write(
        &mut self,
        id: IoId,
        limit: Duration,
        (block, count, copy): (u32, u32, usize),
        clients: &[ClientSlot],
        buffer: &mut [u8],
    ) -> DiskRequest {
        let layout = self.layout;
        for (block, bytes) in (block..block + count).zip(buffer.chunks_exact_mut(BLOCK_BYTES)) {
            let records = clients[layout.slots(block)].iter().map(ClientSlot::durable);
            let at = layout.at(block, copy);
            encode_table_block(self.seq, records, at, layout.volume, layout.checksum, bytes);
        }
        let first = layout.at(block, copy);
        self.issued = Some(Issued {
            id,
            first,
            end: block + count,
        });
        DiskRequest::Write {
            id,
            first,
            count,
            durable: false,
            limit,
        }
    }

    /// Takes a completion; `None` if it is not for this machine.
    pub(super) fn handle_disk(
        &mut self,
        id: IoId,
        outcome: DiskOutcome<'_>,
        clients: &mut [ClientSlot],
    ) -> Option<Committing> {
        let issued = self.issued.filter(|issued| issued.id == id)?;
        self.issued = None;
        let error = match outcome {
            DiskOutcome::Done => None,
            DiskOutcome::Failed(error) => Some(error),
            DiskOutcome::Read(_) => Some(DiskError::Failed),
        };
        if let Some(error) = error {
            return Some(Committing::Failed(Fault::Disk {
                first: issued.first,
                write: true,
                error,
            }));
        }
        self.step = match self.step {
            Step::Writing { pass, .. } => Step::Writing {
                pass,
                next: issued.end,
            },
            Step::Flushing { pass: 0 } => {
                self.seq = self.seq.saturating_add(1);
                Step::Writing { pass: 1, next: 0 }
            }
            Step::Flushing { .. } | Step::Idle => {
                self.end(clients);
                return Some(Committing::Done);
            }
        };
        Some(Committing::More)
    }

    /// Both copies say the same now: either may be written first.
    fn end(&mut self, clients: &mut [ClientSlot]) {
        self.step = Step::Idle;
        for block in 0..self.layout.blocks() {
            let marks = &mut self.layout.head(clients, block).block;
            if core::mem::take(&mut marks.in_this_group) {
                marks.second_first = false;
            }
        }
    }
}
