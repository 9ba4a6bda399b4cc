//! CRC-32C (Castagnoli; RFC 3720 appendix B.4), pluggable because many platforms have an instruction for it.

/// A routine that returns the CRC-32C of the given bytes. All routines must agree, and with the arithmetic of that checksum: core
/// computes the checksum of what ends with zeros from that of what stands before them.
pub type Checksum = fn(&[u8]) -> u32;

/// The portable routine: a 16-slice table, about 2 µs for a block on a desktop.
pub fn portable(bytes: &[u8]) -> u32 {
    const CRC: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISCSI);
    CRC.checksum(bytes)
}

/// The same with a table of 1 KiB instead of 16 KiB, for firmware that counts bytes; four to eight times slower.
pub fn compact(bytes: &[u8]) -> u32 {
    const CRC: crc::Crc<u32, crc::Table<1>> = crc::Crc::<u32, crc::Table<1>>::new(&crc::CRC_32_ISCSI);
    CRC.checksum(bytes)
}

/// The polynomial, its highest power in the lowest bit, as in every routine of this checksum.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// What a CRC begins and ends with.
const ONES: u32 = u32::MAX;

/// A routine that returns the checksum of bytes that end with these zeros; `None` if they do not. Quorum blocks are read again
/// and again and are mostly zeros: how fast a platform finds that out is how fast it reads the region.
pub type PaddedChecksum = fn(&[u8], Zeros, Checksum) -> Option<u32>;

/// The portable routine for that. It looks at the zeros, which is faster than any checksum of them.
pub fn padded(bytes: &[u8], zeros: Zeros, checksum: Checksum) -> Option<u32> {
    let (before, end) = bytes.split_at_checked(bytes.len().checked_sub(zeros.bytes)?)?;
    all_zero(end).then(|| zeros.behind(checksum(before)))
}

pub(crate) fn all_zero(bytes: &[u8]) -> bool {
    // The fold has no early exit, so that it becomes vector code.
    bytes.iter().fold(0, |all, byte| all | byte) == 0
}

/// So many zero bytes at the end of something: its checksum follows from that of what stands before them, by one
/// multiplication of polynomials.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Zeros {
    bytes: usize,
    /// x to the power of their bits, modulo the polynomial.
    power: u32,
}

impl Zeros {
    /// None.
    pub const NONE: Self = Self {
        bytes: 0,
        power: 1 << 31,
    };

    /// So many and `bytes` more.
    #[must_use]
    pub const fn and(self, bytes: usize) -> Self {
        let (mut power, mut bit) = (self.power, 0);
        while bit < 8 * bytes {
            power = times_x(power);
            bit += 1;
        }
        Self {
            bytes: self.bytes + bytes,
            power,
        }
    }

    /// How many.
    pub const fn bytes(self) -> usize {
        self.bytes
    }

    /// The checksum of something with these zeros behind it, from its own.
    #[must_use]
    pub const fn behind(self, checksum: u32) -> u32 {
        if self.bytes == 0 {
            return checksum;
        }
        product(checksum ^ ONES, self.power) ^ ONES
    }
}

/// A polynomial times x. The lowest power stands in the highest bit.
const fn times_x(factor: u32) -> u32 {
    (factor >> 1) ^ (POLYNOMIAL & (factor & 1).wrapping_neg())
}

/// The product of two polynomials, modulo [`POLYNOMIAL`].
const fn product(one: u32, mut other: u32) -> u32 {
    let (mut product, mut bit) = (0, 32);
    while bit > 0 {
        bit -= 1;
        product ^= other & (one >> bit & 1).wrapping_neg();
        other = times_x(other);
    }
    product
}

#[cfg(test)]
mod tests {
    use super::{Zeros, compact, padded, portable};

    #[test]
    fn agrees_with_the_examples_of_rfc_3720() {
        let mut ascending = [0; 32];
        let mut descending = [0; 32];
        for index in 0..32 {
            ascending[usize::from(index)] = index;
            descending[usize::from(index)] = 31 - index;
        }
        for (bytes, crc) in [
            ([0; 32], 0x8a91_36aa),
            ([0xff; 32], 0x62a8_ab43),
            (ascending, 0x46dd_794e),
            (descending, 0x113f_db5c),
        ] {
            assert_eq!(portable(&bytes), crc);
            assert_eq!(compact(&bytes), crc);
        }
        assert_eq!(portable(&[]), 0);
        assert_eq!(portable(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn agrees_with_an_independent_routine() {
        arbtest::arbtest(|u| {
            let bytes = u.bytes(u.len())?;
            assert_eq!(portable(bytes), crc32c::crc32c(bytes));
            assert_eq!(compact(bytes), portable(bytes));
            Ok(())
        });
    }

    #[test]
    fn zeros_at_the_end_need_not_be_read() {
        arbtest::arbtest(|u| {
            let (mut bytes, zeros) = (u.bytes(u.len().min(600))?.to_vec(), u.len() % 5000);
            bytes.resize(bytes.len() + zeros, 0);
            let expected = portable(&bytes);
            for zeros in [
                Zeros::NONE,
                Zeros::NONE.and(zeros),
                Zeros::NONE.and(zeros / 2).and(zeros / 3),
            ] {
                assert_eq!(padded(&bytes, zeros, portable), Some(expected));
            }
            let all = Zeros::NONE.and(bytes.len());
            let zero = bytes.iter().all(|&byte| byte == 0);
            assert_eq!(padded(&bytes, all, portable), zero.then_some(expected));
            assert_eq!(padded(&bytes, all.and(1), portable), None);
            Ok(())
        });
    }
}
