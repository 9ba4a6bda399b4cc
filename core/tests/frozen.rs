//! Volumes as released formats left them: they are read, and taken over. Nothing of this may ever have to be changed; what a
//! change of the disk format means is stated in `core/PORTING.md`.

#![forbid(unsafe_code)]

use std::collections::VecDeque;

use ostrakon_core::bounds::{BLOCK_BYTES, FENCE_BLOCKS, MESSAGE_BYTES_MAX, REGION_BLOCKS, SEAL_BLOCKS};
use ostrakon_core::checksum::portable;
use ostrakon_core::config::{Config, VoterConfig};
use ostrakon_core::disk::{DiskOutcome, DiskRequest};
use ostrakon_core::event::{Event, Silenced};
use ostrakon_core::fence::FenceOutcome;
use ostrakon_core::format::{
    Doorbell, FenceParam, FenceResult, RegionBlock, SUPER_COPIES, SuperBlock, TableBlock, VERSION,
    decode_fence,
};
use ostrakon_core::ids::{Ballot, BlockNo, Rid, Term, VolumeId};
use ostrakon_core::mount::Mount;
use ostrakon_core::net::NetRequest;
use ostrakon_core::server::FixedMemory;
use ostrakon_core::service::NoService;
use ostrakon_core::time::{Duration, Instant};

const V1: &str = include_str!("frozen/v1.txt");
const V1_BLOCKS: usize = 1024;
const V1_VOLUME: VolumeId = VolumeId(0x10aa_dc10_5f55_0b02_e573_100f_8717_b238_u128.to_be_bytes());

fn image() -> Vec<u8> {
    let mut image = vec![0; V1_BLOCKS * BLOCK_BYTES];
    for line in V1.lines().filter(|line| !line.starts_with('#')) {
        let (offset, text) = line.split_once(": ").expect("offset and bytes");
        let offset: usize = offset.parse().expect("an offset");
        for (index, digit) in (0..text.len()).step_by(2).enumerate() {
            let pair = &text[digit..digit + 2];
            image[offset + index] = u8::from_str_radix(pair, 16).expect("two hexadecimal digits");
        }
    }
    image
}

fn block(image: &[u8], at: BlockNo) -> &[u8] {
    &image[at.0 as usize * BLOCK_BYTES..][..BLOCK_BYTES]
}

fn leader() -> Ballot {
    Ballot {
        term: Term(2),
        rid: Rid::new(0x91e6_a3cc_6440_c9af).expect("not 0"),
    }
}

#[test]
fn every_block_of_version_1_is_read_as_it_was_meant() {
    assert_eq!(
        VERSION, 1,
        "a new version needs a frozen image of its own, and this one must still be read"
    );
    let image = image();
    let supers =
        SUPER_COPIES.map(|at| SuperBlock::decode(block(&image, at), at, None, portable).expect("a copy"));
    let [state, other] = supers;
    assert_eq!(state, other);
    assert_eq!((state.volume, state.seq, state.quorum_count), (V1_VOLUME, 5, 1));
    assert_eq!(state.server, Some(leader()));
    assert_eq!(state.server_addr, Some(([127, 0, 0, 1], 7112).into()));
    assert_eq!(
        (state.fenced.term, state.fenced.rid),
        (Term(2), leader().rid.value() - 1)
    );
    assert_eq!((state.unmount_barrier, state.geometry.clients_max), (0, 8));

    let carries = (0..REGION_BLOCKS as u64).filter(|index| {
        let at = BlockNo(state.geometry.region.0 + index);
        match RegionBlock::decode(block(&image, at), at, V1_VOLUME, portable).expect("a quorum block") {
            RegionBlock::Empty => false,
            RegionBlock::Written(_, mut log) => log.any(|entry| entry.ballot == leader()),
        }
    });
    assert!(carries.count() >= SEAL_BLOCKS, "the leader had sealed its ballot");

    let bell = state.geometry.doorbell;
    Doorbell::decode(block(&image, bell), bell, V1_VOLUME, portable).expect("the doorbell");
    let copies = [0, 1].map(|copy| {
        let at = BlockNo(state.geometry.clients.0 + copy * u64::from(state.geometry.clients_blocks));
        TableBlock::decode(block(&image, at), at, V1_VOLUME, portable).expect("a copy of the table")
    });
    let newest = copies.iter().max_by_key(|copy| copy.seq).expect("two copies");
    let records: Vec<_> = (0..8).filter_map(|place| newest.record(place)).collect();
    let [record] = records.as_slice() else {
        panic!("{records:?}");
    };
    assert_eq!(
        (record.rid, record.voter, record.evicted),
        (leader().rid, true, false)
    );

    let fences = (0..FENCE_BLOCKS as u64).map(|index| BlockNo(state.geometry.fences.0 + index));
    let records: Vec<_> = fences
        .filter_map(|at| decode_fence(block(&image, at), at, V1_VOLUME, portable).expect("a fence record"))
        .collect();
    let [(1, record)] = records.as_slice() else {
        panic!("{records:?}");
    };
    assert_eq!((record.term, record.by), (Term(1), leader()));
    assert_eq!(
        (record.result, record.method.text()),
        (FenceResult::Done, "fence-kill")
    );
}

