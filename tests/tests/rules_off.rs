//! Each rule for safety switched off in the real core, in the real simulator: something is noticed. `cargo xtask ci
//! rules-off` runs this; an ordinary build of core cannot leave a rule out.
//!
//! What goes wrong without a rule takes a sequence of events that is told as a story, so that this takes seconds and does not
//! depend on luck. `cargo xtask sim --rules-off RULE --minutes 10` looks for the same at random.

#![forbid(unsafe_code)]

use std::sync::Mutex;

use ostrakon_core::rules::{Rule, switch_off, switch_on_all};
use ostrakon_tests::sim::stories::stories;
use ostrakon_tests::sim::world::Wrong;

/// What is off is off in the whole process: one at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Rules without a story: what becomes unsafe without them only the exhaustive search shows (`tests/model/tests/rules.rs`).
/// Reading twice matters when a copy of the super block is read while it is written, and is a mixture; what it says stands in one sector,
/// which a device writes whole or not at all (A1), so that here no copy ever is. A leader is forgotten because invalid blocks count as empty only if every
/// block that tells of it is invalid at once: 28 of a real region, two in the smallest world of the search.
const BY_EXHAUSTIVE_SEARCH: [Rule; 2] = [Rule::InvalidIsNotEmpty, Rule::TwoPasses];

/// Rules whose story ends with a cluster that has no server any more. That two leaders write at once without them is shown by the
/// exhaustive search.
const STALLS: [Rule; 2] = [Rule::OneBallot, Rule::CheckFenced];

fn noticed_without(rule: Rule) -> Option<Wrong> {
    let _turn = TURN.lock();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    switch_off(rule);
    let mut own = stories().into_iter().filter(|story| story.rule == rule);
    let noticed = own.find_map(|story| story.scenario.find(story.tell));
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
            assert_eq!(matches!(what, Wrong::NoProgress(_)), STALLS.contains(&Rule::$rule));
        })*

        #[test]
        fn every_rule_is_left_out_once() {
            let left_out = [$(Rule::$rule),*];
            let kept: Vec<_> = Rule::ALL.iter().copied().filter(|rule| !left_out.contains(rule)).collect();
            assert_eq!(kept, BY_EXHAUSTIVE_SEARCH);
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
    r7_mark_confirmed MarkConfirmed
    r7_stop_in_both StopInBoth
    r8_read_again ReadAgain
    r8_copy_order CopyOrder
    r9_stop_reads StopReads
    r9_stop_last StopLast
    lease_look_ends_with_super LookEndsWithSuper
    lease_within_right WithinRight
    lease_stop_within_right StopWithinRight
}
