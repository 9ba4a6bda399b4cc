//! What changes when many come, and when they stay.

extern crate std;

use std::vec::Vec;

use super::hostile::hello;
use crate::bounds::{GUEST_TIMEOUT, PING_SHARE, STRANGERS_LIMIT, STRANGERS_MAX};
use crate::config::VoterConfig;
use crate::event::Event;
use crate::format::FenceParam;
use crate::format::hello::REPLY_BYTES;
use crate::server::strangers_for;
use crate::session::world::{CLIENTS, World, addr, rid};
use crate::time::Duration;

/// Clients of the crowd; with the server's own mount there is room for that many.
const CROWD: usize = CLIENTS - 10;

/// So little silence that such a crowd is large for it.
const SILENCE: Duration = Duration::from_millis(90);

/// A server and a crowd that comes at one moment.
fn crowded() -> World {
    let mut world = World::new(1);
    world.plain_with(|config| {
        config.voter = Some(VoterConfig::fencing(addr(0), FenceParam::default()));
        config.silence_max = SILENCE;
    });
    world.serve(0, 1);
    world.settle();
    for _ in 0..CROWD {
        world.plain_with(|config| config.silence_max = SILENCE);
    }
    world.pass(Duration::from_secs(3));
    assert!((1..=CROWD).all(|node| world.is_connected(node)));
    world
}

#[test]
fn an_idle_crowd_pings_as_rarely_as_it_is_told_and_nobody_is_taken_for_lost() {
    let mut world = crowded();
    let told: Vec<_> = world.nodes.iter().map(|node| node.events.len()).collect();
    world.pass(Duration::from_secs(5));
    let share = PING_SHARE.times(CROWD as u64);
    assert!(share > SILENCE, "as often as before would be too rare");
    let latest = (1..=CROWD).filter_map(|node| world.nodes[node].client.next_deadline());
    let rarest = latest.map(|at| at.since(world.now)).max().unwrap();
    assert!(rarest > share.divided(2), "{rarest:?}");
    for (node, told) in told.into_iter().enumerate() {
        let news = &world.nodes[node].events[told..];
        assert!(news.is_empty(), "{node}: {news:?}");
    }
    let own = world.nodes[0].client.next_deadline().unwrap().since(world.now);
    assert!(
        own <= SILENCE.divided(3),
        "those who elect are in a hurry: {own:?}"
    );
}

#[test]
fn a_client_that_vanished_without_a_word_is_missed_all_the_same() {
    let mut world = crowded();
    world.nodes[5].asleep = true;
    world.pass(Duration::from_secs(12));
    assert!(world.told(0, &Event::ClientEvicted(rid(5))));
    assert_eq!(world.recorded().len(), CROWD);
}

#[test]
fn those_who_are_away_are_waited_for_the_longer_the_more_of_them_there_are() {
    let mut world = crowded();
    world.kill_server(0);
    for node in 1..=CROWD {
        world.kill(node);
    }
    world.serve(0, 2);
    let share = crate::bounds::RETURN_SHARE.times(CROWD as u64);
    world.pass(Duration::from_secs(10) + share - Duration::from_millis(1));
    let gone = |world: &World| (1..=CROWD).any(|node| world.told(0, &Event::ClientEvicted(rid(node))));
    assert!(!gone(&world));
    world.pass(Duration::from_secs(1));
    assert!(gone(&world));
}

#[test]
fn a_crowd_that_is_evicted_at_one_moment_leaves_the_others_as_much_time_as_it_had() {
    let mut world = World::with_voters(1, 1);
    world.crowd(CROWD);
    for node in 1..=CROWD {
        world.kill(node);
    }
    let lately = |world: &mut World| world.server(0).reign.as_ref().map(|reign| reign.crowd_lately);
    world.pass(Duration::from_secs(12));
    assert_eq!(world.server(0).mounted(), 1, "all of them are gone");
    let left = lately(&mut world).unwrap();
    // Three of the times in which it falls, at most, have passed since the first of them was evicted.
    assert!(left as usize >= CROWD + 1 - 3 * 2, "{left}");
    world.pass(Duration::from_secs(120));
    assert_eq!(lately(&mut world), Some(1), "it falls in the end");
}

#[test]
fn whoever_waits_for_its_record_is_not_closed_when_it_has_it() {
    let mut world = World::with_voters(1, 1);
    world.disk.hung = true;
    let plain = world.informed();
    world.settle();
    let place = |world: &World| world.wires.last().map(crate::session::world::Wire::place);
    let before = place(&world);
    // The record takes longer than anybody may be silent who is not waited for, and it is some time until the client, one of
    // a crowd, sees its welcome: it could not have said a word.
    let silence = world.nodes[plain].config.silence_max;
    world.nodes[plain].asleep = true;
    world.pass(silence.times(2));
    world.disk.hung = false;
    world.pass(silence.divided(2));
    assert_eq!(place(&world), before, "it is not closed");
    world.nodes[plain].asleep = false;
    world.settle();
    assert!(world.is_connected(plain), "it is welcome");
    // Nobody is waited for who goes on to say nothing.
    world.nodes[plain].asleep = true;
    world.pass(silence.times(2));
    assert_ne!(place(&world), before);
}

#[test]
fn whoever_waits_for_its_keys_is_not_reproached_with_it() {
    let mut world = World::with_voters(1, 1);
    let raw = world.raw(0).unwrap();
    world.settle();
    // It says nothing, as if thousands stood before this one.
    world.nodes[0].may_act = false;
    let hello = hello(&mut world, raw);
    world.say_raw(raw, &hello);
    world.pass(GUEST_TIMEOUT.times(2));
    // The server's own mount has come anew meanwhile.
    let raw = world.wires.iter().position(|wire| wire.is_raw()).unwrap();
    assert!(!world.wires[raw].closed);
    world.nodes[0].may_act = true;
    world.settle();
    assert_eq!(world.heard(raw).len(), REPLY_BYTES);
}

#[test]
fn room_for_strangers_grows_with_the_clients_between_its_bounds() {
    assert_eq!(strangers_for(0), STRANGERS_MAX);
    assert_eq!(strangers_for(8 * STRANGERS_MAX), STRANGERS_MAX);
    assert_eq!(strangers_for(8 * (STRANGERS_MAX + 5)), STRANGERS_MAX + 5);
    assert_eq!(strangers_for(8 * (STRANGERS_LIMIT + 5)), STRANGERS_LIMIT);
    assert_eq!(strangers_for(usize::MAX), STRANGERS_LIMIT);
}
