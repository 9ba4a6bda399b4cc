//! Starting, failing, resigning.

use crate::bounds::{LISTEN_TRIES_MAX, RESIGNING_TIME};
use crate::client::Link;
use crate::disk::DiskError;
use crate::event::{Event, Fault};
use crate::format::wire::RequestId;
use crate::ids::{Ballot, BlockNo, Term};
use crate::net::{ConnId, NetRequest};
use crate::server::{FixedMemory, Server, State};
use crate::session::world::{ADD, CLIENTS, World, addr, rid};
use crate::time::Duration;

const FIRST: Ballot = Ballot {
    term: Term(1),
    rid: match crate::ids::Rid::new(1) {
        Some(rid) => rid,
        None => unreachable!(),
    },
};

#[test]
fn the_address_is_published_once_the_server_listens() {
    let mut world = World::new(1);
    world.voter();
    world.nodes[0].can_listen = false;
    world.serve(0, 1);
    world.settle();
    assert_eq!(world.super_block().server_addr, None);
    assert_eq!(world.server(0).state(), State::Starting);
    world.nodes[0].can_listen = true;
    world.pass(Duration::from_secs(1));
    assert_eq!(world.super_block().server_addr, Some(addr(0)));
    assert!(world.told(
        0,
        &Event::Serving {
            ballot: FIRST,
            addr: addr(0)
        }
    ));
    assert_eq!(world.server(0).service().started, Some(FIRST));
}

#[test]
fn hole_4_a_server_that_cannot_listen_gives_up() {
    let mut world = World::new(1);
    world.voter();
    world.nodes[0].can_listen = false;
    world.serve(0, 1);
    world.pass(Duration::from_millis(200 * (u64::from(LISTEN_TRIES_MAX) - 1) - 1));
    assert_eq!(world.server(0).state(), State::Starting);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.server(0).state(), State::Failed);
    assert!(world.told(0, &Event::Fault(Fault::CannotListen(addr(0)))));
    assert!(world.server(0).is_off());
    assert_eq!(world.super_block().server_addr, None, "it never published itself");
}

#[test]
fn a_server_that_resigns_says_so_and_leaves_nothing_behind() {
    let mut world = World::with_voters(2, 3);
    let now = world.now;
    world.server(0).stop(now, true);
    world.settle();
    for node in 1..3 {
        let Link::Seeking {
            lost,
            refused,
            resigned,
            ..
        } = world.nodes[node].client.link()
        else {
            panic!("it lost its server");
        };
        assert_eq!((lost, refused, resigned), (Some(FIRST), false, true));
        assert!(world.told(node, &Event::Disconnected { server: FIRST }));
    }
    assert!(world.server(0).is_off());
    assert_eq!(world.server(0).state(), State::Off);
    assert_eq!(world.server(0).service().started, None);
    assert_eq!(world.recorded().len(), 3, "nobody left");
}

#[test]
fn a_server_that_may_not_announce_it_stops_without_a_word() {
    let mut world = World::with_voters(2, 3);
    let now = world.now;
    world.server(0).stop(now, false);
    world.settle();
    for node in 1..3 {
        let link = world.nodes[node].client.link();
        let Link::Seeking { lost, resigned, .. } = link else {
            panic!("it lost its server: {link:?}");
        };
        assert_eq!((lost, resigned), (Some(FIRST), false));
    }
    assert!(world.server(0).is_off(), "and waits for nobody");
}

#[test]
fn a_server_that_resigns_waits_for_none_but_its_clients() {
    let mut world = World::with_voters(1, 1);
    world.insider(0);
    world.raw(0).unwrap();
    let now = world.now;
    world.server(0).stop(now, true);
    world.settle();
    let mut others = world.wires.iter().filter(|wire| wire.is_raw());
    assert!(others.all(|wire| wire.closed));
    assert!(world.server(0).is_off());
}

