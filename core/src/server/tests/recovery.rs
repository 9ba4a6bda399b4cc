//! After a fail-over, and what becomes of those who do not return.

extern crate std;

use crate::bounds::{EVENTS_MAX, RETURN_SHARE, VOTERS_MAX};
use crate::event::{Event, Unmounted};
use crate::fence::FenceOutcome;
use crate::server::sweep::EVENTS_SPARE;
use crate::session::world::{World, addr, rid};
use crate::time::Duration;

#[test]
fn a_new_server_expects_the_clients_of_the_old_one() {
    let mut world = World::with_voters(1, 2);
    for _ in 0..3 {
        world.plain();
    }
    world.settle();
    world.kill(0);
    world.kill(4);
    world.serve(1, 2);
    world.pass(Duration::from_secs(5));
    let newcomer = world.plain();
    world.settle();
    assert!(world.is_connected(newcomer), "nobody waits for the recovery");
    assert!((1..4).all(|node| world.is_connected(node)));
    let recovered = |event: &Event| matches!(event, Event::Recovered { .. });
    assert!(!world.nodes[1].events.iter().any(recovered));
    world.pass(Duration::from_secs(6));
    assert!(world.told(1, &Event::ClientEvicted(rid(0))));
    assert!(world.told(1, &Event::ClientEvicted(rid(4))));
    assert!(world.told(1, &Event::Recovered { clients: 4 }));
    let evicted =
        |event: &Event| matches!(event, Event::ClientEvicted(rid) if rid.value() != 1 && rid.value() != 5);
    assert!(!world.nodes[1].events.iter().any(evicted));
    // A plain client leaves nothing behind; a voter may still vote.
    assert_eq!(world.recorded(), [1, 2, 3, 4, 6]);
}

#[test]
fn those_known_from_before_are_waited_for_so_long_and_not_until_the_next_sweep() {
    let mut world = World::with_voters(1, 2);
    world.kill(1);
    world.kill_server(0);
    world.pass(Duration::from_millis(137));
    world.serve(0, 2);
    world.settle();
    let recovery_time = world.nodes[0].config.recovery_time;
    let end = world.now + recovery_time + RETURN_SHARE.times(2);
    while !world.told(0, &Event::ClientEvicted(rid(1))) {
        assert!(world.now < end);
        let next = world.server(0).next_deadline().unwrap();
        let time = next.since(world.now);
        world.pass(time);
    }
    assert_eq!(world.now, end);
}

#[test]
fn a_server_without_clients_has_recovered_at_once() {
    let world = World::with_voters(1, 1);
    assert!(world.told(0, &Event::Recovered { clients: 0 }));
}

#[test]
fn many_who_do_not_return_are_evicted_together() {
    let mut world = World::with_voters(1, 1);
    world.crowd(20);
    for node in 1..21 {
        world.kill(node);
    }
    world.pass(Duration::from_secs(12));
    let evicted = (1..21).filter(|&node| world.told(0, &Event::ClientEvicted(rid(node))));
    assert_eq!(evicted.count(), 20);
    assert_eq!(world.recorded(), [1]);
}

#[test]
fn many_evictions_leave_room_for_other_news_and_go_on_at_once() {
    let mut world = World::with_voters(1, 1);
    world.crowd(20);
    for node in 1..21 {
        world.kill(node);
    }
    world.pass(Duration::from_secs(9));
    let mut evicted = std::vec::Vec::new();
    while evicted.is_empty() {
        let at = world.server(0).next_deadline().unwrap();
        world.server(0).poll(at, true);
        evicted.extend(core::iter::from_fn(|| world.server(0).poll_event()));
        if !evicted.is_empty() {
            assert_eq!(world.server(0).next_deadline(), Some(at));
        }
    }
    assert_eq!(evicted.len(), EVENTS_MAX - EVENTS_SPARE);
}

#[test]
fn without_the_right_the_end_of_the_recovery_is_waited_for_in_peace() {
    let mut world = World::with_voters(1, 2);
    world.kill(1);
    world.kill_server(0);
    world.serve(0, 2);
    world.settle();
    world.nodes[0].may_act = false;
    world.pass(Duration::from_secs(20));
    assert!(!world.told(0, &Event::ClientEvicted(rid(1))));
    world.nodes[0].may_act = true;
    world.pass(Duration::from_secs(1));
    assert!(world.told(0, &Event::ClientEvicted(rid(1))));
}

#[test]
fn a_client_that_returns_in_time_is_not_evicted() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    world.mute(plain);
    // It reconnects when it notices the silence, over and over, and each time the server goes mute again.
    for _ in 0..6 {
        world.pass(Duration::from_millis(4_500));
        world.mute(plain);
    }
    assert!(!world.told(0, &Event::ClientEvicted(rid(plain))));
    world.cut(plain);
    world.settle();
    assert!(world.is_connected(plain));
}

