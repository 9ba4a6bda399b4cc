//! Attacks by those who have recorded everything that was ever said on a wire, and do not know the key.

extern crate std;

use std::vec::Vec;

use super::hostile::{frame, greeting, undisturbed, world};
use crate::bounds::{EVENTS_MAX, MESSAGE_BYTES_MAX};
use crate::event::{Event, Fault};
use crate::format::hello::{CHALLENGE_BYTES, Offer};
use crate::format::wire::Command;
use crate::server::sweep::EVENTS_SPARE;
use crate::session::world::{ADD, World};
use crate::time::Duration;

/// What a client says in a session with a few messages, one after the other as they went over the wire.
fn record(world: &mut World) -> (usize, Vec<Vec<u8>>) {
    let raw = world.newcomer(0, Offer::OURS);
    let from = world.wires[raw].said.len();
    world.settle();
    let mut messages: Vec<Vec<u8>> = world.wires[raw].said[from..].to_vec();
    for plain in [
        greeting(99, |_| {}),
        frame(ADD, 1, &[1]),
        frame(Command::PING, 0, &[]),
        frame(ADD, 2, &[1]),
    ] {
        let sealed = world.sealed(raw, &plain);
        world.say_raw(raw, &sealed);
        world.settle();
        messages.push(sealed);
    }
    assert_eq!(messages.len(), 5, "the hello, the greeting and what followed");
    assert_eq!(world.server(0).service().executed, 2);
    (raw, messages)
}

fn closed_without_a_word(world: &mut World, raw: usize, what: &str) {
    world.settle();
    assert!(world.wires[raw].closed, "{what}");
    assert!(
        world.heard(raw).len() <= CHALLENGE_BYTES,
        "{what}: not even a reply"
    );
    let executed = world.server(0).service().executed;
    assert_eq!(executed, 2, "{what}: nothing was done again");
    undisturbed(world);
    world.server(0).service().executed = 2;
}

#[test]
fn no_message_of_a_session_is_good_on_another_connection() {
    let mut world = world();
    let (_, messages) = record(&mut world);
    for (at, message) in messages.iter().enumerate() {
        let raw = world.raw(0).unwrap();
        world.settle();
        world.say_raw(raw, message);
        closed_without_a_word(&mut world, raw, &std::format!("message {at} alone"));
    }
    let raw = world.raw(0).unwrap();
    world.settle();
    messages.iter().for_each(|message| world.say_raw(raw, message));
    closed_without_a_word(&mut world, raw, "the whole session");
}

#[test]
fn no_message_of_a_session_is_good_at_another_server() {
    let mut world = world();
    let (_, messages) = record(&mut world);
    world.kill_server(0);
    world.serve(0, 2);
    world.pass(Duration::from_secs(1));
    for (at, message) in messages.iter().enumerate() {
        let raw = world.raw(0).unwrap();
        world.settle();
        world.say_raw(raw, message);
        world.settle();
        assert!(world.wires[raw].closed, "message {at}");
        assert_eq!(world.heard(raw).len(), CHALLENGE_BYTES, "message {at}");
    }
    assert_eq!(world.server(0).service().executed, 0);
}

/// The next frames of a session under way, sealed and not sent.
fn pending(world: &mut World, raw: usize) -> [Vec<u8>; 2] {
    [3, 4].map(|id| world.sealed(raw, &frame(ADD, id, &[1])))
}

#[test]
fn repeated_reordered_cut_and_changed_frames_end_the_session_and_nothing_else() {
    type Attack = fn(&[Vec<u8>], &[Vec<u8>; 2]) -> Vec<u8>;
    let table: [(&str, Attack); 6] = [
        ("the last frame again", |past, _| past[4].clone()),
        ("the greeting again", |past, _| past[1].clone()),
        ("one left out", |_, [_, second]| second.clone()),
        ("two in the wrong order", |_, [first, second]| {
            [second.clone(), first.clone()].concat()
        }),
        ("one twice", |_, [first, _]| {
            [first.clone(), first.clone()].concat()
        }),
        ("one that lost its end", |_, [first, second]| {
            [&first[..first.len() - 1], second].concat()
        }),
    ];
    for (what, attack) in table {
        let mut world = world();
        let (raw, past) = record(&mut world);
        let next = pending(&mut world, raw);
        world.say_raw(raw, &attack(&past, &next));
        world.settle();
        assert!(world.wires[raw].closed, "{what}");
        assert_eq!(
            world.server(0).service().executed,
            2,
            "{what}: an answer would have no way"
        );
        assert!(world.recorded().contains(&99), "{what}: it is still mounted");
        undisturbed(&mut world);
    }
}