#[test]
fn a_server_is_off_when_its_listener_is_closed_and_not_before() {
    let mut world = World::with_voters(1, 1);
    world.nodes[0].client.force(world.now);
    world.settle();
    let now = world.now;
    world.server(0).abort(now);
    assert!(!world.server(0).is_off());
    assert_eq!(world.server(0).poll_net(now), Some(NetRequest::Unlisten));
    assert!(world.server(0).is_off());
}

#[test]
fn a_server_to_which_nobody_is_connected_serves_on() {
    let mut world = World::with_voters(1, 1);
    world.nodes[0].client.force(world.now);
    world.settle();
    let stranger = world.raw(0).unwrap();
    world.pass(Duration::from_secs(20));
    assert!(world.wires[stranger].closed);
    assert_eq!(world.server(0).state(), State::Serving);
    assert!(
        world.told(0, &Event::ClientEvicted(rid(0))),
        "it looks on who is away"
    );
}

#[test]
fn a_server_does_not_wait_for_clients_that_do_not_listen() {
    let mut world = World::with_voters(2, 3);
    world.mute(1);
    let now = world.now;
    world.server(0).stop(now, true);
    world.settle();
    assert!(!world.server(0).is_off());
    assert_eq!(world.server(0).next_deadline(), Some(now + RESIGNING_TIME));
    world.pass(Duration::from_millis(300));
    assert!(world.server(0).is_off());
}

#[test]
fn a_server_whose_writes_fail_closes_everything_and_waits_for_w() {
    let mut world = World::with_voters(2, 3);
    world.disk.broken = Some(DiskError::TimedOut);
    let late = world.plain();
    world.settle();
    assert_eq!(world.server(0).state(), State::Failed);
    assert!(!world.is_connected(1) && !world.is_connected(2) && !world.is_connected(late));
    assert_eq!(world.server(0).service().started, None);
    let fault = |event: &Event| matches!(event, Event::Fault(Fault::Disk { write: true, .. }));
    assert!(world.nodes[0].events.iter().any(fault));
    assert!(!world.server(0).is_off(), "the write may still land");
    let write_time_max = world.nodes[0].config.write_time_max;
    world.pass(Duration(write_time_max.0 - 1));
    assert!(!world.server(0).is_off());
    world.pass(Duration(1));
    assert!(world.server(0).is_off());
}

#[test]
fn an_aborted_server_waits_for_the_write_under_way() {
    let mut world = World::with_voters(1, 2);
    let (writes, flushes) = (world.disk.writes, world.disk.flushes);
    world.disk.hung = true;
    world.informed();
    world.settle();
    assert_eq!(world.disk.outstanding(0), 1);
    let now = world.now;
    world.server(0).abort(now);
    world.pass(Duration::from_millis(50));
    assert!(!world.server(0).is_off());
    world.disk.hung = false;
    world.settle();
    assert!(world.server(0).is_off());
    assert_eq!(
        (world.disk.writes - writes, world.disk.flushes - flushes),
        (1, 0),
        "what was under way ended, and nothing more was begun"
    );
}

#[test]
fn an_aborted_server_waits_for_the_write_that_publishes_it_and_not_for_one_that_was_never_begun() {
    for begun in [true, false] {
        let mut world = World::with_voters(1, 1);
        world.kill_server(0);
        world.disk.writes_left = Some(0);
        world.serve(0, 2);
        world.nodes[0].may_act = begun;
        world.settle();
        assert!(world.raw(0).is_some(), "it listens");
        assert_eq!(world.disk.outstanding(0), usize::from(begun));
        let now = world.now;
        world.server(0).abort(now);
        world.settle();
        assert_eq!(world.server(0).is_off(), !begun);
        world.disk.mend();
        world.settle();
        assert!(world.server(0).is_off());
    }
}

