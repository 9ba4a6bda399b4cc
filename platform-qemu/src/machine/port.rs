//! I/O ports.

use core::arch::asm;

/// One port, or the first of a device's few.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port(pub(crate) u16);

impl Port {
    /// The port `by` further.
    pub(crate) const fn offset(self, by: u16) -> Self {
        Self(self.0 + by)
    }

    pub(crate) fn write8(self, value: u8) {
        // SAFETY: a port write cannot touch memory; every port named in this image belongs to a device that has
        // no way to do so on its own (no DMA controller is ever named).
        unsafe {
            asm!("out dx, al", in("dx") self.0, in("al") value, options(nomem, nostack, preserves_flags))
        };
    }

    pub(crate) fn read8(self) -> u8 {
        let value;
        // SAFETY: as for writing.
        unsafe {
            asm!("in al, dx", in("dx") self.0, out("al") value, options(nomem, nostack, preserves_flags))
        };
        value
    }

    pub(crate) fn write32(self, value: u32) {
        // SAFETY: as for bytes.
        unsafe {
            asm!("out dx, eax", in("dx") self.0, in("eax") value, options(nomem, nostack, preserves_flags))
        };
    }
}
