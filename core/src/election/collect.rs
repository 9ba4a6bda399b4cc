//! One collect: every block of the region is read until it is judged (rule R10).

use crate::bounds::{LEFT_OUT_MAX, REGION_BLOCKS, REREADS};
use crate::decide::witness::Blocks;
use crate::disk::{DiskError, DiskOutcome, IoId};
use crate::event::{Event, Fault};
use crate::format::{RegionBlock, RegionEntries};
use crate::rules::{self, Rule};
use crate::time::Instant;

use super::Election;

/// Stands for the bytes of a block that the device says it cannot read.
const MEDIUM_FINGERPRINT: u32 = u32::MAX;

/// Which blocks are still to be read, and which were invalid.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Collect {
    due: Blocks,
    bad: Blocks,
    round: u32,
    issued: Option<(IoId, usize, usize)>,
}

/// What a collect wants next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// More reads.
    Read,
    /// Reads again after a pause: too many blocks are invalid, and not for long enough to be damage.
    Pause,
    /// Nothing: it completed.
    Complete,
}

impl Collect {
    pub(super) const fn new() -> Self {
        Self {
            due: Blocks::NONE,
            bad: Blocks::NONE,
            round: 0,
            issued: None,
        }
    }

    pub(super) const fn begin(&mut self) {
        *self = Self {
            due: Blocks::ALL,
            ..Self::new()
        };
    }

    /// The next run of blocks to read: first block of the region, and count. After the first round one block at a
    /// time, so that a medium error names its block.
    pub(super) fn request(&mut self, id: IoId, transfer: usize) -> Option<(usize, usize)> {
        if self.issued.is_some() {
            return None;
        }
        let first = self.due.nth(0)?;
        let longest = if self.round == 0 { transfer } else { 1 };
        let count = (first..REGION_BLOCKS)
            .take(longest)
            .take_while(|&index| self.due.has(index))
            .count();
        self.issued = Some((id, first, count));
        Some((first, count))
    }

    /// The run whose read has completed.
    fn completed(&mut self, id: IoId) -> Option<(usize, usize)> {
        let (_, first, count) = self.issued.take_if(|(issued, ..)| *issued == id)?;
        (first..first + count).for_each(|index| self.due.set(index, false));
        Some((first, count))
    }

    /// What comes next, `damaged` blocks counting as empty.
    fn next(&mut self, damaged: Blocks) -> Next {
        if self.due.count() > 0 {
            return Next::Read;
        }
        let unsure = self.bad.and(damaged.complement());
        if unsure.count() == 0 || (self.round > REREADS && unsure.count() <= LEFT_OUT_MAX) {
            return Next::Complete;
        }
        let pause = self.round > REREADS;
        self.round += 1;
        self.due = unsure;
        if pause { Next::Pause } else { Next::Read }
    }
}

impl Election {
    /// Takes a completion of a region read; `None` if it is not one.
    pub(super) fn collect_handle(
        &mut self,
        now: Instant,
        id: IoId,
        outcome: DiskOutcome<'_>,
    ) -> Option<Result<Next, DiskError>> {
        let (first, count) = self.collect.completed(id)?;
        match outcome {
            DiskOutcome::Read(bytes) if bytes.len() == count * crate::bounds::BLOCK_BYTES => {
                let mut newest = None;
                for (offset, block) in bytes.chunks_exact(crate::bounds::BLOCK_BYTES).enumerate() {
                    self.judge_block(now, first + offset, block, &mut newest);
                }
            }
            // Which block of a longer run is bad shows when each is read alone.
            DiskOutcome::Failed(DiskError::Medium) if count > 1 => {
                (first..first + count).for_each(|index| self.collect.bad.set(index, true));
            }
            DiskOutcome::Failed(DiskError::Medium) => self.block_is_invalid(now, first, MEDIUM_FINGERPRINT),
            DiskOutcome::Failed(error) => return Some(Err(error)),
            DiskOutcome::Read(_) | DiskOutcome::Done => return Some(Err(DiskError::Failed)),
        }
        Some(Ok(self.collect.next(self.witness.damage())))
    }