#[test]
fn a_server_that_is_off_does_nothing_more_when_its_last_write_ends() {
    // That the client leaves is all but durable; and so is that everybody does.
    for everybody in [false, true] {
        let mut world = World::with_voters(1, 1);
        let plain = world.plain();
        world.settle();
        if everybody {
            world.unmount(plain);
            world.settle();
            world.disk.writes_left = Some(1);
        } else {
            world.disk.flushes_left = Some(1);
        }
        let last = if everybody { 0 } else { plain };
        let (_, conn) = world.place(last).unwrap();
        world.unmount(last);
        world.settle();
        stop_while_it_writes(&mut world, conn);
        assert_eq!(world.super_block().unmount_barrier, u64::from(everybody));
        assert_eq!(world.recorded().len(), usize::from(!everybody));
    }
}

fn stop_while_it_writes(world: &mut World, conn: ConnId) {
    let now = world.now;
    world.server(0).stop(now, false);
    world.settle();
    assert_eq!(world.server(0).state(), State::Off);
    assert!(!world.server(0).is_off(), "the flush is under way");
    world.disk.mend();
    world.settle();
    assert!(world.server(0).is_off());
    // The platform tells of an end that it saw before it was asked to close.
    world.server(0).handle_closed(now, conn);
    assert!(world.server(0).is_off());
    assert_eq!(world.server(0).poll_net(now), None);
}

#[test]
fn one_bad_copy_is_survived_and_repaired_and_two_are_reported() {
    let mut world = World::with_voters(1, 2);
    let table = world.super_block().geometry.clients;
    let copies = u64::from(world.super_block().geometry.clients_blocks);
    world.kill(0);
    world.disk.block(table)[100] ^= 1;
    assert_eq!(world.disk.good_copies(), 1);
    world.serve(0, 2);
    world.settle();
    assert_eq!(world.server(0).state(), State::Serving);
    assert_eq!(world.disk.good_copies(), 2, "the other copy was written again");
    assert_eq!(world.recorded(), [1, 2]);

    world.kill_server(0);
    world.disk.block(table)[100] ^= 1;
    world.disk.block(BlockNo(table.0 + copies))[200] ^= 1;
    world.serve(0, 3);
    world.settle();
    assert_eq!(world.server(0).state(), State::Failed);
    assert!(world.told(0, &Event::Fault(Fault::TableDamaged(table))));
}

#[test]
fn bad_medium_under_one_copy_costs_nobody_his_record() {
    let mut world = World::with_voters(1, 2);
    let table = world.super_block().geometry.clients;
    world.kill(0);
    world.disk.bad_medium = Some(table);
    world.serve(0, 2);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.server(0).state(), State::Serving);
    assert!(world.is_connected(1));
    assert!(!world.told(1, &Event::Evicted));
}

#[test]
fn a_volume_for_more_clients_than_memory_is_refused() {
    let world = World::new(1);
    let view = world.view();
    let config = crate::config::Config::client(rid(0));
    let mut server = Server::new(
        &config,
        FixedMemory::<8, 12>::default(),
        crate::service::NoService,
        crate::noise::Entropy::new([0; 32]),
    );
    server.start(world.now, &view, FIRST, addr(0));
    assert_eq!(server.state(), State::Failed);
    let (volume, memory) = (CLIENTS as u32, 8);
    let fault = Event::Fault(Fault::TableTooLarge { volume, memory });
    assert_eq!(server.poll_event(), Some(fault));
    assert!(server.is_off() && server.is_too_small());
}

