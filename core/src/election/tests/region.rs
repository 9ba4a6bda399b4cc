//! What voters and leaders make of what stands in the region, and what they put there.

use super::device::{ballot, geometry, in_region};
use super::*;
use crate::bounds::{BELL_INTERVAL, SCRUB_INTERVAL};
use crate::election::EVENTS_MAX;
use crate::event::Fault;
use crate::format::{QuorumHead, RegionBlock, VoteKind};
use crate::ids::{Term, WriteNr};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_leader_stops_for_a_higher_ballot_when_its_owner_says_that_it_is_sealed() {
    let mut world = World::new(1);
    world.add(|voter| voter.lease = Some(SECOND.times(3)));
    let leader = world.expect_leader(SECOND.times(3));
    let own = world.voters[leader].served.expect("it serves");
    let (theirs, rest) = (ballot(own.term.0 + 1, 40), ballot(own.term.0 + 2, 40));
    // Whoever has it in its log is not its owner, and an owner that is at another ballot by now says nothing of this one.
    for claims in [None, Some(rest)] {
        let sealed =
            |head: &mut QuorumHead| (head.own, head.won, head.sealed) = (claims, claims.is_some(), true);
        world.write_as(3, theirs.rid, sealed, &[theirs]);
        assert!(
            !world.run_until(SECOND, |world| world.leaders() != [leader]),
            "{claims:?}"
        );
    }
    world.write_as(
        3,
        theirs.rid,
        |head| (head.own, head.won, head.sealed, head.write_nr) = (Some(theirs), true, true, WriteNr(2)),
        &[theirs],
    );
    assert!(world.run_until(SECOND.times(2), |world| world.leaders().is_empty()));
    let superseded = Event::Superseded {
        ballot: own,
        by: theirs,
    };
    assert!(world.saw(leader, |event| *event == superseded));
}

#[test]
fn a_leader_does_not_yield_to_a_ballot_that_is_lower_however_many_vote_for_it() {
    let mut world = World::voters(1, 1);
    world.write_as(9, rid(50), |head| head.term = Term(7), &[]);
    let leader = world.expect_leader(SECOND.times(3));
    let own = world.voters[leader].served.expect("it serves");
    let lower = ballot(own.term.0 - 1, 40);
    let now = world.now;
    // It looks at the region as long as somebody rings.
    for nr in 1..40 {
        let winner = |head: &mut QuorumHead| {
            (head.own, head.won, head.kind) = (Some(lower), true, VoteKind::Leader);
            (head.term, head.write_nr) = (lower.term, WriteNr(nr));
        };
        world.write_as(3, lower.rid, winner, &[]);
        for voter in 0..4 {
            let votes = |head: &mut QuorumHead| {
                (head.term, head.vote_for, head.write_nr) = (lower.term, Some(lower.rid), WriteNr(nr));
            };
            world.write_as(10 + voter, rid(60 + voter as usize), votes, &[]);
        }
        let at = geometry().doorbell;
        let bell = Doorbell {
            rid: Some(lower.rid),
            ring: nr,
            term: lower.term,
        };
        bell.encode(at, VOLUME, portable, world.block(at));
        world.run(Duration::from_millis(100));
    }
    assert!(world.now.since(now) > BELL_INTERVAL.times(2));
    assert_eq!(world.leaders(), [leader]);
}

/// Whom the blocks of a voter name, as votes of this term.
fn votes_of(world: &World, writer: Rid, term: Term) -> Vec<Rid> {
    let of_block = |index| {
        let at = in_region(index);
        let bytes = &world.blocks[at.0 as usize * BLOCK_BYTES..][..BLOCK_BYTES];
        match RegionBlock::decode(bytes, at, VOLUME, portable) {
            Ok(RegionBlock::Written(head, _)) if head.writer == writer && head.term == term => {
                head.vote_for.filter(|_| head.kind == VoteKind::Vote)
            }
            _ => None,
        }
    };
    (0..64).filter_map(of_block).collect()
}

