//! Fences and successions: what election and server of one mount ask of its platform, and what they tell one another.

extern crate std;

use std::vec::Vec;

use super::VOLUME;
use super::several::{Device, Door, Several, addr, connected, rid, serving};
use crate::bounds::{BLOCK_BYTES, FENCE_BLOCKS, GHOST_SILENT_TIME, VOTERS_MAX};
use crate::checksum::portable;
use crate::config::Config;
use crate::event::{Event, Silenced};
use crate::fence::FenceOutcome;
use crate::format::{ClientRecord, FenceParam, FenceRecord, decode_fence, encode_table_block};
use crate::ids::{BlockNo, BootId, HostId, Rid, Term};
use crate::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn records(several: &Several) -> Vec<FenceRecord> {
    let first = several.super_block().geometry.fences.0;
    (first..first + FENCE_BLOCKS as u64)
        .filter_map(|at| {
            let at = BlockNo(at);
            decode_fence(several.block(at), at, VOLUME, portable)
                .ok()
                .flatten()
        })
        .map(|(_, record)| record)
        .collect()
}

fn evicted(event: &Event) -> bool {
    matches!(event, Event::ClientEvicted(_))
}

#[test]
fn a_leader_that_died_is_fenced_and_the_next_one_serves_with_a_record_of_that() {
    let mut several = Several::with_voters(1, 2);
    let (dead, next) = (several.leader(), several.followers()[0]);
    let led = several.members[dead].mount.leads(several.now).unwrap();
    several.members[next].mount.set_unix_time(1_700_000_000);
    several.kill(dead);
    // Until its platform has answered, nobody serves.
    several.until(next, SECOND.times(9), |event| {
        matches!(event, Event::Fencing { attempt: 1, .. })
    });
    several.pass(SECOND.times(5));
    assert_eq!(several.told(next, serving), 0);
    let victims: Vec<_> = several.members[next]
        .fences
        .iter()
        .map(|fence| fence.victim.ballot)
        .collect();
    assert_eq!(victims, [led]);
    several.members[next]
        .mount
        .handle_fence(several.now, led, FenceOutcome::Done);
    several.until(next, SECOND, serving);
    assert_eq!(
        several.told(next, |event| matches!(
            event,
            Event::Silenced {
                how: Silenced::Fenced,
                ..
            }
        )),
        1
    );
    let [record] = records(&several)[..] else {
        panic!("one fence, one record");
    };
    assert_eq!((record.rid, record.term, record.attempts), (led.rid, led.term, 1));
    assert!(
        (1_700_000_000..1_700_000_060).contains(&record.unix_s),
        "{}",
        record.unix_s
    );
}

#[test]
fn nobody_waits_for_the_return_of_a_leader_that_was_fenced() {
    let mut several = Several::with_voters(1, 2);
    let (dead, next) = (several.leader(), several.followers()[0]);
    several.members[next].fence = Some(FenceOutcome::Done);
    several.kill(dead);
    several.until(next, SECOND.times(9), serving);
    several.pass(Duration::from_millis(20));
    assert_eq!(
        several.told(next, |event| *event == Event::ClientEvicted(rid(dead))),
        1
    );
    assert_eq!(several.members[next].mount.clients_mounted(), 1);
}

#[test]
fn a_leader_that_nobody_reaches_makes_room_for_who_asks() {
    let mut several = Several::with_voters(1, 1);
    several.members[0].door = Door::Refuses;
    // For a while its address may only not be known yet.
    several.pass(SECOND.times(10));
    let other = several.voter(|_| {});
    several.until(other, SECOND.times(30), serving);
    let clean = |event: &Event| matches!(event, Event::StoppedServing { clean: true, .. });
    assert_eq!(several.told(0, clean), 1);
    several.until(0, SECOND.times(5), connected);
}

