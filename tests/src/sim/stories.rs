//! One story for each rule for safety: what goes wrong without it takes a sequence of rare events, which random runs seldom
//! need. With all rules they end well (`tests/tests/rules.rs`); without its rule each of them finds a violation, which
//! `cargo xtask sim --rules-off` and `tests/tests/rules_off.rs` show. What has no story here is listed there, with the reason.

use ostrakon_core::event::Event;
use ostrakon_core::rules::Rule;

use super::disk::{Area, Plot};
use super::options::{Options, Span};
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
    // Long enough for an election while a write is under way.
    let patient = |options: &mut Options| options.write_time_max_ms = 8_000;
    vec![
        story(
            Rule::MergeAllTerms,
            voters(2)
                .quorum(1)
                .with(|options| options.disk.lost_ppm = 300_000)
                .seeds(24),
            a_leader_freezes,
        ),
        story(
            Rule::OneWrite,
            voters(2).with(|options| options.disk.error_ppm = 100_000),
            writes_fail_now_and_then,
        ),
        story(
            Rule::OneBallot,
            voters(1).quorum(1),
            a_leader_loses_its_disk_and_finds_it_again,
        ),
        story(
            Rule::NoVoidAfterClaim,
            voters(1).quorum(1),
            a_claim_fails_and_lands_all_the_same,
        ),
        story(Rule::Seal, voters(2), somebody_is_elected),
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
        story(Rule::Silence, voters(3).quorum(2), a_leader_freezes),
        story(
            Rule::SilenceAll,
            voters(4).quorum(2),
            a_leader_freezes_and_so_does_its_successor,
        ),
        story(
            Rule::MarkConfirmed,
            voters(4).quorum(2),
            a_leader_freezes_and_its_successor_does_while_it_fences,
        ),
        story(
            Rule::StopInBoth,
            voters(3).quorum(2).with(patient),
            a_clean_stop_stands_in_one_copy_for_long,
        ),
        story(
            Rule::ReadAgain,
            voters(3).quorum(2).with(slow_collects).seeds(24),
            a_leader_stops_at_the_moment_when_it_is_fenced,
        ),
        story(
            Rule::CopyOrder,
            voters(3)
                .quorum(1)
                .with(|options| options.disk.spoils_sectors = true),
            two_leaders_die_in_their_updates,
        ),
        story(Rule::StopReads, voters(1).quorum(1), a_server_stops),
        story(
            Rule::StopLast,
            voters(3).quorum(2).clients(1).with(patient),
            a_server_stops_while_it_writes_the_table,
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

/// A cycle is nearly all collect, and so is the time between two looks at the super block.
fn slow_collects(options: &mut Options) {
    options.transfer_blocks = 1;
    options.disk.latency = Span(4_000, 6_000);
    options.fence.delay = Span(350_000, 650_000);
    options.fence.report = Span(0, 100);
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

fn somebody_is_elected(world: &mut World) {
    world.expect_connected_all();
}

/// Of the writes that fail half land later, when the writer may long have begun the next.
fn writes_fail_now_and_then(world: &mut World) {
    world.run_for(5_000);
    world.options.disk.error_ppm = 0;
    world.expect_connected_all();
}

/// It cannot say that it stopped, and is not fenced: nobody else is there.
fn a_leader_loses_its_disk_and_finds_it_again(world: &mut World) {
    let leader = world.expect_server();
    let ballot = world.serves(leader).expect("it serves");
    world.lose_disk(leader, false);
    world.run_for(3_000);
    world.find_disk(leader);
    world.expect_newer_server_than(ballot);
}

/// The first write of the super block is reported as failed, and lands half a second later.
fn a_claim_fails_and_lands_all_the_same(world: &mut World) {
    world.hosts[0].plot = Some(Plot {
        kind: |area| matches!(area, Area::Super(_)),
        lands_after: Some(500_000),
        rest_later: None,
        fails: true,
    });
    world.expect_connected_all();
}

/// Where writes are lost, the first vote of a candidate may be: of what it read in the term before nothing stands in its own.
fn a_leader_freezes(world: &mut World) {
    let old = world.expect_server();
    world.expect_connected_all();
    world.pause(old);
    world.expect_another_server_than(old);
    world.resume(old);
    world.run_for(3_000);
}

/// The successor has sealed and has silenced nobody yet: whoever comes next has two to silence.
fn a_leader_freezes_and_so_does_its_successor(world: &mut World) {
    let first = world.expect_server();
    world.expect_connected_all();
    world.options.fence.refuse_ppm = 1_000_000;
    world.pause(first);
    let sealed = |event: &Event| matches!(event, Event::Sealed(_));
    let seals = move |world: &World| (0..4).find(|&host| host != first && world.told(host, sealed) > 0);
    world.expect("a successor that has sealed", move |world| seals(world).is_some());
    let second = seals(world).expect("it was there a moment ago");
    pause_and_expect_a_third(world, first, second);
    world.run_for(3_000);
}

/// The successor is frozen as well, and fences come through again.
fn pause_and_expect_a_third(world: &mut World, first: usize, second: usize) {
    world.pause(second);
    world.options.fence.refuse_ppm = 0;
    world.expect("a third leader", |world| {
        world
            .server()
            .is_some_and(|server| server != first && server != second)
    });
}

/// The successor has asked for the fence of the first, which never comes, and has gone on writing: what it says of that fence is
/// all that the third knows.
fn a_leader_freezes_and_its_successor_does_while_it_fences(world: &mut World) {
    let first = world.expect_server();
    world.expect_connected_all();
    world.options.fence.refuse_ppm = 1_000_000;
    world.pause(first);
    let second = expect_told(world, "a fence under way", |event| {
        matches!(event, Event::Fencing { .. })
    });
    world.run_for(500);
    pause_and_expect_a_third(world, first, second);
    world.resume(first);
    world.run_for(3_000);
}

/// The second write of its stop takes two seconds, in which others elect.
fn a_clean_stop_stands_in_one_copy_for_long(world: &mut World) {
    let old = world.expect_server();
    world.expect_connected_all();
    world.hosts[old].plot = Some(Plot {
        kind: |area| area == Area::Super(1),
        lands_after: Some(2_000_000),
        rest_later: None,
        fails: false,
    });
    world.unmount(old);
    world.expect_another_server_than(old);
    world.run_for(3_000);
}

/// The first dies in the second write of its update, so that the newest state stands in the first copy only; the next dies in
/// the write of that very copy. The device is worse than A1: both writes leave garbage.
fn two_leaders_die_in_their_updates(world: &mut World) {
    world.expect("three mounts", |world| {
        world.hosts.iter().all(|host| host.process.is_some())
    });
    for (copy, dead) in [(1, 1), (0, 2)] {
        for host in 0..3 {
            world.hosts[host].crash_in_super = Some(copy);
            world.tear_next_write(host);
        }
        world.expect("a leader that died", move |world| {
            world.hosts.iter().filter(|host| host.process.is_none()).count() == dead
        });
        for host in &mut world.hosts {
            (host.crash_in_super, host.tear_next_write) = (None, false);
        }
    }
    for host in 0..3 {
        world.restart(host);
    }
    world.expect_connected_all();
}

fn a_server_stops(world: &mut World) {
    let server = world.expect_server();
    world.expect_connected_all();
    world.unmount(server);
    world.expect_left(server);
}

/// A client leaves, and its record takes six seconds to go. Meanwhile nobody hears the server any more, and others elect: it
/// stops as soon as it sees that.
fn a_server_stops_while_it_writes_the_table(world: &mut World) {
    let old = world.expect_server();
    world.expect_connected_all();
    let client = 3;
    world.hosts[old].plot = Some(Plot {
        kind: |area| matches!(area, Area::Table { .. }),
        lands_after: Some(6_000_000),
        rest_later: None,
        fails: false,
    });
    world.unmount(client);
    world.expect("a table write under way", move |world| {
        world.hosts[old].plot.is_none()
    });
    world.isolate(old);
    world.expect_another_server_than(old);
    world.heal();
    world.run_for(3_000);
}

/// A server stops. Of the two that are left one wins and is frozen; the other wins, too, seals, and waits until the first cannot act
/// any more; then the first runs again. The other does not hear that it serves.
fn a_lower_candidate_goes_on_beside_a_higher_one(world: &mut World) {
    let server = world.expect_server();
    world.expect_connected_all();
    world.unmount(server);
    let wins = move |world: &World| (0..3).find(|&host| host != server && world.told(host, is_elected) > 0);
    world.expect("somebody who has won", move |world| wins(world).is_some());
    let low = wins(world).expect("it was there a moment ago");
    world.pause(low);
    let sealed = |event: &Event| matches!(event, Event::Sealed(_));
    let others = move |&host: &usize| host != server && host != low;
    let seals = move |world: &World| (0..3).filter(others).find(|&host| world.told(host, sealed) > 0);
    world.expect("a higher ballot that is sealed", move |world| {
        seals(world).is_some()
    });
    let high = seals(world).expect("it was there a moment ago");
    world.isolate(high);
    world.resume(low);
    world.run_for(8_000);
    world.heal();
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

/// The others elect without it while it is paused, and ask for its fence. At that moment it runs again and is told to leave:
/// it writes its clean stop just before the fence acts, and what the successor last read of the super block is older than that.
fn a_leader_stops_at_the_moment_when_it_is_fenced(world: &mut World) {
    let old = world.expect_server();
    let ballot = world.serves(old).expect("it serves");
    world.expect_connected_all();
    world.pause(old);
    expect_told(world, "a fence under way", |event| {
        matches!(event, Event::Fencing { .. })
    });
    world.resume(old);
    world.unmount(old);
    world.expect_newer_server_than(ballot);
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
