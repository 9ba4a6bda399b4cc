//! What a platform hands in.

use ostrakon_core::disk::{DiskError, DiskOutcome, IoId};
use ostrakon_core::fence::FenceOutcome;
use ostrakon_core::format::FenceMethod;
use ostrakon_core::format::wire::Command;
use ostrakon_core::net::{CloseReason, ConnId};
use ostrakon_core::time::Instant;

use crate::convert::{Outcome, buffer, bytes as read_bytes, bytes_mut, put};
use crate::memory::enter;
use crate::{
    OSTRAKON_COMMAND_SERVICE, OSTRAKON_REQUEST_BYTES, ostrakon_ballot, ostrakon_close, ostrakon_disk_outcome,
    ostrakon_error, ostrakon_fence_outcome, ostrakon_mount,
};

fn close_reason(reason: u32) -> Outcome<CloseReason> {
    match reason {
        reason if reason == ostrakon_close::Refused as u32 => Ok(CloseReason::Refused),
        reason if reason == ostrakon_close::ByPeer as u32 => Ok(CloseReason::ByPeer),
        reason if reason == ostrakon_close::Failed as u32 => Ok(CloseReason::Failed),
        _ => Err(ostrakon_error::UnknownValue),
    }
}

/// A disk request ended with `outcome`, an `ostrakon_disk_outcome`. `bytes` are those of a read that worked, the
/// whole range; null otherwise.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`; `bytes` is null or leads to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_handle_disk(
    mount: *mut ostrakon_mount,
    now_us: u64,
    id: u32,
    outcome: u32,
    bytes: *const u8,
    length: usize,
) -> ostrakon_error {
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            let outcome = match outcome {
                done if done == ostrakon_disk_outcome::Done as u32 && bytes.is_null() => DiskOutcome::Done,
                done if done == ostrakon_disk_outcome::Done as u32 => {
                    DiskOutcome::Read(read_bytes(bytes, length)?)
                }
                bad if bad == ostrakon_disk_outcome::Medium as u32 => DiskOutcome::Failed(DiskError::Medium),
                late if late == ostrakon_disk_outcome::TimedOut as u32 => {
                    DiskOutcome::Failed(DiskError::TimedOut)
                }
                other if other == ostrakon_disk_outcome::Failed as u32 => {
                    DiskOutcome::Failed(DiskError::Failed)
                }
                _ => return Err(ostrakon_error::UnknownValue),
            };
            mount.handle_disk(Instant(now_us), IoId(id), outcome);
            Ok(())
        })
    }
}

/// The listener asked for stands (`listens` is 1), or could not be made (0).
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_handle_listening(
    mount: *mut ostrakon_mount,
    now_us: u64,
    listens: u32,
) -> ostrakon_error {
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            let listens = match listens {
                0 => Err(CloseReason::Failed),
                1 => Ok(()),
                _ => return Err(ostrakon_error::UnknownValue),
            };
            mount.handle_listening(Instant(now_us), listens);
            Ok(())
        })
    }
}

/// A connection came in; its name is put into `*conn`. NOTHING: no room, close it.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`; `conn` is null or leads to a `uint32_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_handle_accept(
    mount: *mut ostrakon_mount,
    now_us: u64,
    conn: *mut u32,
) -> ostrakon_error {
    if conn.is_null() {
        return ostrakon_error::NullPointer;
    }
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            let name = mount
                .handle_accept(Instant(now_us))
                .ok_or(ostrakon_error::Nothing)?;
            put(conn, name.0)
        })
    }
}

/// The connection asked for stands.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_handle_connected(
    mount: *mut ostrakon_mount,
    now_us: u64,
    conn: u32,
) -> ostrakon_error {
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            mount.handle_connected(Instant(now_us), ConnId(conn));
            Ok(())
        })
    }
}

/// A connection is gone, or could not be made, for `reason`, an `ostrakon_close`; its name is free again.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_handle_closed(
    mount: *mut ostrakon_mount,
    now_us: u64,
    conn: u32,
    reason: u32,
) -> ostrakon_error {
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            mount.handle_closed(Instant(now_us), ConnId(conn), close_reason(reason)?);
            Ok(())
        })
    }
}

