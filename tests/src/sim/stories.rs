//! One story for each rule for safety that random runs seldom need: what goes wrong without it takes a sequence of rare
//! events. With all rules they end well; without its rule each of them finds a violation, which `cargo xtask sim
//! --rules-off` and `tests/tests/rules_off.rs` show.

use ostrakon_core::event::Event;
use ostrakon_core::rules::Rule;

use super::scenario::{Scenario, voters};
use super::world::World;

/// A story, and the rule that keeps it harmless.
#[derive(Clone)]
pub struct Story {
    /// The rule.
    pub rule: Rule,
    /// The world in which it is told.
    pub scenario: Scenario,
    /// What happens.
    pub tell: fn(&mut World),
}

/// All of them.
pub fn stories() -> Vec<Story> {
    let story = |rule, scenario, tell| Story { rule, scenario, tell };
    vec![
        story(
            Rule::Abort,
            voters(3).quorum(1).lease(1_500),
            a_lower_candidate_goes_on_beside_a_higher_one,
        ),
        story(
            Rule::CheckFenced,
            voters(3).quorum(1).lease(2_000),
            a_candidate_sleeps_through_a_whole_reign,
        ),
        story(
            Rule::ReadAgain,
            voters(3).quorum(2).disk_latency(30_000, 50_000).seeds(60),
            a_leader_stops_at_the_moment_when_it_is_fenced,
        ),
        story(
            Rule::CopyOrder,
            voters(3).quorum(1).seeds(30),
            two_leaders_in_a_row_die_in_their_first_update,
        ),
        story(
            Rule::LookEndsWithSuper,
            voters(5)
                .quorum(2)
                .lease(2_000)
                .disk_latency(60_000, 80_000)
                .seeds(20),
            a_leader_is_paused_in_a_look_until_its_successor_is_forgotten,
        ),
        story(
            Rule::WithinRight,
            voters(3).quorum(2).lease(1_500),
            a_leader_is_paused_for_longer_than_its_lease,
        ),
        story(
            Rule::StopWithinRight,
            voters(3)
                .quorum(2)
                .lease(1_500)
                .disk_latency(60_000, 80_000)
                .seeds(40),
            a_leader_is_paused_in_its_clean_stop,
        ),
    ]
}

/// Waits until somebody has told this, and stops the world at that very moment.
fn expect_told(world: &mut World, what: &str, fits: fn(&Event) -> bool) -> usize {
    world.expect(what, |world| world.told_by_anybody(fits) > 0);
    (0..world.hosts.len())
        .find(|&host| world.told(host, fits) > 0)
        .expect("it was there a moment ago")
}

const fn is_elected(event: &Event) -> bool {
    matches!(event, Event::Elected(_))
}

/// It is frozen when it has won. Another one wins, seals, and waits until the first cannot act any more; then the first
/// runs again.
fn a_lower_candidate_goes_on_beside_a_higher_one(world: &mut World) {
    let low = expect_told(world, "somebody who has won", is_elected);
    world.pause(low);
    let sealed = |event: &Event| matches!(event, Event::Sealed(_));
    world.expect("a higher ballot that is sealed", |world| {
        (0..3).any(|host| host != low && world.told(host, sealed) > 0)
    });
    world.resume(low);
    world.run_for(8_000);
    world.expect_connected_all();
}

/// It wins and is frozen before it has sealed. Others wait out its promise, serve, stop cleanly and leave: nothing in the
/// region is higher and live when it wakes, and only the super block knows that it is long overtaken.
fn a_candidate_sleeps_through_a_whole_reign(world: &mut World) {
    let sleeper = expect_told(world, "somebody who has won", is_elected);
    world.pause(sleeper);
    world.expect_another_server_than(sleeper);
    let others = world.other_voters(sleeper);
    world.expect("the others are connected", |world| {
        others.iter().all(|&host| world.is_connected(host))
    });
    for &host in &others {
        world.unmount(host);
    }
    for &host in &others {
        world.expect_left(host);
    }
    let before = world.check.server;
    world.resume(sleeper);
    world.expect_server();
    assert!(world.check.server > before, "it serves under a new ballot");
    // By the super block, or by the newer ballot if its collect had begun before that was trimmed.
    let gave_up = |event: &Event| matches!(event, Event::GaveUp { .. });
    assert!(world.told(sleeper, gave_up) > 0, "it has found out");
}

/// The others elect without it. It is slow to find out, and writes its clean stop just when it is fenced: what the
/// successor last read of the super block is older than that.
fn a_leader_stops_at_the_moment_when_it_is_fenced(world: &mut World) {
    let old = world.expect_server();
    let ballot = world.serves(old).expect("it serves");
    world.expect_connected_all();
    world.isolate(old);
    let sealed = |event: &Event| matches!(event, Event::Sealed(_));
    world.expect("a successor that has sealed", |world| {
        (0..3).any(|host| host != old && world.told(host, sealed) > 0)
    });
    world.pause(old);
    let slept = world.dice.between(0, 1_500);
    world.run_for(slept);
    world.resume(old);
    world.run_for(4_000);
    world.heal();
    for host in 0..3 {
        world.restart(host);
    }
    world.expect_newer_server_than(ballot);
    world.run_for(3_000);
}

/// The first dies between the two writes of an update, so that the newest state stands in one copy only; the next dies
/// in its first write, and that is torn.
fn two_leaders_in_a_row_die_in_their_first_update(world: &mut World) {
    for copy in [1, 0] {
        for host in 0..3 {
            world.hosts[host].crash_in_super = Some(copy);
            world.tear_next_write(host);
        }
        world.expect("a leader that died", |world| {
            world.hosts[..3].iter().any(|host| host.process.is_none())
        });
        for host in 0..3 {
            world.hosts[host].crash_in_super = None;
            world.hosts[host].tear_next_write = false;
        }
    }
    for host in 0..3 {
        world.restart(host);
    }
    world.expect_connected_all();
}

/// Its successor serves, stops cleanly and leaves, and the one that is left writes the region over until nothing in it
/// tells of that reign.
fn a_leader_is_paused_in_a_look_until_its_successor_is_forgotten(world: &mut World) {
    let old = world.expect_server();
    world.expect_connected_all();
    let later = world.dice.between(0, 2_000);
    world.run_for(later);
    world.pause(old);
    let new = world.expect_another_server_than(old);
    world.run_for(5_000);
    world.unmount(new);
    world.expect_left(new);
    let others = world.other_voters(old);
    for &host in &others[1..] {
        world.crash(host);
    }
    world.run_for(120_000);
    world.resume(old);
    world.run_for(3_000);
    for host in 0..5 {
        world.restart(host);
    }
    world.expect_server();
}

fn a_leader_is_paused_for_longer_than_its_lease(world: &mut World) {
    let old = world.expect_server();
    world.expect_connected_all();
    world.pause(old);
    world.expect_another_server_than(old);
    world.resume(old);
    world.run_for(3_000);
    world.expect_connected_all();
}

/// It has read that the super block names it, and goes on with that when it wakes.
fn a_leader_is_paused_in_its_clean_stop(world: &mut World) {
    let old = world.expect_server();
    world.expect_connected_all();
    world.unmount(old);
    let later = world.dice.between(0, 1_500);
    world.run_for(later);
    if world.process_on(old).is_none() {
        return;
    }
    world.pause(old);
    world.expect_another_server_than(old);
    world.resume(old);
    world.run_for(3_000);
}
