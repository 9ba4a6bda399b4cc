//! CRC-32C (Castagnoli; RFC 3720 appendix B.4), pluggable because many platforms have an instruction for it.

/// A routine that returns the CRC-32C of the given bytes. All routines must agree.
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

#[cfg(test)]
mod tests {
    use super::{compact, portable};

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
}
