//! Places of voters that were evicted: who gives one back, when, and to whom.

extern crate std;

use std::vec::Vec;

use super::hostile::{frame, greeting};
use crate::bounds::{EVENTS_MAX, GHOST_FENCE_WAIT, GHOST_SILENT_TIME, PLACES_MAX, VOTERS_MAX};
use crate::config::{Config, VoterConfig};
use crate::event::Event;
use crate::fence::FenceOutcome;
use crate::format::FenceParam;
use crate::format::wire::Command;
use crate::ids::{BootId, HostId, Rid};
use crate::server::State;
use crate::session::world::{World, addr, rid};
use crate::time::{Duration, Instant};

/// Long enough for a voter that is away to be evicted.
const EVICTED_BY: Duration = Duration::from_secs(12);

fn voter_on(world: &mut World, host: u64, boot: u8) -> usize {
    let at = addr(world.nodes.len());
    let node = world.plain_with(|config: &mut Config| {
        config.voter = Some(VoterConfig::fencing(at, FenceParam::default()));
        config.host = HostId(host);
        config.boot = BootId([boot; 16]);
    });
    world.settle();
    node
}

/// A server and voters on hosts of their own, in all as many as there are places; those named are ghosts.
fn with_ghosts(ghosts: &[usize]) -> World {
    let mut world = World::with_voters(2, 1);
    for host in 1..VOTERS_MAX {
        voter_on(&mut world, host as u64, 1);
    }
    ghosts.iter().for_each(|&ghost| world.kill(ghost));
    world.pass(EVICTED_BY);
    assert!(
        ghosts
            .iter()
            .all(|&ghost| world.told(0, &Event::ClientEvicted(rid(ghost))))
    );
    world
}

fn has_place(world: &World, node: usize) -> bool {
    world.nodes[node]
        .client
        .welcome()
        .is_some_and(|welcome| welcome.voter)
}

fn wishes(world: &mut World) -> Vec<(Rid, u32)> {
    let fences = world.nodes[0].fences.drain(..);
    fences
        .map(|wish| (wish.victim.ballot.rid, wish.attempt))
        .collect()
}

fn answer(world: &mut World, victim: usize, outcome: FenceOutcome) {
    let now = world.now;
    world.server(0).handle_fence(now, rid(victim), outcome);
}

#[test]
fn a_ghost_whose_host_has_booted_since_gives_its_place_without_a_fence() {
    let mut world = with_ghosts(&[3]);
    let reborn = voter_on(&mut world, 3, 2);
    world.pass(Duration::from_secs(3));
    assert!(
        world.told(reborn, &Event::PlainClient),
        "at first there is no place"
    );
    assert!(has_place(&world, reborn));
    assert!(!world.recorded().contains(&rid(3).value()));
    assert_eq!(wishes(&mut world), []);
}

#[test]
fn a_ghost_beside_a_mount_of_its_own_boot_is_neither_forgotten_nor_fenced() {
    let mut world = with_ghosts(&[3]);
    // A fence that acts on the host would take this one down for the sake of a place.
    let neighbour = voter_on(&mut world, 3, 1);
    world.pass(GHOST_FENCE_WAIT.times(2));
    assert!(world.is_connected(neighbour) && !has_place(&world, neighbour));
    assert_eq!(wishes(&mut world), []);
    assert!(world.recorded().contains(&rid(3).value()));
    // When it goes, nothing stands before the fence any more.
    world.kill(neighbour);
    let other = voter_on(&mut world, 99, 1);
    world.settle();
    assert!(!has_place(&world, other));
    assert_eq!(wishes(&mut world), [(rid(3), 1)]);
}

#[test]
fn hosts_without_an_identity_are_nobodys_neighbours() {
    let mut world = with_ghosts(&[]);
    world.kill(4);
    world.pass(EVICTED_BY);
    let place = voter_on(&mut world, 0, 1);
    world.settle();
    // Not the server's own mount either, which has none.
    assert!(!has_place(&world, place));
    assert_eq!(wishes(&mut world), [(rid(4), 1)]);
}

