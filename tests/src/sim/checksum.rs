//! The checksum routines of the simulation, on every host.
//!
//! The checksum is the one that Linux uses, so that a device of the simulation is one that `ostrakon` reads. But checksums are most of
//! what a run would spend its time on, and none is computed twice: what a block of the device sums up to is remembered with the
//! device until a byte of that block is written, and lent to the routines while the very bytes of the device are looked at.

use std::cell::RefCell;

use ostrakon_core::bounds::BLOCK_BYTES;
use ostrakon_core::checksum::{self as of_core, Checksum, Zeros};

/// Where in a block begins what its checksum covers, to its end.
const COVERED: usize = 4;

thread_local! {
    static LENT: RefCell<Lent> = const { RefCell::new(Lent::NOTHING) };
}

/// What is known of a block.
#[derive(Clone, Copy, Default, Debug)]
struct Known {
    sum: Option<u32>,
    /// The checksum of all of it, by which one that is invalid is known again.
    fingerprint: Option<u32>,
    /// So many zeros at its end were seen.
    zeros: usize,
}

/// What is known of the device that is being looked at, and where its bytes begin.
struct Lent {
    start: usize,
    known: Vec<Known>,
}

impl Lent {
    const NOTHING: Self = Self {
        start: 0,
        known: Vec::new(),
    };

    /// The block of the device that these bytes are, from there to its end.
    fn block_of(&mut self, bytes: &[u8], from: usize) -> Option<&mut Known> {
        let offset = (bytes.as_ptr() as usize).checked_sub(self.start)?;
        let so = offset % BLOCK_BYTES == from && bytes.len() == BLOCK_BYTES - from;
        self.known.get_mut(offset / BLOCK_BYTES).filter(|_| so)
    }
}

/// What is known of the blocks of a device that were not written since it was found out.
#[derive(Clone, Debug)]
pub(crate) struct Memory(RefCell<Vec<Known>>);

impl Memory {
    /// Nothing is known of so many blocks.
    pub(crate) fn new(blocks: usize) -> Self {
        Self(RefCell::new(vec![Known::default(); blocks]))
    }

    /// The bytes of these blocks change.
    pub(crate) fn forget(&mut self, blocks: std::ops::RangeInclusive<usize>) {
        self.0.get_mut()[blocks].fill(Known::default());
    }

    /// Lends what is known to the routines for as long as these bytes, those of the whole device, are borrowed.
    pub(crate) fn lend<'a>(&'a self, bytes: &'a [u8]) -> Loan<'a> {
        let mine = Lent {
            start: bytes.as_ptr() as usize,
            known: self.0.take(),
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
    to: &'a Memory,
    before: Lent,
    /// Nobody writes to them meanwhile.
    _bytes: &'a [u8],
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let before = std::mem::replace(&mut self.before, Lent::NOTHING);
        self.to.0.replace(LENT.replace(before).known);
    }
}

/// The checksum of these bytes.
pub fn checksum(bytes: &[u8]) -> u32 {
    let compute = || crc32c::crc32c(bytes);
    LENT.with_borrow_mut(|lent| {
        if let Some(known) = lent.block_of(bytes, COVERED) {
            *known.sum.get_or_insert_with(compute)
        } else if let Some(known) = lent.block_of(bytes, 0) {
            *known.fingerprint.get_or_insert_with(compute)
        } else {
            compute()
        }
    })
}

/// The checksum of these bytes, if they end with these zeros.
pub fn padded(bytes: &[u8], zeros: Zeros, _: Checksum) -> Option<u32> {
    LENT.with_borrow_mut(|lent| {
        let Some(known) = lent.block_of(bytes, COVERED) else {
            return of_core::padded(bytes, zeros, crc32c::crc32c);
        };
        if known.sum.is_none() || known.zeros < zeros.bytes() {
            let sum = of_core::padded(bytes, zeros, crc32c::crc32c)?;
            *known = Known {
                sum: Some(sum),
                zeros: zeros.bytes(),
                ..*known
            };
        }
        known.sum
    })
}
