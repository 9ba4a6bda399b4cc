//! Scenarios of the client; more of them are beside the server.

extern crate std;

mod played;
mod waiting;

use std::vec::Vec;

use super::Link;
use crate::bounds::{LOST_TIME, LOST_WAIT_MAX, LOST_WAIT_MIN, LOST_WAIT_PART, MESSAGE_BYTES_MAX};
use crate::disk::DiskError;
use crate::event::{Event, Fault, Unmounted};
use crate::ids::{Ballot, Mark, Term};
use crate::net::{CloseReason, ConnId, NetRequest};
use crate::session::world::{World, addr};
use crate::time::Duration;

const fn ballot(term: u64) -> Ballot {
    let Some(rid) = crate::ids::Rid::new(1) else {
        unreachable!()
    };
    Ballot {
        term: Term(term),
        rid,
    }
}

#[test]
fn the_keys_of_a_connection_go_with_it() {
    type Way = fn(&mut World, usize);
    let ways: [(&str, Way); 5] = [
        ("it breaks", World::cut),
        ("nothing is heard of the server", |world, plain| {
            let later = world.now + world.nodes[plain].config.silence_max;
            world.nodes[plain].client.poll(later);
        }),
        ("its keys are worn out", |world, plain| {
            let client = &mut world.nodes[plain].client;
            client.wear_out();
            let ping_at = client.next_deadline().unwrap();
            client.poll(ping_at);
            let sent = client.poll_transmit(ping_at, &mut [0; MESSAGE_BYTES_MAX]);
            assert_eq!(sent, None);
        }),
        ("the mount leaves", |world, plain| {
            world.unmount(plain);
            world.settle();
        }),
        ("the mount ends at once", |world, plain| {
            world.nodes[plain].client.force(world.now);
        }),
    ];
    for (way, go) in ways {
        let mut world = World::with_voters(1, 1);
        let plain = world.plain();
        world.settle();
        let has_keys = |world: &World| world.nodes[plain].client.talk.line.is_open();
        assert!(world.is_connected(plain) && has_keys(&world), "{way}");
        go(&mut world, plain);
        assert!(!world.is_connected(plain) && !has_keys(&world), "{way}");
    }
}

#[test]
fn a_mount_that_never_met_a_server_leaves_at_once() {
    let mut world = World::new(2);
    let plain = world.plain();
    world.pass(Duration::from_secs(5));
    assert!(matches!(
        world.nodes[plain].client.link(),
        Link::Seeking { lost: None, .. }
    ));
    world.unmount(plain);
    world.settle();
    assert_eq!(world.ended(plain), Some(Unmounted::NeverMounted));
    assert_eq!(world.nodes[plain].client.link(), Link::Ended);
}

#[test]
fn hole_11_a_greeting_without_an_answer_is_taken_back() {
    let mut world = World::with_voters(1, 1);
    world.disk.hung = true;
    let plain = world.informed();
    world.settle();
    world.mute(plain);
    world.unmount(plain);
    world.disk.hung = false;
    world.settle();
    assert_eq!(world.recorded(), [1, 2]);
    assert_eq!(world.ended(plain), None, "it may have a record");
    world.cut(plain);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.ended(plain), Some(Unmounted::Farewell));
    assert_eq!(world.recorded(), [1]);
}

#[test]
fn a_greeting_that_made_no_record_is_answered_for_by_the_next_server() {
    let mut world = World::with_voters(1, 1);
    world.disk.hung = true;
    let plain = world.informed();
    world.settle();
    world.unmount(plain);
    world.settle();
    world.kill_server(0);
    world.disk.hung = false;
    world.serve(0, 2);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.ended(plain), Some(Unmounted::NeverMounted));
    assert_eq!(world.recorded(), [1]);
}

#[test]
fn hole_11_a_record_that_is_just_being_made_is_taken_back_too() {
    let mut world = World::with_voters(1, 1);
    world.disk.hung = true;
    let plain = world.informed();
    world.settle();
    world.unmount(plain);
    // It comes again, as one that leaves, while the record of its first greeting is being written.
    world.cut(plain);
    world.inform(plain);
    world.pass(Duration::from_millis(100));
    world.disk.hung = false;
    world.settle();
    assert_eq!(world.ended(plain), Some(Unmounted::Farewell));
    assert_eq!(world.recorded(), [1]);
}

