//! The conformance test of a platform's disk: does it keep what the rules assume?
//!
//! Every platform calls this with its own shim and two openings of one device, best on two hosts; whoever drives it
//! carries out what [`Conformance::poll_disk`] asks, as for a mount, and hands the completions back. It overwrites a few
//! blocks that nobody needs: those of [`Geometry::reserved`](crate::format::Geometry::reserved), or of a scratch device.
//!
//! It finds: a cache in front of one side's readers (assumption A1), a completion before the other side can read what was
//! written, blocks of a longer transfer in the wrong place or not written at all, a flush that flushes nothing to the other
//! side, an answer after the limit, completions of the wrong kind.
//!
//! It cannot find, so that a platform's documentation has to say it: what a power cut leaves (A2), at which grain a write tears
//! (A1 asks for nothing finer than sectors of 512 bytes), whether a write that timed out can still land after W (A3), and
//! whether two openings on one host share a cache that two hosts would not.

use crate::bounds::{BLOCK_BYTES, TRANSFER_BLOCKS_MAX};
use crate::disk::{DiskError, DiskOutcome, DiskRequest, IoId};
use crate::ids::BlockNo;
use crate::time::{Duration, Instant};

/// Rounds: each kind of write from each side, several times over.
const ROUNDS: u32 = 16;

/// Which of the two openings of the device.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// The first.
    Here,
    /// The second.
    There,
}

/// What the device did that the rules do not allow for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Violation {
    /// A request failed.
    Failed {
        /// Who asked.
        side: Side,
        /// What failed.
        request: DiskRequest,
        /// How.
        error: DiskError,
    },
    /// A request was answered after its limit.
    Late {
        /// Who asked.
        side: Side,
        /// What was late.
        request: DiskRequest,
        /// How long it took.
        took: Duration,
    },
    /// A read completed without the bytes of its range, or something else with bytes.
    WrongAnswer {
        /// Who asked.
        side: Side,
        /// What was answered wrongly.
        request: DiskRequest,
    },
    /// After a write had completed a read did not return it.
    Stale {
        /// Who read.
        side: Side,
        /// Whether the other side had written.
        written_by_other: bool,
        /// The block.
        block: BlockNo,
    },
}

/// What a round does, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The other side reads what is to be overwritten, so that any cache of its holds it.
    Warm,
    Write,
    Flush,
    ReadThere,
    ReadHere,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Due,
    Issued(IoId, Instant),
    Ended(Result<(), Violation>),
}

/// The test, as a machine without I/O.
///
/// Order of calls: [`poll_disk`](Self::poll_disk), then [`handle_disk`](Self::handle_disk) with the completion, until
/// [`result`](Self::result) says something.
#[derive(Clone, Debug)]
pub struct Conformance {
    first: BlockNo,
    transfer: u32,
    limit: Duration,
    seed: u64,
    round: u32,
    phase: Phase,
    ids: u32,
    state: State,
}

impl Conformance {
    /// Tests with `transfer_blocks` blocks from `first`, which it overwrites. `seed` differs each time, so that what an
    /// earlier test left is not taken for what this one wrote.
    ///
    /// # Panics
    /// If `transfer_blocks` is not from 1 to [`TRANSFER_BLOCKS_MAX`].
    pub fn new(first: BlockNo, transfer_blocks: u32, limit: Duration, seed: u64) -> Self {
        assert!(
            (1..=TRANSFER_BLOCKS_MAX).contains(&transfer_blocks),
            "a transfer of one block at least and a region at most"
        );
        Self {
            first,
            transfer: transfer_blocks,
            limit,
            seed,
            round: 0,
            phase: Phase::Warm,
            ids: 0,
            state: State::Due,
        }
    }

    /// The next request, and which side is to carry it out. The bytes of a write are put into `buffer`, which holds
    /// `transfer_blocks` blocks and stays untouched until the request completes. Nothing while one is under way.
    pub fn poll_disk(&mut self, now: Instant, buffer: &mut [u8]) -> Option<(Side, DiskRequest)> {
        if self.state != State::Due {
            return None;
        }
        self.ids += 1;
        let id = IoId(self.ids);
        if self.phase == Phase::Write {
            let blocks = buffer.chunks_exact_mut(BLOCK_BYTES).take(self.count() as usize);
            for (index, block) in blocks.enumerate() {
                self.pattern(index as u64)
                    .zip(block.chunks_exact_mut(8))
                    .for_each(|(word, bytes)| bytes.copy_from_slice(&word.to_le_bytes()));
            }
        }
        self.state = State::Issued(id, now);
        Some((self.side(), self.request(id)))
    }

    /// A request ended. Completions of others are ignored.
    pub fn handle_disk(&mut self, now: Instant, id: IoId, outcome: DiskOutcome<'_>) {
        let State::Issued(issued, since) = self.state else {
            return;
        };
        if issued == id {
            let judged = self.judge(now.since(since), self.request(id), outcome);
            self.state = match judged {
                Ok(()) => self.advance(),
                Err(violation) => State::Ended(Err(violation)),
            };
        }
    }