#[test]
fn without_the_right_nothing_is_written_said_or_decided() {
    let mut world = World::with_voters(1, 2);
    world.plain();
    world.settle();
    let _ = world.insider(0);
    world.nodes[0].may_act = false;
    let writes = world.disk.writes;
    let newcomer = world.informed();
    let leaver = 2;
    world.unmount(leaver);
    let asked = world.submit(1, ADD, &[1]);
    world.settle();
    assert!(world.nodes[1].client.answer(asked).is_empty());
    world.kill(1);
    let insider = world
        .wires
        .iter()
        .position(crate::session::world::Wire::is_raw)
        .unwrap();
    world.say(
        insider,
        &super::hostile::greeting(99, |greeting| greeting.format += 1),
    );
    world.settle();
    assert!(world.heard(insider).is_empty(), "not even a refusal");
    assert!(!world.is_connected(newcomer));
    assert_eq!(world.ended(leaver), None);
    assert_eq!(world.disk.writes, writes);
    world.pass(Duration::from_secs(30));
    assert!(!world.told(0, &Event::ClientEvicted(rid(1))));
    assert_eq!(world.disk.writes, writes);
    assert_eq!(world.server(0).service().executed, 0);

    world.nodes[0].may_act = true;
    world.pass(Duration::from_secs(20));
    assert!(world.is_connected(newcomer));
    assert!(world.told(0, &Event::ClientEvicted(rid(1))));
    assert!(world.ended(leaver).is_some());
}

#[test]
fn while_a_server_answers_nobody_reads_the_disk_and_an_idle_server_writes_nothing() {
    let mut world = World::with_voters(2, 3);
    world.plain();
    world.settle();
    let (reads, writes) = (world.disk.reads, world.disk.writes);
    world.pass(Duration::from_secs(60));
    assert_eq!((world.disk.reads, world.disk.writes), (reads, writes));
    assert!((0..4).all(|node| world.is_connected(node)));
}

#[test]
fn the_leader_learns_which_voters_are_there() {
    let mut world = World::with_voters(2, 3);
    let now = world.now;
    assert!(world.server(0).remote_client_seen());
    assert_eq!(world.server(0).voters_away(), 0);
    world.pass(Duration::from_millis(1));
    let asked = world.now;
    assert_eq!(world.server(0).voters_heard(asked), 1, "only its own mount");
    world.server(0).ping_voters(now);
    world.settle();
    assert_eq!(world.server(0).voters_heard(asked), 3);
    world.kill(2);
    world.settle();
    assert_eq!(world.server(0).voters_away(), 1);
    assert_eq!(world.server(0).voters_heard(asked), 2);
}

#[test]
fn a_server_without_remote_clients_knows_it() {
    let mut world = World::with_voters(1, 1);
    assert!(world.is_connected(0), "its own mount is there");
    assert!(!world.server(0).remote_client_seen());
    world.plain();
    world.settle();
    assert!(world.server(0).remote_client_seen());
}

/// A client that was connected before asks a server that listens, and whose address is not published yet.
fn asked_before_the_service_begins() -> (World, usize, RequestId) {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    world.nodes[plain].asleep = true;
    world.kill_server(0);
    world.disk.writes_left = Some(0);
    world.serve(0, 2);
    world.settle();
    // It listens, and its address is not published yet; the client still knows it from before.
    world.nodes[plain].asleep = false;
    world.settle();
    assert!(world.is_connected(plain));
    let id = world.submit(plain, ADD, &[3]);
    world.settle();
    (world, plain, id)
}

#[test]
fn requests_wait_until_the_service_has_begun() {
    let (mut world, plain, id) = asked_before_the_service_begins();
    assert_eq!(world.server(0).state(), State::Starting);
    assert_eq!(world.server(0).service().executed, 0);
    world.disk.mend();
    world.settle();
    assert_eq!(world.server(0).state(), State::Serving);
    assert_eq!(world.nodes[plain].client.answer(id), [3]);
}

#[test]
fn a_request_of_one_who_is_away_when_the_service_begins_waits_for_its_return() {
    let (mut world, plain, id) = asked_before_the_service_begins();
    world.nodes[plain].asleep = true;
    world.cut(plain);
    world.disk.mend();
    world.settle();
    assert_eq!(world.server(0).state(), State::Serving);
    assert_eq!(world.server(0).service().executed, 0, "its answer has no way");
    world.nodes[plain].asleep = false;
    world.pass(Duration::from_secs(1));
    assert_eq!(world.nodes[plain].client.answer(id), [3]);
    assert_eq!(world.server(0).service().executed, 1);
}
