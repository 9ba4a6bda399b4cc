//! What a healed world has to do in time: worlds that are not healed, but taken to be, are found out. And what is counted.

use crate::sim::course::{Course, Courses};
use crate::sim::options::Mischief;
use crate::sim::scenario::{Scenario, voters};
use crate::sim::trace::Listen;
use crate::sim::world::{World, Wrong};

/// A world whose faults are said to have stopped at this moment, with its server.
fn calm(scenario: &Scenario) -> (World, usize) {
    let mut world = scenario.world(1, Listen::Nobody);
    let server = world.expect_server();
    world.expect_connected_all();
    world.course.calm_at = world.now;
    (world, server)
}

/// Fails unless progress was missed that says this, and soon after this time in microseconds.
fn expect_too_late(world: &World, says: &str, limit: u64) {
    match &world.wrong {
        Some(Wrong::NoProgress(what)) => {
            assert!(what.contains(says), "found, but for another reason: {what}")
        }
        other => panic!("expected no progress that says \"{says}\", found {other:?}"),
    }
    let took = world.now - world.course.calm_at;
    assert!(
        (limit..limit + 5_000_000).contains(&took),
        "found after {took} us"
    );
}

#[test]
fn a_server_in_time_is_fine() {
    let (mut world, server) = calm(&voters(3).clients(1));
    world.crash(server);
    world.restart(server);
    world.expect_convergence();
    assert_eq!(world.wrong, None);
    assert!(world.course.to_server <= world.course.to_connect);
    assert!(world.course.to_connect.is_some());
}

#[test]
fn no_server_in_time() {
    let (mut world, server) = calm(&voters(3));
    world.options.fence.refuse_ppm = 1_000_000;
    world.pause(server);
    world.expect_convergence();
    expect_too_late(&world, "no server within", world.options.time_to_server());
}

#[test]
fn a_client_that_is_not_connected_in_time() {
    let (mut world, _) = calm(&voters(3).clients(1));
    world.isolate(3);
    world.run_for(3_000);
    world.course.calm_at = world.now;
    world.expect_convergence();
    expect_too_late(
        &world,
        "not everybody is connected",
        world.options.time_to_connect(),
    );
}

#[test]
fn a_strike_that_changes_nothing_is_not_counted() {
    let mut scenario = voters(2);
    scenario.options.chaos.weights[Mischief::ALL
        .iter()
        .position(|&it| it == Mischief::Heal)
        .expect("it is one")] = 1;
    let (mut world, _) = calm(&scenario);
    world.chaos = true;
    world.strike();
    assert_eq!(world.check.counts.strikes, 0, "every link was whole");
    world.cut_link(0, 1);
    world.strike();
    assert_eq!(world.check.counts.strikes, 1);
}

#[test]
fn verbs_say_whether_they_change_anything() {
    let (mut world, _) = calm(&voters(3));
    assert!(!world.resume(0) && world.pause(0) && !world.pause(0) && world.resume(0));
    assert!(!world.restart(0) && world.crash(0) && !world.crash(0) && world.restart(0));
    assert!(!world.heal() && world.isolate(1) && !world.isolate(1) && world.heal());
    assert!(
        !world.find_disk(1) && world.lose_disk(1, true) && !world.lose_disk(1, true) && world.find_disk(1)
    );
    assert!(world.unmount(1) && !world.unmount(1));
    assert!(world.power_off(2) && !world.power_off(2) && !world.lose_disk(2, true));
}

#[test]
fn what_many_runs_come_to() {
    let course = |served_in_chaos, seconds| Course {
        served_in_chaos,
        to_server: Some(seconds),
        ..Course::default()
    };
    let mut courses = Courses::default();
    for (seed, course) in [course(0, 5), course(1, 9), course(2, 7), course(3, 1)]
        .iter()
        .enumerate()
    {
        courses.add(seed as u64, course);
    }
    assert_eq!((courses.contested, courses.unserved), (2, 1));
    assert_eq!((courses.to_server.time, courses.to_server.seed), (9, 1));
}
