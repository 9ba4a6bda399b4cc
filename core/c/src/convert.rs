//! Judging what C hands in, and dressing what it gets.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use core::slice;

use ostrakon_core::config::{Config, VoterConfig};
use ostrakon_core::fence::FenceRequest;
use ostrakon_core::format::FenceParam;
use ostrakon_core::ids::{Ballot, BootId, HostId, Rid, Term};
use ostrakon_core::time::Duration;

use crate::memory::checksum;
use crate::{ostrakon_address, ostrakon_ballot, ostrakon_config, ostrakon_error, ostrakon_fence_request};

/// A call's inner part: what it made, or why not.
pub(crate) type Outcome<T = ()> = Result<T, ostrakon_error>;

/// Writes a result where C wants it.
///
/// # Safety
/// `to` is null or valid for writing a `T`.
pub(crate) unsafe fn put<T>(to: *mut T, value: T) -> Outcome {
    if to.is_null() {
        return Err(ostrakon_error::NullPointer);
    }
    if !to.is_aligned() {
        return Err(ostrakon_error::Misaligned);
    }
    // SAFETY: not null, aligned, and valid as the caller promises.
    unsafe { to.write(value) };
    Ok(())
}

/// Bytes to be read.
///
/// # Safety
/// `bytes` is null or valid for reading `length` bytes during the call.
pub(crate) unsafe fn bytes<'a>(bytes: *const u8, length: usize) -> Outcome<&'a [u8]> {
    match (bytes.is_null(), length) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(ostrakon_error::NullPointer),
        (_, length) if isize::try_from(length).is_err() => Err(ostrakon_error::UnknownValue),
        // SAFETY: not null, no longer than any object can be, and valid as the caller promises.
        _ => Ok(unsafe { slice::from_raw_parts(bytes, length) }),
    }
}

/// Bytes to be read, and changed where they lie.
///
/// # Safety
/// `bytes` is null or valid for reading and writing `length` bytes during the call.
pub(crate) unsafe fn bytes_mut<'a>(bytes: *mut u8, length: usize) -> Outcome<&'a mut [u8]> {
    match (bytes.is_null(), length) {
        (_, 0) => Ok(&mut []),
        (true, _) => Err(ostrakon_error::NullPointer),
        (_, length) if isize::try_from(length).is_err() => Err(ostrakon_error::UnknownValue),
        // SAFETY: not null, no longer than any object can be, and valid as the caller promises.
        _ => Ok(unsafe { slice::from_raw_parts_mut(bytes, length) }),
    }
}

/// A buffer of at least `least` bytes to be written. What it holds before is never read.
///
/// # Safety
/// `buffer` is null or valid for reading and writing `length` bytes during the call.
pub(crate) unsafe fn buffer<'a>(buffer: *mut u8, length: usize, least: usize) -> Outcome<&'a mut [u8]> {
    if buffer.is_null() {
        return Err(ostrakon_error::NullPointer);
    }
    if length < least {
        return Err(ostrakon_error::BufferTooSmall);
    }
    // Zeroed first, because memory that C never wrote is no `[u8]`. `least` is all that core will write to.
    // SAFETY: not null, as long as `least`, and valid as the caller promises.
    unsafe {
        buffer.write_bytes(0, least);
        Ok(slice::from_raw_parts_mut(buffer, least))
    }
}

impl From<Ballot> for ostrakon_ballot {
    fn from(ballot: Ballot) -> Self {
        Self {
            term: ballot.term.0,
            rid: ballot.rid.value(),
        }
    }
}

impl ostrakon_ballot {
    pub(crate) fn read(self) -> Outcome<Ballot> {
        let rid = Rid::new(self.rid).ok_or(ostrakon_error::UnknownValue)?;
        Ok(Ballot {
            term: Term(self.term),
            rid,
        })
    }
}

impl From<SocketAddr> for ostrakon_address {
    fn from(addr: SocketAddr) -> Self {
        let mut ip = [0; 16];
        let (family, scope) = match addr {
            SocketAddr::V4(v4) => {
                ip[..4].copy_from_slice(&v4.ip().octets());
                (4, 0)
            }
            SocketAddr::V6(v6) => {
                ip = v6.ip().octets();
                (6, v6.scope_id())
            }
        };
        Self {
            ip,
            scope,
            port: addr.port(),
            family,
            reserved: 0,
        }
    }
}

impl ostrakon_address {
    fn read(&self) -> Outcome<SocketAddr> {
        let [a, b, c, d, ..] = self.ip;
        match (self.family, self.port) {
            (_, 0) => Err(ostrakon_error::ConfigAddress),
            (4, port) => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)),
            (6, port) => Ok(SocketAddrV6::new(Ipv6Addr::from(self.ip), port, 0, self.scope).into()),
            _ => Err(ostrakon_error::ConfigAddress),
        }
    }
}

fn flag(value: u8) -> Outcome<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(ostrakon_error::UnknownValue),
    }
}

fn some(time_us: u64) -> Outcome<Duration> {
    (time_us > 0)
        .then_some(Duration(time_us))
        .ok_or(ostrakon_error::ConfigTime)
}

impl ostrakon_config {
    /// The configuration, if every part of it makes sense.
    pub(crate) fn read(&self) -> Outcome<Config> {
        let rid = Rid::new(self.rid).ok_or(ostrakon_error::ConfigRid)?;
        if self.seed == [0; _] {
            return Err(ostrakon_error::ConfigSeed);
        }
        if !(1..=ostrakon_core::bounds::TRANSFER_BLOCKS_MAX).contains(&self.transfer_blocks) {
            return Err(ostrakon_error::ConfigTransferBlocks);
        }
        let voter = flag(self.voter)?.then(|| self.read_voter()).transpose()?;
        let config = Config {
            rid,
            host: HostId(self.host),
            boot: BootId(self.boot),
            voter,
            write_time_max: some(self.write_time_max_us)?,
            transfer_blocks: self.transfer_blocks,
            silence_max: some(self.silence_max_us)?,
            recovery_time: some(self.recovery_time_us)?,
            unmount_time_max: some(self.unmount_time_max_us).ok(),
            checksum,
            padded: ostrakon_core::checksum::padded,
        };
        config.check().map_err(|_| ostrakon_error::ConfigTime)?;
        Ok(config)
    }

    fn read_voter(&self) -> Outcome<VoterConfig> {
        let can_fence = flag(self.can_fence)?;
        if !can_fence && self.lease_us == 0 {
            return Err(ostrakon_error::ConfigFence);
        }
        Ok(VoterConfig {
            server_addr: self.server_addr.read()?,
            fence_param: FenceParam(self.fence_param),
            can_fence,
            lease: some(self.lease_us).ok(),
            clock_error_ppm: self.clock_error_ppm,
            linger: Duration::ZERO,
            fence_time_max: some(self.fence_time_max_us)?,
        })
    }
}

impl From<&FenceRequest> for ostrakon_fence_request {
    fn from(request: &FenceRequest) -> Self {
        let victim = &request.victim;
        Self {
            victim: victim.ballot.into(),
            host: victim.host.0,
            boot: victim.boot.0,
            address: victim.addr.into(),
            fence_param: victim.fence_param.0,
            attempt: request.attempt,
            reserved: 0,
        }
    }
}
