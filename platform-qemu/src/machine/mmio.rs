//! Registers in memory.

/// A register at a fixed address, of 32 bits where nothing else is said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Register(usize);

impl Register {
    /// The register at this address.
    ///
    /// # Safety
    /// The address must be that of a device register which may be read and written, as the bits that its user names, at any
    /// time, and which has no way to change memory.
    pub(crate) const unsafe fn at(address: usize) -> Self {
        Self(address)
    }

    pub(crate) fn read(self) -> u32 {
        // SAFETY: promised by whoever made it.
        unsafe { (self.0 as *const u32).read_volatile() }
    }

    /// Writes it as 16 bits: there are devices that obey no other width.
    pub(crate) fn write16(self, value: u16) {
        // SAFETY: promised by whoever made it.
        unsafe { (self.0 as *mut u16).write_volatile(value) }
    }

    /// Writes it as 8 bits.
    pub(crate) fn write8(self, value: u8) {
        // SAFETY: promised by whoever made it.
        unsafe { (self.0 as *mut u8).write_volatile(value) }
    }

    pub(crate) fn write(self, value: u32) {
        // SAFETY: promised by whoever made it.
        unsafe { (self.0 as *mut u32).write_volatile(value) }
    }
}
