//! What the device does in the middle of an election, and what is made of it.

use super::*;
use crate::bounds::{LEFT_OUT_MAX, LOG_ENTRIES_MAX, TERM_MAX, VOTERS_MAX};
use crate::election::cycle::Step;
use crate::election::stage::Stage;
use crate::event::Fault;
use crate::format::{LogEntry, PackedEntry, QuorumHead, RegionBlock, encode_quorum};
use crate::ids::{Term, WriteNr};

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn geometry() -> Geometry {
    Geometry::plan(4096, 64).unwrap()
}

pub(super) fn in_region(index: u64) -> BlockNo {
    BlockNo(geometry().region.0 + index)
}

/// Whether a request touches this block.
fn touches(request: &DiskRequest, at: BlockNo) -> bool {
    match *request {
        DiskRequest::Read { first, count, .. } | DiskRequest::Write { first, count, .. } => {
            (first.0..first.0 + u64::from(count)).contains(&at.0)
        }
        DiskRequest::Flush { .. } => false,
    }
}

fn is_read(request: &DiskRequest) -> bool {
    matches!(request, DiskRequest::Read { .. })
}

impl World {
    pub(super) fn block(&mut self, at: BlockNo) -> &mut [u8] {
        &mut self.blocks[at.0 as usize * BLOCK_BYTES..][..BLOCK_BYTES]
    }

    fn trouble(&mut self, n: usize, trouble: impl TroubleOf + 'static) {
        self.voters[n].trouble = Box::new(trouble);
    }

    fn count(&self, n: usize, wanted: impl Fn(&Event) -> bool) -> usize {
        self.voters[n].events.iter().filter(|event| wanted(event)).count()
    }

    /// A block of somebody who is not here, whose log has these ballots.
    pub(super) fn write_as(
        &mut self,
        index: u64,
        writer: Rid,
        change: impl FnOnce(&mut QuorumHead),
        log: &[Ballot],
    ) {
        let example = self.voters[0].election.own_entry(Ballot {
            term: Term(1),
            rid: writer,
        });
        let entries: Vec<_> = log
            .iter()
            .map(|&ballot| PackedEntry::from(&LogEntry { ballot, ..example }))
            .collect();
        let mut head = QuorumHead::first_of(writer);
        change(&mut head);
        let at = in_region(index);
        encode_quorum(&head, &entries, at, VOLUME, portable, self.block(at));
    }
}

pub(super) fn ballot(term: u64, rid: u64) -> Ballot {
    Ballot {
        term: Term(term),
        rid: Rid::new(rid).unwrap(),
    }
}

fn is_disk_fault(event: &Event, at: BlockNo, writes: bool) -> bool {
    matches!(event, Event::Fault(Fault::Disk { first, write, .. }) if *first == at && *write == writes)
}

/// What becomes of requests that touch one of these blocks.
fn under(
    blocks: &'static [u64],
    writes_too: bool,
    error: DiskError,
) -> impl Fn(&DiskRequest) -> Option<Trouble> {
    move |request: &DiskRequest| {
        let bad = blocks.iter().any(|&index| touches(request, in_region(index)));
        (bad && (writes_too || is_read(request))).then_some(Trouble::Fails(error))
    }
}

#[test]
fn bad_medium_that_no_write_mends_costs_its_blocks_and_no_election() {
    let bad = [5, 40];
    let mut world = World::voters(2, 1);
    world.trouble(0, under(&[5, 40], false, DiskError::Medium));
    // They are damage by the time that a second voter comes.
    world.run(SECOND.times(6));
    let damaged = |index| Event::Fault(Fault::DamagedBlock(in_region(index)));
    for index in 0..64 {
        let told = world.count(0, |event| *event == damaged(index));
        assert_eq!(told, usize::from(bad.contains(&index)), "{index}");
    }
    assert!(!world.saw(0, |event| matches!(event, Event::Fault(Fault::Disk { .. }))));
    world.add(|_| {});
    world.trouble(1, under(&[5, 40], false, DiskError::Medium));
    let leader = world.expect_leader(SECOND.times(9));
    world.connect_all(leader);
    world.run(SECOND.times(20));
    assert_eq!(world.leaders(), [leader]);
}

#[test]
fn blocks_that_take_no_write_are_left_out() {
    for error in [DiskError::Medium, DiskError::Failed] {
        let mut world = World::voters(1, 1);
        world.trouble(0, under(&[5, 40], true, DiskError::Medium));
        world.run(SECOND.times(20));
        world.trouble(0, move |request: &DiskRequest| {
            let bad = [5, 40]
                .into_iter()
                .any(|index| touches(request, in_region(index)));
            (bad && !is_read(request)).then_some(Trouble::Fails(error))
        });
        world.run(SECOND.times(20));
        assert_eq!(world.leaders(), [0], "{:#?}", world.stages());
        let failures = world.count(0, |event| is_disk_fault(event, in_region(0), true));
        assert!(failures <= 2, "each once: {failures}");
    }
}

