//! The 2019 rules in the same simulator: it finds what is wrong with them.

#![forbid(unsafe_code)]

use ostrakon_tests::sim::machine::Rules;
use ostrakon_tests::sim::run::{Verdict, random_run_under};
use ostrakon_tests::sim::trace::Listen;
use ostrakon_tests::sim::world::Wrong;
use ostrakon_tests::sim::{Scenario, voters};

fn of_2019(scenario: Scenario) -> Scenario {
    scenario.with(|options| options.rules = Rules::Of2019)
}

#[test]
fn in_a_calm_world_they_elect() {
    of_2019(voters(3).quorum(2).clients(2)).play(|world| {
        world.expect_server();
        world.expect_connected_all();
    });
}

#[test]
fn after_a_crash_they_elect_again() {
    of_2019(voters(3).quorum(2)).play(|world| {
        let first = world.expect_server();
        world.expect_connected_all();
        world.crash(first);
        world.expect_another_server_than(first);
    });
}

#[test]
fn hole_02_a_candidacy_that_is_overwritten_hides_an_unfenced_leader() {
    // Votes may be lost, as they are when two are written to one block: ours expect that, and so did these.
    let lossy = of_2019(voters(3).quorum(2)).with(|options| options.disk.lost_ppm = 200_000);
    let wrong = lossy.seeds(300).find(|world| {
        let first = world.expect_server();
        world.expect_connected_all();
        world.isolate(first);
        world.run_for(20_000);
    });
    let Some(Wrong::Safety(what)) = &wrong else {
        panic!("{wrong:?}");
    };
    assert!(what.contains("two unfenced servers"), "{what}");
}

#[test]
fn hole_06_on_a_slow_disk_they_never_elect() {
    let slow = of_2019(voters(3).quorum(2).disk_latency(38_000, 42_000));
    let wrong = slow.seeds(1).find(|world| {
        world.expect_server();
    });
    assert!(matches!(wrong, Some(Wrong::NoProgress(_))), "{wrong:?}");
}

#[test]
fn random_runs_find_it() {
    let mut verdicts = (0..100).map(|seed| random_run_under(Rules::Of2019, seed, Listen::Nobody).verdict);
    assert!(verdicts.any(|verdict| verdict != Verdict::Fine));
}
