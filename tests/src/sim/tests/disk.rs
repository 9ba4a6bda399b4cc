//! The disk is exactly as bad as the atlas says: not better, not worse.

use ostrakon_core::bounds::{BLOCK_BYTES, LATE_MAX, SECTOR_BYTES, TORN_MAX};
use ostrakon_core::checksum::Zeros;
use ostrakon_core::ids::BlockNo;

use super::puppet::{
    begin_super, expect_violation, lead, region_block, seal, settle, stops, world, write, write_region,
    write_super,
};
use crate::sim::checksum::{checksum, padded};
use crate::sim::disk::{Device, DiskStep, Flight, Piece};

#[test]
fn a_read_that_overlaps_a_write_returns_a_mixture_and_nothing_goes_back() {
    let mut world = world(1);
    let (at, block) = region_block(&world, 0, 7, &[]);
    let old = world.device.blocks(at.0, 1).to_vec();
    assert_ne!(old, block);
    let mut flight = Flight::write(0, ostrakon_core::disk::IoId(1), at.0, 1, Ok(()));
    flight.data = block.clone();
    flight.pieces = vec![Piece::new(0, 3), Piece::new(3, 8)];
    let id = world.flights.add(flight);
    world.land(id, 0);
    let mixture = world.device.blocks(at.0, 1).to_vec();
    assert_eq!(mixture[..3 * 512], block[..3 * 512]);
    assert_eq!(mixture[3 * 512..], old[3 * 512..]);
    world.disk_step(DiskStep::Piece(id, 1));
    assert_eq!(world.device.blocks(at.0, 1), block);
    world.disk_step(DiskStep::Piece(id, 0));
    assert_eq!(world.device.blocks(at.0, 1), block, "a piece lands once");
}

#[test]
fn a_split_read_is_shown_what_it_saw_and_the_medium_stays_as_it_is() {
    let mut world = world(1);
    let (at, block) = region_block(&world, 0, 7, &[]);
    let before = world.device.blocks(at.0, 1).to_vec();
    let sum = |device: &Device, seen: &[u8]| {
        let _known = device.lend_known();
        assert_eq!(checksum(seen), crc32c::crc32c(seen));
        let zeros = Zeros::NONE.and(BLOCK_BYTES / 2);
        assert_eq!(
            padded(&seen[4..], zeros, checksum),
            Some(crc32c::crc32c(&seen[4..]))
        );
        checksum(&seen[4..])
    };
    sum(&world.device, world.device.blocks(at.0, 1));
    let mut piece = Piece::new(0, 4);
    let _since = world.device.now();
    piece.looks = Some(world.turn_after(0));
    world.device.begin_turn((world.now, u64::MAX));
    world.device.write_sectors(at.0, 0, &block);
    let present = sum(&world.device, world.device.blocks(at.0, 1));
    let show = |device: &Device, seen: &[u8]| (seen.to_vec(), sum(device, seen));
    let (seen, past) = world.device.as_seen(at.0, 1, &[piece], show);
    assert_ne!(past, present);
    assert_eq!(seen[..4 * SECTOR_BYTES], before[..4 * SECTOR_BYTES]);
    assert_eq!(seen[4 * SECTOR_BYTES..], block[4 * SECTOR_BYTES..]);
    assert_eq!(world.device.blocks(at.0, 1), block);
    assert_eq!(sum(&world.device, world.device.blocks(at.0, 1)), present);
}

#[test]
fn zeros_that_were_seen_are_not_believed_when_they_were_written() {
    let mut world = world(1);
    let (at, block) = region_block(&world, 0, 7, &[]);
    world.device.write_sectors(at.0, 0, &block);
    let sum = |device: &Device| {
        let _known = device.lend_known();
        padded(&device.blocks(at.0, 1)[4..], Zeros::NONE.and(100), checksum)
    };
    assert_eq!(sum(&world.device), Some(checksum(&block[4..])));
    world.device.write_sectors(at.0, 7, &[1; SECTOR_BYTES]);
    assert_eq!(sum(&world.device), None);
}

#[test]
fn a_write_has_landed_when_the_device_holds_all_of_it() {
    let mut world = world(1);
    lead(&mut world, 1, 0);
    let stopped = stops(&world);
    let flight = begin_super(&mut world, 0, 0, &stopped);
    world.land(flight, 0);
    let may_land = |world: &crate::sim::world::World| world.flights.get(flight).is_some_and(Flight::may_land);
    assert!(!may_land(&world), "the zeros behind it stand there already");
    assert_eq!(world.check.supers[0], Some(stopped));
    assert_eq!(world.wrong, None);
}