#[test]
fn more_bad_blocks_than_a_collect_may_leave_out_are_damage_only_when_w_has_passed() {
    let mut world = World::voters(1, 1);
    let bad = LEFT_OUT_MAX as u64 + 1;
    world.trouble(0, move |request: &DiskRequest| {
        let bad = (10..10 + bad).any(|index| touches(request, in_region(index)));
        (bad && is_read(request)).then_some(Trouble::Fails(DiskError::Medium))
    });
    let write_time_max = world.voters[0].election.config.write_time_max;
    assert!(!world.run_until(write_time_max, |world| !world.leaders().is_empty()));
    assert_eq!(world.voters[0].writes, 0, "nothing is written on half a collect");
    world.expect_leader(SECOND.times(3));
    for index in 10..10 + bad {
        let damaged = Event::Fault(Fault::DamagedBlock(in_region(index)));
        assert_eq!(world.count(0, |event| *event == damaged), 1);
    }
}

#[test]
fn blocks_that_change_all_the_time_are_never_taken_for_damaged() {
    let mut world = World::voters(1, 1);
    let write_time_max = world.voters[0].election.config.write_time_max;
    let end = world.now + write_time_max.times(3);
    let mut noise = 0_u8;
    while world.now < end {
        noise = noise.wrapping_add(1);
        for index in 0..=LEFT_OUT_MAX as u64 {
            world.block(in_region(index)).fill(noise);
        }
        world.run(Duration::from_millis(1));
    }
    assert!(world.leaders().is_empty(), "they may be somebody's writes");
    assert!(!world.saw(0, |event| matches!(event, Event::Fault(Fault::DamagedBlock(_)))));
    // Now they stand still.
    world.run(Duration(write_time_max.0 - 1));
    assert!(world.leaders().is_empty());
    world.expect_leader(SECOND.times(2));
}

#[test]
fn a_damaged_block_that_is_valid_again_is_told_of_again_when_it_is_damaged_again() {
    let mut world = World::voters(2, 1);
    let write_time_max = world.voters[0].election.config.write_time_max;
    let damaged = Event::Fault(Fault::DamagedBlock(in_region(7)));
    for times in 1..=2 {
        world.trouble(0, under(&[7], false, DiskError::Medium));
        world.run(write_time_max.times(2));
        assert_eq!(world.count(0, |event| *event == damaged), times);
        world.trouble(0, |_: &DiskRequest| None);
        world.run(SECOND);
    }
}

#[test]
fn a_read_of_the_region_that_brings_too_little_is_a_failure_that_is_told_once() {
    for trouble in [
        Trouble::FallsShort,
        Trouble::Confuses,
        Trouble::Fails(DiskError::Failed),
    ] {
        let mut world = World::voters(1, 1);
        world.trouble(0, move |request: &DiskRequest| {
            (is_read(request) && touches(request, in_region(63))).then_some(trouble)
        });
        world.run(SECOND.times(3));
        assert!(world.leaders().is_empty());
        assert_eq!(world.voters[0].writes, 0);
        assert_eq!(
            world.count(0, |event| is_disk_fault(event, in_region(0), false)),
            1
        );
        world.trouble(0, |_: &DiskRequest| None);
        world.expect_leader(SECOND);
    }
}

#[test]
fn a_vote_whose_write_did_not_end_as_a_write_is_outstanding_until_w_has_passed() {
    for trouble in [Trouble::Confuses, Trouble::Fails(DiskError::TimedOut)] {
        let mut world = World::voters(1, 1);
        world.trouble(0, move |request: &DiskRequest| {
            (!is_read(request)).then_some(trouble)
        });
        let held = |world: &World| matches!(world.voters[0].election.step, Step::Hold(_));
        assert!(world.run_until(SECOND, held));
        world.trouble(0, |_: &DiskRequest| None);
        let write_time_max = world.voters[0].election.config.write_time_max;
        world.run(Duration(write_time_max.0 - 1_000));
        assert!(held(&world), "R2: one write at a time");
        assert_eq!(world.voters[0].writes, 0);
        assert_eq!(
            world.count(0, |event| is_disk_fault(event, in_region(0), true)),
            1
        );
        world.expect_leader(SECOND);
    }
}

