//! The caller's memory: how a mount lies in it, and the guard in front of every call.

use core::mem::offset_of;
use core::ptr;
use core::slice;

use ostrakon_core::bounds::{BLOCK_BYTES, MESSAGE_BYTES_MAX};
use ostrakon_core::config::Config;
use ostrakon_core::mount::Mount;
use ostrakon_core::noise::SEED_BYTES;
use ostrakon_core::server::{ClientSlot, ConnSlot, Memory};
use ostrakon_core::time::Instant;

use crate::convert::Outcome;
use crate::ostrakon_error;
use crate::service::Callbacks;

/// Connections at once that have not shown the key yet. With more, those that come in one after the other are served.
const STRANGERS: usize = 4;

/// Alignment of a mount's memory.
pub const OSTRAKON_MOUNT_ALIGN: usize = 8;

/// Bytes of a mount without clients where pointers have 64 bits. See `OSTRAKON_MOUNT_BYTES`.
#[cfg(target_pointer_width = "64")]
pub const OSTRAKON_MOUNT_BASE_BYTES: usize = 15872;

/// Bytes of a mount without clients where pointers are shorter. See `OSTRAKON_MOUNT_BYTES`.
#[cfg(not(target_pointer_width = "64"))]
pub const OSTRAKON_MOUNT_BASE_BYTES: usize = 15360;

/// Bytes that each client of the volume adds.
pub const OSTRAKON_MOUNT_CLIENT_BYTES: usize = 512;

/// A mount in the caller's memory. Its inside is nobody's business.
pub struct ostrakon_mount {
    _inside: [u8; 0],
}

/// "ostrakon", and mixed with the address, so that a copy elsewhere is none.
const MAGIC: u64 = 0x6e6f_6b61_7274_736f;

/// What lies in front of the slots.
#[repr(C)]
pub(crate) struct Inside {
    magic: u64,
    /// Bytes of one disk buffer.
    pub(crate) transfer_bytes: usize,
    /// A call is under way.
    entered: u32,
    pub(crate) mount: Mount<Slots, Callbacks>,
}

/// The slots behind a mount, in the same memory.
pub(crate) struct Slots {
    clients: *mut ClientSlot,
    conns: *mut ConnSlot,
    clients_count: usize,
    conns_count: usize,
}

impl Memory for Slots {
    fn slots(&mut self) -> (&mut [ClientSlot], &mut [ConnSlot]) {
        // SAFETY: `start` initialized that many slots there, which nobody else reaches while the mount lives;
        // the two do not overlap, and `&mut self` lends them once at a time.
        unsafe {
            (
                slice::from_raw_parts_mut(self.clients, self.clients_count),
                slice::from_raw_parts_mut(self.conns, self.conns_count),
            )
        }
    }
}

const CLIENTS_OFFSET: usize = size_of::<Inside>();

const _: () = assert!(align_of::<Inside>() <= OSTRAKON_MOUNT_ALIGN);
const _: () = assert!(align_of::<ClientSlot>() <= OSTRAKON_MOUNT_ALIGN);
const _: () = assert!(align_of::<ConnSlot>() <= OSTRAKON_MOUNT_ALIGN);
const _: () = assert!(CLIENTS_OFFSET.is_multiple_of(OSTRAKON_MOUNT_ALIGN));
const _: () = assert!(size_of::<ClientSlot>().is_multiple_of(OSTRAKON_MOUNT_ALIGN));
const _: () = assert!(offset_of!(Inside, magic) == 0);
const _: () = assert!(
    CLIENTS_OFFSET + STRANGERS * size_of::<ConnSlot>() <= OSTRAKON_MOUNT_BASE_BYTES,
    "the header promises enough for a mount without clients"
);
const _: () = assert!(
    OSTRAKON_MOUNT_BASE_BYTES - (CLIENTS_OFFSET + STRANGERS * size_of::<ConnSlot>()) < 512,
    "and wastes next to nothing"
);
/// What a small target has for a mount with eight clients, a buffer of one block and one of a message.
const SMALL_RAM_BYTES: usize = 24 * 1024;
const _: () = assert!(
    size_of::<usize>() == 8
        || OSTRAKON_MOUNT_BASE_BYTES + 8 * OSTRAKON_MOUNT_CLIENT_BYTES + BLOCK_BYTES + MESSAGE_BYTES_MAX
            <= SMALL_RAM_BYTES
);
const _: () = assert!(size_of::<ClientSlot>() + size_of::<ConnSlot>() == OSTRAKON_MOUNT_CLIENT_BYTES);

/// The checksum routine of this build.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    #[cfg(not(feature = "platform-checksum"))]
    {
        ostrakon_core::checksum::compact(bytes)
    }
    #[cfg(feature = "platform-checksum")]
    {
        unsafe extern "C" {
            /// CRC-32C of these bytes.
            fn ostrakon_platform_crc32c(bytes: *const u8, length: usize) -> u32;
        }
        // SAFETY: the platform reads the bytes of the slice and nothing else, as the header asks.
        unsafe { ostrakon_platform_crc32c(bytes.as_ptr(), bytes.len()) }
    }
}

