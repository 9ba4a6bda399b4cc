//! The bounded run of every target: its corpus, then random bytes for a fixed number of inputs.

#![forbid(unsafe_code)]

use ostrakon_fuzz::{corpus, target};

/// What is found is printed by `arbtest` with a seed that replays it.
fn run(name: &str, budget_ms: u64) {
    let target = target(name).expect("a target of this name");
    for input in corpus::inputs(target) {
        target.run(&input);
    }
    arbtest::arbtest(|u| {
        // The target takes all that there is, as it does from libFuzzer.
        (target.run)(u)
    })
    .size_max(4_096)
    .budget_ms(budget_ms)
    .run();
}

#[test]
fn blocks() {
    run("blocks", 1_000);
}

#[test]
fn messages() {
    run("messages", 1_000);
}

#[test]
fn image() {
    run("image", 3_000);
}

#[test]
fn cluster() {
    run("cluster", 4_000);
}
