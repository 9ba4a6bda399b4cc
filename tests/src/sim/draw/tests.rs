//! What a drawing has to show of runs that are told.

use super::story::{Sign, Story};
use crate::sim::film::Shot;
use crate::sim::options::Span;
use crate::sim::scenario::voters;
use crate::sim::trace::Listen;
use crate::sim::world::World;

/// Two voters of which one serves, recorded from the beginning.
fn served() -> (World, usize) {
    let slow = voters(2)
        .quorum(1)
        .with(|options| options.fence.delay = Span(900_000, 900_000));
    let mut world = slow.world(0, Listen::Nobody);
    world.record();
    let server = world.expect_server();
    world.expect_connected_all();
    (world, server)
}

#[test]
fn a_fence_is_drawn_on_the_process_that_it_is_meant_for() {
    let (mut world, first) = served();
    let victim = world.newest_process_of(first);
    let died = world.now;
    world.crash(first);
    world.expect("another one that silences it", |world| {
        world.told_by_anybody(|event| matches!(event, ostrakon_core::event::Event::Sealed(_))) > 1
    });
    // Its host is back before the fence acts.
    world.restart(first);
    world.expect_another_server_than(first);
    let shots = &world.film.as_ref().expect("it was recorded").shots;
    let fenced = shots
        .iter()
        .find(|(_, shot)| matches!(shot, Shot::Fenced { victim: whom, .. } if *whom == victim));
    let fenced_at = fenced.expect("the first one is fenced").0;
    assert!(fenced_at > died && world.newest_process_of(first) != victim);
    let story = Story::of(&world);
    let mark = story
        .marks
        .iter()
        .find(|mark| matches!(mark.sign, Sign::Fenced { .. }));
    let mark = mark.expect("it is drawn");
    assert_eq!((mark.host, mark.at), (first, died), "{}", mark.says);
    assert!(matches!(mark.sign, Sign::Fenced { acted, .. } if acted == fenced_at));
}

#[test]
fn a_fence_on_one_who_lives_is_drawn_when_it_acts() {
    let (mut world, first) = served();
    let victim = world.newest_process_of(first);
    world.pause(first);
    world.expect_another_server_than(first);
    let story = Story::of(&world);
    let mark = story
        .marks
        .iter()
        .find(|mark| matches!(mark.sign, Sign::Fenced { .. }));
    let mark = mark.expect("it is drawn");
    assert!(matches!(mark.sign, Sign::Fenced { acted, .. } if acted == mark.at));
    assert_eq!(mark.host, world.procs[victim].host);
}

#[test]
fn a_failure_is_marked_where_it_happened_with_what_it_was() {
    let (mut world, _) = served();
    let fine = world.draw("a run", None);
    assert!(!fine.contains("#c00\" class=\"b\""), "nothing went wrong");
    world.violate("v1.1 and <another> act at once");
    let failed = world.draw("a run", Some("safety violation: v1.1 and <another> act at once"));
    let flag = "safety violation: v1.1 and &lt;another&gt; act at once</text>";
    assert!(failed.contains(flag), "the flag says what");
    assert!(
        failed.contains("<title>v1.1: safety violation"),
        "whom it names is marked"
    );
    assert!(!failed.contains("<title>v0.1: safety violation"));
}

#[test]
fn every_word_stays_within_the_picture() {
    let (mut world, _) = served();
    world.run_for(2_000_000);
    let picture = world.draw("a run", None);
    let last = picture.lines().rfind(|line| line.contains(r#"y="38" class="t""#));
    let last = last.expect("times are written down");
    let x = last.split('"').nth(1).and_then(|x| x.parse::<f64>().ok());
    let x = x.expect("a place");
    assert!(
        x + 32.0 < super::WIDTH || last.contains(r#"text-anchor="end""#),
        "{last}"
    );
    let own = "for itself</text>";
    assert!(picture.contains(own), "the legend names the vote for oneself");
}
