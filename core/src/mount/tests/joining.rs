//! When a voter takes part in the election, and when it leaves that to others.

extern crate std;

use super::several::{Device, Door, Several, connected, disconnected, serving};
use crate::bounds::CONNECT_TIMEOUT;
use crate::client::Link;
use crate::event::{Event, Fault};
use crate::ids::{Ballot, Rid, Term};
use crate::io::Owner;
use crate::net::CloseReason;
use crate::time::{Duration, Instant};
use std::vec::Vec;

const SECOND: Duration = Duration::from_secs(1);

/// The super block names somebody who is not here.
fn led_elsewhere(published: bool) -> Several {
    let mut several = Several::on_a_new_volume(1);
    several.change_super(|state| {
        state.server = Some(Ballot {
            term: Term(3),
            rid: Rid::new(99).unwrap(),
        });
        state.server_addr = published.then(|| ([10, 0, 0, 99], 7000).into());
    });
    several
}

/// When its election asked the device for something first, within this time.
fn joins(several: &mut Several, at: usize, span: Duration) -> Option<Duration> {
    let began = several.now;
    several.pass(span);
    several.voted_after(at, began).map(|voted| voted.since(began))
}

#[test]
fn on_a_volume_that_nobody_serves_a_voter_asks_at_once() {
    let mut several = Several::on_a_new_volume(1);
    let at = several.voter(|_| {});
    let joined = joins(&mut several, at, SECOND.times(3)).expect("it asks");
    assert!(joined < Duration::from_millis(10));
}

#[test]
fn a_server_that_is_named_without_an_address_has_a_second_to_publish_it() {
    let mut several = led_elsewhere(false);
    let at = several.voter(|_| {});
    let joined = joins(&mut several, at, SECOND.times(3));
    assert_eq!(joined, Some(SECOND), "neither sooner nor later");
    assert!(several.members[at].connects.is_empty());
}

#[test]
fn one_connect_that_fails_does_not_make_a_voter_ask_and_two_do() {
    for (door, took) in [(Door::Refuses, Duration(0)), (Door::Silent, CONNECT_TIMEOUT)] {
        let mut several = led_elsewhere(true);
        several.elsewhere = door;
        let at = several.voter(|_| {});
        let joined = joins(&mut several, at, SECOND.times(5)).expect("it asks");
        let connects = &several.members[at].connects;
        let (first, second) = (connects[0], connects[1]);
        let failed = second.since(Instant(1_000_000)) + took;
        assert!(second > first);
        assert!(
            joined >= failed && joined < failed + Duration::from_millis(5),
            "{door:?}: {joined:?}"
        );
    }
}

#[test]
fn a_server_that_lives_and_is_slow_to_be_reached_is_not_asked_about() {
    let mut several = Several::with_voters(1, 1);
    several.members[0].door = Door::Silent;
    let late = several.voter(|_| {});
    several.pass(Duration(CONNECT_TIMEOUT.0 / 2));
    several.members[0].door = Door::Open;
    several.until(late, CONNECT_TIMEOUT.times(2), connected);
    assert_eq!(several.voted_after(late, Instant(0)), None);
}

#[test]
fn a_voter_whose_connection_broke_asks_when_the_next_one_is_refused_or_does_not_come() {
    // How long it may be: a server that lives is reached again within 200 ms.
    let reconnect = Duration::from_millis(200);
    for (door, least, most) in [
        (Door::Refuses, Duration(0), Duration::from_millis(20)),
        (Door::Silent, reconnect, reconnect + Duration(1)),
    ] {
        let mut several = Several::with_voters(1, 2);
        let leader = several.leader();
        let at = several.followers()[0];
        several.members[leader].door = door;
        several.part(at);
        let joined = joins(&mut several, at, SECOND.times(2)).expect("it asks");
        assert!(joined >= least && joined < most, "{door:?}: {joined:?}");
    }
}

#[test]
fn a_voter_that_has_waited_for_its_server_for_as_long_as_it_does_waits_for_no_moment_in_the_past() {
    let mut several = Several::with_voters(1, 2);
    let leader = several.leader();
    let at = several.followers()[0];
    several.members[leader].door = Door::Silent;
    several.part(at);
    several.until(at, SECOND, disconnected);
    let Link::Seeking { since, .. } = several.members[at].mount.client.link() else {
        panic!("it looks for a server");
    };
    several.members[at].device = Device::Hung;
    let due = since + Duration::from_millis(200);
    several.kill(leader);
    several.pass(due.since(several.now));
    assert_eq!(several.now, due);
    several.round();
    several.round();
    assert!(several.voted_after(at, since) == Some(due));
    let next = several.members[at].mount.next_deadline();
    assert!(next.is_none_or(|next| next > due), "{next:?}");
}