fn magic(at: *const ostrakon_mount) -> u64 {
    MAGIC ^ (at.addr() as u64).rotate_left(32)
}

/// The mount's place, if its memory may hold one at all.
fn place(mount: *mut ostrakon_mount) -> Outcome<*mut Inside> {
    if mount.is_null() {
        return Err(ostrakon_error::NullPointer);
    }
    if !mount.addr().is_multiple_of(OSTRAKON_MOUNT_ALIGN) {
        return Err(ostrakon_error::Misaligned);
    }
    Ok(mount.cast())
}

/// Whether a mount was started here and not released.
///
/// # Safety
/// `inside` is aligned and valid for reading its first eight bytes, whatever they are.
unsafe fn lives(inside: *mut Inside) -> bool {
    // Volatile: memory that C never wrote may hold anything, and is read as it is.
    // SAFETY: `magic` is the first field, readable as the caller promises.
    unsafe { ptr::read_volatile(inside.cast::<u64>()) == magic(inside.cast()) }
}

/// Begins a mount in the caller's memory.
///
/// # Safety
/// `memory` is null or valid for reading and writing `bytes` bytes for as long as the mount lives.
pub(crate) unsafe fn start(
    memory: *mut ostrakon_mount,
    bytes: usize,
    clients: u32,
    make: impl FnOnce() -> Outcome<(Instant, Config, [u8; SEED_BYTES], Callbacks)>,
) -> Outcome {
    let inside = place(memory)?;
    let clients_count = clients as usize;
    let conns_count = if clients == 0 {
        0
    } else {
        clients_count + STRANGERS
    };
    let needed = clients_count
        .checked_mul(OSTRAKON_MOUNT_CLIENT_BYTES)
        .and_then(|slots| slots.checked_add(OSTRAKON_MOUNT_BASE_BYTES));
    if needed.is_none_or(|needed| bytes < needed) {
        return Err(ostrakon_error::MemoryTooSmall);
    }
    // SAFETY: aligned, and large enough for more than the first field.
    if unsafe { lives(inside) } {
        return Err(ostrakon_error::AlreadyStarted);
    }
    let (now, config, seed, service) = make()?;
    if config.voter.is_some() != (clients > 0) {
        return Err(ostrakon_error::ConfigClients);
    }
    // SAFETY: the offsets and sizes lie within `needed`, which the constants above hold against the types, and
    // everything is aligned. The magic is written last: only a finished mount is one.
    unsafe {
        let first = memory.cast::<u8>().add(CLIENTS_OFFSET).cast::<ClientSlot>();
        let conns = first.add(clients_count).cast::<ConnSlot>();
        for index in 0..clients_count {
            first.add(index).write(ClientSlot::default());
        }
        for index in 0..conns_count {
            conns.add(index).write(ConnSlot::default());
        }
        let slots = Slots {
            clients: first,
            conns,
            clients_count,
            conns_count,
        };
        (&raw mut (*inside).transfer_bytes).write(config.transfer_blocks as usize * BLOCK_BYTES);
        (&raw mut (*inside).entered).write(0);
        (&raw mut (*inside).mount).write(Mount::new(now, config, seed, slots, service));
        (&raw mut (*inside).magic).write_volatile(magic(memory));
    }
    Ok(())
}

/// Guards a call: hands the mount to `act` if there is one here and no other call is under way.
///
/// # Safety
/// `mount` is null, or valid for reading eight bytes; if a mount was started there, its memory is still the one
/// that was given to it, and no other thread calls at the same time.
pub(crate) unsafe fn enter(
    mount: *mut ostrakon_mount,
    act: impl FnOnce(&mut Mount<Slots, Callbacks>, usize) -> Outcome,
) -> ostrakon_error {
    let inside = match place(mount) {
        Ok(inside) => inside,
        Err(error) => return error,
    };
    // SAFETY: the magic is checked before anything else is touched; then the fields are what `start` made. A
    // callback that calls back finds `entered` set and touches nothing more, so that the mount is lent once.
    unsafe {
        if !lives(inside) {
            return ostrakon_error::NotAMount;
        }
        let entered = &raw mut (*inside).entered;
        if entered.read_volatile() != 0 {
            return ostrakon_error::Reentered;
        }
        entered.write_volatile(1);
        let transfer_bytes = (*inside).transfer_bytes;
        let outcome = act(&mut (*inside).mount, transfer_bytes);
        entered.write_volatile(0);
        outcome.err().unwrap_or(ostrakon_error::None)
    }
}

/// Makes the memory of a mount that has ended the caller's again.
///
/// # Safety
/// As for [`enter`].
pub(crate) unsafe fn release(mount: *mut ostrakon_mount) -> ostrakon_error {
    // SAFETY: passed on.
    let error = unsafe {
        enter(mount, |mount, _| {
            mount.has_ended().then_some(()).ok_or(ostrakon_error::NotEnded)
        })
    };
    if error == ostrakon_error::None {
        // Nothing in it has a destructor. SAFETY: `enter` found a mount here.
        unsafe { mount.cast::<u64>().write_volatile(0) };
    }
    error
}
