//! The checksum routine of the simulation, on every host.
//!
//! It is the one that Linux uses, so that a device of the simulation is one that `ostrakon` reads. But checksums are most of what
//! a run would spend its time on, and none is computed twice: what a block of the device sums up to is remembered with the
//! device until a byte of that block is written, and lent to the routine while the very bytes of the device are looked at.

use std::cell::RefCell;

use ostrakon_core::bounds::BLOCK_BYTES;

/// Where in a block begins what its checksum covers. It is computed to the end of the block, or to the zeros at its end.
const COVERED: usize = 4;

/// So many bytes sum up to this.
type Sum = (usize, u32);

thread_local! {
    static LENT: RefCell<Lent> = const { RefCell::new(Lent::NOTHING) };
}

/// The sums of the device that is being looked at, and where its bytes begin.
struct Lent {
    start: usize,
    sums: Vec<Option<Sum>>,
}

impl Lent {
    const NOTHING: Self = Self {
        start: 0,
        sums: Vec::new(),
    };

    /// The block of the device in whose covered part these bytes come first.
    fn block_of(&self, bytes: &[u8]) -> Option<usize> {
        let offset = (bytes.as_ptr() as usize).checked_sub(self.start)?;
        let (block, within) = (offset / BLOCK_BYTES, offset % BLOCK_BYTES);
        let covered = within == COVERED && COVERED + bytes.len() <= BLOCK_BYTES;
        (covered && block < self.sums.len()).then_some(block)
    }
}

/// Sums of the blocks of a device that were not written since they were computed.
#[derive(Clone, Debug)]
pub(crate) struct Sums(RefCell<Vec<Option<Sum>>>);

impl Sums {
    /// None is known of so many blocks.
    pub(crate) fn new(blocks: usize) -> Self {
        Self(RefCell::new(vec![None; blocks]))
    }

    /// The bytes of these blocks change.
    pub(crate) fn forget(&mut self, blocks: std::ops::RangeInclusive<usize>) {
        self.0.get_mut()[blocks].fill(None);
    }

    /// Lends the sums to the routine for as long as these bytes, those of the whole device, are borrowed.
    pub(crate) fn lend<'a>(&'a self, bytes: &'a [u8]) -> Loan<'a> {
        let mine = Lent {
            start: bytes.as_ptr() as usize,
            sums: self.0.take(),
        };
        Loan {
            to: self,
            before: LENT.replace(mine),
            _bytes: bytes,
        }
    }
}

/// Ends the loan when it is dropped.
#[must_use]
pub(crate) struct Loan<'a> {
    to: &'a Sums,
    before: Lent,
    /// Nobody writes to them meanwhile.
    _bytes: &'a [u8],
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let before = std::mem::replace(&mut self.before, Lent::NOTHING);
        self.to.0.replace(LENT.replace(before).sums);
    }
}

/// The checksum of these bytes.
pub fn checksum(bytes: &[u8]) -> u32 {
    LENT.with_borrow_mut(|lent| {
        let Some(block) = lent.block_of(bytes) else {
            return crc32c::crc32c(bytes);
        };
        match lent.sums[block] {
            Some((length, sum)) if length == bytes.len() => sum,
            _ => {
                let sum = crc32c::crc32c(bytes);
                lent.sums[block] = Some((bytes.len(), sum));
                sum
            }
        }
    })
}