    /// How the test ended, once it has.
    pub const fn result(&self) -> Option<Result<(), Violation>> {
        match self.state {
            State::Ended(result) => Some(result),
            _ => None,
        }
    }

    fn judge(&self, took: Duration, request: DiskRequest, outcome: DiskOutcome<'_>) -> Result<(), Violation> {
        let side = self.side();
        if took > self.limit {
            return Err(Violation::Late { side, request, took });
        }
        let reads = matches!(request, DiskRequest::Read { .. });
        match outcome {
            DiskOutcome::Failed(error) => Err(Violation::Failed { side, request, error }),
            DiskOutcome::Read(bytes) if reads && bytes.len() == self.count() as usize * BLOCK_BYTES => {
                self.compare(bytes)
            }
            DiskOutcome::Done if !reads => Ok(()),
            DiskOutcome::Read(_) | DiskOutcome::Done => Err(Violation::WrongAnswer { side, request }),
        }
    }

    fn compare(&self, bytes: &[u8]) -> Result<(), Violation> {
        if self.phase == Phase::Warm {
            return Ok(());
        }
        for (index, block) in bytes.chunks_exact(BLOCK_BYTES).enumerate() {
            let words = block.chunks_exact(8);
            if !self.pattern(index as u64).map(u64::to_le_bytes).eq(words) {
                return Err(Violation::Stale {
                    side: self.side(),
                    written_by_other: self.phase == Phase::ReadThere,
                    block: BlockNo(self.first.0 + index as u64),
                });
            }
        }
        Ok(())
    }

    /// The words of a block in this round: no two blocks, rounds or tests have the same.
    fn pattern(&self, index: u64) -> impl Iterator<Item = u64> {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let start = self
            .seed
            .wrapping_add((u64::from(self.round) << 32 | index).wrapping_mul(ODD));
        (0..BLOCK_BYTES as u64 / 8)
            .map(move |word| start.rotate_left(17).wrapping_add(word.wrapping_mul(ODD)))
    }

    fn advance(&mut self) -> State {
        self.phase = match self.phase {
            Phase::Warm => Phase::Write,
            Phase::Write if !self.durable() => Phase::Flush,
            Phase::Write | Phase::Flush => Phase::ReadThere,
            Phase::ReadThere => Phase::ReadHere,
            Phase::ReadHere => {
                self.round += 1;
                Phase::Warm
            }
        };
        if self.round == ROUNDS {
            State::Ended(Ok(()))
        } else {
            State::Due
        }
    }

    /// Whether the write of this round is durable by itself.
    const fn durable(&self) -> bool {
        self.round % 4 < 2
    }

    /// Every other round of a side spans a whole transfer.
    const fn count(&self) -> u32 {
        if self.round % 8 < 4 { self.transfer } else { 1 }
    }

    const fn side(&self) -> Side {
        let here_writes = self.round.is_multiple_of(2);
        let writer = matches!(self.phase, Phase::Write | Phase::Flush | Phase::ReadHere);
        if here_writes == writer {
            Side::Here
        } else {
            Side::There
        }
    }

