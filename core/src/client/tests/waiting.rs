//! A client that waits at a server, or for one, and what it does about news.

extern crate std;

use std::vec::Vec;

use super::ballot;
use crate::bounds::{
    LOST_TIME, LOST_WAIT_MAX, RECONNECT_WAIT_MAX, RECONNECT_WAIT_MIN, WELCOME_LOOKS_MAX, WELCOME_TIMEOUT,
};
use crate::client::Link;
use crate::disk::DiskError;
use crate::event::{Event, Fault};
use crate::format::SUPER_COPIES;
use crate::ids::{Ballot, Term};
use crate::net::{CloseReason, ConnId, NetRequest};
use crate::session::world::{World, addr, rid};
use crate::time::{Duration, Instant};

/// So many voters, and a client that has greeted the first, which has not the right to answer it; the disk is there to be read.
fn waiting(voters: usize) -> (World, usize) {
    let mut world = World::with_voters(1, voters);
    world.disk.hung = true;
    let plain = world.informed();
    world.settle();
    world.nodes[0].may_act = false;
    world.disk.hung = false;
    world.pass(Duration::from_secs(1));
    (world, plain)
}

#[test]
fn whoever_waits_in_a_crowd_keeps_its_place_and_looks_around() {
    let mut world = World::with_voters(1, 1);
    // As if thousands had come before, whose records are being written.
    world.disk.hung = true;
    let plain = world.informed();
    world.settle();
    let wires = world.wires.len();
    let conn = world.wires[wires - 1].place();
    world.pass(Duration::from_secs(7));
    assert!(!world.is_connected(plain));
    let Link::Seeking { failures, .. } = world.nodes[plain].client.link() else {
        panic!("nobody answered")
    };
    assert!(failures >= 2, "a voter would ask for an election by now");
    assert_eq!(world.wires[wires - 1].place(), conn, "it did not come anew");
    world.disk.hung = false;
    world.settle();
    assert!(world.is_connected(plain));
}

#[test]
fn whoever_waits_at_a_server_and_looks_around_in_vain_says_nothing_of_it() {
    let (mut world, plain) = waiting(1);
    let reads = world.disk.reads;
    world.disk.bad_reads = Some(DiskError::Failed);
    world.pass(WELCOME_TIMEOUT.times(2));
    assert!(world.disk.reads > reads);
    assert_eq!(world.nodes[plain].events, []);
    world.disk.bad_reads = None;
    world.nodes[0].may_act = true;
    world.settle();
    assert!(world.is_connected(plain));
}

#[test]
fn whoever_waits_at_a_server_reads_once_at_a_time_and_not_while_it_is_fed() {
    let (mut world, plain) = waiting(1);
    let reads = world.disk.reads;
    for _ in 0..100 {
        world.inform(plain);
        world.pass(WELCOME_TIMEOUT.divided(20));
    }
    assert_eq!(world.disk.reads, reads);
    world.disk.hung = true;
    world.pass(WELCOME_TIMEOUT.times(3));
    assert_eq!(
        world.disk.outstanding(plain),
        SUPER_COPIES.len(),
        "both copies, once"
    );
    world.disk.hung = false;
    world.settle();
    assert!(world.disk.reads > reads);
}

#[test]
fn whoever_has_looked_around_often_enough_comes_anew() {
    let (mut world, plain) = waiting(1);
    let first = world.place(plain);
    world.pass(WELCOME_TIMEOUT.times(u64::from(WELCOME_LOOKS_MAX)));
    assert_eq!(world.place(plain), first, "it keeps its place");
    let Link::Seeking { failures, .. } = world.nodes[plain].client.link() else {
        panic!("nobody answered")
    };
    assert_eq!(failures, u32::from(WELCOME_LOOKS_MAX), "each look counts");
    world.pass(WELCOME_TIMEOUT);
    assert_ne!(world.place(plain), first);
}

#[test]
fn whoever_waits_at_a_server_leaves_it_for_its_successor_and_for_no_other() {
    let mut world = World::with_voters(1, 1);
    let older = world.view();
    world.kill_server(0);
    world.serve(0, 2);
    world.pass(Duration::from_secs(1));
    world.disk.hung = true;
    let plain = world.informed();
    world.settle();
    let client = &mut world.nodes[plain].client;
    let same = *client.super_view().unwrap();
    for view in [same, older] {
        client.see_super(world.now, &view);
        client.poll(world.now);
        assert_eq!(client.poll_net(world.now), None);
    }
    let mut newer = same;
    newer.state.server = Some(ballot(3));
    newer.state.server_addr = Some(addr(8));
    client.see_super(world.now, &newer);
    client.poll(world.now);
    let asked: Vec<_> = core::iter::from_fn(|| client.poll_net(world.now)).collect();
    let connect = NetRequest::Connect(ConnId::CLIENT, addr(8));
    assert_eq!(asked, [NetRequest::Close(ConnId::CLIENT), connect]);
}