#[test]
fn a_region_write_that_was_seen_may_come_again_while_it_is_outstanding() {
    let mut world = world(1);
    let (at, block) = region_block(&world, 0, 7, &[]);
    let mut flight = Flight::write(0, ostrakon_core::disk::IoId(1), at.0, 1, Ok(()));
    flight.data = block.clone();
    flight.pieces = vec![Piece::new(0, 1), Piece::new(1, 8)];
    let id = world.flights.add(flight);
    world.land(id, 0);
    assert_eq!(world.device.blocks(at.0, 1), block, "it is seen");
    write_region(&mut world, 1, 7, &[]);
    assert_ne!(world.device.blocks(at.0, 1), block, "another has overwritten it");
    world.land(id, 1);
    assert_eq!(world.device.blocks(at.0, 1), block, "and there it is again");
}

#[test]
fn region_writes_are_torn_as_often_as_the_budget_says_and_no_more() {
    let mut world = world(3);
    let leader = seal(&mut world, 1, 0);
    // A log that is longer than a sector, or the tear would not show.
    let long = [1, 2, 3].map(|proc| super::puppet::ballot(&world, 1, proc));
    let all = [leader, long[0], long[1], long[2]];
    for index in 28..64 {
        write_region(&mut world, 0, index, &[leader]);
    }
    let mut invalid = 0;
    for index in 0..40 {
        let (at, block) = region_block(&world, 1, index, &all);
        write(&mut world, 1, at, &block);
        world.hosts[1].tear_next_write = true;
        world.abandon_flights(1);
        settle(&mut world);
        invalid += usize::from(world.check.region[index as usize].writer.is_none());
    }
    // The three others stand in few blocks, so that no new period begins.
    assert!((1..=TORN_MAX).contains(&invalid), "{invalid} blocks are torn");
    assert_eq!(
        world.wrong, None,
        "the sealed ballot is never lost by faults within the budget"
    );
}

#[test]
fn the_budget_ends_while_a_live_ballot_is_carried_by_few() {
    let mut world = world(3);
    let few = super::puppet::ballot(&world, 1, 0);
    world.elected(0, few);
    for index in 0..5 {
        write_region(&mut world, 0, index, &[few]);
    }
    let torn = (0..100).filter(|_| world.spend_torn()).count();
    let late = (0..100).filter(|_| world.spend_late()).count();
    assert_eq!((torn, late), (TORN_MAX, LATE_MAX));
}

#[test]
fn a_scrubbed_region_renews_the_budget() {
    let mut world = world(3);
    seal(&mut world, 1, 0);
    let torn = (0..100).filter(|_| world.spend_torn()).count();
    assert_eq!(torn, 100, "N blocks carry the only ballot throughout");
}

#[test]
fn a_write_lands_within_w_or_never() {
    for seed in 0..60 {
        let mut world = world(seed);
        world.options.disk.error_ppm = 1_000_000;
        let (at, block) = region_block(&world, 0, 7, &[]);
        write(&mut world, 0, at, &block);
        world.run_until(world.now + world.write_time() + 1);
        let early = world.device.blocks(at.0, 1).to_vec();
        world.run_until(world.now + 100_000_000);
        assert_eq!(world.device.blocks(at.0, 1), early, "seed {seed}");
    }
}

#[test]
fn a_fence_leaves_nothing_of_its_victim_under_way() {
    for seed in 0..60 {
        let mut world = world(seed);
        world.options.disk.error_ppm = 1_000_000;
        let (at, block) = region_block(&world, 0, 7, &[]);
        write(&mut world, 0, at, &block);
        world.procs[0].cut = true;
        world.drop_flights(0);
        let then = world.device.blocks(at.0, 1).to_vec();
        let (at_other, other) = region_block(&world, 0, 8, &[]);
        let before = world.device.blocks(at_other.0, 1).to_vec();
        settle(&mut world);
        write(&mut world, 0, at_other, &other);
        settle(&mut world);
        assert_eq!(world.device.blocks(at.0, 1), then, "seed {seed}");
        assert_eq!(
            world.device.blocks(at_other.0, 1),
            before,
            "seed {seed}: nothing follows"
        );
    }
}

#[test]
fn bad_medium_is_healed_by_a_write() {
    let mut world = world(1);
    let first = world.device.geometry().region.0;
    world.device.spoil(first + 5);
    assert!(world.device.is_bad(first, 64));
    assert!(!world.device.is_bad(first, 5));
    write_region(&mut world, 0, 5, &[]);
    assert!(!world.device.is_bad(first, 64));
}

#[test]
fn one_copy_of_the_super_block_rots_and_never_both() {
    for seed in 0..40 {
        let mut world = world(seed);
        for _ in 0..20 {
            world.rot_super(seed % 2 == 0);
        }
        assert_eq!(world.check.supers.iter().flatten().count(), 1, "seed {seed}");
    }
}

#[test]
fn a_super_block_write_that_is_outstanding_lets_no_other_be_issued() {
    let mut world = world(1);
    lead(&mut world, 1, 0);
    let state = *world.check.super_block().unwrap();
    let block = world.device.blocks(16, 1).to_vec();
    assert_eq!(block.len(), BLOCK_BYTES);
    write(&mut world, 0, BlockNo(16), &block);
    write_super(&mut world, 0, 1, &state);
    expect_violation(&world, "outstanding");
}