#[test]
fn after_a_fence_that_failed_the_next_attempt_is_for_the_next_ghost() {
    let mut world = with_ghosts(&[3, 5]);
    voter_on(&mut world, 50, 1);
    assert_eq!(wishes(&mut world), [(rid(3), 1)]);
    // What was not asked for says nothing.
    answer(&mut world, 5, FenceOutcome::Done);
    world.pass(GHOST_FENCE_WAIT.times(2));
    assert!(world.recorded().contains(&rid(5).value()));
    assert_eq!(wishes(&mut world), [], "one at a time");
    answer(&mut world, 3, FenceOutcome::Failed);
    voter_on(&mut world, 51, 1);
    world.pass(GHOST_FENCE_WAIT + Duration::from_secs(3));
    assert_eq!(wishes(&mut world), [(rid(5), 2)]);
    answer(&mut world, 5, FenceOutcome::Done);
    world.pass(Duration::from_secs(1));
    assert!(!world.recorded().contains(&rid(5).value()));
    assert!(
        world.recorded().contains(&rid(3).value()),
        "this one may still vote"
    );
    let placed = (VOTERS_MAX..world.nodes.len()).filter(|&node| has_place(&world, node));
    assert_eq!(placed.count(), 1);
}

#[test]
fn a_ghost_that_left_while_it_was_fenced_needs_no_second_farewell() {
    let mut world = World::with_voters(2, VOTERS_MAX);
    world.nodes[3].asleep = true;
    world.pass(Duration::from_secs(17));
    assert!(world.told(0, &Event::ClientEvicted(rid(3))));
    let newcomer = world.voter();
    world.settle();
    assert_eq!(wishes(&mut world), [(rid(3), 1)]);
    world.nodes[3].asleep = false;
    world.pass(Duration::from_secs(8));
    assert!(!world.recorded().contains(&rid(3).value()));
    assert!(has_place(&world, newcomer));
    let recorded = world.recorded();
    answer(&mut world, 3, FenceOutcome::Done);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.recorded(), recorded);
    assert!(has_place(&world, newcomer));
}

#[test]
fn a_ghost_that_is_fenced_before_it_has_said_farewell_is_answered_all_the_same() {
    let mut world = with_ghosts(&[3]);
    let newcomer = voter_on(&mut world, 50, 1);
    assert_eq!(wishes(&mut world), [(rid(3), 1)]);
    let insider = world.insider(0);
    let server = world.server(0).serving();
    let leaves = greeting(rid(3).value(), |greeting| {
        (greeting.server, greeting.farewell) = (server, true);
    });
    world.say(insider, &leaves);
    world.settle();
    assert!(!world.heard(insider).is_empty(), "it is welcome to leave");
    let voters = world.server(0).voters_heard(Instant(0));
    assert_eq!(usize::from(voters), VOTERS_MAX - 1, "and elects nobody");
    answer(&mut world, 3, FenceOutcome::Done);
    world.pass(Duration::from_secs(1));
    assert!(!world.recorded().contains(&rid(3).value()));
    assert!(has_place(&world, newcomer));
    assert!(world.heard(insider).is_empty(), "it has asked for nothing");
    world.say(insider, &frame(Command::FAREWELL, 1, &[]));
    world.settle();
    assert!(!world.heard(insider).is_empty());
}

#[test]
fn nobody_is_fenced_for_a_place_without_the_right_or_the_means() {
    let mut world = with_ghosts(&[3]);
    world.nodes[0].may_act = false;
    voter_on(&mut world, 50, 1);
    world.pass(Duration::from_secs(2));
    assert_eq!(wishes(&mut world), []);

    let mut world = World::new(2);
    let leased = |config: &mut Config| {
        let mut voter = VoterConfig::fencing(addr(0), FenceParam::default());
        voter.can_fence = false;
        config.voter = Some(voter);
    };
    world.plain_with(leased);
    world.serve(0, 1);
    world.settle();
    for _ in 1..VOTERS_MAX {
        world.voter();
        world.settle();
    }
    world.kill(3);
    world.pass(EVICTED_BY);
    let newcomer = world.voter();
    world.pass(GHOST_FENCE_WAIT);
    assert!(world.told(newcomer, &Event::PlainClient));
    assert_eq!(wishes(&mut world), []);
}