#[test]
fn a_leader_that_says_that_it_stops_is_asked_about_at_once() {
    let mut several = Several::with_voters(1, 2);
    let (leader, at) = (several.leader(), several.followers()[0]);
    several.members[leader].mount.resign(several.now);
    let lost = several.until(at, SECOND, disconnected);
    let Link::Seeking { resigned, .. } = several.members[at].mount.client.link() else {
        panic!("it looks for a server");
    };
    assert!(resigned);
    several.pass(SECOND);
    let voted = several.voted_after(at, lost).expect("it asks");
    assert!(voted.since(lost) < Duration::from_millis(5));
}

#[test]
fn a_leader_whose_device_fails_stops_without_a_word() {
    let mut several = Several::with_voters(1, 2);
    let (leader, at) = (several.leader(), several.followers()[0]);
    several.members[leader].device = Device::Failing;
    several.until(at, SECOND.times(30), disconnected);
    let link = several.members[at].mount.client.link();
    assert!(matches!(link, Link::Seeking { resigned: false, .. }), "{link:?}");
}

#[test]
fn a_leader_that_refuses_is_taken_for_dead_sooner_than_one_that_is_silent() {
    let took = |door| {
        let mut several = Several::with_voters(2, 3);
        let (leader, others) = (several.leader(), several.followers());
        several.members[others[1]].fence = Some(crate::fence::FenceOutcome::Done);
        several.members[others[0]].fence = Some(crate::fence::FenceOutcome::Done);
        several.members[leader].door = door;
        several.kill(leader);
        let began = several.now;
        while !others.iter().any(|&at| several.told(at, serving) > 0) {
            several.pass(Duration::from_millis(20));
            assert!(several.now.since(began) < SECOND.times(30));
        }
        several.now.since(began)
    };
    let (refused, silent) = (took(Door::Refuses), took(Door::Silent));
    assert!(
        refused + SECOND < silent,
        "{refused:?} when refused, {silent:?} when silent"
    );
}

#[test]
fn after_it_resigned_a_voter_takes_part_again_at_the_very_moment_that_its_pause_is_over() {
    let mut several = Several::with_voters(1, 1);
    several.members[0].mount.resign(several.now);
    let over = several.now + SECOND;
    several.until(0, SECOND, |event| matches!(event, Event::StoppedServing { .. }));
    several.pass(Duration(over.since(several.now).0 - 1));
    several.round();
    assert_eq!(several.members[0].mount.next_deadline(), Some(over));
    let asks = |several: &mut Several| {
        let mut buffer = std::vec![0; 64 * crate::bounds::BLOCK_BYTES];
        let mount = &mut several.members[0].mount;
        mount.poll(several.now);
        let request = mount.poll_disk(several.now, &mut buffer);
        request.is_some_and(|request| Owner::of(request.id()) == Some(Owner::Election))
    };
    assert!(several.now < over);
    assert!(!asks(&mut several));
    several.now = over;
    assert!(asks(&mut several));
}

#[test]
fn a_voter_that_cannot_listen_tries_again_ever_more_rarely_and_never_less_than_once_a_minute() {
    let mut several = Several::on_a_new_volume(1);
    several.voter(|_| {});
    several.members[0].listens = Some(Err(CloseReason::Failed));
    several.pass(SECOND.times(500));
    let cannot = |event: &Event| matches!(event, Event::Fault(Fault::CannotListen(_)));
    let times: Vec<_> = several.members[0]
        .events
        .iter()
        .filter(|(_, event)| cannot(event))
        .map(|(at, _)| *at)
        .collect();
    let pauses = times.windows(2).map(|pair| pair[1].since(pair[0]));
    let expected = [1, 2, 4, 8, 16, 32, 60, 60, 60];
    assert!(times.len() > expected.len(), "{times:?}");
    for (pause, least) in pauses.zip(expected) {
        let least = SECOND.times(least);
        // Then it is elected, and tries to listen five times.
        assert!(
            pause >= least && pause < least + SECOND.times(4),
            "{pause:?} after {least:?}"
        );
    }
}

#[test]
fn while_its_election_reads_the_device_the_client_of_a_mount_does_not() {
    let mut several = Several::on_a_new_volume(2);
    several.voter(|_| {});
    several.pass(SECOND);
    let began = several.now;
    several.pass(SECOND.times(10));
    let of = |owner| {
        let asked = several.members[0].asked.iter();
        let recent = asked.filter(|(at, request)| *at >= began && Owner::of(request.id()) == Some(owner));
        recent.count()
    };
    assert!(of(Owner::Election) > 100);
    assert_eq!(of(Owner::Client), 0);
}

#[test]
fn before_its_server_serves_nothing_may_run_because_it_leads() {
    let mut several = Several::on_a_new_volume(1);
    several.voter(|_| {});
    several.members[0].listens = None;
    several.pass(SECOND.times(3));
    assert!(several.super_block().server.is_some(), "it was elected");
    assert_eq!(several.members[0].mount.leads(several.now), None);
    assert!(!several.members[0].mount.serves);
    several.members[0].mount.handle_listening(several.now, Ok(()));
    several.until(0, SECOND, serving);
    assert!(several.members[0].mount.leads(several.now).is_some());
}
