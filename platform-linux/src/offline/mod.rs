//! A volume without a mount: formatting, looking, and what is changed offline.
//!
//! - [`Volume`]: a device that holds a volume, read block by block and waited for as long as it takes.
//! - [`signatures`]: what else a device may hold.
//! - [`format`](mod@format): laying a volume out.
//! - [`change`]: changing the number of votes, or the key.

pub mod change;
mod damage;
mod error;
mod fences;
pub mod format;
mod region;
pub mod signatures;
mod table;
mod volume;

pub use damage::Damage;
pub use error::{OfflineError, super_error_text};
pub use fences::{FenceState, Fences};
pub use region::{Region, RegionState};
pub use table::{CopyState, Table, TableState};
pub use volume::Volume;

/// The checksum routine of this platform: the processor's instruction where it has one.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_fast_checksum_agrees_with_the_portable_one() {
        let bytes: Vec<u8> = (0..5000u32).map(|n| ((n * n) >> 3) as u8).collect();
        for length in [0, 1, 7, 64, 4092, 4096, 5000] {
            let bytes = &bytes[..length];
            assert_eq!(super::checksum(bytes), ostrakon_core::checksum::portable(bytes));
        }
    }
}