#[test]
fn waiting_for_a_quorum_ends_when_it_was_told_to() {
    let mut world = World::with_voters(1, 1);
    let patient = world.plain();
    let hurried = world.plain_with(|config| config.unmount_time_max = Some(Duration::from_secs(20)));
    world.settle();
    world.kill_server(0);
    world.unmount(patient);
    world.unmount(hurried);
    world.pass(Duration::from_millis(19_999));
    assert_eq!(world.ended(hurried), None);
    world.pass(Duration::from_secs(60));
    assert_eq!(world.ended(hurried), Some(Unmounted::LeftRecord));
    assert_eq!(world.ended(patient), None);
    world.nodes[patient].client.force(world.now);
    assert_eq!(world.ended(patient), Some(Unmounted::Forced));
}

#[test]
fn a_lost_server_is_tried_at_once_and_then_more_and_more_slowly() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    world.kill_server(0);
    let lost_at = world.now;
    let client = &mut world.nodes[plain].client;
    client.poll(world.now);
    let at_once = client.poll_net(world.now);
    assert_eq!(at_once, Some(NetRequest::Connect(ConnId::CLIENT, addr(0))));
    client.handle_closed(world.now, ConnId::CLIENT, CloseReason::Refused);
    let Link::Seeking {
        lost,
        refused,
        failures,
        ..
    } = client.link()
    else {
        panic!("it looks for a server")
    };
    assert_eq!((lost, refused, failures), (Some(ballot(1)), true, 1));
    let (mut tries, reads) = (0, world.disk.reads);
    while world.now.since(lost_at) < Duration::from_secs(8) {
        let next = world.nodes[plain].client.next_deadline().unwrap();
        let lasted = Duration(world.now.since(lost_at).0 / LOST_WAIT_PART);
        let (wait, longest) = (next.since(world.now), lasted.clamp(LOST_WAIT_MIN, LOST_WAIT_MAX));
        // Each mount comes somewhat sooner than that, by a part of its own.
        assert!(
            wait <= longest && wait.0 * 4 >= longest.0 * 3,
            "{wait:?} {longest:?}"
        );
        world.pass(wait);
        tries += 1;
    }
    assert!((50..90).contains(&tries), "{tries}");
    let reads = world.disk.reads - reads;
    assert!(reads >= 2 * (tries - 1), "each looks at both copies: {reads}");
    let lost_for = world.now.since(lost_at);
    world.pass(LOST_TIME - lost_for + Duration::from_secs(4));
    let next = world.nodes[plain].client.next_deadline().unwrap();
    assert!(
        next.since(world.now) > LOST_WAIT_MAX,
        "whoever waits for an operator reads less often"
    );
    world.kill(0);
    world.serve(0, 2);
    world.pass(Duration::from_secs(1));
    assert!(world.is_connected(plain));
}

#[test]
fn a_lost_server_is_tried_again_soon_though_the_clock_jumped_while_it_was_tried() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    let client = &mut world.nodes[plain].client;
    client.handle_closed(world.now, ConnId::CLIENT, CloseReason::ByPeer);
    client.poll(world.now);
    let tried = Some(NetRequest::Connect(ConnId::CLIENT, addr(0)));
    assert_eq!(client.poll_net(world.now), tried);
    world.now += Duration::from_secs(3600);
    client.poll(world.now);
    assert_eq!(
        client.poll_net(world.now),
        Some(NetRequest::Close(ConnId::CLIENT))
    );
    world.pass(Duration::from_secs(3));
    assert!(world.is_connected(plain));
}

#[test]
fn a_crowd_that_lost_one_server_does_not_look_for_the_next_at_one_moment() {
    let mut world = World::with_voters(1, 1);
    let crowd = [(); 8].map(|()| world.plain());
    world.settle();
    world.kill_server(0);
    world.pass(Duration::from_millis(300));
    let mut due: Vec<_> = crowd
        .iter()
        .map(|&plain| world.nodes[plain].client.next_deadline())
        .collect();
    due.sort();
    due.dedup();
    assert_eq!(due.len(), crowd.len());
}

#[test]
fn a_firewall_is_not_a_refusal() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    world.kill_server(0);
    let client = &mut world.nodes[plain].client;
    client.poll(world.now);
    assert!(client.poll_net(world.now).is_some());
    let timeout = client.next_deadline().unwrap();
    assert_eq!(timeout.since(world.now), crate::bounds::CONNECT_TIMEOUT);
    client.poll(timeout);
    assert_eq!(client.poll_net(timeout), Some(NetRequest::Close(ConnId::CLIENT)));
    assert!(matches!(
        client.link(),
        Link::Seeking {
            refused: false,
            failures: 1,
            ..
        }
    ));
}