#[test]
fn hole_01_a_voter_votes_once_a_term_whoever_stands_later() {
    let mut world = World::voters(2, 1);
    world.run(SECOND);
    let term = Term(9);
    let [first, later] = [40, 50].map(|rid| Rid::new(rid).unwrap());
    for nr in 1..60 {
        let candidates = if nr < 30 { &[first][..] } else { &[first, later] };
        for (index, &rid) in (60..).zip(candidates) {
            let stands = |head: &mut QuorumHead| {
                (head.term, head.vote_for, head.write_nr) = (term, Some(rid), WriteNr(nr));
            };
            world.write_as(index, rid, stands, &[]);
        }
        world.run(Duration::from_millis(50));
    }
    let votes = votes_of(&world, rid(0), term);
    assert!(votes.contains(&first));
    assert!(!votes.contains(&later), "it votes again for the higher one");
}

#[test]
fn a_leader_makes_its_seal_whole_every_ten_minutes_and_is_quiet_in_between() {
    let mut world = World::voters(1, 1);
    let leader = world.expect_leader(SECOND);
    let own = world.voters[leader].served.expect("it serves");
    world.run(SECOND.times(5));
    let carriers = |world: &World| {
        let carries = |&index: &u64| {
            let at = in_region(index);
            let bytes = &world.blocks[at.0 as usize * BLOCK_BYTES..][..BLOCK_BYTES];
            match RegionBlock::decode(bytes, at, VOLUME, portable) {
                Ok(RegionBlock::Written(_, mut log)) => log.any(|entry| entry.ballot == own),
                _ => false,
            }
        };
        (0..64).filter(carries).count()
    };
    assert!(carriers(&world) >= SEAL_BLOCKS);
    for index in 0..56 {
        let at = in_region(index);
        encode_empty(at, VOLUME, portable, world.block(at));
    }
    let writes = world.voters[leader].writes;
    world.run(SCRUB_INTERVAL - SECOND.times(20));
    assert_eq!(world.voters[leader].writes, writes, "quiet");
    // A block a look, so that nobody else has to wait for the disk.
    world.run(SECOND.times(20) + BELL_INTERVAL.times(SEAL_BLOCKS as u64));
    assert!(carriers(&world) >= SEAL_BLOCKS, "{} carry it", carriers(&world));
    let writes = world.voters[leader].writes;
    world.run(SECOND.times(60));
    assert_eq!(world.voters[leader].writes, writes, "quiet again");
}

#[test]
fn a_leader_that_rests_looks_at_once_when_it_lost_a_voter_or_begins_to_serve() {
    let mut world = World::voters(1, 1);
    let leader = world.expect_leader(SECOND);
    let quiet = world.voters[leader].facts;
    let (lost, starts) = (
        LeaderFacts { away: 1, ..quiet },
        LeaderFacts {
            serving: false,
            ..quiet
        },
    );
    for (facts, looks) in [(quiet, false), (lost, true), (quiet, false), (starts, true)] {
        world.voters[leader].election.set_facts(world.now, quiet);
        let rests = |world: &World| {
            let due = world.voters[leader].election.next_deadline();
            due.is_some_and(|due| due.since(world.now) > SECOND)
        };
        assert!(world.run_until(SECOND.times(9), rests), "{:#?}", world.stages());
        let now = world.now;
        let election = &mut world.voters[leader].election;
        election.set_facts(now, facts);
        assert_eq!(election.next_deadline() == Some(now), looks, "{facts:?}");
    }
}

#[test]
fn of_more_news_than_there_is_room_for_the_newest_are_kept() {
    let mut world = World::voters(1, 1);
    let election = &mut world.voters[0].election;
    for block in 0..EVENTS_MAX as u64 + 5 {
        election.tell(Event::Fault(Fault::DamagedBlock(BlockNo(block))));
    }
    for block in 5..EVENTS_MAX as u64 + 5 {
        let kept = Event::Fault(Fault::DamagedBlock(BlockNo(block)));
        assert_eq!(election.poll_event(), Some(kept));
    }
    assert_eq!(election.poll_event(), None);
}
