//! What two consecutive collects saw of each block, and whether a ballot is sealed (rules R4 and R10).

use crate::bounds::{REGION_BLOCKS, SEAL_BLOCKS, TORN_MAX};
use crate::ids::{Ballot, Rid, WriteNr};
use crate::time::{Duration, Instant};

/// A set of blocks of the region.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Blocks(u64);

impl Blocks {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self(u64::MAX >> (64 - REGION_BLOCKS));

    /// Whether block `index` is in the set.
    // Out of line, like the next, where shifts of 64 bits take a dozen instructions.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub const fn has(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }

    /// Puts block `index` into the set, or takes it out.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub const fn set(&mut self, index: usize, value: bool) {
        if value {
            self.0 |= 1 << index;
        } else {
            self.0 &= !(1 << index);
        }
    }

    /// How many blocks are in the set.
    pub const fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The blocks in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The blocks in either set.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The blocks not in the set.
    #[must_use]
    pub const fn complement(self) -> Self {
        Self(!self.0 & Self::ALL.0)
    }

    /// The `nth` block of the set, counted from 0.
    pub fn nth(self, nth: usize) -> Option<usize> {
        // What is subtracted takes the lowest of them out.
        let left = (0..nth).fold(self.0, |left, _| left & left.wrapping_sub(1));
        (left != 0).then_some(left.trailing_zeros() as usize)
    }
}

/// How a block looked when it was last read. In sixteen bytes each, because there are many: what they mean is in two
/// sets beside them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Looks {
    /// Blocks that somebody wrote: writer and number of the write.
    written: Blocks,
    /// Blocks that were invalid: a fingerprint of their bytes, and since when they have that one.
    bad: Blocks,
    of: [(u64, u64); REGION_BLOCKS],
}

impl Looks {
    const fn new() -> Self {
        Self {
            written: Blocks::NONE,
            bad: Blocks::NONE,
            of: [(0, 0); REGION_BLOCKS],
        }
    }

    const fn forget(&mut self, index: usize) {
        self.written.set(index, false);
        self.bad.set(index, false);
        self.of[index] = (0, 0);
    }

    fn is_written(&self, index: usize, writer: Rid, write_nr: WriteNr) -> bool {
        self.written.has(index) && self.of[index] == (writer.value(), write_nr.0)
    }

    const fn write(&mut self, index: usize, writer: Rid, write_nr: WriteNr) {
        self.written.set(index, true);
        self.bad.set(index, false);
        self.of[index] = (writer.value(), write_nr.0);
    }

    /// Takes note of an invalid block; returns since when it has these bytes.
    fn spoil(&mut self, index: usize, fingerprint: u32, now: Instant) -> Instant {
        let fingerprint = u64::from(fingerprint);
        if self.bad.has(index) && self.of[index].0 == fingerprint {
            return Instant(self.of[index].1);
        }
        self.written.set(index, false);
        self.bad.set(index, true);
        self.of[index] = (fingerprint, now.0);
        now
    }
}

/// Looks over the region in collects, and tells a seal.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Witness {
    seen: Looks,
    target: Option<Ballot>,
    carried: Blocks,
    carries: Blocks,
    unchanged: Blocks,
    damaged: Blocks,
    refused: Blocks,
    /// The last collect completed, so that the one under way is consecutive to it.
    follows: bool,
    completed: bool,
    /// Own writes since the last completed collect began: block and number. More than one breaks the chain.
    own: Option<(usize, Rid, WriteNr)>,
}

impl Witness {
    /// Knows nothing.
    pub const fn new() -> Self {
        Self {
            seen: Looks::new(),
            target: None,
            carried: Blocks::NONE,
            carries: Blocks::NONE,
            unchanged: Blocks::NONE,
            damaged: Blocks::NONE,
            refused: Blocks::NONE,
            follows: false,
            completed: false,
            own: None,
        }
    }

    /// Knows nothing any more.
    pub fn forget(&mut self) {
        self.seen.of.fill((0, 0));
        (self.seen.written, self.seen.bad) = (Blocks::NONE, Blocks::NONE);
        (self.carries, self.damaged, self.target) = (Blocks::NONE, Blocks::NONE, None);
        self.refused = Blocks::NONE;
        self.fail();
    }

