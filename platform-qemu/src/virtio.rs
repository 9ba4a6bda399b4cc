//! Virtio devices in the slots of QEMU's `microvm`.

use ostrakon_devices::Plain;
use virtio_drivers::transport::{DeviceType, Transport};

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
        // SAFETY: a slot of the board, mapped for good, and looked at here only, once.
        let Some(transport) = (unsafe { Plain::at(SLOTS_AT + slot * SLOT_BYTES, SLOT_BYTES) }) else {
            continue;
        };
        let place = match transport.device_type() {
            DeviceType::Block => &mut devices.disk,
            DeviceType::Network => &mut devices.net,
            DeviceType::EntropySource => &mut devices.rng,
            _ => continue,
        };
        let earlier = place.replace(transport);
        if earlier
            .as_ref()
            .is_some_and(|earlier| earlier.device_type() == DeviceType::Block)
        {
            devices.other_disk = earlier;
        }
    }
    devices
}
