//! The two blocks of the 2019 rules. What they are bad at is on purpose: the checksum of a quorum block covers its
//! head only, and the super block has one copy and none.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use ostrakon_core::bounds::BLOCK_BYTES;

const SUPER_MAGIC: u32 = u32::from_le_bytes(*b"S019");
const QUORUM_MAGIC: u32 = u32::from_le_bytes(*b"Q019");
const HEAD_BYTES: usize = 64;
const ENTRY_BYTES: usize = 32;
/// As many as fit.
pub(super) const ENTRIES_MAX: usize = (BLOCK_BYTES - HEAD_BYTES) / ENTRY_BYTES;

/// The super block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Super {
    /// Leaders of terms up to this one are gone.
    pub fenced_term: u64,
    /// Term of the server.
    pub server_term: u64,
    /// The server's mount: the simulator names servers by it.
    pub server_rid: u64,
    /// Where it listens.
    pub addr: Option<SocketAddr>,
}

/// A leader that was elected and is not known to be gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// Its term.
    pub term: u64,
    /// Its mount.
    pub rid: u64,
}

/// A vote with its log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Vote {
    /// Term.
    pub term: u64,
    /// Begins anew at each election.
    pub write_nr: u64,
    /// Who votes.
    pub voter: u64,
    /// For whom; 0 for nobody.
    pub vote_for: u64,
    /// Leaders.
    pub log: Vec<Entry>,
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn put(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

fn magic(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().expect("four bytes"))
}

fn head_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(&bytes[8..HEAD_BYTES])
}

impl Super {
    /// What stands there; a volume that was never mounted says nothing yet.
    pub fn decode(bytes: &[u8]) -> Self {
        if magic(bytes) != SUPER_MAGIC {
            return Self::default();
        }
        let (ip, port) = (number(bytes, 32) as u32, number(bytes, 40) as u16);
        let addr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::from(ip), port));
        Self {
            fenced_term: number(bytes, 8),
            server_term: number(bytes, 16),
            server_rid: number(bytes, 24),
            addr: (port != 0).then_some(addr),
        }
    }

    /// Writes it.
    pub fn encode(&self, bytes: &mut [u8]) {
        bytes.fill(0);
        bytes[..4].copy_from_slice(&SUPER_MAGIC.to_le_bytes());
        put(bytes, 8, self.fenced_term);
        put(bytes, 16, self.server_term);
        put(bytes, 24, self.server_rid);
        if let Some(SocketAddr::V4(addr)) = self.addr {
            put(bytes, 32, u64::from(u32::from(*addr.ip())));
            put(bytes, 40, u64::from(addr.port()));
        }
    }
}

impl Vote {
    /// The vote in a block, if its head is whole; its log is believed.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let crc = u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes"));
        if magic(bytes) != QUORUM_MAGIC || crc != head_crc(bytes) {
            return None;
        }
        let count = (number(bytes, 40) as usize).min(ENTRIES_MAX);
        let entry = |index: usize| {
            let at = HEAD_BYTES + index * ENTRY_BYTES;
            let (term, rid) = (number(bytes, at), number(bytes, at + 8));
            (rid != 0).then_some(Entry { term, rid })
        };
        Some(Self {
            term: number(bytes, 8),
            write_nr: number(bytes, 16),
            voter: number(bytes, 24),
            vote_for: number(bytes, 32),
            log: (0..count).filter_map(entry).collect(),
        })
    }

    /// Writes it.
    pub(super) fn encode(&self, bytes: &mut [u8]) {
        bytes.fill(0);
        put(bytes, 8, self.term);
        put(bytes, 16, self.write_nr);
        put(bytes, 24, self.voter);
        put(bytes, 32, self.vote_for);
        put(bytes, 40, self.log.len() as u64);
        for (index, entry) in self.log.iter().enumerate() {
            put(bytes, HEAD_BYTES + index * ENTRY_BYTES, entry.term);
            put(bytes, HEAD_BYTES + index * ENTRY_BYTES + 8, entry.rid);
        }
        bytes[..4].copy_from_slice(&QUORUM_MAGIC.to_le_bytes());
        let crc = head_crc(bytes);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    }
}
