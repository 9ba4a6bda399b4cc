//! What a platform is asked to do.

use ostrakon_core::disk::DiskRequest;
use ostrakon_core::net::NetRequest;
use ostrakon_core::time::Instant;

use crate::convert::{buffer as buffer_of, put};
use crate::memory::enter;
use crate::{
    OSTRAKON_MESSAGE_BYTES, ostrakon_address, ostrakon_disk_kind, ostrakon_disk_request, ostrakon_error,
    ostrakon_fence_request, ostrakon_mount, ostrakon_net_kind, ostrakon_net_request,
};

/// Lets time pass: once after any input, and whenever the deadline has come. Then `ostrakon_poll_event`,
/// `ostrakon_poll_net`, `ostrakon_poll_transmit`, `ostrakon_poll_fence` and `ostrakon_poll_disk`, each until it gives
/// NOTHING; then `ostrakon_next_deadline`. Does a bounded amount of work.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_poll(mount: *mut ostrakon_mount, now_us: u64) -> ostrakon_error {
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            mount.poll(Instant(now_us));
            Ok(())
        })
    }
}

/// The next thing to do with the network.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`; `request` is null or leads to an `ostrakon_net_request`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_poll_net(
    mount: *mut ostrakon_mount,
    now_us: u64,
    request: *mut ostrakon_net_request,
) -> ostrakon_error {
    if request.is_null() {
        return ostrakon_error::NullPointer;
    }
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            let asked = mount.poll_net(Instant(now_us)).ok_or(ostrakon_error::Nothing)?;
            let none = ostrakon_address::default();
            let (kind, conn, address) = match asked {
                NetRequest::Listen(addr) => (ostrakon_net_kind::Listen, 0, addr.into()),
                NetRequest::Unlisten => (ostrakon_net_kind::Unlisten, 0, none),
                NetRequest::Connect(conn, addr) => (ostrakon_net_kind::Connect, conn.0, addr.into()),
                NetRequest::Close(conn) => (ostrakon_net_kind::Close, conn.0, none),
            };
            put(request, ostrakon_net_request { kind, conn, address })
        })
    }
}

/// The next message to send: `*message` bytes of `buffer`, which holds at least `OSTRAKON_MESSAGE_BYTES`, on `*conn`.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`; `buffer` is null or leads to `length` bytes; `conn` and `message`
/// are null or lead to what their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_poll_transmit(
    mount: *mut ostrakon_mount,
    now_us: u64,
    buffer: *mut u8,
    length: usize,
    conn: *mut u32,
    message: *mut usize,
) -> ostrakon_error {
    if conn.is_null() || message.is_null() {
        return ostrakon_error::NullPointer;
    }
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            let buffer = buffer_of(buffer, length, OSTRAKON_MESSAGE_BYTES)?;
            let (name, bytes) = mount
                .poll_transmit(Instant(now_us), buffer)
                .ok_or(ostrakon_error::Nothing)?;
            put(conn, name.0)?;
            put(message, bytes)
        })
    }
}

/// The next mount to fence.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`; `request` is null or leads to an `ostrakon_fence_request`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_poll_fence(
    mount: *mut ostrakon_mount,
    now_us: u64,
    request: *mut ostrakon_fence_request,
) -> ostrakon_error {
    if request.is_null() {
        return ostrakon_error::NullPointer;
    }
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            let asked = mount.poll_fence(Instant(now_us)).ok_or(ostrakon_error::Nothing)?;
            put(request, (&asked).into())
        })
    }
}

/// The next disk request. The bytes of a write are put into `buffer`, which holds at least `transfer_blocks` blocks and
/// stays untouched until that write is answered. A platform with one buffer calls this only while no request is
/// under way.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`; `buffer` is null or leads to `length` bytes; `request` is null or
/// leads to an `ostrakon_disk_request`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_poll_disk(
    mount: *mut ostrakon_mount,
    now_us: u64,
    buffer: *mut u8,
    length: usize,
    request: *mut ostrakon_disk_request,
) -> ostrakon_error {
    if request.is_null() {
        return ostrakon_error::NullPointer;
    }
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, transfer_bytes| {
            let buffer = buffer_of(buffer, length, transfer_bytes)?;
            let asked = mount
                .poll_disk(Instant(now_us), buffer)
                .ok_or(ostrakon_error::Nothing)?;
            put(request, asked.into())
        })
    }
}

impl From<DiskRequest> for ostrakon_disk_request {
    fn from(asked: DiskRequest) -> Self {
        let (kind, first_block, count, durable, limit) = match asked {
            DiskRequest::Read {
                first, count, limit, ..
            } => (ostrakon_disk_kind::Read, first.0, count, false, limit),
            DiskRequest::Write {
                first,
                count,
                durable,
                limit,
                ..
            } => (ostrakon_disk_kind::Write, first.0, count, durable, limit),
            DiskRequest::Flush { limit, .. } => (ostrakon_disk_kind::Flush, 0, 0, false, limit),
        };
        Self {
            kind,
            id: asked.id().0,
            first_block,
            limit_us: limit.0,
            count,
            durable: u32::from(durable),
        }
    }
}

/// When `ostrakon_poll` has to be called at the latest, if nothing else happens; NOTHING if it need not be.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`; `deadline_us` is null or leads to a `uint64_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_next_deadline(
    mount: *mut ostrakon_mount,
    deadline_us: *mut u64,
) -> ostrakon_error {
    if deadline_us.is_null() {
        return ostrakon_error::NullPointer;
    }
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            let deadline = mount.next_deadline().ok_or(ostrakon_error::Nothing)?;
            put(deadline_us, deadline.0)
        })
    }
}
