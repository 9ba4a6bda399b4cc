//! Random bytes.

use virtio_drivers::device::rng::VirtIORng;

use crate::{IdentityMapped, Plain};

/// Fills `bytes` with entropy; false if the device gives none.
pub fn fill_random(transport: Plain, bytes: &mut [u8]) -> bool {
    let Ok(mut rng) = VirtIORng::<IdentityMapped, _>::new(transport) else {
        return false;
    };
    rng.disable_interrupts();
    let mut filled = 0;
    while filled < bytes.len() {
        match rng.request_entropy(&mut bytes[filled..]) {
            Ok(count) if count > 0 => filled += count,
            _ => return false,
        }
    }
    true
}
