//! One mount on a disk in memory, driven by the documented order of calls and by nothing else: what is not done by
//! then waits for the next deadline.

extern crate std;

mod joining;
mod leaving;
mod network;
mod several;
mod succession;

use std::vec;
use std::vec::Vec;

use super::{FenceMethod, Mount};
use crate::bounds::{BLOCK_BYTES, FENCE_BLOCKS, MESSAGE_BYTES_MAX};
use crate::checksum::portable;
use crate::config::{Config, VoterConfig};
use crate::disk::{DiskOutcome, DiskRequest};
use crate::event::{Event, Fault, Unmounted};
use crate::fence::FenceOutcome;
use crate::format::{
    FenceParam, FenceWay, Geometry, LogEntry, NewVolume, PackedEntry, QuorumHead, SUPER_COPIES, SuperBlock,
    decode_fence, encode_quorum,
};
use crate::ids::{Ballot, BlockNo, BootId, HostId, Mark, Rid, Term, VolumeId};
use crate::net::{ConnId, NetRequest};
use crate::server::FixedMemory;
use crate::service::NoService;
use crate::time::{Duration, Instant};

const VOLUME: VolumeId = VolumeId([7; 16]);
const DISK_BLOCKS: u64 = 256;

fn formatted(quorum_count: u16) -> Vec<u8> {
    formatted_for(quorum_count, 8)
}

fn formatted_for(quorum_count: u16, clients: u32) -> Vec<u8> {
    let geometry = Geometry::plan(DISK_BLOCKS, clients).unwrap();
    NewVolume::sample(VOLUME, quorum_count, geometry).device(DISK_BLOCKS)
}

struct Host {
    now: Instant,
    mount: Mount<FixedMemory<8, 24>, NoService>,
    blocks: Vec<u8>,
    events: Vec<(Instant, Event)>,
    /// The device answers nothing any more.
    hung: bool,
}

impl Host {
    fn voter(blocks: Vec<u8>) -> Self {
        let addr = ([127, 0, 0, 1], 7000).into();
        let voter = VoterConfig::fencing(addr, FenceParam::default());
        let config = Config {
            voter: Some(voter),
            ..Config::client(Rid::new(5).unwrap())
        };
        Self::new(config, blocks)
    }

    fn new(config: Config, blocks: Vec<u8>) -> Self {
        let now = Instant(1_000_000);
        let mount = Mount::new(now, config, [3; 32], FixedMemory::default(), NoService);
        Self {
            now,
            mount,
            blocks,
            events: Vec::new(),
            hung: false,
        }
    }

    /// One round in the documented order; says whether anything came of it that has to be handed back.
    fn round(&mut self) -> bool {
        let now = self.now;
        self.mount.poll(now);
        while let Some(event) = self.mount.poll_event() {
            self.events.push((now, event));
        }
        let mut inputs = false;
        while let Some(request) = self.mount.poll_net(now) {
            if matches!(request, NetRequest::Listen(_)) {
                self.mount.handle_listening(now, Ok(()));
                inputs = true;
            }
        }
        let mut message = [0; MESSAGE_BYTES_MAX];
        while self.mount.poll_transmit(now, &mut message).is_some() {}
        assert!(self.mount.poll_fence(now).is_none(), "there is nobody to fence");
        let mut requests = Vec::new();
        let mut buffer = vec![0; 64 * BLOCK_BYTES];
        while let Some(request) = self.mount.poll_disk(now, &mut buffer) {
            requests.push((request, buffer.clone()));
        }
        if self.hung {
            requests.clear();
        }
        for (request, bytes) in requests {
            self.carry_out(request, &bytes);
            inputs = true;
        }
        inputs
    }

    fn carry_out(&mut self, request: DiskRequest, bytes: &[u8]) {
        self.now += Duration(100);
        let id = request.id();
        match request {
            DiskRequest::Read { first, count, .. } => {
                let range = first.0 as usize * BLOCK_BYTES..(first.0 as usize + count as usize) * BLOCK_BYTES;
                self.mount
                    .handle_disk(self.now, id, DiskOutcome::Read(&self.blocks[range]));
            }
            DiskRequest::Write { first, count, .. } => {
                let length = count as usize * BLOCK_BYTES;
                self.blocks[first.0 as usize * BLOCK_BYTES..][..length].copy_from_slice(&bytes[..length]);
                self.mount.handle_disk(self.now, id, DiskOutcome::Done);
            }
            DiskRequest::Flush { .. } => self.mount.handle_disk(self.now, id, DiskOutcome::Done),
        }
    }