#[test]
fn a_host_that_slept_does_not_blame_its_clients() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    world.leap(Duration::from_secs(3_600));
    world.pass(Duration::from_secs(15));
    assert!(world.is_connected(plain));
    assert!(!world.told(0, &Event::ClientEvicted(rid(plain))));
}

#[test]
fn a_host_that_slept_gives_those_who_were_away_time_to_return() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    world.nodes[0].asleep = true;
    world.cut(plain);
    world.pass(Duration::from_secs(60));
    world.nodes[0].asleep = false;
    world.pass(Duration::from_secs(5));
    assert!(world.is_connected(plain));
    assert!(!world.told(0, &Event::ClientEvicted(rid(plain))));
}

#[test]
fn a_ghost_that_leaves_while_its_eviction_is_written_is_answered_when_it_is_gone() {
    let mut world = World::with_voters(1, 2);
    world.nodes[1].asleep = true;
    world.pass(Duration::from_secs(5));
    world.disk.hung = true;
    world.pass(Duration::from_secs(12));
    assert!(world.told(0, &Event::ClientEvicted(rid(1))));
    world.nodes[1].asleep = false;
    for _ in 0..20 {
        world.inform(1);
        world.pass(Duration::from_millis(100));
    }
    assert!(world.is_connected(1), "it has said farewell");
    world.disk.hung = false;
    // Two writes and a flush after each: the group that the farewell came too late for.
    world.disk.writes_left = Some(2);
    world.settle();
    assert_eq!(world.ended(1), None);
    world.disk.mend();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.ended(1), Some(Unmounted::Evicted));
    assert_eq!(world.recorded(), [1]);
}

#[test]
fn an_evicted_client_hears_of_it_and_ends() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    // Asleep for longer than the recovery time.
    world.nodes[plain].asleep = true;
    world.pass(Duration::from_secs(17));
    assert!(world.told(0, &Event::ClientEvicted(rid(plain))));
    assert_eq!(world.recorded(), [1]);
    world.nodes[plain].asleep = false;
    world.pass(Duration::from_secs(8));
    assert!(world.told(plain, &Event::Evicted));
    assert_eq!(world.ended(plain), Some(Unmounted::Evicted));
    assert!(!world.nodes[0].events.contains(&Event::ClientEvicted(rid(0))));
}

#[test]
fn an_evicted_voter_gives_its_place_back_when_it_returns() {
    let mut world = World::with_voters(1, 2);
    world.nodes[1].asleep = true;
    world.pass(Duration::from_secs(17));
    assert!(world.told(0, &Event::ClientEvicted(rid(1))));
    assert_eq!(world.recorded(), [1, 2], "it may still vote");
    assert!(world.disk.records()[1].evicted);
    world.nodes[1].asleep = false;
    world.pass(Duration::from_secs(8));
    assert_eq!(world.ended(1), Some(Unmounted::Evicted));
    assert_eq!(world.recorded(), [1]);
}

#[test]
fn an_evicted_voter_is_a_ghost_for_the_next_server_too() {
    let mut world = World::with_voters(1, 2);
    world.kill(1);
    world.pass(Duration::from_secs(12));
    world.kill_server(0);
    world.serve(0, 2);
    world.settle();
    assert!(world.told(0, &Event::Recovered { clients: 1 }) || world.is_connected(0));
    assert_eq!(world.server(0).mounted(), 1);
    assert_eq!(world.server(0).voters_away(), 0);
    world.unmount(0);
    world.settle();
    assert_eq!(world.ended(0), Some(Unmounted::Farewell));
}

#[test]
fn a_voter_beyond_the_places_is_a_plain_client_and_is_told() {
    let world = World::with_voters(2, VOTERS_MAX + 1);
    let beyond = (0..=VOTERS_MAX).filter(|&node| world.told(node, &Event::PlainClient));
    assert_eq!(beyond.count(), 1);
    assert!((0..=VOTERS_MAX).all(|node| world.is_connected(node)));
    let voters = world.disk.records().iter().filter(|record| record.voter).count();
    assert_eq!(voters, VOTERS_MAX);
    assert!(world.nodes[0].fences.is_empty(), "nobody is shot for a place");
}

