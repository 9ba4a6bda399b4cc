//! Tests of the formats: samples, golden bytes, refusals, round trips.

extern crate std;

mod any;
mod blocks;
mod geometry;
mod golden;
mod round_trip;
mod volume;
mod wire;

use core::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::vec;
use std::vec::Vec;

use super::{
    Answer, BlockError, ClientRecord, Doorbell, FenceMethod, FenceParam, FenceReason, FenceRecord,
    FenceResult, FenceWay, Geometry, LogEntry, QuorumHead, RegionBlock, SuperBlock, TableBlock, VoteKind,
    decode_fence, encode_empty, encode_fence, encode_quorum, encode_table_block, fence_number,
};
use crate::bounds::BLOCK_BYTES;
use crate::ids::{Ballot, BlockNo, BootId, HostId, Mark, Rid, Term, VolumeId, VolumeKey, WriteNr};
use crate::time::Duration;

/// The other routine: every test of a block thereby checks that the routine is pluggable.
fn hardware(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

const VOLUME: VolumeId = VolumeId(counting_from(0x10));
const BOOT: BootId = BootId(counting_from(0xb0));
const LEADER: u64 = 0xa1a2_a3a4_a5a6_a7a8;

const fn counting_from<const N: usize>(first: u8) -> [u8; N] {
    let mut bytes = [0; N];
    let mut index = 0;
    while index < N {
        bytes[index] = first + index as u8;
        index += 1;
    }
    bytes
}

fn rid(value: u64) -> Rid {
    Rid::new(value).expect("a rid that is not 0")
}

fn ballot(term: u64, rid_value: u64) -> Ballot {
    Ballot {
        term: Term(term),
        rid: rid(rid_value),
    }
}

fn fence_param() -> FenceParam {
    let mut bytes = [0; 40];
    bytes[..6].copy_from_slice(b"plug=7");
    FenceParam(bytes)
}

fn link_local() -> SocketAddr {
    let ip = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xa);
    SocketAddrV6::new(ip, 7001, 0, 4).into()
}

fn sample_super() -> SuperBlock {
    SuperBlock {
        volume: VOLUME,
        seq: 0x0102_0304_0506_0708,
        quorum_count: 2,
        fenced: Mark {
            term: Term(6),
            rid: 0xfeed,
        },
        server: Some(ballot(7, LEADER)),
        server_addr: Some(([192, 0, 2, 1], 7000).into()),
        unmount_barrier: 3,
        geometry: Geometry::plan(256, 100).expect("room for 100 clients"),
        key: VolumeKey(counting_from(0x20)),
    }
}

fn sample_head() -> QuorumHead {
    QuorumHead {
        writer: rid(LEADER),
        host: HostId(0x77),
        boot: BOOT,
        write_nr: WriteNr(0x1234),
        term: Term(9),
        kind: VoteKind::Leader,
        vote_for: Some(rid(LEADER)),
        own: Some(ballot(9, LEADER)),
        void_term: Term(5),
        won: true,
        sealed: true,
        barren: false,
        round: 0x0a0b_0c0d,
        answer: Some(Answer {
            voters: 3,
            interval: Duration::from_secs(1),
        }),
        cycle: Duration(12_500),
    }
}

fn sample_log() -> [LogEntry; 2] {
    let first = LogEntry {
        ballot: ballot(8, 0x0505),
        host: HostId(0x77),
        boot: BOOT,
        addr: ([10, 0, 0, 5], 7000).into(),
        quiet_ms: 0,
        fenced: false,
        fence_param: fence_param(),
    };
    let second = LogEntry {
        ballot: ballot(9, LEADER),
        addr: link_local(),
        quiet_ms: 2500,
        fenced: true,
        ..first
    };
    [first, second]
}

fn sample_bell() -> Doorbell {
    Doorbell {
        rid: Some(rid(0x0505)),
        ring: 0x21,
        term: Term(9),
    }
}

fn sample_records() -> [Option<ClientRecord>; 3] {
    let voter = ClientRecord {
        rid: rid(0x0505),
        barrier: 3,
        voter: true,
        evicted: false,
        host: HostId(0x77),
        boot: BOOT,
        addr: Some(([10, 0, 0, 5], 7000).into()),
        fence_param: fence_param(),
    };
    let evicted = ClientRecord {
        rid: rid(0x0606),
        barrier: 2,
        voter: false,
        evicted: true,
        addr: None,
        ..voter
    };
    [Some(voter), None, Some(evicted)]
}

