//! Virtio devices in the slots of QEMU's `microvm`, and the memory that they share with us.

mod hal;
mod transport;

use core::ptr::NonNull;

use virtio_drivers::device::rng::VirtIORng;
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceType, Transport};

pub(crate) use hal::IdentityMapped;
pub(crate) use transport::{Link, Plain};

/// First slot, bytes of a slot, and how many there are.
const SLOTS_AT: usize = 0xfeb0_0000;
const SLOT_BYTES: usize = 0x200;
const SLOTS: usize = 8;

/// The devices that this image knows.
#[derive(Default)]
pub(crate) struct Devices {
    /// The shared disk.
    pub(crate) disk: Option<Plain>,
    /// Another one.
    pub(crate) other_disk: Option<Plain>,
    /// The network card.
    pub(crate) net: Option<Plain>,
    /// The source of entropy.
    pub(crate) rng: Option<Plain>,
}

/// Looks into every slot. Of several devices of a kind the one in the last slot counts: QEMU fills them from there.
pub(crate) fn find() -> Devices {
    let mut devices = Devices::default();
    for slot in 0..SLOTS {
        let header = (SLOTS_AT + slot * SLOT_BYTES) as *mut VirtIOHeader;
        let Some(header) = NonNull::new(header) else {
            continue;
        };
        // SAFETY: a slot of the board, mapped for good, and looked at here only, once. An empty one has a device id
        // of 0, which is refused.
        let Ok(transport) = (unsafe { MmioTransport::new(header, SLOT_BYTES) }) else {
            continue;
        };
        let place = match transport.device_type() {
            DeviceType::Block => &mut devices.disk,
            DeviceType::Network => &mut devices.net,
            DeviceType::EntropySource => &mut devices.rng,
            _ => continue,
        };
        let earlier = place.replace(Plain::new(transport, header.as_ptr() as usize));
        if earlier
            .as_ref()
            .is_some_and(|earlier| earlier.device_type() == DeviceType::Block)
        {
            devices.other_disk = earlier;
        }
    }
    devices
}

/// Fills `bytes` with entropy; false if the device gives none.
pub(crate) fn fill_random(transport: Plain, bytes: &mut [u8]) -> bool {
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
