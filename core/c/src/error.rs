//! What went wrong in a call, and its text.

use core::ffi::c_char;

/// Outcome of a call. Everything but NONE and NOTHING is a mistake of the caller; nothing was changed then.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ostrakon_error {
    /// Done.
    None = 0,
    /// There is nothing more to give; not a mistake.
    Nothing = 1,
    /// A pointer that must lead somewhere is null.
    NullPointer = 2,
    /// Memory is not aligned as `OSTRAKON_MOUNT_ALIGN` says.
    Misaligned = 3,
    /// Less memory than `OSTRAKON_MOUNT_BYTES` of the clients asked for, or more clients than fit anywhere.
    MemoryTooSmall = 4,
    /// No mount was started in this memory, or it was moved or released.
    NotAMount = 5,
    /// A mount lives in this memory: release it first.
    AlreadyStarted = 6,
    /// Called out of one of the mount's own callbacks.
    Reentered = 7,
    /// The mount has not ended: unmount or force it, and wait for its last event.
    NotEnded = 8,
    /// `size` of the configuration is not that of this library: header and library are of different versions.
    ConfigSize = 9,
    /// The rid is 0.
    ConfigRid = 10,
    /// The server's address has a family other than 4 and 6, or port 0.
    ConfigAddress = 11,
    /// `transfer_blocks` is not from 1 to 64.
    ConfigTransferBlocks = 12,
    /// A time that must not be 0 is 0, or `lease_us` and `write_time_max_us` add up to more than 24 days.
    ConfigTime = 13,
    /// A voter that can neither fence nor promises a lease.
    ConfigFence = 14,
    /// A voter without memory for a single client, or a plain client with some.
    ConfigClients = 15,
    /// A buffer is smaller than the call asks for.
    BufferTooSmall = 16,
    /// A value that none of its enumerators has.
    UnknownValue = 17,
    /// A command that does not belong to services.
    ReservedCommand = 18,
    /// The body is longer than `OSTRAKON_REQUEST_BYTES`.
    BodyTooLong = 19,
    /// Too many requests are under way, or the mount is leaving.
    NotNow = 20,
    /// The volume asked for is larger than the device, or a number of it is out of range.
    VolumeGeometry = 21,
    /// A service without one of its callbacks.
    ServiceCallback = 22,
    /// The seed is all 0: it was not drawn.
    ConfigSeed = 23,
    /// The id or the key of a new volume is all 0: it was not drawn.
    VolumeSecret = 24,
}

impl ostrakon_error {
    const fn text(code: i32) -> &'static core::ffi::CStr {
        match code {
            0 => c"done",
            1 => c"nothing to do",
            2 => c"null pointer",
            3 => c"memory is not aligned to OSTRAKON_MOUNT_ALIGN",
            4 => c"less memory than OSTRAKON_MOUNT_BYTES(clients)",
            5 => c"no mount lives in this memory: never started, moved or released",
            6 => c"a mount lives in this memory already: release it first",
            7 => c"called out of a callback of the same mount",
            8 => c"the mount has not ended: unmount or force it and wait for its last event",
            9 => c"size of the configuration differs: header and library are of different versions",
            10 => c"rid is 0",
            11 => c"server address: family must be 4 or 6 and the port not 0",
            12 => c"transfer_blocks must be from 1 to 64",
            13 => c"a time of the configuration is 0, or lease_us and write_time_max_us add up to more than 24 days",
            14 => c"a voter must be able to fence or promise a lease",
            15 => c"a voter needs memory for at least one client, a plain client for none",
            16 => c"buffer too small",
            17 => c"a value that none of its enumerators has",
            18 => c"commands below OSTRAKON_COMMAND_SERVICE are not for services",
            19 => c"body longer than OSTRAKON_REQUEST_BYTES",
            20 => c"too many requests under way, or the mount is leaving",
            21 => c"volume: quorum_count or clients_max out of range, or the device is too small",
            22 => c"a service needs all of its callbacks",
            23 => c"seed is all 0: draw 32 random bytes",
            24 => c"id or key of the volume is all 0: draw random bytes",
            _ => c"no error of ostrakon",
        }
    }
}

/// Text of an `ostrakon_error`, for any value: a constant that ends with a zero.
#[unsafe(no_mangle)]
pub extern "C" fn ostrakon_error_text(error: i32) -> *const c_char {
    ostrakon_error::text(error).as_ptr()
}
