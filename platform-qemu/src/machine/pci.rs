//! PCI, as far as this image needs it: one function without bridges before it, its registers mapped into memory.
//!
//! QEMU's `microvm` has a PCI bus with `pcie=on` only, and no firmware of its own that gives out addresses.

use super::mmio::Register;

/// The configuration space of bus 0, in memory.
const CONFIGURATION: usize = 0xe000_0000;
/// Devices of a bus, and bytes of configuration that each of a device's eight functions has.
const DEVICES: usize = 32;
const FUNCTION_BYTES: usize = 4096;
const FUNCTIONS: usize = 8;

/// Where the board lets functions map their registers, and the bytes that each device is given there.
const WINDOW: usize = 0xc000_0000;
const WINDOW_BYTES: usize = 0x1_0000;

const COMMAND: usize = 0x04;
const BAR_0: usize = 0x10;
/// The function answers at its addresses.
const MEMORY_SPACE: u16 = 1 << 1;

/// A function's vendor and device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Model {
    /// Who made it.
    pub(crate) vendor: u16,
    /// What it is.
    pub(crate) device: u16,
}

/// The first function of a device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Function {
    device: usize,
}

impl Function {
    /// The device of this model with the lowest number; `None` if there is none, or no bus.
    pub(crate) fn find(model: Model) -> Option<Self> {
        let wanted = u32::from(model.device) << 16 | u32::from(model.vendor);
        let mut devices = (0..DEVICES).map(|device| Self { device });
        devices.find(|function| function.configuration(0).read() == wanted)
    }

    /// A register of its configuration space.
    pub(crate) fn configuration(self, at: usize) -> Register {
        assert!(at < FUNCTION_BYTES, "it has no more of them");
        // SAFETY: reading or writing where no bus or no device is does nothing; what a device does there, whoever writes
        // answers for, and no device is ever made a bus master.
        unsafe { Register::at(CONFIGURATION + self.device * FUNCTIONS * FUNCTION_BYTES + at) }
    }

    /// Maps its first range of registers, and says where it lies.
    pub(crate) fn map(self) -> usize {
        let at = WINDOW + self.device * WINDOW_BYTES;
        self.configuration(BAR_0).write(at as u32);
        self.configuration(COMMAND).write16(MEMORY_SPACE);
        at
    }
}