/// Bytes that came in on a connection, from the first one not yet consumed; `*consumed` of them are done with, and were
/// changed where they lie; the others are as they were. Offer
/// at least `OSTRAKON_MESSAGE_BYTES` if that much has come in, and none while more than that much of this
/// connection's output waits to be sent.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`; `bytes` is null or leads to `length` bytes; `consumed` is null or
/// leads to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_handle_bytes(
    mount: *mut ostrakon_mount,
    now_us: u64,
    conn: u32,
    bytes: *mut u8,
    length: usize,
    consumed: *mut usize,
) -> ostrakon_error {
    if consumed.is_null() {
        return ostrakon_error::NullPointer;
    }
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            let bytes = bytes_mut(bytes, length)?;
            put(consumed, mount.handle_bytes(Instant(now_us), ConnId(conn), bytes))
        })
    }
}

fn fence_outcome(outcome: u32) -> Outcome<FenceOutcome> {
    match outcome {
        done if done == ostrakon_fence_outcome::Done as u32 => Ok(FenceOutcome::Done),
        failed if failed == ostrakon_fence_outcome::Failed as u32 => Ok(FenceOutcome::Failed),
        _ => Err(ostrakon_error::UnknownValue),
    }
}

/// What became of the fence request for `victim`: `outcome` is an `ostrakon_fence_outcome`.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_handle_fence(
    mount: *mut ostrakon_mount,
    now_us: u64,
    victim: ostrakon_ballot,
    outcome: u32,
) -> ostrakon_error {
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            mount.handle_fence(Instant(now_us), victim.read()?, fence_outcome(outcome)?);
            Ok(())
        })
    }
}

/// The same, and says in `length` bytes of UTF-8 what it was fenced with, or how you know: for the fence record, which has
/// room for a few letters and takes as many.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`; `method` is null or leads to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_handle_fence_by(
    mount: *mut ostrakon_mount,
    now_us: u64,
    victim: ostrakon_ballot,
    outcome: u32,
    method: *const u8,
    length: usize,
) -> ostrakon_error {
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            let method = core::str::from_utf8(read_bytes(method, length)?);
            let method = FenceMethod::of(method.map_err(|_| ostrakon_error::UnknownValue)?);
            mount.handle_fence_by(Instant(now_us), victim.read()?, fence_outcome(outcome)?, method);
            Ok(())
        })
    }
}

/// The time of day, in seconds since 1970, if you know it: fence records say when. Nothing else depends on it.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_set_unix_time(mount: *mut ostrakon_mount, unix_s: u64) -> ostrakon_error {
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            mount.set_unix_time(unix_s);
            Ok(())
        })
    }
}

/// Sends a request to the server's service; the event ANSWERED with `*request` follows, across any number of
/// fail-overs. NOT_NOW while too many are under way or when the mount is leaving.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`; `body` is null or leads to `length` bytes; `request` is null or
/// leads to a `uint64_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_submit(
    mount: *mut ostrakon_mount,
    command: u16,
    body: *const u8,
    length: usize,
    request: *mut u64,
) -> ostrakon_error {
    if request.is_null() {
        return ostrakon_error::NullPointer;
    }
    if command < OSTRAKON_COMMAND_SERVICE {
        return ostrakon_error::ReservedCommand;
    }
    if length > OSTRAKON_REQUEST_BYTES {
        return ostrakon_error::BodyTooLong;
    }
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            let body = read_bytes(body, length)?;
            let id = mount
                .submit(Command(command), body)
                .ok_or(ostrakon_error::NotNow)?;
            put(request, id.0)
        })
    }
}

/// Copies the body of the answer that the event ANSWERED announced; `*copied` bytes of it.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`; `body` is null or leads to `length` bytes; `copied` is null or
/// leads to a `size_t`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_answer(
    mount: *mut ostrakon_mount,
    request: u64,
    body: *mut u8,
    length: usize,
    copied: *mut usize,
) -> ostrakon_error {
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            let answer = mount.answer(ostrakon_core::format::wire::RequestId(request));
            buffer(body, length, answer.len())?.copy_from_slice(answer);
            put(copied, answer.len())
        })
    }
}