    /// A collect begins that looks for blocks which carry `target`.
    pub fn begin(&mut self, target: Option<Ballot>) {
        self.follows = self.completed && self.target == target;
        self.carried = if self.follows { self.carries } else { Blocks::NONE };
        self.target = target;
        self.completed = false;
        self.carries = Blocks::NONE;
        self.unchanged = Blocks::NONE;
        self.damaged = Blocks::NONE;
    }

    /// The ballot that is looked for.
    pub const fn target(&self) -> Option<Ballot> {
        self.target
    }

    /// Block `index` is valid and was never written.
    pub const fn empty(&mut self, index: usize) {
        self.seen.forget(index);
    }

    /// Block `index` is valid; `carries` says whether its log has exactly the target.
    pub fn valid(&mut self, index: usize, writer: Rid, write_nr: WriteNr, carries: bool) {
        self.unchanged
            .set(index, self.seen.is_written(index, writer, write_nr));
        self.carries.set(index, carries);
        self.seen.write(index, writer, write_nr);
    }

    /// Block `index` is invalid; returns whether it is damage: the same bytes for longer than `write_time_max`.
    pub fn invalid(
        &mut self,
        index: usize,
        fingerprint: u32,
        now: Instant,
        write_time_max: Duration,
    ) -> bool {
        let since = self.seen.spoil(index, fingerprint, now);
        let damaged = now.since(since) > write_time_max;
        self.damaged.set(index, damaged);
        damaged
    }

    /// The collect completed.
    pub const fn complete(&mut self) {
        self.completed = true;
        // What was written before this collect began is no longer "in between".
    }

    /// The collect failed: what it saw is no basis for a seal.
    pub const fn fail(&mut self) {
        self.completed = false;
        self.own = None;
    }

    /// The newest write of this mount failed. If only few did, the blocks are at fault, and the next ones go elsewhere.
    pub const fn refuse(&mut self) {
        if let Some((index, ..)) = self.own {
            self.refused.set(index, true);
        }
        if self.refused.count() > TORN_MAX {
            self.refused = Blocks::NONE;
        }
    }

    /// This mount issues a write to block `index` (whether or not it will complete).
    pub const fn wrote(&mut self, index: usize, writer: Rid, write_nr: WriteNr) {
        self.own = Some((index, writer, write_nr));
    }

    /// Blocks that count for the seal of the target: those that carried it in both collects and did not change
    /// between them, and the one written in between, if it still holds that very write.
    pub fn sealing(&self) -> Blocks {
        if !self.completed || !self.follows {
            return Blocks::NONE;
        }
        let mut blocks = self.carries.and(self.carried).and(self.unchanged);
        if let Some((index, writer, write_nr)) = self.own
            && self.carries.has(index)
            && self.seen.is_written(index, writer, write_nr)
        {
            blocks.set(index, true);
        }
        blocks
    }

    /// Whether the target is sealed (rule R4), at the end of the collect that has just completed.
    pub fn is_sealed(&self) -> bool {
        self.is_sealed_by(SEAL_BLOCKS)
    }

    /// The same for any N: the state-space search explores regions of few blocks.
    pub fn is_sealed_by(&self, blocks: usize) -> bool {
        self.target.is_some() && self.sealing().count() >= blocks
    }

    /// Blocks that carry the target, as the collect under way or the last one found.
    pub const fn carriers(&self) -> Blocks {
        self.carries
    }

    /// Blocks that took no write of this mount.
    pub const fn refused(&self) -> Blocks {
        self.refused
    }

    /// Blocks that are damaged, as the collect under way or the last one found.
    pub const fn damage(&self) -> Blocks {
        self.damaged
    }
}

impl Default for Witness {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Term;

    fn rid(n: u64) -> Rid {
        Rid::new(n).unwrap()
    }

    const ME: u64 = 7;

    fn ballot() -> Ballot {
        Ballot {
            term: Term(3),
            rid: rid(ME),
        }
    }