#[test]
fn every_changed_bit_of_a_frame_ends_the_session() {
    let length = frame(ADD, 3, &[1]).len() + 16;
    for at in 2..length {
        let mut world = world();
        let (raw, _) = record(&mut world);
        let [mut next, _] = pending(&mut world, raw);
        assert_eq!(next.len(), length);
        next[at] ^= 1 << (at % 8);
        world.say_raw(raw, &next);
        world.settle();
        assert!(world.wires[raw].closed, "byte {at}");
        assert_eq!(world.server(0).service().executed, 2, "byte {at}");
    }
}

#[test]
fn a_client_of_another_release_is_turned_away_and_both_know_why() {
    let mut world = world();
    let newer = Offer {
        oldest: 7,
        newest: 9,
        ..Offer::OURS
    };
    let raw = world.newcomer(0, newer);
    world.settle();
    assert!(world.told(0, &Event::Fault(Fault::PeerSpeaks(newer))));
    assert_eq!(
        world.wires[raw].told,
        Some(Offer::OURS),
        "and it knows the server's"
    );
    let frame = greeting(99, |_| {});
    let sealed = world.sealed(raw, &frame);
    world.say_raw(raw, &sealed);
    world.settle();
    assert!(world.wires[raw].closed, "nothing else is heard from it");
    assert_eq!(world.recorded(), [1, 2]);
    undisturbed(&mut world);
}

#[test]
fn a_flood_of_other_releases_pushes_no_other_news_out() {
    let mut world = world();
    let newer = Offer {
        oldest: 7,
        newest: 9,
        ..Offer::OURS
    };
    let told = world.nodes[0].events.len();
    for _ in 0..20 {
        world.newcomer(0, newer);
    }
    world.pass(Duration::from_secs(4));
    // All of them came at one moment.
    let faults = world.nodes[0].events[told..].len();
    assert_eq!(faults, EVENTS_MAX - EVENTS_SPARE);
    undisturbed(&mut world);
}

#[test]
fn worn_out_keys_make_a_new_connection_and_no_request_is_lost() {
    let mut world = world();
    world.nodes[1].client.wear_out();
    let asked = world.submit(1, ADD, &[1]);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.nodes[1].client.answer(asked), [1]);
    assert_eq!(world.server(0).service().executed, 1);
    let disconnected = |event: &&Event| matches!(event, Event::Disconnected { .. });
    assert_eq!(world.nodes[1].events.iter().filter(disconnected).count(), 1);
}

#[test]
fn worn_out_keys_of_the_server_cost_no_answer_and_nothing_is_done_twice() {
    let mut world = world();
    let asked = world.submit(1, ADD, &[1]);
    // The request is on its way when they do, so that it is done, and its answer cannot be said.
    let now = world.now;
    let client = &mut world.nodes[1].client;
    let mut request = [0; MESSAGE_BYTES_MAX];
    let (_, length) = client.poll_transmit(now, &mut request).unwrap();
    let (_, conn) = world.wires.last().unwrap().place();
    let used = world.server(0).handle_bytes(now, conn, &mut request[..length]);
    assert_eq!(used, length);
    world.server(0).wear_out(conn);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.nodes[1].client.answer(asked), [1]);
    assert_eq!(world.server(0).service().executed, 1);
    let lost = Event::Disconnected {
        server: world.server(0).serving().unwrap(),
    };
    assert!(world.told(1, &lost));
    assert!(world.is_connected(1));
}