    /// `newest`: the log that was merged last, and whether it carries the ballot that is looked for. After an election most
    /// blocks have the same one, and merging it again changes nothing.
    fn judge_block<'a>(
        &mut self,
        now: Instant,
        index: usize,
        bytes: &'a [u8],
        newest: &mut Option<(RegionEntries<'a>, bool)>,
    ) {
        let (Some(at), Some(state)) = (self.region_block(index), self.state()) else {
            return;
        };
        let before = newest.as_ref().map(|(entries, _)| entries);
        let (checksum, padded) = (self.config.checksum, self.config.padded);
        match RegionBlock::decode_after(bytes, at, state.volume, checksum, padded, before) {
            Err(_) if !rules::holds(Rule::InvalidIsNotEmpty) => self.witness.empty(index),
            Err(_) => {
                let fingerprint = checksum(bytes);
                self.block_is_invalid(now, index, fingerprint);
            }
            Ok(RegionBlock::Empty) => {
                self.collect.bad.set(index, false);
                self.damage_told.set(index, false);
                self.witness.empty(index);
            }
            Ok(RegionBlock::Written(head, entries)) => {
                self.collect.bad.set(index, false);
                self.damage_told.set(index, false);
                if head.writer != self.config.rid {
                    self.peers.note(now, &head);
                }
                if entries.absurd() > 0 {
                    self.tell(Event::Fault(Fault::AbsurdTerm(at)));
                }
                let merges = rules::holds(Rule::MergeAllTerms) || head.term >= self.said.term;
                let carries = match *newest {
                    _ if !merges => false,
                    Some((_, carries)) if entries.repeats() => carries,
                    _ => {
                        let carries = self.merge_log(entries);
                        *newest = Some((entries, carries));
                        carries
                    }
                };
                self.witness.valid(index, head.writer, head.write_nr, carries);
            }
        }
    }

    /// Merges a block's log (R1); returns whether it carries the ballot that is looked for.
    fn merge_log(&mut self, entries: RegionEntries<'_>) -> bool {
        let (target, trimmed) = (self.witness.target(), self.trimmed());
        let mut carries = false;
        for entry in entries.packed() {
            carries |= Some(entry.ballot()) == target;
            let (peers, said, me) = (&self.peers, &self.said, self.config.rid);
            self.log.add(entry, trimmed, &|rid| {
                if rid == me {
                    said.void_term
                } else {
                    peers.void_term(rid)
                }
            });
        }
        carries
    }

    fn block_is_invalid(&mut self, now: Instant, index: usize, fingerprint: u32) {
        self.collect.bad.set(index, true);
        let damaged = self
            .witness
            .invalid(index, fingerprint, now, self.config.write_time_max);
        if damaged
            && !self.damage_told.has(index)
            && let Some(at) = self.region_block(index)
        {
            self.damage_told.set(index, true);
            self.tell(Event::Fault(Fault::DamagedBlock(at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often the blocks that stay invalid are read again, and what comes then.
    fn rereads(bad: usize) -> (u32, Next) {
        let mut collect = Collect::new();
        collect.due = Blocks::NONE;
        (0..bad).for_each(|index| collect.bad.set(index, true));
        let mut reads = 0;
        loop {
            match collect.next(Blocks::NONE) {
                Next::Read => reads += 1,
                then => return (reads, then),
            }
            assert_eq!(collect.due.count(), bad, "they and no other");
            collect.due = Blocks::NONE;
        }
    }

    #[test]
    fn r10_what_is_invalid_is_read_again_before_a_collect_does_without_it() {
        assert_eq!(rereads(0), (0, Next::Complete));
        for bad in 1..=LEFT_OUT_MAX {
            assert_eq!(rereads(bad), (REREADS + 1, Next::Complete), "{bad}");
        }
        assert_eq!(rereads(LEFT_OUT_MAX + 1), (REREADS + 1, Next::Pause));
    }
}