#[test]
fn a_ghosts_place_is_free_when_its_fence_is_confirmed_and_not_before() {
    let mut world = World::with_voters(2, VOTERS_MAX);
    world.kill(3);
    world.pass(Duration::from_secs(12));
    assert!(world.told(0, &Event::ClientEvicted(rid(3))));
    let first = world.voter();
    world.settle();
    assert!(world.told(first, &Event::PlainClient));
    let wish = world.nodes[0].fences.pop().expect("somebody has to go");
    assert_eq!(
        (wish.victim.ballot.rid, wish.victim.addr, wish.attempt),
        (rid(3), addr(3), 1)
    );

    let now = world.now;
    world.server(0).handle_fence(now, rid(3), FenceOutcome::Failed);
    let second = world.voter();
    world.pass(Duration::from_secs(29));
    assert!(world.told(second, &Event::PlainClient));
    assert!(world.nodes[0].fences.is_empty(), "not again so soon");
    world.pass(Duration::from_secs(3));
    assert_eq!(world.nodes[0].fences.pop().map(|wish| wish.attempt), Some(2));

    let now = world.now;
    world.server(0).handle_fence(now, rid(3), FenceOutcome::Done);
    world.settle();
    assert!(!world.recorded().contains(&rid(3).value()));
    let third = world.voter();
    world.settle();
    assert!(!world.told(third, &Event::PlainClient));
    assert!(
        world.nodes[third]
            .client
            .welcome()
            .is_some_and(|welcome| welcome.voter)
    );
}

#[test]
fn a_voter_that_was_turned_down_gets_the_next_free_place_and_is_told_when_that_is_durable() {
    let mut world = World::with_voters(2, VOTERS_MAX + 1);
    let turned_down = (0..=VOTERS_MAX).find(|&node| world.told(node, &Event::PlainClient));
    let turned_down = turned_down.expect("one too many");
    world.unmount(3);
    world.pass(Duration::from_secs(2));
    assert!(world.told(turned_down, &Event::VoterAfterAll));
    let welcome = world.nodes[turned_down].client.welcome();
    assert!(welcome.is_some_and(|welcome| welcome.voter));
    assert!(has_place(&world, turned_down));
}

/// Whether the next server would take a mount for a voter.
fn has_place(world: &World, node: usize) -> bool {
    let records = world.disk.records();
    let record = records.iter().find(|record| record.rid == rid(node));
    record.is_some_and(|record| record.voter)
}

/// One voter too many, and one of the others has left. The free place is being given to the one.
fn with_a_place_under_way() -> (World, usize) {
    let mut world = World::with_voters(2, VOTERS_MAX + 1);
    let turned_down = (0..=VOTERS_MAX).find(|&node| world.told(node, &Event::PlainClient));
    let turned_down = turned_down.expect("one too many");
    world.unmount(3);
    world.settle();
    world.disk.writes_left = Some(0);
    world.pass(Duration::from_secs(2));
    assert!(world.disk.hung, "it is being written");
    (world, turned_down)
}

#[test]
fn a_place_that_is_not_durable_yet_is_nobodys_however_often_one_greets() {
    let (mut world, turned_down) = with_a_place_under_way();
    world.cut(turned_down);
    world.settle();
    let welcome = *world.nodes[turned_down].client.welcome().unwrap();
    assert!(world.is_connected(turned_down) && welcome.known);
    // The power may fail, and the next server give the place to somebody else.
    assert!(!has_place(&world, turned_down) && !welcome.voter);
    world.disk.mend();
    world.settle();
    assert!(has_place(&world, turned_down));
    assert!(world.told(turned_down, &Event::VoterAfterAll));
}

#[test]
fn a_place_is_offered_to_nobody_whose_own_record_is_still_written() {
    let mut world = World::with_voters(2, VOTERS_MAX);
    world.unmount(3);
    world.disk.hung = true;
    world.settle();
    // Its record comes after the one that goes.
    let newcomer = world.voter();
    world.inform(newcomer);
    world.settle();
    world.disk.mend();
    world.disk.writes_left = Some(2);
    world.settle();
    assert_eq!(world.ended(3), Some(Unmounted::Farewell), "there is a place");
    world.pass(Duration::from_secs(2));
    assert!(!world.is_connected(newcomer));
    world.disk.mend();
    world.settle();
    assert!(world.told(newcomer, &Event::PlainClient));
    assert!(!world.told(newcomer, &Event::VoterAfterAll));
    world.pass(Duration::from_secs(2));
    assert!(world.told(newcomer, &Event::VoterAfterAll));
    assert!(has_place(&world, newcomer));
}

#[test]
fn a_place_that_was_given_to_one_who_is_away_is_its_own_when_it_returns() {
    let (mut world, turned_down) = with_a_place_under_way();
    world.nodes[turned_down].asleep = true;
    world.cut(turned_down);
    world.disk.mend();
    world.settle();
    assert!(has_place(&world, turned_down));
    world.nodes[turned_down].asleep = false;
    world.pass(Duration::from_secs(1));
    assert!(world.is_connected(turned_down));
    assert!(world.told(turned_down, &Event::VoterAfterAll));
}