#[test]
fn whoever_finds_nobody_looks_more_and_more_rarely() {
    let mut world = World::new(1);
    let plain = world.plain();
    world.settle();
    let mut waits = Vec::new();
    while waits.last() < Some(&RECONNECT_WAIT_MAX.times(3).divided(4)) {
        let next = world.nodes[plain].client.next_deadline().unwrap();
        waits.push(next.since(world.now));
        world.pass(next.since(world.now));
        assert!(waits.len() < 20, "{waits:?}");
    }
    assert!(waits[0] <= RECONNECT_WAIT_MIN && waits[0].times(4) >= RECONNECT_WAIT_MIN.times(3));
    let half_more = |wait: Duration| wait + wait.divided(2);
    for pair in waits[..waits.len() - 1].windows(2) {
        let (least, most) = (half_more(pair[0]), half_more(pair[0]) + Duration(8));
        assert!((least.0 - 8..=most.0).contains(&pair[1].0), "{waits:?}");
    }
    assert!(waits.last() <= Some(&RECONNECT_WAIT_MAX));
}

#[test]
fn what_one_that_is_fed_has_waited_before_makes_its_tries_no_rarer() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    let view = world.view();
    world.kill_server(0);
    let (lost_at, mut tries) = (world.now, 0);
    let client = &mut world.nodes[plain].client;
    let mut now = lost_at;
    while now.since(lost_at) < Duration::from_secs(2) {
        client.see_super(now, &view);
        client.poll(now);
        if client.poll_net(now).is_some() {
            tries += 1;
            client.handle_closed(now, ConnId::CLIENT, CloseReason::Refused);
        }
        now = client.next_deadline().unwrap();
    }
    assert!(tries > 12, "{tries}");
}

/// A client that is fed has just lost its server, and every try to reach it is refused. Returns when the next one is begun.
fn refused_until(world: &mut World, plain: usize) -> Instant {
    let view = world.view();
    let client = &mut world.nodes[plain].client;
    client.handle_closed(world.now, ConnId::CLIENT, CloseReason::Refused);
    loop {
        world.now = client.next_deadline().unwrap();
        client.see_super(world.now, &view);
        client.poll(world.now);
        if client.poll_net(world.now).is_some() {
            return world.now;
        }
    }
}

#[test]
fn a_lost_server_that_refuses_slowly_is_tried_again_as_soon_as_half_a_try_took() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    world.kill_server(0);
    world.nodes[plain].client.poll(world.now);
    assert!(world.nodes[plain].client.poll_net(world.now).is_some());
    let took = Duration::from_millis(400);
    world.now += took;
    let refused_at = world.now;
    let waited = refused_until(&mut world, plain).since(refused_at);
    assert!(waited >= took.divided(2), "{waited:?}");
    assert!(waited < took.divided(2) + LOST_WAIT_MAX.times(2), "{waited:?}");
}

#[test]
fn a_server_that_was_lost_as_long_ago_as_a_fail_over_takes_is_looked_for_like_one_never_met() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    world.kill_server(0);
    world.now += LOST_TIME;
    let client = &mut world.nodes[plain].client;
    client.poll(world.now);
    assert!(client.poll_net(world.now).is_some());
    client.handle_closed(world.now, ConnId::CLIENT, CloseReason::Refused);
    let wait = client.next_deadline().unwrap().since(world.now);
    assert!(wait <= RECONNECT_WAIT_MIN, "{wait:?}");
}

#[test]
fn a_peer_that_closes_before_it_has_shown_that_it_is_a_server_is_told_of_when_it_does_so_again_and_again() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    let view = world.view();
    let mut told = Vec::new();
    for _ in 0..6 {
        let client = &mut world.nodes[plain].client;
        client.see_super(world.now, &view);
        client.poll(world.now);
        let asked = client.poll_net(world.now);
        assert_eq!(asked, Some(NetRequest::Connect(ConnId::CLIENT, addr(0))));
        client.handle_connected(world.now, ConnId::CLIENT);
        client.handle_closed(world.now, ConnId::CLIENT, CloseReason::ByPeer);
        told.push(client.poll_event());
        world.now = client.next_deadline().unwrap();
    }
    // One may just have stopped.
    let fault = Some(Event::Fault(Fault::Unproven(addr(0))));
    assert_eq!(told, [None, None, fault, None, None, None]);
}

#[test]
fn whoever_looks_for_a_server_goes_at_once_where_the_news_name_one() {
    let mut world = World::new(1);
    let plain = world.plain();
    world.pass(Duration::from_secs(20));
    let nobody = world.view();
    let client = &mut world.nodes[plain].client;
    let due = client.next_deadline();
    assert!(due > Some(world.now));
    client.see_super(world.now, &nobody);
    assert_eq!(client.next_deadline(), due, "that was known");
    let mut somebody = nobody;
    somebody.state.server = Some(Ballot {
        term: Term(1),
        rid: rid(4),
    });
    somebody.state.server_addr = Some(addr(8));
    client.see_super(world.now, &somebody);
    assert_eq!(client.next_deadline(), Some(world.now));
    client.poll(world.now);
    let connect = NetRequest::Connect(ConnId::CLIENT, addr(8));
    assert_eq!(client.poll_net(world.now), Some(connect));
}

#[test]
fn whoever_waits_at_a_server_that_was_succeeded_finds_the_next_one() {
    let (mut world, plain) = waiting(2);
    world.serve(1, 2);
    world.pass(WELCOME_TIMEOUT);
    assert_eq!(
        world.nodes[plain].client.connected_to(),
        Some((
            Ballot {
                term: Term(2),
                rid: rid(1)
            },
            Some(addr(1))
        ))
    );
}