/// A volume on which as many voters have places as there are but one, none of whom is there any more, and a voter that
/// serves. Then a last one has come and found no place.
fn crowded(change: impl Fn(&mut Config)) -> Several {
    let mut several = Several::on_a_new_volume(1);
    let ghost = |at: usize| ClientRecord {
        rid: Rid::new(100 + at as u64).unwrap(),
        barrier: 0,
        voter: true,
        evicted: true,
        host: HostId(100 + at as u64),
        boot: BootId([1; 16]),
        addr: Some(addr(100 + at)),
        fence_param: FenceParam::default(),
    };
    let geometry = several.super_block().geometry;
    for copy in 0..2 {
        let at = BlockNo(geometry.clients.0 + copy * u64::from(geometry.clients_blocks));
        let block = &mut several.blocks[at.0 as usize * BLOCK_BYTES..][..BLOCK_BYTES];
        let ghosts = (0..VOTERS_MAX - 1).map(|at| Some(ghost(at)));
        encode_table_block(2, ghosts, at, VOLUME, portable, block);
    }
    for _ in 0..2 {
        several.voter(&change);
        several.pass(SECOND.times(3));
    }
    assert_eq!(several.leader(), 0);
    assert_eq!(several.told(1, |event| *event == Event::PlainClient), 1);
    several
}

#[test]
fn a_voter_without_a_place_gets_that_of_a_ghost_which_is_fenced() {
    let mut several = crowded(|_| {});
    let [ref wish] = several.members[0].fences[..] else {
        panic!("one place is wanted");
    };
    let victim = wish.victim.ballot;
    assert_eq!((victim.term, victim.rid.value()), (Term(0), 100));
    several.members[0]
        .mount
        .handle_fence(several.now, victim, FenceOutcome::Done);
    several.until(1, SECOND.times(3), |event| *event == Event::VoterAfterAll);
    several.pass(SECOND.times(3));
    assert_eq!(several.members[0].fences.len(), 1, "nobody else needs one");
    assert!(several.members[1].fences.is_empty());
}

#[test]
fn where_nobody_can_be_fenced_a_voter_without_a_place_waits_until_a_ghost_was_silent_for_long() {
    let mut several = crowded(|config| {
        let voter = config.voter.as_mut().unwrap();
        (voter.can_fence, voter.lease) = (false, Some(SECOND));
    });
    let began = several.now;
    let given = several.until(1, GHOST_SILENT_TIME.times(2), |event| {
        *event == Event::VoterAfterAll
    });
    assert!(given.since(began) + SECOND.times(9) > GHOST_SILENT_TIME);
    assert!(several.members[0].fences.is_empty());
}

#[test]
fn where_fences_are_possible_a_ghost_keeps_its_place_until_one_was_confirmed() {
    let mut several = crowded(|_| {});
    several.pass(GHOST_SILENT_TIME.times(2));
    assert_eq!(several.told(1, |event| *event == Event::VoterAfterAll), 0);
}

#[test]
fn without_the_right_to_act_no_ghost_is_fenced() {
    let mut several = crowded(|config| config.voter.as_mut().unwrap().lease = Some(SECOND));
    let wish = several.members[0].fences[0].victim.ballot;
    several.members[0]
        .mount
        .handle_fence(several.now, wish, FenceOutcome::Failed);
    // Its lease has run out when it would try again.
    several.members[0].device = Device::Hung;
    several.pass(SECOND.times(60));
    assert_eq!(several.members[0].fences.len(), 1);
}

#[test]
fn a_server_whose_lease_ran_out_answers_nothing() {
    let mut several = Several::on_a_new_volume(1);
    several.voter(|config| config.voter.as_mut().unwrap().lease = Some(SECOND));
    let plain = several.add(|config| config.silence_max = SECOND.times(60));
    several.until(plain, SECOND.times(9), connected);
    several.members[0].device = Device::Hung;
    let until = several.members[0]
        .mount
        .right_until(several.now)
        .expect("it leads");
    several.pass(until.since(several.now));
    let id = several.members[plain]
        .mount
        .submit(crate::session::world::ADD, &[1])
        .unwrap();
    several.pass(Duration::from_millis(100));
    assert_eq!(several.members[0].mount.service().executed, 0);
    assert_eq!(several.members[plain].mount.answer(id), []);
}

#[test]
fn the_record_of_a_client_that_does_not_return_goes_and_no_sooner_than_its_time() {
    let mut several = Several::with_voters(1, 1);
    let plain = several.add(|_| {});
    several.until(plain, SECOND, connected);
    several.kill(plain);
    let began = several.now;
    let gone = several.until(0, SECOND.times(20), evicted);
    assert!(gone.since(began) >= SECOND.times(10));
    assert_eq!(several.members[0].mount.clients_mounted(), 1);
}