    /// One completed collect in which block `i` was written by `writer(i)` and carries the target if it has one.
    fn collect(witness: &mut Witness, writer: impl Fn(usize) -> Option<(u64, u64)>) {
        witness.begin(Some(ballot()));
        for index in 0..REGION_BLOCKS {
            match writer(index) {
                Some((by, nr)) => witness.valid(index, rid(by), WriteNr(nr), true),
                None => witness.empty(index),
            }
        }
        witness.complete();
    }

    fn first(n: usize) -> impl Fn(usize) -> Option<(u64, u64)> {
        move |index| (index < n).then_some((1, index as u64))
    }

    #[test]
    fn blocks_are_a_set() {
        let set = |indices: &[usize]| {
            let mut blocks = Blocks::NONE;
            indices.iter().for_each(|&index| blocks.set(index, true));
            blocks
        };
        let last = REGION_BLOCKS - 1;
        let (some, others) = (set(&[0, 5, last]), set(&[5, 6]));
        assert!(some.has(0) && some.has(5) && some.has(last) && !some.has(6));
        assert_eq!((some.count(), Blocks::NONE.count()), (3, 0));
        assert_eq!(some.and(others), set(&[5]));
        assert_eq!(some.or(others), set(&[0, 5, 6, last]));
        assert_eq!(some.complement().count(), REGION_BLOCKS - 3);
        assert_eq!(some.complement().and(some), Blocks::NONE);
        assert_eq!(some.complement().complement(), some);
        let each: [_; 4] = core::array::from_fn(|nth| some.nth(nth));
        assert_eq!(each, [Some(0), Some(5), Some(last), None]);
        let mut fewer = some;
        fewer.set(5, false);
        fewer.set(6, false);
        assert_eq!(fewer, set(&[0, last]));
    }

    #[test]
    fn a_block_that_was_emptied_or_spoilt_in_between_does_not_count() {
        for spoil in [false, true] {
            let mut witness = Witness::new();
            collect(&mut witness, first(SEAL_BLOCKS));
            if spoil {
                witness.invalid(0, 11, Instant(0), Duration::from_secs(1));
            } else {
                witness.empty(0);
            }
            collect(&mut witness, first(SEAL_BLOCKS));
            assert!(!witness.is_sealed(), "spoilt: {spoil}");
            collect(&mut witness, first(SEAL_BLOCKS));
            assert!(witness.is_sealed());
        }
    }

    #[test]
    fn what_was_seen_of_one_participation_is_no_basis_for_a_seal_of_the_next() {
        let mut witness = Witness::new();
        collect(&mut witness, first(SEAL_BLOCKS));
        assert_eq!(witness.target(), Some(ballot()));
        witness.wrote(3, rid(ME), WriteNr(9));
        witness.refuse();
        witness.forget();
        assert_eq!((witness.target(), witness.refused().count()), (None, 0));
        collect(&mut witness, first(SEAL_BLOCKS));
        assert!(!witness.is_sealed());
        // Nor is what was seen of another ballot, though the blocks are the same.
        witness.begin(Some(Ballot {
            term: Term(4),
            rid: rid(ME),
        }));
        (0..SEAL_BLOCKS).for_each(|index| witness.valid(index, rid(1), WriteNr(index as u64), true));
        witness.complete();
        assert!(!witness.is_sealed());
    }

    #[test]
    fn r4_two_equal_collects_of_n_carriers_seal_and_one_does_not() {
        let mut witness = Witness::new();
        collect(&mut witness, first(SEAL_BLOCKS));
        assert!(!witness.is_sealed(), "one collect is not enough");
        collect(&mut witness, first(SEAL_BLOCKS));
        assert!(witness.is_sealed());
    }

    #[test]
    fn r4_n_minus_one_do_not_seal() {
        let mut witness = Witness::new();
        collect(&mut witness, first(SEAL_BLOCKS - 1));
        collect(&mut witness, first(SEAL_BLOCKS - 1));
        assert!(!witness.is_sealed());
    }