    const fn request(&self, id: IoId) -> DiskRequest {
        let (first, count, limit) = (self.first, self.count(), self.limit);
        match self.phase {
            Phase::Write => DiskRequest::Write {
                id,
                first,
                count,
                durable: self.durable(),
                limit,
            },
            Phase::Flush => DiskRequest::Flush { id, limit },
            Phase::Warm | Phase::ReadThere | Phase::ReadHere => DiskRequest::Read {
                id,
                first,
                count,
                limit,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::collections::BTreeMap;
    use std::vec;
    use std::vec::Vec;

    use super::*;

    /// A device with one fault or none.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Fault {
        None,
        /// Each side keeps what it read.
        ReadCache,
        /// What is not durable stays with the writer, flush or not.
        WriteBack,
        /// Only the first block of a transfer is written.
        Short,
        /// Every block of a transfer goes to the first.
        Misplaced,
        /// Takes longer than the limit.
        Slow,
        /// Gives no bytes.
        Empty,
        /// Fails to write.
        Broken,
        /// Answers a read as if it had been a write.
        Unread,
        /// Answers a write as if it had been a read.
        Unwritten,
    }

    const LIMIT: Duration = Duration::from_secs(1);
    const TRANSFER: u32 = 4;

    #[derive(Default)]
    struct Device {
        blocks: BTreeMap<u64, Vec<u8>>,
        caches: [BTreeMap<u64, Vec<u8>>; 2],
    }

    impl Device {
        fn read(&mut self, fault: Fault, side: Side, at: u64) -> Vec<u8> {
            let stored = self
                .blocks
                .get(&at)
                .cloned()
                .unwrap_or_else(|| vec![0; BLOCK_BYTES]);
            let cache = &mut self.caches[side as usize];
            match fault {
                Fault::ReadCache => cache.entry(at).or_insert(stored).clone(),
                _ => cache.get(&at).cloned().unwrap_or(stored),
            }
        }

        fn write(&mut self, fault: Fault, side: Side, at: u64, durable: bool, block: &[u8]) {
            let cached = fault == Fault::ReadCache || (fault == Fault::WriteBack && !durable);
            self.caches[side as usize].remove(&at);
            if cached {
                self.caches[side as usize].insert(at, block.to_vec());
            }
            if fault != Fault::WriteBack || durable {
                self.blocks.insert(at, block.to_vec());
            }
        }
    }

    fn run(fault: Fault) -> Result<(), Violation> {
        let mut test = Conformance::new(BlockNo(100), TRANSFER, LIMIT, 42);
        let (mut device, mut now) = (Device::default(), Instant(0));
        let mut buffer = vec![0; TRANSFER as usize * BLOCK_BYTES];
        for _ in 0..1000 {
            if let Some(result) = test.result() {
                return result;
            }
            let (side, request) = test.poll_disk(now, &mut buffer).expect("a request or a result");
            assert_eq!(test.poll_disk(now, &mut buffer), None, "one at a time");
            now += if fault == Fault::Slow {
                LIMIT + Duration(1)
            } else {
                LIMIT
            };
            let mut bytes = Vec::new();
            match request {
                DiskRequest::Read { first, count, .. } => {
                    for at in first.0..first.0 + u64::from(count) {
                        bytes.extend(device.read(fault, side, at));
                    }
                    if fault == Fault::Empty {
                        bytes.clear();
                    }
                    let outcome = match fault {
                        Fault::Unread => DiskOutcome::Done,
                        _ => DiskOutcome::Read(&bytes),
                    };
                    test.handle_disk(now, request.id(), outcome);
                }
                DiskRequest::Write { .. } if fault == Fault::Unwritten => {
                    test.handle_disk(now, request.id(), DiskOutcome::Read(&buffer));
                }
                DiskRequest::Write { .. } if fault == Fault::Broken => {
                    test.handle_disk(now, request.id(), DiskOutcome::Failed(DiskError::Failed));
                }
                DiskRequest::Write {
                    first,
                    count,
                    durable,
                    ..
                } => {
                    let written = if fault == Fault::Short { 1 } else { count as usize };
                    for (index, block) in buffer.chunks_exact(BLOCK_BYTES).take(written).enumerate() {
                        let index = if fault == Fault::Misplaced {
                            0
                        } else {
                            index as u64
                        };
                        device.write(fault, side, first.0 + index, durable, block);
                    }
                    test.handle_disk(now, request.id(), DiskOutcome::Done);
                }
                DiskRequest::Flush { .. } => test.handle_disk(now, request.id(), DiskOutcome::Done),
            }
        }
        panic!("the test does not end");
    }

    #[test]
    fn a_device_that_keeps_the_contract_passes_and_each_fault_is_named() {
        assert_eq!(run(Fault::None), Ok(()));
        for fault in [Fault::ReadCache, Fault::WriteBack, Fault::Short, Fault::Misplaced] {
            let found = run(fault);
            assert!(
                matches!(found, Err(Violation::Stale { .. })),
                "{fault:?}: {found:?}"
            );
        }
        assert!(matches!(run(Fault::Slow), Err(Violation::Late { .. })));
        for fault in [Fault::Empty, Fault::Unread, Fault::Unwritten] {
            let found = run(fault);
            assert!(
                matches!(found, Err(Violation::WrongAnswer { .. })),
                "{fault:?}: {found:?}"
            );
        }
        assert!(matches!(run(Fault::Broken), Err(Violation::Failed { .. })));
    }

    #[test]
    fn a_cache_of_the_other_side_is_told_from_a_lost_write() {
        let Err(Violation::Stale { written_by_other, .. }) = run(Fault::ReadCache) else {
            panic!("the cache was not found");
        };
        assert!(written_by_other);
    }

    #[test]
    fn completions_of_others_and_spurious_ones_are_ignored() {
        let mut test = Conformance::new(BlockNo(1), 1, LIMIT, 1);
        let mut buffer = [0; BLOCK_BYTES];
        test.handle_disk(Instant(0), IoId(1), DiskOutcome::Failed(DiskError::Failed));
        let (_, request) = test.poll_disk(Instant(0), &mut buffer).unwrap();
        test.handle_disk(Instant(0), IoId(77), DiskOutcome::Failed(DiskError::Failed));
        assert_eq!(test.result(), None);
        test.handle_disk(Instant(0), request.id(), DiskOutcome::Read(&buffer));
        assert!(test.poll_disk(Instant(0), &mut buffer).is_some());
    }
}
