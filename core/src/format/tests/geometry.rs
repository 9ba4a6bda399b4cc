//! Where everything lies, and what no volume can look like.

use super::*;
use crate::bounds::{CLIENTS_DEFAULT, CLIENTS_LIMIT, DEVICE_BLOCKS_LIMIT, REGION_BLOCKS};
use crate::format::{CLIENTS_PER_BLOCK, SUPER_COPIES};

#[test]
fn a_volume_begins_as_the_specification_draws_it() {
    assert_eq!(SUPER_COPIES, [BlockNo(16), BlockNo(32)]);
    let plan = Geometry::plan(1000, CLIENTS_DEFAULT).expect("1000 blocks hold 4096 clients");
    let drawn = Geometry {
        region: BlockNo(64),
        doorbell: BlockNo(128),
        clients: BlockNo(129),
        clients_blocks: 111,
        clients_max: 4096,
        fences: BlockNo(351),
        reserved: BlockNo(383),
        reserved_blocks: 617,
    };
    assert_eq!(plan, drawn);
    assert_eq!(plan.total_blocks(), 1000);
}

#[test]
fn a_plan_says_how_many_blocks_it_takes() {
    let per_block = CLIENTS_PER_BLOCK as u32;
    for (clients_max, blocks) in [
        (1, 163),
        (per_block, 163),
        (per_block + 1, 165),
        (CLIENTS_DEFAULT, 383),
        (CLIENTS_LIMIT, 129 + 2 * 28_340 + 32),
    ] {
        for device in [0, 1, blocks - 1] {
            assert_eq!(Geometry::plan(device, clients_max), Err(blocks));
        }
        let plan = Geometry::plan(blocks, clients_max).expect("as many as it asked for");
        assert_eq!((plan.reserved_blocks, plan.total_blocks()), (0, blocks));
    }
    let vast = Geometry::plan(u64::MAX, 1).expect("more than enough");
    assert_eq!(vast.total_blocks(), DEVICE_BLOCKS_LIMIT);
}

#[test]
#[should_panic(expected = "one client at least")]
fn a_volume_for_nobody_is_never_planned() {
    let _ = Geometry::plan(1000, 0);
}

#[test]
#[should_panic(expected = "more clients than a volume can have")]
fn a_volume_beyond_the_limit_is_never_planned() {
    let _ = Geometry::plan(u64::MAX, CLIENTS_LIMIT + 1);
}

fn judge(geometry: Geometry) -> Result<Geometry, BlockError> {
    let mut block = [0; BLOCK_BYTES];
    let written = SuperBlock {
        geometry,
        ..sample_super()
    };
    written.encode(SUPER_COPIES[0], hardware, &mut block);
    SuperBlock::decode(&block, SUPER_COPIES[0], Some(VOLUME), hardware).map(|read| read.geometry)
}

/// A part of the geometry, the value it gets, and how it gets it.
type Impossible<'a> = (&'a str, u64, fn(&mut Geometry, u64));

#[test]
fn geometries_that_no_volume_has_are_refused() {
    let good = sample_super().geometry;
    let limit = DEVICE_BLOCKS_LIMIT;
    let table: &[Impossible<'_>] = &[
        ("region", 0, |g, v| g.region.0 = v),
        ("region", 16, |g, v| g.region.0 = v),
        ("region", 32, |g, v| g.region.0 = v),
        ("region", limit - 1, |g, v| g.region.0 = v),
        ("region", u64::MAX, |g, v| g.region.0 = v),
        ("doorbell", 127, |g, v| g.doorbell.0 = v),
        ("doorbell", limit, |g, v| g.doorbell.0 = v),
        ("doorbell", u64::MAX, |g, v| g.doorbell.0 = v),
        ("clients", 128, |g, v| g.clients.0 = v),
        ("clients", 64, |g, v| g.clients.0 = v),
        ("clients", u64::MAX, |g, v| g.clients.0 = v),
        ("clients_blocks", 2, |g, v| g.clients_blocks = v as u32),
        ("clients_blocks", 0, |g, v| g.clients_blocks = v as u32),
        ("clients_blocks", u32::MAX as u64, |g, v| {
            g.clients_blocks = v as u32
        }),
        ("clients_max", 0, |g, v| g.clients_max = v as u32),
        ("clients_max", CLIENTS_LIMIT as u64 + 1, |g, v| {
            g.clients_max = v as u32;
        }),
        ("fences", 134, |g, v| g.fences.0 = v),
        ("fences", limit, |g, v| g.fences.0 = v),
        ("reserved", 166, |g, v| g.reserved.0 = v),
        ("reserved", u64::MAX, |g, v| g.reserved.0 = v),
        ("reserved_blocks", limit - 166, |g, v| g.reserved_blocks = v),
        ("reserved_blocks", u64::MAX, |g, v| g.reserved_blocks = v),
    ];
    for &(name, found, set) in table {
        let mut bad = good;
        set(&mut bad, found);
        assert_eq!(
            judge(bad),
            Err(BlockError::Field { name, found }),
            "{name} {found}"
        );
    }
}

#[test]
fn a_table_that_overlaps_what_follows_is_refused_at_the_follower() {
    let mut bad = sample_super().geometry;
    bad.clients_blocks += 1;
    let found = bad.fences.0;
    let name = "fences";
    assert_eq!(judge(bad), Err(BlockError::Field { name, found }));
}

#[test]
fn gaps_between_the_parts_are_no_fault() {
    let mut roomy = sample_super().geometry;
    roomy.region.0 = 33;
    roomy.doorbell.0 = 33 + REGION_BLOCKS as u64;
    roomy.clients.0 = 1 << 20;
    roomy.clients_blocks = 100;
    roomy.fences.0 = 1 << 30;
    roomy.reserved.0 = 1 << 40;
    roomy.reserved_blocks = DEVICE_BLOCKS_LIMIT - (1 << 40);
    assert_eq!(judge(roomy), Ok(roomy));
    assert_eq!(roomy.total_blocks(), DEVICE_BLOCKS_LIMIT);
}