    /// Runs until the event comes; waits for nothing but deadlines.
    fn run_until(&mut self, span: Duration, wanted: impl Fn(&Event) -> bool) -> Instant {
        let end = self.now + span;
        let seen = self.events.len();
        loop {
            let inputs = self.round();
            if let Some((at, _)) = self.events[seen..].iter().find(|(_, event)| wanted(event)) {
                return *at;
            }
            if !inputs {
                self.now = self
                    .mount
                    .next_deadline()
                    .expect("something is due")
                    .max(self.now + Duration(1));
            }
            assert!(self.now < end, "it never came: {:#?}", self.events);
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_lone_voter_is_connected_to_its_own_server_at_once_and_leaves_through_the_barrier() {
    let mut host = Host::voter(formatted(1));
    let serving = host.run_until(SECOND.times(3), |event| matches!(event, Event::Serving { .. }));
    let connected = host.run_until(SECOND.times(3), |event| matches!(event, Event::Connected { .. }));
    assert!(
        connected.since(serving) < Duration::from_millis(20),
        "{:#?}",
        host.events
    );
    host.mount.unmount(host.now);
    let began = host.now;
    let ended = host.run_until(SECOND.times(3), |event| {
        *event == Event::Unmounted(Unmounted::Farewell)
    });
    assert!(
        ended.since(began) < Duration::from_millis(50),
        "{:#?}",
        host.events
    );
    assert!(host.mount.has_ended());
    let state = SuperBlock::decode(
        &host.blocks[16 * BLOCK_BYTES..][..BLOCK_BYTES],
        BlockNo(16),
        None,
        portable,
    );
    let state = state.unwrap();
    assert_eq!(state.unmount_barrier, 1);
    assert!(
        state.server.is_some_and(|server| state.fenced.covers(server)),
        "it stopped cleanly"
    );
}

#[test]
fn a_mount_that_waits_for_a_quorum_says_so_and_can_be_cancelled() {
    let mut host = Host::voter(formatted(2));
    host.run_until(SECOND.times(3), |event| {
        matches!(event, Event::Asking { votes: 1, needed: 2 })
    });
    host.mount.unmount(host.now);
    host.run_until(SECOND.times(3), |event| {
        *event == Event::Unmounted(Unmounted::NeverMounted)
    });
    assert!(host.mount.has_ended());
}

#[test]
fn a_plain_client_asks_for_no_votes() {
    let mut host = Host::new(Config::client(Rid::new(5).unwrap()), formatted(1));
    let before = host.blocks.clone();
    for _ in 0..1000 {
        if !host.round() {
            host.now = host
                .mount
                .next_deadline()
                .expect("it looks again")
                .max(host.now + Duration(1));
        }
    }
    assert_eq!(host.blocks, before);
}

/// Somebody who leads, and promises half a second.
fn leader() -> LogEntry {
    LogEntry {
        ballot: Ballot {
            term: Term(3),
            rid: Rid::new(9).unwrap(),
        },
        host: HostId(9),
        boot: BootId([9; 16]),
        addr: ([127, 0, 0, 1], 7009).into(),
        quiet_ms: 500,
        fenced: false,
        fence_param: FenceParam::default(),
    }
}

/// Block `index` of the region says, in the name of somebody who is not here, that these were elected.
fn write_log(host: &mut Host, index: u64, log: &[LogEntry]) {
    let at = BlockNo(super_block(host).geometry.region.0 + index);
    let head = QuorumHead::first_of(Rid::new(77).unwrap());
    let log: Vec<_> = log.iter().map(PackedEntry::from).collect();
    let block = &mut host.blocks[at.0 as usize * BLOCK_BYTES..][..BLOCK_BYTES];
    encode_quorum(&head, &log, at, VOLUME, portable, block);
}

/// Rounds for this long, whatever comes.
fn pass(host: &mut Host, span: Duration) {
    let end = host.now + span;
    while host.now < end {
        if !host.round() {
            let due = host.mount.next_deadline().expect("something is due");
            host.now = due.max(host.now + Duration(1)).min(end);
        }
    }
}

fn super_block(host: &Host) -> SuperBlock {
    let at = SUPER_COPIES[0];
    let bytes = &host.blocks[at.0 as usize * BLOCK_BYTES..][..BLOCK_BYTES];
    SuperBlock::decode(bytes, at, None, portable).unwrap()
}

fn leased(blocks: Vec<u8>) -> Host {
    let voter = VoterConfig {
        can_fence: false,
        lease: Some(SECOND),
        ..VoterConfig::fencing(([127, 0, 0, 1], 7000).into(), FenceParam::default())
    };
    let config = Config {
        voter: Some(voter),
        ..Config::client(Rid::new(5).unwrap())
    };
    Host::new(config, blocks)
}

fn stopped(event: &Event) -> bool {
    matches!(event, Event::StoppedServing { clean: true, .. })
}

#[test]
fn r9_a_clean_stop_is_not_written_while_something_runs_because_this_mount_leads() {
    let mut host = Host::voter(formatted(1));
    host.run_until(SECOND.times(3), |event| matches!(event, Event::Serving { .. }));
    let ballot = host.mount.leads(host.now).expect("it serves");
    assert_eq!(host.mount.right_until(host.now), Some(Instant::NEVER));
    host.mount.hold_leadership(true);
    host.mount.resign(host.now);
    pass(&mut host, SECOND.times(5));
    assert_eq!(host.mount.leads(host.now), None, "the program is to stop");
    assert!(!host.events.iter().any(|(_, event)| stopped(event)));
    let state = super_block(&host);
    assert_eq!(state.server, Some(ballot));
    assert!(!state.fenced.covers(ballot), "nobody may take it for silent");

    host.mount.hold_leadership(false);
    host.run_until(SECOND, stopped);
    assert!(super_block(&host).fenced.covers(ballot));
}

#[test]
fn an_unmount_waits_for_what_is_held_and_force_does_not() {
    for force in [false, true] {
        let mut host = Host::voter(formatted(1));
        host.run_until(SECOND.times(3), |event| matches!(event, Event::Connected { .. }));
        host.mount.hold_leadership(true);
        host.mount.unmount(host.now);
        pass(&mut host, SECOND.times(3));
        assert!(!host.mount.has_ended());
        if force {
            host.mount.force(host.now);
            host.round();
            let last = host.events.last().map(|(_, event)| event);
            assert_eq!(last, Some(&Event::Unmounted(Unmounted::Forced)));
        } else {
            host.mount.hold_leadership(false);
            host.run_until(SECOND, |event| *event == Event::Unmounted(Unmounted::Farewell));
        }
        assert!(host.mount.has_ended());
        assert_eq!(host.mount.leads(host.now), None);
        assert_eq!(host.mount.right_until(host.now), None);
    }
}

#[test]
fn a_mount_that_resigned_leads_again_later_in_a_higher_term_if_nobody_else_does() {
    let mut host = Host::voter(formatted(1));
    host.run_until(SECOND.times(3), |event| matches!(event, Event::Serving { .. }));
    let first = host.mount.leads(host.now).expect("it serves");
    host.mount.resign(host.now);
    host.mount.resign(host.now);
    let left = host.run_until(SECOND, stopped);
    let again = host.run_until(SECOND.times(9), |event| matches!(event, Event::Serving { .. }));
    assert!(
        again.since(left) >= Duration::from_millis(900),
        "others had their chance"
    );
    assert!(host.mount.leads(host.now).expect("it serves again").term > first.term);
}

#[test]
fn under_a_lease_the_right_to_run_something_ends_and_looks_prolong_it() {
    let mut host = leased(formatted(1));
    assert_eq!(host.mount.right_until(host.now), None);
    host.run_until(SECOND.times(3), |event| matches!(event, Event::Serving { .. }));
    let mut until = host.mount.right_until(host.now).expect("it leads");
    for _ in 0..10 {
        pass(&mut host, Duration::from_millis(400));
        let later = host.mount.right_until(host.now).expect("it leads");
        assert!(later > until && later <= host.now + SECOND);
        until = later;
    }
    // No look follows: the right is over, without anybody saying so.
    assert_eq!(host.mount.leads(until), None);
    assert_eq!(host.mount.right_until(until), None);
}

#[test]
fn a_voter_whose_memory_is_too_small_for_the_volume_says_so_and_stands_no_more() {
    let addr = ([127, 0, 0, 1], 7000).into();
    let config = Config {
        voter: Some(VoterConfig::fencing(addr, FenceParam::default())),
        ..Config::client(Rid::new(5).unwrap())
    };
    let mut host = Host::new(config, formatted_for(1, 9));
    let too_large =
        |event: &Event| matches!(event, Event::Fault(Fault::TableTooLarge { volume: 9, memory: 8 }));
    host.run_until(SECOND.times(3), too_large);
    let end = host.now + SECOND.times(300);
    while host.now < end {
        if !host.round() {
            let due = host.mount.next_deadline().unwrap_or(end);
            host.now = due.max(host.now + Duration(1));
        }
    }
    let elected = host
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::Elected(_)));
    assert_eq!(elected.count(), 1, "{:#?}", host.events);
}

#[test]
#[should_panic(expected = "a buffer of transfer_blocks blocks")]
fn a_buffer_that_a_request_would_overrun_is_refused() {
    let mut host = Host::voter(formatted(1));
    host.mount.poll(host.now);
    let _ = host.mount.poll_disk(host.now, &mut [0; BLOCK_BYTES]);
}

#[test]
fn a_leader_that_resigns_leads_no_more_and_once_is_enough() {
    let mut host = Host::voter(formatted(1));
    host.mount.resign(host.now);
    assert_eq!(
        (host.mount.clients_mounted(), host.mount.leads(host.now)),
        (0, None)
    );
    host.run_until(SECOND.times(3), |event| matches!(event, Event::Connected { .. }));
    assert_eq!(host.mount.clients_mounted(), 1);
    let led = host.mount.leads(host.now).expect("it serves");
    assert_eq!(host.mount.right_until(host.now), Some(Instant::NEVER));
    host.mount.resign(host.now);
    assert_eq!(host.mount.leads(host.now), None);
    host.mount.resign(host.now);
    let stopped = |event: &Event| {
        *event
            == Event::StoppedServing {
                ballot: led,
                clean: true,
            }
    };
    host.run_until(SECOND.times(3), stopped);
    host.run_until(SECOND.times(20), |event| matches!(event, Event::Serving { .. }));
    let stops = host.events.iter().filter(|(_, event)| stopped(event)).count();
    assert_eq!(stops, 1);
    assert!(host.mount.leads(host.now) > Some(led));
}

#[test]
fn resigning_again_while_it_resigns_does_not_keep_it_out_for_longer() {
    let mut host = Host::voter(formatted(1));
    host.run_until(SECOND.times(3), |event| matches!(event, Event::Serving { .. }));
    host.mount.hold_leadership(true);
    host.mount.resign(host.now);
    for _ in 0..5 {
        pass(&mut host, Duration::from_millis(100));
        host.mount.resign(host.now);
    }
    host.mount.hold_leadership(false);
    let left = host.run_until(SECOND, stopped);
    let again = host.run_until(SECOND.times(9), |event| matches!(event, Event::Serving { .. }));
    assert!(again.since(left) < SECOND.times(2));
}

#[test]
fn a_new_ballot_of_its_own_waits_for_what_runs_under_the_old_one() {
    let mut host = leased(formatted(1));
    host.run_until(SECOND.times(3), |event| matches!(event, Event::Serving { .. }));
    let first = host.mount.leads(host.now).expect("it leads");
    host.mount.hold_leadership(true);
    // Somebody waited for the end of its lease, served, and left.
    let by = Ballot {
        term: first.term.next(),
        rid: Rid::new(77).unwrap(),
    };
    let mut state = super_block(&host);
    (state.seq, state.server, state.server_addr) = (state.seq + 1, None, None);
    state.fenced = Mark::at(by);
    for at in SUPER_COPIES {
        state.encode(
            at,
            portable,
            &mut host.blocks[at.0 as usize * BLOCK_BYTES..][..BLOCK_BYTES],
        );
    }
    pass(&mut host, SECOND.times(10));
    let served = |host: &Host| {
        let serving = |event: &&(Instant, Event)| matches!(event.1, Event::Serving { .. });
        host.events.iter().filter(serving).count()
    };
    assert_eq!(
        super_block(&host).server.map(|server| server.rid),
        Some(first.rid),
        "it was elected again"
    );
    assert_eq!((served(&host), host.mount.leads(host.now)), (1, None));
    host.mount.hold_leadership(false);
    pass(&mut host, SECOND.times(2));
    assert_eq!(served(&host), 2);
    assert!(host.mount.leads(host.now).expect("it leads again").term > by.term);
}

#[test]
fn a_mount_that_reads_that_it_was_fenced_ends_when_nothing_runs_under_its_ballot_any_more() {
    let mut host = leased(formatted(1));
    host.run_until(SECOND.times(3), |event| matches!(event, Event::Serving { .. }));
    host.mount.hold_leadership(true);
    let own = LogEntry {
        ballot: super_block(&host).server.expect("it serves"),
        fenced: true,
        ..leader()
    };
    write_log(&mut host, 0, &[own]);
    pass(&mut host, SECOND.times(3));
    assert_eq!(host.mount.leads(host.now), None, "the program is to end");
    assert!(!host.mount.has_ended());
    host.mount.hold_leadership(false);
    host.run_until(SECOND, |event| *event == Event::Unmounted(Unmounted::Superseded));
}

#[test]
fn a_plain_client_is_not_disturbed_by_what_concerns_voters_and_servers() {
    let mut host = Host::new(Config::client(Rid::new(5).unwrap()), formatted(1));
    pass(&mut host, SECOND);
    let victim = Ballot {
        term: Term(3),
        rid: Rid::new(9).unwrap(),
    };
    host.mount
        .handle_fence_by(host.now, victim, FenceOutcome::Done, FenceMethod::default());
    host.mount.handle_connected(host.now, ConnId(3));
    host.mount.hold_leadership(true);
    host.mount.resign(host.now);
    pass(&mut host, SECOND);
    host.mount.unmount(host.now);
    host.run_until(SECOND, |event| matches!(event, Event::Unmounted(_)));
}

#[test]
fn a_predecessor_that_nobody_here_fenced_leaves_a_record_all_the_same() {
    for (fenced, way) in [(false, FenceWay::Lease), (true, FenceWay::Fence)] {
        let mut host = leased(formatted(1));
        let victim = LogEntry { fenced, ..leader() };
        write_log(&mut host, 0, &[victim]);
        let began = host.now;
        let served = host.run_until(SECOND.times(9), |event| matches!(event, Event::Serving { .. }));
        assert!(
            fenced || served.since(began) > Duration::from_millis(500),
            "its lease"
        );
        let first = super_block(&host).geometry.fences;
        let records: Vec<_> = (first.0..first.0 + FENCE_BLOCKS as u64)
            .filter_map(|at| {
                let block = &host.blocks[at as usize * BLOCK_BYTES..][..BLOCK_BYTES];
                decode_fence(block, BlockNo(at), VOLUME, portable).ok().flatten()
            })
            .map(|(_, record)| (record.rid, record.term, record.how, record.by.rid))
            .collect();
        let by = Rid::new(5).unwrap();
        assert_eq!(records, [(victim.ballot.rid, Term(3), way, by)]);
    }
}

#[test]
fn one_that_was_frozen_as_it_began_to_serve_does_not_serve_without_the_right() {
    let mut host = leased(formatted(1));
    let served = |host: &Host| {
        let serving = |(_, event): &(Instant, Event)| matches!(event, Event::Serving { .. });
        host.events.iter().any(serving)
    };
    let copies =
        |host: &Host| SUPER_COPIES.map(|at| host.blocks[at.0 as usize * BLOCK_BYTES..][64..512].to_vec());
    while super_block(&host).server_addr.is_none() || copies(&host)[0] != copies(&host)[1] {
        assert!(!served(&host), "its address was to be seen in both copies first");
        if !host.round() {
            host.now = host.mount.next_deadline().expect("something is due");
        }
    }
    // The write is answered, and it runs again after its lease.
    host.now += SECOND.times(2);
    host.round();
    assert!(!served(&host), "somebody else may serve by now");
    host.run_until(SECOND, |event| matches!(event, Event::Serving { .. }));
    assert!(host.mount.leads(host.now).is_some(), "nobody did");
}