/// A mount on the image, alone and with a fence that always works, until it serves. Returns what it told.
fn takes_over(image: &mut [u8], transfer_blocks: u32) -> Vec<Event> {
    let rid = Rid::new(77).expect("not 0");
    let addr = ([127, 0, 0, 1], 7200).into();
    let config = Config {
        voter: Some(VoterConfig::fencing(addr, FenceParam::default())),
        transfer_blocks,
        ..Config::client(rid)
    };
    let mut mount = Mount::new(
        Instant(0),
        config,
        [5; 32],
        FixedMemory::<8, 24>::default(),
        NoService,
    );
    let (mut now, mut told) = (Instant(0), Vec::new());
    let mut buffer = vec![0; transfer_blocks as usize * BLOCK_BYTES];
    let mut fences = VecDeque::new();
    while !told.iter().any(|event| matches!(event, Event::Serving { .. })) {
        assert!(now < Instant(0) + Duration::from_secs(60), "{told:?}");
        while let Some(victim) = fences.pop_front() {
            mount.handle_fence(now, victim, FenceOutcome::Done);
        }
        mount.poll(now);
        told.extend(std::iter::from_fn(|| mount.poll_event()));
        while let Some(request) = mount.poll_net(now) {
            match request {
                NetRequest::Listen(_) => mount.handle_listening(now, Ok(())),
                // The dead leader's host refuses.
                NetRequest::Connect(conn, _) => {
                    mount.handle_closed(now, conn, ostrakon_core::net::CloseReason::Refused);
                }
                NetRequest::Unlisten | NetRequest::Close(_) => {}
            }
        }
        assert_eq!(
            mount.poll_transmit(now, &mut [0; MESSAGE_BYTES_MAX]),
            None,
            "nobody to talk to"
        );
        fences.extend(std::iter::from_fn(|| mount.poll_fence(now)).map(|request| request.victim.ballot));
        while let Some(request) = mount.poll_disk(now, &mut buffer) {
            let range = |first: BlockNo, count: u32| {
                let first = first.0 as usize * BLOCK_BYTES;
                first..first + count as usize * BLOCK_BYTES
            };
            match request {
                DiskRequest::Read { id, first, count, .. } => {
                    mount.handle_disk(now, id, DiskOutcome::Read(&image[range(first, count)]));
                }
                DiskRequest::Write { id, first, count, .. } => {
                    let bytes = range(first, count);
                    image[bytes.clone()].copy_from_slice(&buffer[..bytes.len()]);
                    mount.handle_disk(now, id, DiskOutcome::Done);
                }
                DiskRequest::Flush { id, .. } => mount.handle_disk(now, id, DiskOutcome::Done),
            }
        }
        let next = mount.next_deadline().unwrap_or(now);
        now = next.max(now + Duration(100));
    }
    told
}

#[test]
fn a_mount_takes_a_volume_of_version_1_over_from_its_dead_leader() {
    // In pieces of one block, as firmware reads, and whole, as Linux does.
    for transfer_blocks in [1, 64] {
        let mut image = image();
        let told = takes_over(&mut image, transfer_blocks);
        let fenced = Event::Silenced {
            victim: leader(),
            how: Silenced::Fenced,
        };
        assert!(told.contains(&fenced), "{told:?}");
        let state = SuperBlock::decode(block(&image, SUPER_COPIES[0]), SUPER_COPIES[0], None, portable)
            .expect("a copy");
        let server = state.server.expect("the mount serves");
        assert_eq!((server.term, server.rid.value()), (Term(3), 77));
    }
}
