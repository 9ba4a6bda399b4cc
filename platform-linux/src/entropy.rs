//! Randomness from the kernel, drawn once for each identity and seed.

use ostrakon_core::ids::{Rid, VolumeId, VolumeKey};
use rustix::rand::GetRandomFlags;

/// Random bytes: seeds for core, and what the functions below make of them.
///
/// # Panics
/// If the kernel has no randomness to give: without it no identity can be drawn, and nothing may begin.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        filled += rustix::io::retry_on_intr(|| {
            rustix::rand::getrandom(&mut bytes[filled..], GetRandomFlags::empty())
        })
        .expect("getrandom works on every kernel since 3.17");
    }
    bytes
}

/// A new identity of a mount.
pub fn rid() -> Rid {
    loop {
        if let Some(rid) = Rid::new(u64::from_ne_bytes(bytes())) {
            return rid;
        }
    }
}

/// A new identity of a volume.
pub fn volume_id() -> VolumeId {
    VolumeId(bytes())
}

/// A new secret of a volume.
pub fn volume_key() -> VolumeKey {
    VolumeKey(bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_draws_are_alike() {
        assert_ne!(bytes::<32>(), bytes::<32>());
        assert_ne!(rid(), rid());
        assert_ne!(volume_id(), volume_id());
    }
}
