//! What a voter must not say in the region after what it said before.

use ostrakon_core::format::{QuorumHead, VoteKind};
use ostrakon_core::ids::{Term, WriteNr};

use super::puppet::{ballot, expect_violation, say, world};
use crate::sim::world::World;

/// The first voter says one thing, then the other.
fn says(first: impl FnOnce(&mut QuorumHead), second: impl FnOnce(&mut QuorumHead)) -> World {
    let mut world = world(1);
    say(&mut world, 0, 0, first);
    assert_eq!(world.wrong, None);
    say(&mut world, 0, 1, second);
    world
}

#[test]
fn voting_for_one_after_the_other_in_one_term() {
    let rids = [1, 2].map(|proc| world(1).procs[proc].rid);
    let votes = |nth: usize| move |head: &mut QuorumHead| head.vote_for = Some(rids[nth]);
    expect_violation(&says(votes(0), votes(1)), "votes twice");
    assert_eq!(says(votes(0), votes(0)).wrong, None);
    let later = |head: &mut QuorumHead| (head.term, head.vote_for) = (Term(2), Some(rids[1]));
    assert_eq!(says(votes(0), later).wrong, None);
    // Supporting somebody's pre-vote is no vote, and does not make one forgotten.
    let supports = |head: &mut QuorumHead| (head.kind, head.vote_for) = (VoteKind::Yes, Some(rids[1]));
    let mut world = says(votes(0), supports);
    assert_eq!(world.wrong, None);
    say(&mut world, 0, 2, votes(1));
    expect_violation(&world, "votes twice");
}

#[test]
fn going_back_to_an_earlier_term() {
    let in_term = |term| move |head: &mut QuorumHead| head.term = Term(term);
    expect_violation(&says(in_term(3), in_term(2)), "earlier term");
}

#[test]
fn giving_two_writes_one_number() {
    let number = |nr| move |head: &mut QuorumHead| head.write_nr = WriteNr(nr);
    for again in [7, 6] {
        expect_violation(&says(number(7), number(again)), "one number");
    }
}

#[test]
fn leaving_a_ballot_that_is_neither_void_nor_covered() {
    let own = ballot(&world(1), 2, 0);
    let names = move |head: &mut QuorumHead| (head.term, head.own) = (Term(2), Some(own));
    let voids = |head: &mut QuorumHead| (head.term, head.void_term) = (Term(2), Term(2));
    expect_violation(
        &says(names, |head| head.term = Term(2)),
        "neither void nor covered",
    );
    assert_eq!(says(names, voids).wrong, None);
    expect_violation(
        &says(voids, |head| (head.term, head.void_term) = (Term(2), Term(1))),
        "takes a void back",
    );
    expect_violation(&says(voids, names), "names a ballot that is void");
}