#[test]
fn where_nobody_can_be_fenced_a_place_comes_back_by_silence() {
    let mut world = with_ghosts(&[]);
    // The server has been there for so long that it would have heard.
    world.pass(GHOST_SILENT_TIME);
    world.kill(3);
    world.pass(EVICTED_BY);
    let newcomer = voter_on(&mut world, 50, 1);
    let recorded = |world: &World| world.recorded().contains(&rid(3).value());
    let silent = |world: &mut World, writes: bool| {
        let now = world.now;
        world.server(0).release_silent_ghosts(now, |ghost, since| {
            assert_eq!((ghost, since), (rid(3), Instant(now.0 - GHOST_SILENT_TIME.0)));
            writes
        });
        world.pass(Duration::from_secs(1));
    };
    world.pass(GHOST_SILENT_TIME - EVICTED_BY - Duration::from_secs(10));
    let now = world.now;
    world
        .server(0)
        .release_silent_ghosts(now, |_, _| unreachable!("it was heard since"));
    world.pass(Duration::from_secs(30));
    silent(&mut world, true);
    assert!(recorded(&world), "it writes to the region");
    silent(&mut world, false);
    assert!(!recorded(&world));
    assert!(has_place(&world, newcomer));
    assert!((1..VOTERS_MAX).all(|node| node == 3 || world.is_connected(node)));
}

#[test]
fn a_new_server_counts_the_silence_of_a_ghost_from_its_own_beginning() {
    let mut world = World::with_voters(1, 2);
    world.kill(1);
    world.pass(EVICTED_BY);
    let now = world.now;
    world
        .server(0)
        .release_silent_ghosts(now, |_, _| unreachable!("no clock is as old as that"));
    world.pass(GHOST_SILENT_TIME);
    world.kill_server(0);
    world.serve(0, 2);
    world.pass(Duration::from_secs(30));
    let now = world.now;
    world
        .server(0)
        .release_silent_ghosts(now, |_, _| unreachable!("it could not have been heard"));
    assert_eq!(world.recorded(), [1, 2]);
    world.pass(GHOST_SILENT_TIME);
    let now = world.now;
    world.server(0).release_silent_ghosts(now, |_, _| false);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.recorded(), [1]);
}

#[test]
fn one_that_was_fenced_before_the_server_began_leaves_its_record_and_place_at_once() {
    let mut world = World::with_voters(1, 3);
    world.kill(0);
    world.serve(1, 2);
    world.server(1).remove_fenced(rid(0));
    assert!(world.recorded().contains(&1), "it does not serve yet");
    world.pass(Duration::from_secs(2));
    assert_eq!(world.server(1).state(), State::Serving);
    assert!(world.is_connected(2));
    // One that is connected lives, whatever was fenced; and one that nobody knows is no matter.
    world.server(1).remove_fenced(rid(2));
    world.server(1).remove_fenced(rid(40));
    world.server(1).remove_fenced(rid(0));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.recorded(), [2, 3]);
    let evicted = |event: &&Event| matches!(event, Event::ClientEvicted(_));
    let told: Vec<_> = world.nodes[1].events.iter().filter(evicted).collect();
    assert_eq!(told, [&Event::ClientEvicted(rid(0))]);
}

#[test]
fn nobody_goes_untold_however_many_were_fenced() {
    let mut world = World::with_voters(1, EVENTS_MAX + 4);
    let last = EVENTS_MAX + 3;
    (0..last).for_each(|node| world.kill(node));
    world.serve(last, 2);
    world.settle();
    (0..last).for_each(|node| world.server(last).remove_fenced(rid(node)));
    world.pass(EVICTED_BY);
    let told = (0..last).filter(|&node| world.told(last, &Event::ClientEvicted(rid(node))));
    assert_eq!(told.count(), last);
}

#[test]
fn that_everybody_is_back_or_gone_is_told_though_there_was_no_room_for_it() {
    let mut world = World::with_voters(1, EVENTS_MAX + 1);
    let last = EVENTS_MAX;
    (0..last).for_each(|node| world.kill(node));
    world.serve(last, 2);
    world.settle();
    let recovered = Event::Recovered { clients: 1 };
    assert!(!world.told(last, &recovered));
    (0..last).for_each(|node| world.server(last).remove_fenced(rid(node)));
    let now = world.now;
    world.server(last).poll(now, true);
    let told: Vec<_> = core::iter::from_fn(|| world.server(last).poll_event()).collect();
    assert_eq!(told.len(), EVENTS_MAX);
    assert!(!told.contains(&recovered));
    world.pass(Duration::from_secs(1));
    assert!(world.told(last, &recovered));
}

#[test]
fn leaders_that_nobody_admitted_are_voters_as_long_as_there_are_places_for_them() {
    let mut world = World::new(1);
    for leader in 0..=PLACES_MAX {
        world.voter();
        world.serve(leader, leader as u64 + 1);
        world.settle();
        assert_eq!(world.server(leader).state(), State::Serving);
        assert_eq!(has_place(&world, leader), leader < PLACES_MAX, "{leader}");
        world.kill(leader);
    }
}