    #[test]
    fn r4_a_block_rewritten_by_another_in_between_does_not_count() {
        let mut witness = Witness::new();
        collect(&mut witness, first(SEAL_BLOCKS));
        collect(&mut witness, |index| {
            if index == 0 {
                Some((2, 9))
            } else {
                first(SEAL_BLOCKS)(index)
            }
        });
        assert!(!witness.is_sealed());
    }

    #[test]
    fn r4_the_own_block_written_in_between_counts_unless_overwritten() {
        for (holder, sealed) in [((ME, 50), true), ((ME, 49), false), ((2, 50), false)] {
            let mut witness = Witness::new();
            collect(&mut witness, first(SEAL_BLOCKS - 1));
            witness.wrote(SEAL_BLOCKS, rid(ME), WriteNr(50));
            collect(&mut witness, |index| {
                if index == SEAL_BLOCKS {
                    Some(holder)
                } else {
                    first(SEAL_BLOCKS - 1)(index)
                }
            });
            assert_eq!(witness.is_sealed(), sealed, "{holder:?}");
        }
    }

    #[test]
    fn r4_a_failed_collect_in_between_breaks_the_chain() {
        let mut witness = Witness::new();
        collect(&mut witness, first(SEAL_BLOCKS));
        witness.begin(Some(ballot()));
        witness.fail();
        collect(&mut witness, first(SEAL_BLOCKS));
        assert!(!witness.is_sealed());
    }

    #[test]
    fn r4_a_block_left_out_of_either_collect_does_not_count() {
        let mut witness = Witness::new();
        collect(&mut witness, first(SEAL_BLOCKS));
        witness.begin(Some(ballot()));
        (1..SEAL_BLOCKS).for_each(|index| witness.valid(index, rid(1), WriteNr(index as u64), true));
        witness.complete();
        assert!(!witness.is_sealed());
    }

    #[test]
    fn r4_neither_a_collect_under_way_nor_one_that_looks_for_nothing_seals() {
        let mut witness = Witness::new();
        let valid = |witness: &mut Witness| {
            (0..REGION_BLOCKS).for_each(|index| witness.valid(index, rid(1), WriteNr(1), true));
        };
        collect(&mut witness, first(SEAL_BLOCKS));
        witness.begin(Some(ballot()));
        (0..SEAL_BLOCKS).for_each(|index| witness.valid(index, rid(1), WriteNr(index as u64), true));
        assert!(!witness.is_sealed(), "the rest of it may show anything");
        assert_eq!(witness.sealing().count(), 0);
        witness.complete();
        assert!(witness.is_sealed());
        for _ in 0..3 {
            witness.begin(None);
            valid(&mut witness);
            witness.complete();
            assert!(!witness.is_sealed());
        }
    }

    #[test]
    fn blocks_that_take_no_write_are_left_out_until_they_are_too_many_to_be_at_fault() {
        let mut witness = Witness::new();
        witness.refuse();
        assert_eq!(witness.refused().count(), 0, "nothing was written");
        for index in 0..TORN_MAX {
            witness.wrote(index, rid(ME), WriteNr(index as u64));
            witness.refuse();
            assert!(witness.refused().has(index));
            assert_eq!(witness.refused().count(), index + 1);
        }
        witness.wrote(TORN_MAX, rid(ME), WriteNr(9));
        witness.refuse();
        assert_eq!(witness.refused().count(), 0, "it is the device");
    }

    #[test]
    fn r10_bytes_that_stay_invalid_longer_than_a_write_takes_are_damage() {
        let w = Duration::from_secs(1);
        let mut witness = Witness::new();
        assert!(!witness.invalid(3, 11, Instant(0), w));
        assert!(!witness.invalid(3, 11, Instant(0) + w, w), "not longer than W");
        assert!(
            !witness.invalid(3, 12, Instant(1) + w, w),
            "other bytes start afresh"
        );
        witness.begin(None);
        assert!(
            witness.invalid(3, 12, Instant(2) + w.times(2), w),
            "the memory outlives the collect"
        );
        assert!(witness.damage().has(3));
    }
}
