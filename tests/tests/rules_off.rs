//! Each rule for safety switched off in the real core, in the real simulator: something is noticed. `cargo xtask ci
//! rules-off` runs this; an ordinary build of core cannot leave a rule out.

#![forbid(unsafe_code)]

use std::sync::Mutex;

use ostrakon_core::rules::{Rule, switch_off, switch_on_all};
use ostrakon_tests::sim::run::{Verdict, random_run};
use ostrakon_tests::sim::stories::stories;
use ostrakon_tests::sim::trace::Listen;

/// Random runs after which a rule counts as not missed.
const RUNS: u64 = 3_000;

/// What is off is off in the whole process: one at a time.
static TURN: Mutex<()> = Mutex::new(());

fn noticed_without(rule: Rule) -> Option<String> {
    let _turn = TURN.lock();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    switch_off(rule);
    let mut own = stories().into_iter().filter(|story| story.rule == rule);
    let told = own.find_map(|story| story.scenario.find(story.tell));
    let noticed = told.map(|wrong| wrong.to_string()).or_else(|| {
        (1..RUNS).find_map(|seed| match random_run(seed, Listen::Nobody).verdict {
            Verdict::Fine => None,
            Verdict::Wrong(wrong) => Some(format!("seed {seed}: {wrong}")),
            Verdict::Panic(what) => Some(format!("seed {seed}: {what}")),
        })
    });
    switch_on_all();
    std::panic::set_hook(hook);
    noticed
}

macro_rules! rules_off {
    ($($test:ident $rule:ident)*) => {
        $(#[test]
        fn $test() {
            let noticed = noticed_without(Rule::$rule);
            let what = noticed.unwrap_or_else(|| panic!("nobody misses {}", Rule::$rule.name()));
            println!("without {}: {what}", Rule::$rule.name());
        })*

        #[test]
        fn every_rule_is_left_out_once() {
            let left_out = [$(Rule::$rule),*];
            let kept: Vec<_> = Rule::ALL.iter().filter(|rule| !left_out.contains(rule)).collect();
            // A reader that believes one pass is noticed by the exhaustive search only: tests/model/tests/rules.rs.
            assert_eq!(kept, [&Rule::TwoPasses]);
        }
    };
}

rules_off! {
    r1_merge_all_terms MergeAllTerms
    r2_one_write OneWrite
    r3_one_ballot OneBallot
    r3_no_void_after_claim NoVoidAfterClaim
    r4_seal Seal
    r5_abort Abort
    r6_check_fenced CheckFenced
    r7_silence Silence
    r7_silence_all SilenceAll
    r7_stop_in_both StopInBoth
    r8_read_again ReadAgain
    r8_copy_order CopyOrder
    r9_stop_reads StopReads
    r9_stop_last StopLast
    r10_invalid_is_not_empty InvalidIsNotEmpty
    lease_look_ends_with_super LookEndsWithSuper
    lease_within_right WithinRight
    lease_stop_within_right StopWithinRight
}
