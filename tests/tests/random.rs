//! Random runs: a bounded number of seeds, and the promise that a seed decides everything.

#![forbid(unsafe_code)]

use ostrakon_tests::sim::machine::Rules;
use ostrakon_tests::sim::random_run;
use ostrakon_tests::sim::run::{Verdict, drawn_run};
use ostrakon_tests::sim::runner::replay_line;
use ostrakon_tests::sim::trace::Listen;

/// Random runs in the ordinary tests. `cargo xtask sim` runs as many as one likes.
const RUNS: u64 = 150;

#[test]
fn random_runs_end_well() {
    for seed in 0..RUNS {
        let outcome = random_run(seed, Listen::Nobody);
        assert_eq!(
            outcome.verdict,
            Verdict::Fine,
            "replay: {}",
            replay_line(Rules::Ours, None, seed)
        );
    }
}

/// What only some runs have is there, and such a run does not end before its second phase.
#[test]
fn runs_with_leaving_voters_or_a_core_go_on() {
    let courses = || (0..RUNS).map(|seed| (seed, random_run(seed, Listen::Nobody).course));
    let leaving: Vec<_> = courses().filter(|(_, course)| course.voters_leave).collect();
    let cores: Vec<_> = courses().filter(|(_, course)| course.core_first).collect();
    assert!(!leaving.is_empty() && !cores.is_empty());
    for (seed, course) in leaving {
        assert!(course.to_connect.is_some(), "seed {seed}: {course:?}");
    }
    for (seed, course) in cores {
        assert!(course.core_to_connect.is_some(), "seed {seed}: {course:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..12 {
        let first = random_run(seed, Listen::Digest);
        let second = random_run(seed, Listen::Digest);
        assert_eq!(first, second, "seed {seed}");
        assert!(first.steps > 0, "something happened");
    }
}

#[test]
fn listening_changes_nothing() {
    for seed in 0..6 {
        let heard = random_run(seed, Listen::Digest);
        let unheard = random_run(seed, Listen::Nobody);
        assert_eq!(
            (heard.time, heard.steps, heard.counts),
            (unheard.time, unheard.steps, unheard.counts)
        );
    }
}

#[test]
fn another_seed_gives_another_run() {
    let digests: std::collections::BTreeSet<u64> = (0..12)
        .map(|seed| random_run(seed, Listen::Digest).digest)
        .collect();
    assert_eq!(digests.len(), 12);
}

/// Whoever changes what happens in a run, or how it is drawn, draws it again with the command that the README names.
#[test]
fn the_picture_in_the_readme_is_the_run_that_it_names() {
    let readme = include_str!("../../README.md");
    let command = readme
        .split('`')
        .find(|words| words.contains("--draw tests/run.svg"))
        .expect("the README names a command");
    let seed = command.split(' ').skip_while(|word| *word != "--seed").nth(1);
    let seed = seed.and_then(|seed| seed.parse().ok()).expect("it names a seed");
    let (outcome, picture) = drawn_run(Rules::Ours, seed, Listen::Nobody);
    assert_eq!(outcome.verdict, Verdict::Fine);
    assert!(
        picture == include_str!("../run.svg"),
        "tests/run.svg is another run: {command}"
    );
}
