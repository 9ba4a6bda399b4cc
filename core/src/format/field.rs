//! Pieces that several blocks and messages share: addresses, ballots, flags, reserved bytes.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::BlockError;
use super::wire::WireError;
use crate::bounds::TERM_MAX;
use crate::checksum::all_zero;
use crate::ids::{Ballot, Rid, Term};

/// A field with a value that no writer writes; becomes the error of the block or message it stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BadField {
    pub(super) name: &'static str,
    pub(super) found: u64,
}

impl From<BadField> for BlockError {
    fn from(BadField { name, found }: BadField) -> Self {
        Self::Field { name, found }
    }
}

impl From<BadField> for WireError {
    fn from(bad: BadField) -> Self {
        Self::Field(bad.name)
    }
}

/// Refuses `found` unless `possible`.
pub(super) fn check(possible: bool, name: &'static str, found: u64) -> Result<(), BadField> {
    if possible {
        Ok(())
    } else {
        Err(BadField { name, found })
    }
}

/// Refuses bytes that are not all zero; the error shows the first that is not.
pub(super) fn zero(name: &'static str, bytes: &[u8]) -> Result<(), BadField> {
    if all_zero(bytes) {
        return Ok(());
    }
    let found = bytes.iter().copied().find(|&byte| byte != 0).unwrap_or(0);
    Err(BadField {
        name,
        found: u64::from(found),
    })
}

/// The same of few bytes of a known number, which a processor of 64 bits compares without a loop.
pub(super) fn zero_array<const N: usize>(name: &'static str, bytes: &[u8; N]) -> Result<(), BadField> {
    if cfg!(target_pointer_width = "64") && *bytes == [0; N] {
        return Ok(());
    }
    zero(name, bytes)
}

/// Refuses flags that this version does not know.
pub(super) fn flags(name: &'static str, found: u64, known: u64) -> Result<(), BadField> {
    check(found & !known == 0, name, found)
}

/// A term that may be adopted.
pub(super) fn term(name: &'static str, stored: U64) -> Result<Term, BadField> {
    check(stored.get() <= TERM_MAX, name, stored.get())?;
    Ok(Term(stored.get()))
}

/// Whether a stored term is absurd: above what any history of elections can reach.
pub(super) fn is_absurd(stored: U64) -> bool {
    stored.get() > TERM_MAX
}

/// A rid that must be there.
pub(super) fn rid(name: &'static str, stored: U64) -> Result<Rid, BadField> {
    Rid::new(stored.get()).ok_or(BadField { name, found: 0 })
}

/// A rid that was found to be there.
pub(super) fn verified_rid(stored: U64) -> Rid {
    Rid::new(stored.get()).unwrap_or_else(|| unreachable!("it was verified"))
}

/// Both halves of a ballot that may be missing: both zero then.
pub(super) fn ballot(name: &'static str, stored: &BallotBytes) -> Result<Option<Ballot>, BadField> {
    let term = term(name, stored.term)?;
    match Rid::new(stored.rid.get()) {
        Some(rid) => {
            check(term > Term(0), name, 0)?;
            Ok(Some(Ballot { term, rid }))
        }
        None => {
            check(term == Term(0), name, term.0)?;
            Ok(None)
        }
    }
}

/// A ballot on the device or the wire; all zero where there is none.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct BallotBytes {
    pub(super) term: U64,
    pub(super) rid: U64,
}

const _: () = assert!(size_of::<BallotBytes>() == 16);

impl From<Option<Ballot>> for BallotBytes {
    fn from(ballot: Option<Ballot>) -> Self {
        Self {
            term: ballot.map_or(0, |ballot| ballot.term.0).into(),
            rid: ballot.map_or(0, |ballot| ballot.rid.value()).into(),
        }
    }
}

const FAMILY_NONE: u8 = 0;
const FAMILY_IPV4: u8 = 4;
const FAMILY_IPV6: u8 = 6;

/// An address on the device or the wire; all zero where there is none.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub(super) struct AddrBytes {
    family: u8,
    reserved: u8,
    port: U16,
    scope: U32,
    ip: [u8; 16],
}

const _: () = assert!(size_of::<AddrBytes>() == 24);
const _: () = assert!(core::mem::offset_of!(AddrBytes, port) == 2);
const _: () = assert!(core::mem::offset_of!(AddrBytes, scope) == 4);
const _: () = assert!(core::mem::offset_of!(AddrBytes, ip) == 8);

impl From<SocketAddr> for AddrBytes {
    fn from(addr: SocketAddr) -> Self {
        let mut ip = [0; 16];
        let (family, scope) = match addr {
            SocketAddr::V4(v4) => {
                ip[..4].copy_from_slice(&v4.ip().octets());
                (FAMILY_IPV4, 0)
            }
            // The flow label is a matter of one host's packets and stays behind.
            SocketAddr::V6(v6) => {
                ip = v6.ip().octets();
                (FAMILY_IPV6, v6.scope_id())
            }
        };
        Self {
            family,
            reserved: 0,
            port: addr.port().into(),
            scope: scope.into(),
            ip,
        }
    }
}

impl From<Option<SocketAddr>> for AddrBytes {
    fn from(addr: Option<SocketAddr>) -> Self {
        addr.map_or_else(
            || Self {
                family: FAMILY_NONE,
                reserved: 0,
                port: 0.into(),
                scope: 0.into(),
                ip: [0; 16],
            },
            Self::from,
        )
    }
}

impl AddrBytes {
    /// The address, if there is one.
    pub(super) fn read(&self) -> Result<Option<SocketAddr>, BadField> {
        zero("addr.reserved", &[self.reserved])?;
        match self.family {
            FAMILY_NONE => {
                zero("addr.port", self.port.as_bytes())?;
                zero("addr.scope", self.scope.as_bytes())?;
                zero("addr.ip", &self.ip)?;
                Ok(None)
            }
            FAMILY_IPV4 => {
                zero("addr.scope", self.scope.as_bytes())?;
                zero("addr.ip", &self.ip[4..])?;
                Ok(Some(self.verified()))
            }
            FAMILY_IPV6 => Ok(Some(self.verified())),
            found => Err(BadField {
                name: "addr.family",
                found: u64::from(found),
            }),
        }
    }

    /// The address, where [`read`](Self::read) has found one.
    pub(super) fn verified(&self) -> SocketAddr {
        if self.family == FAMILY_IPV6 {
            let ip = Ipv6Addr::from(self.ip);
            return SocketAddrV6::new(ip, self.port.get(), 0, self.scope.get()).into();
        }
        let [a, b, c, d, ..] = self.ip;
        SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), self.port.get()).into()
    }

    /// The address, which must be there.
    pub(super) fn read_some(&self) -> Result<SocketAddr, BadField> {
        self.read()?.ok_or(BadField {
            name: "addr.family",
            found: u64::from(FAMILY_NONE),
        })
    }
}