#[test]
fn hole_3_nobody_goes_back_to_a_server_that_was_succeeded() {
    let mut world = World::with_voters(1, 2);
    let plain = world.plain();
    world.settle();
    let old = world.view();
    world.kill_server(0);
    world.serve(1, 2);
    world.pass(Duration::from_secs(2));
    assert!(world.is_connected(plain));
    world.cut(plain);
    let client = &mut world.nodes[plain].client;
    client.see_super(world.now, &old);
    client.poll(world.now);
    assert_eq!(
        client.poll_net(world.now),
        Some(NetRequest::Connect(ConnId::CLIENT, addr(1)))
    );
}

#[test]
fn a_welcome_from_a_server_that_was_succeeded_is_not_believed() {
    let mut world = World::with_voters(1, 1);
    let view = world.view();
    let plain = world.informed();
    // Elsewhere a newer server has begun; this client has read of it before the old one answers.
    world.nodes[0].may_act = false;
    world.settle();
    let mut newer = view;
    newer.state.server = Some(ballot(5));
    newer.state.server_addr = None;
    world.nodes[plain].client.see_super(world.now, &newer);
    world.nodes[0].may_act = true;
    world.settle();
    assert!(!world.is_connected(plain));
    let connected = |event: &Event| matches!(event, Event::Connected { .. });
    assert!(!world.nodes[plain].events.iter().any(connected));
}

#[test]
fn an_old_server_at_the_address_of_a_new_one_is_not_believed() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.change_super(|state| {
        state.fenced = Mark::below(ballot(5));
        state.server = Some(ballot(5));
    });
    world.pass(Duration::from_secs(2));
    assert_eq!(world.nodes[plain].events, []);
    assert!(matches!(
        world.nodes[plain].client.link(),
        Link::Seeking {
            lost: None,
            failures: 1..,
            ..
        }
    ));
}

#[test]
fn a_client_that_is_fed_does_not_read() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    world.kill(0);
    let reads = world.disk.reads;
    for _ in 0..100 {
        world.inform(plain);
        world.pass(Duration::from_millis(20));
    }
    assert_eq!(world.disk.reads, reads);
    world.pass(Duration::from_secs(2));
    assert!(world.disk.reads > reads, "left alone it does");
}

#[test]
fn the_own_server_is_reached_without_the_network() {
    let mut world = World::with_voters(1, 1);
    assert!(matches!(
        world.nodes[0].client.link(),
        Link::Connected { local: true, server } if server == ballot(1)
    ));
    assert!(world.told(
        0,
        &Event::Connected {
            server: ballot(1),
            addr: None
        }
    ));
    world.kill_server(0);
    assert!(matches!(
        world.nodes[0].client.link(),
        Link::Seeking {
            lost: None,
            refused: false,
            ..
        }
    ));
    world.pass(Duration::from_secs(3));
    assert!(
        !world.is_connected(0),
        "it does not call itself through the network"
    );
}

#[test]
fn a_mount_that_becomes_the_server_leaves_the_old_one() {
    let mut world = World::with_voters(1, 2);
    assert!(world.is_connected(1));
    world.nodes[1].client.set_local_server(world.now, Some(ballot(9)));
    assert!(!world.is_connected(1));
    let first = world.nodes[1].client.poll_net(world.now);
    assert_eq!(first, Some(NetRequest::Close(ConnId::CLIENT)));
    world.nodes[1].client.poll(world.now);
    let second = world.nodes[1].client.poll_net(world.now);
    assert_eq!(second, Some(NetRequest::Connect(ConnId::LOCAL, addr(1))));
}

#[test]
fn a_super_block_that_cannot_be_read_is_told_once() {
    let mut world = World::new(1);
    for at in crate::format::SUPER_COPIES {
        world.disk.block(at).fill(0);
    }
    let plain = world.plain();
    world.pass(Duration::from_secs(5));
    let faults = world.nodes[plain]
        .events
        .iter()
        .filter(|event| matches!(event, Event::Fault(Fault::Super(_))));
    assert_eq!(faults.count(), 1);
}

