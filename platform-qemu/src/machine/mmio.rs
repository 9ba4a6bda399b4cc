//! Registers in memory.

/// A 32-bit register at a fixed address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Register(usize);

impl Register {
    /// The register at this address.
    ///
    /// # Safety
    /// The address must be that of a device register which may be read and written as 32 bits at any time,
    /// and which has no way to change memory.
    pub(crate) const unsafe fn at(address: usize) -> Self {
        Self(address)
    }

    pub(crate) fn read(self) -> u32 {
        // SAFETY: promised by whoever made it.
        unsafe { (self.0 as *const u32).read_volatile() }
    }

    pub(crate) fn write(self, value: u32) {
        // SAFETY: promised by whoever made it.
        unsafe { (self.0 as *mut u32).write_volatile(value) }
    }
}