fn sample_fence() -> FenceRecord {
    FenceRecord {
        term: Term(6),
        rid: rid(0x0505),
        host: HostId(0x77),
        addr: Some(([10, 0, 0, 5], 7000).into()),
        by: ballot(7, LEADER),
        unix_s: 0x6553_f100,
        attempts: 3,
        others: 2,
        why: FenceReason::Predecessor,
        how: FenceWay::Fence,
        result: FenceResult::Failed,
        method: FenceMethod::of("fence_ipmilan"),
    }
}

/// One block of each kind, where it stands, and what judges it.
struct Sample {
    name: &'static str,
    at: BlockNo,
    bytes: Vec<u8>,
    judge: fn(&[u8], BlockNo, VolumeId) -> Result<(), BlockError>,
}

impl Sample {
    fn new(
        name: &'static str,
        at: u64,
        encode: impl FnOnce(BlockNo, &mut [u8]),
        judge: fn(&[u8], BlockNo, VolumeId) -> Result<(), BlockError>,
    ) -> Self {
        // Not zeros, so that an encoder that leaves bytes untouched is found out.
        let mut bytes = vec![0xa5; BLOCK_BYTES];
        encode(BlockNo(at), &mut bytes);
        Self {
            name,
            at: BlockNo(at),
            bytes,
            judge,
        }
    }

    /// What the decoder says of the sample with some bytes replaced and the checksum made right again.
    fn tampered(&self, offset: usize, replacement: &[u8]) -> Result<(), BlockError> {
        let mut bytes = self.bytes.clone();
        bytes[offset..offset + replacement.len()].copy_from_slice(replacement);
        correct_checksum(&mut bytes);
        (self.judge)(&bytes, self.at, VOLUME)
    }
}

fn correct_checksum(block: &mut [u8]) {
    let crc = hardware(&block[4..]);
    block[..4].copy_from_slice(&crc.to_le_bytes());
}

fn super_sample() -> Sample {
    Sample::new(
        "super",
        32,
        |at, block| sample_super().encode(at, hardware, block),
        |bytes, at, volume| SuperBlock::decode(bytes, at, Some(volume), hardware).map(drop),
    )
}

fn judge_quorum(bytes: &[u8], at: BlockNo, volume: VolumeId) -> Result<(), BlockError> {
    RegionBlock::decode(bytes, at, volume, hardware).map(drop)
}

fn quorum_sample() -> Sample {
    Sample::new(
        "quorum",
        70,
        |at, block| encode_quorum(&sample_head(), &sample_log(), at, VOLUME, hardware, block),
        judge_quorum,
    )
}

fn empty_sample() -> Sample {
    Sample::new(
        "empty",
        64,
        |at, block| encode_empty(at, VOLUME, hardware, block),
        judge_quorum,
    )
}

fn bell_sample() -> Sample {
    Sample::new(
        "doorbell",
        128,
        |at, block| sample_bell().encode(at, VOLUME, hardware, block),
        |bytes, at, volume| Doorbell::decode(bytes, at, volume, hardware).map(drop),
    )
}

fn clients_sample() -> Sample {
    Sample::new(
        "clients",
        129,
        |at, block| {
            encode_table_block(0x99, sample_records().into_iter(), at, VOLUME, hardware, block);
        },
        |bytes, at, volume| TableBlock::decode(bytes, at, volume, hardware).map(drop),
    )
}

fn judge_fence(bytes: &[u8], at: BlockNo, volume: VolumeId) -> Result<(), BlockError> {
    decode_fence(bytes, at, volume, hardware).map(drop)
}

fn fence_sample() -> Sample {
    Sample::new(
        "fence",
        135,
        |at, block| encode_fence(Some((0x21, &sample_fence())), at, VOLUME, hardware, block),
        judge_fence,
    )
}

fn samples() -> [Sample; 6] {
    [
        super_sample(),
        quorum_sample(),
        empty_sample(),
        bell_sample(),
        clients_sample(),
        fence_sample(),
    ]
}
