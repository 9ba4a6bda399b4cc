//! For each check, a world in which somebody does what must not be done; and one where all is well.

use ostrakon_core::event::Unmounted;
use ostrakon_core::fence::FenceRequest;
use ostrakon_core::format::SuperBlock;
use ostrakon_core::ids::{BlockNo, Mark, Term};

use super::puppet::{
    ballot, entry, expect_violation, lead, region_block, seal, settle, takes_over, update, withdraw, world,
    write, write_region, write_super, write_table,
};

#[test]
fn an_orderly_succession_is_fine() {
    let mut world = world(1);
    let first = lead(&mut world, 1, 0);
    write_table(&mut world, 0, 1, &[0, 1, 4]);
    let stopped = SuperBlock {
        seq: 3,
        fenced: Mark::at(first),
        ..*world.check.super_block().unwrap()
    };
    update(&mut world, 0, &stopped);
    let second = lead(&mut world, 2, 1);
    write_table(&mut world, 1, 2, &[1, 4]);
    world.procs[1].fenced = true;
    lead(&mut world, 3, 2);
    assert_eq!(world.wrong, None);
    assert!(world.check.leaders[&first].stopped_at.is_some());
    assert!(world.check.leaders[&second].stopped_at.is_none());
}

#[test]
fn taking_over_without_being_elected() {
    let mut world = world(1);
    let state = takes_over(&world, ballot(&world, 1, 0));
    write_super(&mut world, 0, 0, &state);
    expect_violation(&world, "never won");
}

#[test]
fn taking_over_without_a_seal() {
    let mut world = world(1);
    let early = ballot(&world, 1, 0);
    world.elected(0, early);
    let state = takes_over(&world, early);
    write_super(&mut world, 0, 0, &state);
    expect_violation(&world, "sealed false");
}

#[test]
fn taking_over_under_the_name_of_another() {
    let mut world = world(1);
    let other = seal(&mut world, 1, 0);
    let state = takes_over(&world, other);
    write_super(&mut world, 1, 0, &state);
    expect_violation(&world, "writes a super block that names");
}

#[test]
fn taking_over_before_the_predecessor_is_silent() {
    let mut world = world(1);
    lead(&mut world, 1, 0);
    lead(&mut world, 2, 1);
    expect_violation(&world, "is not silent");
}

#[test]
fn a_clean_stop_in_one_copy_is_not_clean() {
    let mut world = world(1);
    let first = lead(&mut world, 1, 0);
    let stopped = SuperBlock {
        seq: 3,
        fenced: Mark::at(first),
        ..*world.check.super_block().unwrap()
    };
    write_super(&mut world, 0, 0, &stopped);
    let second = seal(&mut world, 2, 1);
    let state = takes_over(&world, second);
    write_super(&mut world, 1, 1, &state);
    expect_violation(&world, "is not silent");
}

#[test]
fn writing_the_super_block_after_a_newer_leader_took_over() {
    let mut world = world(1);
    let first = lead(&mut world, 1, 0);
    world.procs[0].fenced = true;
    lead(&mut world, 2, 1);
    let back = SuperBlock {
        server: Some(first),
        ..takes_over(&world, first)
    };
    write_super(&mut world, 0, 0, &back);
    expect_violation(&world, "goes back");
}

#[test]
fn fields_of_the_super_block_that_go_back() {
    type Change = fn(&mut SuperBlock);
    let changes: [(Change, &str); 7] = [
        (|state| state.fenced = Mark::NONE, "fenced goes back"),
        (|state| state.seq -= 2, "sequence number goes back"),
        (|state| state.seq += 1, "sequence number skips"),
        (|state| state.seq -= 1, "two states share a number"),
        (|state| state.unmount_barrier -= 1, "barrier goes back"),
        (|state| state.unmount_barrier += 2, "barrier skips"),
        (|state| state.quorum_count += 1, "what format fixed"),
    ];
    for (change, says) in changes {
        let mut world = world(1);
        let leader = lead(&mut world, 2, 0);
        let mut state = takes_over(&world, leader);
        state.unmount_barrier += 1;
        update(&mut world, 0, &state);
        assert_eq!(world.wrong, None);
        let mut state = takes_over(&world, leader);
        change(&mut state);
        if says.contains("share") {
            state.server_addr = Some(world.hosts[0].addr);
        }
        write_super(&mut world, 0, 0, &state);
        expect_violation(&world, says);
    }
}

#[test]
fn an_address_that_is_not_the_servers() {
    let mut world = world(1);
    let leader = lead(&mut world, 1, 0);
    let mut state = takes_over(&world, leader);
    state.server_addr = Some(world.hosts[1].addr);
    write_super(&mut world, 0, 0, &state);
    expect_violation(&world, "the address is not the server's");
}

#[test]
fn writing_the_table_before_leading() {
    let mut world = world(1);
    let leader = seal(&mut world, 1, 0);
    let state = takes_over(&world, leader);
    write_super(&mut world, 0, 0, &state);
    assert_eq!(world.wrong, None);
    write_table(&mut world, 0, 1, &[0]);
    expect_violation(&world, "writes the client table");
}

#[test]
fn writing_where_nobody_may() {
    let mut world = world(1);
    lead(&mut world, 1, 0);
    write(&mut world, 0, BlockNo(3), &[0; 4096]);
    expect_violation(&world, "where nobody may");
}