#[test]
fn a_bell_that_cannot_be_rung_is_told_as_the_bells_fault_and_is_outstanding_like_any_write() {
    let mut world = World::voters(1, 2);
    let leader = world.expect_leader(SECOND.times(3));
    let asker = 1 - leader;
    world.connect_all(leader);
    world.run(SECOND);
    let bell = geometry().doorbell;
    world.trouble(asker, move |request: &DiskRequest| {
        (!is_read(request) && touches(request, bell)).then_some(Trouble::Fails(DiskError::Failed))
    });
    world.lose(leader, false);
    let held = |world: &World| matches!(world.voters[asker].election.step, Step::Hold(_));
    assert!(world.run_until(SECOND.times(3), held), "{:#?}", world.stages());
    assert_eq!(world.count(asker, |event| is_disk_fault(event, bell, true)), 1);
    // Who cannot ring cannot know that nobody answers.
    world.run(SECOND.times(30));
    assert_eq!(world.leaders(), [leader]);
    assert!(world.voters[leader].alive);
}

#[test]
fn a_bell_that_cannot_be_believed_means_nothing() {
    for trouble in [
        Trouble::Fails(DiskError::Medium),
        Trouble::Confuses,
        Trouble::FallsShort,
    ] {
        let mut world = World::voters(1, 1);
        let leader = world.expect_leader(SECOND);
        world.run(SECOND);
        let (bell, writes) = (geometry().doorbell, world.voters[leader].writes);
        world.trouble(leader, move |request: &DiskRequest| {
            touches(request, bell).then_some(trouble)
        });
        world.run(SECOND.times(20));
        assert_eq!(world.leaders(), [leader]);
        assert_eq!(world.voters[leader].writes, writes, "it is not answered");
        assert!(!world.saw(leader, |event| matches!(event, Event::Fault(_))));
    }
}

#[test]
fn a_leader_that_cannot_look_stops_serving_and_says_so_when_it_can_again() {
    let mut world = World::voters(1, 1);
    let leader = world.expect_leader(SECOND);
    world.run(SECOND);
    let led = world.voters[leader].served.unwrap();
    let bell = geometry().doorbell;
    let fails =
        move |request: &DiskRequest| touches(request, bell).then_some(Trouble::Fails(DiskError::Failed));
    world.trouble(leader, fails);
    assert!(world.run_until(SECOND.times(5), |world| world.leaders().is_empty()));
    assert_eq!(world.count(leader, |event| is_disk_fault(event, bell, false)), 1);
    world.trouble(leader, |_: &DiskRequest| None);
    let stopped =
        |event: &Event| matches!(event, Event::StoppedServing { ballot, clean: true } if *ballot == led);
    assert!(world.run_until(SECOND.times(5), |world| world.saw(leader, stopped)));
    world.expect_leader(SECOND.times(9));
    assert!(world.voters[leader].served > Some(led));
}

#[test]
fn completions_that_belong_to_nobody_change_nothing() {
    let mut strange = World::voters(2, 3);
    let mut plain = World::voters(2, 3);
    for voter in &mut strange.voters {
        voter.strays = true;
    }
    for world in [&mut strange, &mut plain] {
        let leader = world.expect_leader(SECOND.times(3));
        world.connect_all(leader);
        world.run(SECOND);
        world.voters[leader].paused = true;
        world.lose(leader, false);
        world.run(SECOND.times(10));
        assert_eq!(world.leaders().len(), 1);
    }
    for (strange, plain) in strange.voters.iter().zip(&plain.voters) {
        assert_eq!(strange.events, plain.events);
        assert_eq!(strange.writes, plain.writes);
    }
}

#[test]
fn an_absurd_term_is_told_of_and_nobody_follows_it() {
    let mut world = World::voters(1, 1);
    world.write_as(9, rid(40), |_| {}, &[ballot(TERM_MAX + 1, 41), ballot(3, 42)]);
    let leader = world.expect_leader(SECOND.times(3));
    let absurd = Event::Fault(Fault::AbsurdTerm(in_region(9)));
    assert!(world.saw(leader, |event| *event == absurd));
    assert_eq!(world.voters[leader].served.map(|own| own.term), Some(Term(4)));
    let fenced: Vec<_> = world.voters[leader]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Fencing { victim, .. } => Some(*victim),
            _ => None,
        })
        .collect();
    assert_eq!(fenced, [ballot(3, 42)]);
}