#[test]
fn a_super_block_that_cannot_be_read_again_is_news_again() {
    let mut world = World::new(1);
    let plain = world.plain();
    for _ in 0..2 {
        world.disk.bad_reads = Some(DiskError::Failed);
        world.pass(Duration::from_secs(5));
        world.disk.bad_reads = None;
        world.pass(Duration::from_secs(5));
    }
    let news = &world.nodes[plain].events;
    assert!(matches!(
        news[..],
        [Event::Fault(Fault::Super(_)), Event::Fault(Fault::Super(_))]
    ));
}

#[test]
fn the_farewell_is_not_said_before_everything_else_is_answered() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    for _ in 0..2 {
        world.submit(plain, crate::session::world::ADD, &[1]);
    }
    world.unmount(plain);
    let now = world.now;
    let client = &mut world.nodes[plain].client;
    client.poll(now);
    let mut buffer = [0; crate::bounds::MESSAGE_BYTES_MAX];
    let sent = core::iter::from_fn(|| client.poll_transmit(now, &mut buffer)).count();
    assert_eq!(sent, 2);
}

/// A client that has connected to a server whose part the test plays.
fn greeted_by(world: &mut World, offer: crate::format::hello::Offer, key: u8) -> usize {
    let plain = world.informed();
    answered_by(world, plain, offer, key);
    plain
}

/// A client connects to a server that offers this and has this key.
fn answered_by(world: &mut World, plain: usize, offer: crate::format::hello::Offer, key: u8) {
    use crate::noise::{Arrived, Entropy, Responder, Secret};
    let state = world.super_block();
    let key = crate::ids::VolumeKey([key; 32]);
    let secret = Secret {
        volume: state.volume,
        key: &key,
    };
    let now = world.now;
    let client = &mut world.nodes[plain].client;
    client.poll(now);
    assert!(matches!(
        client.poll_net(now),
        Some(NetRequest::Connect(ConnId::CLIENT, _))
    ));
    client.handle_connected(now, ConnId::CLIENT);
    let (mut server, mut entropy) = (Responder::default(), Entropy::new([5; 32]));
    let mut buffer = [0; crate::bounds::MESSAGE_BYTES_MAX];
    let length = server.challenge(&mut entropy, &mut buffer).unwrap();
    client.handle_bytes(now, ConnId::CLIENT, &mut buffer[..length]);
    let (_, length) = client.poll_transmit(now, &mut buffer).unwrap();
    match server.take(&secret, &mut buffer[..length]) {
        Ok((Arrived::Hello, _)) => {
            let (length, _) = server.reply(&secret, offer, &mut entropy, &mut buffer).unwrap();
            client.handle_bytes(now, ConnId::CLIENT, &mut buffer[..length]);
        }
        _ => {
            let mut noise = [0x55; crate::format::hello::REPLY_BYTES];
            client.handle_bytes(now, ConnId::CLIENT, &mut noise);
        }
    }
    let news: Vec<_> = core::iter::from_fn(|| client.poll_event()).collect();
    world.nodes[plain].events.extend(news);
}

#[test]
fn a_server_of_another_release_is_told_of_and_no_reason_to_elect_another() {
    let mut world = World::with_voters(1, 1);
    let newer = crate::format::hello::Offer {
        oldest: 7,
        newest: 9,
        ..crate::format::hello::Offer::OURS
    };
    let plain = greeted_by(&mut world, newer, 0);
    let told = Event::Fault(Fault::ServerSpeaks(newer));
    assert_eq!(world.nodes[plain].events, [told]);
    for again in 0..3 {
        assert!(matches!(
            world.nodes[plain].client.link(),
            Link::Seeking {
                lost: None,
                failures: 0,
                ..
            }
        ));
        let client = &mut world.nodes[plain].client;
        assert_eq!(
            client.poll_net(world.now),
            Some(NetRequest::Close(ConnId::CLIENT))
        );
        world.now = client.next_deadline().unwrap();
        world.inform(plain);
        answered_by(&mut world, plain, newer, 0);
        assert_eq!(
            world.nodes[plain].events.len(),
            1,
            "told once, and not {again} times more"
        );
    }
}

#[test]
fn whoever_answers_without_the_key_is_no_server_and_hears_nothing() {
    let mut world = World::with_voters(1, 1);
    let plain = greeted_by(&mut world, crate::format::hello::Offer::OURS, 0x77);
    assert!(world.told(plain, &Event::Fault(Fault::Unproven(addr(0)))));
    assert_eq!(world.nodes[plain].client.connected_to(), None);
    // The true one is found all the same.
    world.pass(Duration::from_secs(2));
    assert!(world.is_connected(plain));
}