#[test]
fn a_plain_client_that_votes() {
    let mut world = world(1);
    write_region(&mut world, 4, 0, &[]);
    expect_violation(&world, "is no voter");
}

#[test]
fn two_region_writes_at_once() {
    let mut world = world(1);
    let (at, block) = region_block(&world, 0, 3, &[]);
    write(&mut world, 0, at, &block);
    let (at, block) = region_block(&world, 0, 4, &[]);
    write(&mut world, 0, at, &block);
    expect_violation(&world, "outstanding");
}

#[test]
fn a_region_block_under_the_name_of_another() {
    let mut world = world(1);
    let (at, block) = region_block(&world, 0, 3, &[]);
    write(&mut world, 1, at, &block);
    settle(&mut world);
    expect_violation(&world, "which now says");
}

#[test]
fn a_sealed_ballot_that_is_forgotten() {
    let mut world = world(1);
    seal(&mut world, 1, 0);
    for index in 0..26 {
        write_region(&mut world, 1, index, &[]);
    }
    expect_violation(&world, "forgotten");
}

#[test]
fn a_ballot_used_twice() {
    let mut world = world(1);
    let twice = ballot(&world, 1, 0);
    world.elected(0, twice);
    world.elected(0, twice);
    expect_violation(&world, "used twice");
}

#[test]
fn giving_up_after_the_point_of_no_return() {
    let mut world = world(1);
    let leader = lead(&mut world, 1, 0);
    world.gave_up(leader);
    expect_violation(&world, "may still land");
}

#[test]
fn fencing_one_who_had_withdrawn() {
    for overwritten in [false, true] {
        let mut world = world(1);
        let first = seal(&mut world, 1, 0);
        withdraw(&mut world, first, 40);
        if overwritten {
            // Nothing says so any more: whoever comes now cannot know.
            write_region(&mut world, 2, 40, &[first]);
        }
        seal(&mut world, 2, 1);
        let request = FenceRequest {
            victim: entry(&world, first),
            attempt: 1,
        };
        world.fence_request(1, &request);
        if overwritten {
            assert_eq!(world.wrong, None);
        } else {
            expect_violation(&world, "had withdrawn");
        }
    }
}

#[test]
fn fencing_one_who_had_stopped() {
    let mut world = world(1);
    let first = lead(&mut world, 1, 0);
    let stopped = SuperBlock {
        seq: 3,
        fenced: Mark::at(first),
        ..*world.check.super_block().unwrap()
    };
    update(&mut world, 0, &stopped);
    seal(&mut world, 2, 1);
    let request = FenceRequest {
        victim: entry(&world, first),
        attempt: 1,
    };
    world.fence_request(1, &request);
    expect_violation(&world, "had stopped cleanly");
}

#[test]
fn a_log_entry_that_says_what_is_not_true() {
    let mut world = world(1);
    let first = lead(&mut world, 1, 0);
    seal(&mut world, 2, 1);
    let mut victim = entry(&world, first);
    victim.addr = world.hosts[2].addr;
    world.fence_request(1, &FenceRequest { victim, attempt: 1 });
    expect_violation(&world, "what is not true");
}

#[test]
fn a_mount_that_is_told_of_a_record_which_is_not_there() {
    let mut world = world(1);
    let leader = lead(&mut world, 1, 0);
    world.client_connected(4, leader);
    expect_violation(&world, "never had a record");
}

#[test]
fn a_mount_that_is_told_of_a_record_which_is_gone() {
    let mut world = world(1);
    let leader = lead(&mut world, 1, 0);
    write_table(&mut world, 0, 1, &[0, 4]);
    write_table(&mut world, 0, 2, &[0]);
    world.client_connected(4, leader);
    expect_violation(&world, "its record is gone");
}

#[test]
fn a_barrier_that_releases_one_who_stays() {
    let mut world = world(1);
    let leader = lead(&mut world, 1, 0);
    write_table(&mut world, 0, 1, &[0, 4]);
    world.procs[0].unmounting = true;
    let mut state = takes_over(&world, leader);
    state.unmount_barrier += 1;
    write_super(&mut world, 0, 0, &state);
    expect_violation(&world, "did not say farewell");
}

#[test]
fn a_mount_that_left_and_is_in_the_table() {
    let mut world = world(1);
    lead(&mut world, 1, 0);
    write_table(&mut world, 0, 1, &[0, 4]);
    world.procs[4].unmounting = true;
    world.procs[4].ended = Some(Unmounted::Farewell);
    world.check_end(4);
    expect_violation(&world, "still in the table");
}

#[test]
fn a_mount_that_comes_back_into_the_table() {
    let mut world = world(1);
    lead(&mut world, 1, 0);
    world.procs[4].dead = true;
    world.procs[4].ended = Some(Unmounted::Farewell);
    write_table(&mut world, 0, 1, &[0, 4]);
    expect_violation(&world, "in the table again");
}

#[test]
fn a_mount_that_leaves_without_being_asked() {
    let mut world = world(1);
    world.procs[4].ended = Some(Unmounted::Barrier);
    world.check_end(4);
    expect_violation(&world, "without being asked");
}

#[test]
fn a_void_ballot_is_no_longer_missed() {
    let mut world = world(1);
    let leader = seal(&mut world, 1, 0);
    world.gave_up(leader);
    for index in 0..28 {
        write_region(&mut world, 1, index, &[]);
    }
    assert_eq!(world.wrong, None);
    assert_eq!(leader.term, Term(1));
}