#[test]
fn a_merged_log_that_does_not_fit_is_told_of_writes_nothing_and_keeps_nobody_from_leaving() {
    let mut world = World::voters(1, 1);
    let each = LOG_ENTRIES_MAX as u64;
    for block in 0..2 {
        let log: Vec<_> = (0..each).map(|n| ballot(2, 100 + each * block + n)).collect();
        world.write_as(block, rid(40), |head| head.write_nr = WriteNr(block + 1), &log);
    }
    world.run(SECOND.times(5));
    assert_eq!(world.voters[0].writes, 0, "what does not fit would be lost");
    let told = world.count(0, |event| *event == Event::Fault(Fault::LogFull));
    assert!((3..=6).contains(&told), "about once a second: {told}");
    let now = world.now;
    world.voters[0].election.set_wanted(now, false, None);
    assert!(world.run_until(SECOND.times(2), |world| world.voters[0].election.is_off()));
}

#[test]
fn a_log_without_room_for_everybody_lets_nobody_stand_but_is_handed_on() {
    let mut world = World::voters(1, 1);
    let log: Vec<_> = (0..LOG_ENTRIES_MAX as u64).map(|n| ballot(2, 100 + n)).collect();
    world.write_as(0, rid(40), |_| {}, &log);
    world.run(SECOND.times(4));
    assert!(world.leaders().is_empty());
    assert!(world.saw(0, |event| *event == Event::Fault(Fault::LogAlmostFull)));
    assert!(world.voters[0].election.own().is_none());
    // Other blocks carry it by now.
    let carries = |world: &mut World, index| {
        let bytes = world.block(in_region(index));
        matches!(RegionBlock::decode(bytes, in_region(index), VOLUME, portable),
            Ok(RegionBlock::Written(head, entries)) if head.writer == rid(0) && entries.count() == log.len())
    };
    assert!((1..64).any(|index| carries(&mut world, index)));
}

#[test]
fn one_that_comes_late_to_a_crowd_waits_and_writes_nothing() {
    let mut world = World::voters(1, 1);
    world.voters[0].paused = true;
    let busy = |world: &mut World, write_nr| {
        for n in 0..VOTERS_MAX as u64 {
            world.write_as(
                n,
                rid(100 + n as usize),
                |head| head.write_nr = WriteNr(write_nr),
                &[],
            );
        }
    };
    busy(&mut world, 1);
    world.voters[0].paused = false;
    let crowded = |world: &World| {
        world.saw(0, |event| matches!(event, Event::Fault(Fault::TooManyVoters { active }) if *active >= VOTERS_MAX as u16 - 1))
    };
    for write_nr in 2..200 {
        busy(&mut world, write_nr);
        world.run(Duration::from_millis(20));
    }
    assert!(crowded(&world));
    assert_eq!(world.voters[0].writes, 0);
    assert!(matches!(world.voters[0].election.stage, Stage::Gate { .. }));
    // They are gone, though their blocks are not.
    assert!(world.run_until(SECOND.times(5), |world| world.voters[0].writes > 0));
}

#[test]
fn of_more_voters_than_places_the_highest_rids_abstain() {
    let mut world = World::voters(1, VOTERS_MAX + 1);
    for voter in &mut world.voters {
        // So that it passes no gate.
        voter.election.set_admitted(true);
    }
    world.run(SECOND.times(2));
    let told = |event: &Event| matches!(event, Event::Fault(Fault::TooManyVoters { .. }));
    let crowded: Vec<_> = (0..=VOTERS_MAX).filter(|&n| world.saw(n, told)).collect();
    assert_eq!(crowded, [VOTERS_MAX]);
}

#[test]
fn the_answer_to_a_fence_that_nobody_asked_for_silences_nobody() {
    let mut world = World::voters(1, 2);
    let first = world.expect_leader(SECOND.times(3));
    let (other, led) = (1 - first, world.voters[first].served.unwrap());
    let answered = |world: &mut World, victim| {
        let now = world.now;
        let voter = &mut world.voters[other];
        voter.election.handle_fence(now, victim, FenceOutcome::Done);
    };
    world.connect_all(first);
    world.run(SECOND);
    answered(&mut world, led);
    world.fence = FenceOutcome::Failed;
    world.voters[first].paused = true;
    world.lose(first, false);
    let failed = |event: &Event| matches!(event, Event::FenceFailed { attempt: 1, .. });
    assert!(world.run_until(SECOND.times(9), |world| world.saw(other, failed)));
    // It is to be fenced again, and not yet: what comes now is the second answer to the first request.
    answered(&mut world, led);
    answered(&mut world, ballot(9, 77));
    world.run(Duration::from_millis(10));
    assert!(!world.saw(other, |event| matches!(event, Event::Silenced { .. })));
    assert_eq!(world.leaders(), [first]);
    world.fence = FenceOutcome::Done;
    assert!(
        world.run_until(SECOND.times(9), |world| world.leaders() == [other]),
        "{:#?}",
        world.stages()
    );
    assert!(!world.voters[first].alive, "it was fenced all the same");
}
