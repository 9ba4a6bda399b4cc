//! Why a bare program ended, in a word that QEMU's process hands on.

/// Why the program ended. Never 0: that would read as QEMU's own failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Left the volume cleanly.
    Left = 1,
    /// Left, but not cleanly: by force, or its record stays behind.
    NotClean = 2,
    /// The command line makes no sense.
    CommandLine = 3,
    /// A device that it cannot do without is not there.
    NoDevice = 4,
    /// The disk does not answer any more.
    DiskLost = 5,
    /// The network does not take packets any more.
    NetworkLost = 6,
    /// A panic.
    Panic = 7,
    /// A fault of the processor.
    Fault = 8,
    /// The disk does not keep what core's rules assume.
    NotConforming = 9,
}

impl Exit {
    /// The status of QEMU's process: `isa-debug-exit` makes twice the code and one of a code, and other boards do the same.
    pub const fn status(self) -> u32 {
        (self as u32) << 1 | 1
    }
}
