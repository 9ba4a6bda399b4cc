//! Damage, and the repair of checksums that would hide it.

use arbitrary::{Arbitrary, Result, Unstructured};

/// The checksum routine of every target.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// Makes the checksum right that stands in the first four bytes and covers the others.
pub fn repair(bytes: &mut [u8]) {
    if let Some((crc, covered)) = bytes.split_first_chunk_mut::<4>() {
        *crc = checksum(covered).to_le_bytes();
    }
}

/// Changes a few bytes, most of them among the first 512, where the fields are.
pub fn damage(u: &mut Unstructured<'_>, bytes: &mut [u8]) -> Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    for _ in 0..u.int_in_range(1..=4)? {
        let within = if u.ratio(7, 8)? {
            bytes.len().min(512)
        } else {
            bytes.len()
        };
        let at = u.int_in_range(0..=within - 1)?;
        match u.int_in_range(0..=3)? {
            0 => bytes[at] = u.arbitrary()?,
            1 => bytes[at] ^= 1 << u.int_in_range(0..=7)?,
            2 => bytes[at] = *u.choose(&[0, 1, 0x7f, 0x80, 0xff])?,
            _ => {
                let word = <[u8; 8]>::arbitrary(u)?;
                let end = bytes.len().min(at + word.len());
                bytes[at..end].copy_from_slice(&word[..end - at]);
            }
        }
    }
    Ok(())
}
