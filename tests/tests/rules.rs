//! Scenarios for rules for safety that random runs seldom need: what would go wrong without them takes a sequence of
//! rare events. Each was seen to fail with its rule switched off.

#![forbid(unsafe_code)]

use ostrakon_core::event::Event;
use ostrakon_tests::sim::{World, voters};

/// Waits until somebody has won the votes, and stops the world at that very moment.
fn expect_winner(world: &mut World) -> usize {
    world.expect("somebody who has won", |world| {
        world.told_by_anybody(|event| matches!(event, Event::Elected(_))) > 0
    });
    let won = |host: &usize| world.told(*host, |event| matches!(event, Event::Elected(_))) > 0;
    (0..world.hosts.len())
        .find(won)
        .expect("it was there a moment ago")
}

#[test]
fn r6_a_candidate_that_slept_through_a_whole_reign_does_not_serve() {
    // It wins and is frozen before it has sealed. Others wait out its promise, serve, stop cleanly and leave: nothing
    // in the region is higher and live when it wakes, and only the super block knows that it is long overtaken.
    voters(3).quorum(1).lease(2_000).play(|world| {
        let sleeper = expect_winner(world);
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
    });
}
