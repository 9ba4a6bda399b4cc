//! From the configuration to the end of a mount.

use core::net::{Ipv4Addr, SocketAddr};
use core::ptr;

use ostrakon_core::config::{Config, VoterConfig};
use ostrakon_core::format::FenceParam;
use ostrakon_core::ids::Rid;
use ostrakon_core::time::Instant;

use crate::convert::put;
use crate::memory::{self, enter};
use crate::service::Callbacks;
use crate::{ostrakon_address, ostrakon_ballot, ostrakon_config, ostrakon_error, ostrakon_mount};

/// Fills `config` with sensible times, as a plain client without a rid.
///
/// # Safety
/// `config` is null or leads to an `ostrakon_config`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_config_default(config: *mut ostrakon_config) -> ostrakon_error {
    // The rid and the address are placeholders that `start` refuses, and so is the seed.
    let client = Config::client(Rid::new(1).unwrap_or_else(|| unreachable!("1 is not 0")));
    let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    let voter = VoterConfig::fencing(nowhere, FenceParam::default());
    let defaults = ostrakon_config {
        size: size_of::<ostrakon_config>() as u32,
        transfer_blocks: 1,
        rid: 0,
        seed: [0; _],
        host: 0,
        boot: [0; 16],
        write_time_max_us: client.write_time_max.0,
        silence_max_us: client.silence_max.0,
        recovery_time_us: client.recovery_time.0,
        unmount_time_max_us: 0,
        lease_us: 0,
        fence_time_max_us: voter.fence_time_max.0,
        clock_error_ppm: voter.clock_error_ppm,
        voter: 0,
        can_fence: 0,
        reserved: [0; 2],
        server_addr: ostrakon_address::default(),
        fence_param: [0; _],
        service: ptr::null(),
    };
    // SAFETY: passed on.
    unsafe { put(config, defaults) }
        .err()
        .unwrap_or(ostrakon_error::None)
}

/// Begins to mount in `bytes` bytes of `memory`, aligned to `OSTRAKON_MOUNT_ALIGN` and never moved until
/// `ostrakon_release`. A voter has room for `clients` clients, at least as many as the volume was formatted for; a
/// plain client has 0. `*mount` is `memory` under its new type.
///
/// # Safety
/// `memory` is null or leads to `bytes` bytes; `config` and `mount` are null or lead to what their types say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_start(
    memory: *mut core::ffi::c_void,
    bytes: usize,
    clients: u32,
    now_us: u64,
    config: *const ostrakon_config,
    mount: *mut *mut ostrakon_mount,
) -> ostrakon_error {
    if config.is_null() || mount.is_null() {
        return ostrakon_error::NullPointer;
    }
    if !config.is_aligned() || !mount.is_aligned() {
        return ostrakon_error::Misaligned;
    }
    let make = || {
        // SAFETY: `size` comes first, and tells before the rest is touched whether it is the structure of this build.
        if unsafe { (&raw const (*config).size).read() } as usize != size_of::<ostrakon_config>() {
            return Err(ostrakon_error::ConfigSize);
        }
        // SAFETY: not null, aligned, and an `ostrakon_config` as the caller promises.
        let config = unsafe { &*config };
        // SAFETY: passed on.
        let service = unsafe { Callbacks::read(config.service) }?;
        Ok((Instant(now_us), config.read()?, config.seed, service))
    };
    // SAFETY: passed on.
    let started = unsafe { memory::start(memory.cast(), bytes, clients, make) };
    // SAFETY: passed on.
    let outcome = started.and_then(|()| unsafe { put(mount, memory.cast()) });
    outcome.err().unwrap_or(ostrakon_error::None)
}

/// Leaves cleanly: the event UNMOUNTED ends the mount. Can be called at any time.
///
/// # Safety
/// `mount` is null or was given by `ostrakon_start`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_unmount(mount: *mut ostrakon_mount, now_us: u64) -> ostrakon_error {
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            mount.unmount(Instant(now_us));
            Ok(())
        })
    }
}

/// Leaves at once: every connection is closed and the device dropped. A leader is fenced by the next one.
///
/// # Safety
/// As for `ostrakon_unmount`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_force(mount: *mut ostrakon_mount, now_us: u64) -> ostrakon_error {
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            mount.force(Instant(now_us));
            Ok(())
        })
    }
}

/// Makes the memory of a mount that has ended the caller's again. NOT_ENDED before.
///
/// # Safety
/// As for `ostrakon_unmount`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_release(mount: *mut ostrakon_mount) -> ostrakon_error {
    // SAFETY: passed on.
    unsafe { memory::release(mount) }
}

/// The ballot under which this mount has the right to act as leader at this moment; NOTHING if it has none.
///
/// # Safety
/// As for `ostrakon_unmount`; `ballot` is null or leads to an `ostrakon_ballot`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_right(
    mount: *mut ostrakon_mount,
    now_us: u64,
    ballot: *mut ostrakon_ballot,
) -> ostrakon_error {
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            let right = mount.right(Instant(now_us)).ok_or(ostrakon_error::Nothing)?;
            put(ballot, right.into())
        })
    }
}

/// Whom this mount is connected to; NOTHING if to nobody. The address has family 0 for the mount's own server.
///
/// # Safety
/// As for `ostrakon_right`; `address` is null or leads to an `ostrakon_address`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ostrakon_connected_to(
    mount: *mut ostrakon_mount,
    server: *mut ostrakon_ballot,
    address: *mut ostrakon_address,
) -> ostrakon_error {
    // SAFETY: passed on.
    unsafe {
        enter(mount, |mount, _| {
            let (ballot, at) = mount.connected_to().ok_or(ostrakon_error::Nothing)?;
            put(server, ballot.into())?;
            put(address, at.map_or_else(ostrakon_address::default, Into::into))
        })
    }
}
