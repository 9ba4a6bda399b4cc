//! The power fails after any write: nothing that was acknowledged is lost, and nothing comes back.

extern crate std;

use std::vec::Vec;

use crate::checksum::portable;
use crate::event::{Event, Fault, Unmounted};
use crate::format::{TableBlock, encode_table_block};
use crate::ids::BlockNo;
use crate::server::State;
use crate::session::disk::{Loss, VOLUME};
use crate::session::world::{World, rid};
use crate::time::Duration;

const LOSSES: [Loss; 5] = [
    Loss::LastTorn,
    Loss::LastHalved,
    Loss::LastGarbled,
    Loss::All,
    Loss::AllButLast,
];

/// Mounts and unmounts in all three blocks of the table, with the power failing after `writes` writes.
/// Returns whether everything was done before it failed.
fn cut_after(writes: u32, loss: Loss) -> bool {
    let mut world = World::with_voters(1, 1);
    world.crowd(75);
    let settled = world.nodes.len();
    assert_eq!(world.recorded().len(), settled);
    world.disk.writes_left = Some(writes);

    // Leave in one block, come into its place and others, in several groups.
    for node in [3, 40, 74] {
        world.unmount(node);
    }
    world.settle();
    for _ in 0..5 {
        world.plain();
        world.settle();
    }
    world.unmount(41);
    world.settle();
    world.pass(Duration::from_millis(10));
    let complete = !world.disk.hung;

    let mounted: Vec<_> = (0..world.nodes.len())
        .filter(|&node| world.is_connected(node))
        .collect();
    let left: Vec<_> = (0..world.nodes.len())
        .filter(|&node| world.ended(node) == Some(Unmounted::Farewell))
        .collect();
    world.disk.lose_power(loss);
    let recorded = world.recorded();
    for node in mounted {
        let leaving = world.nodes[node].client.is_leaving();
        assert!(
            leaving || recorded.contains(&rid(node).value()),
            "mount {node} was acknowledged and is lost after {writes} writes, {loss:?}"
        );
    }
    for node in &left {
        assert!(
            !recorded.contains(&rid(*node).value()),
            "mount {node} left and is back after {writes} writes, {loss:?}"
        );
    }
    let mut distinct = recorded.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), recorded.len(), "no rid twice");

    // And the next server believes the same.
    world.kill_server(0);
    world.serve(0, 2);
    world.pass(Duration::from_secs(3));
    assert!((0..settled).all(|node| world.is_connected(node) || world.ended(node).is_some()));
    complete
}

#[test]
fn every_acknowledged_record_survives_a_power_cut_at_any_write() {
    for loss in LOSSES {
        let cuts = (0..).take_while(|&writes| !cut_after(writes, loss)).count();
        assert!(cuts >= 12, "only {cuts} writes were cut");
    }
}

#[test]
fn the_only_good_copy_is_not_the_one_that_is_overwritten_first() {
    for loss in LOSSES {
        let mut world = World::with_voters(1, 1);
        // So many that the next record lies beyond the first sector.
        world.crowd(9);
        // The power fails while the second copy is written, and again while the next server repairs it.
        world.disk.writes_left = Some(1);
        world.plain();
        world.settle();
        world.disk.lose_power(Loss::LastTorn);
        world.kill_server(0);
        assert_eq!(world.disk.good_copies(), 1);
        world.disk.writes_left = Some(0);
        world.serve(0, 2);
        world.settle();
        world.disk.lose_power(loss);
        world.kill_server(0);
        assert_eq!(world.recorded().len(), 11, "{loss:?}");
    }
}

#[test]
fn two_copies_that_differ_are_made_one_before_anybody_is_answered() {
    let mut world = World::with_voters(1, 1);
    world.disk.writes_left = Some(1);
    let node = world.plain();
    world.settle();
    world.disk.lose_power(Loss::All);
    world.kill_server(0);
    // The table cannot be written: whoever is in one copy only is not told that it is mounted.
    world.disk.writes_left = Some(0);
    world.serve(0, 2);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.server(0).state(), State::Starting);
    assert!(!world.is_connected(node));
    world.disk.mend();
    world.pass(Duration::from_secs(2));
    assert!(world.is_connected(node));
    // Now either copy would do.
    for copy in 0..2 {
        let mut other = world.super_block().geometry.clients;
        other.0 += copy * u64::from(world.super_block().geometry.clients_blocks);
        let kept = world.disk.block(other).to_vec();
        world.disk.block(other).fill(0);
        assert!(
            world.recorded().contains(&rid(node).value()),
            "without copy {copy}"
        );
        world.disk.block(other).copy_from_slice(&kept);
    }
}

#[test]
fn a_table_is_read_whole_in_whatever_parts() {
    let mut world = World::with_voters(1, 1);
    world.crowd(75);
    let records = world.recorded();
    let table = world.super_block().geometry.clients;
    let copies = u64::from(world.super_block().geometry.clients_blocks);
    for (term, transfer_blocks) in (2..).zip([1, 2, 3, 16]) {
        world.kill_server(0);
        world.nodes[0].config.transfer_blocks = transfer_blocks;
        // A block in the middle, of which one copy cannot be read, and the other copy of the block before it is damaged.
        world.disk.bad_medium = Some(BlockNo(table.0 + 1));
        world.disk.block(BlockNo(table.0 + copies))[100] ^= 1;
        world.serve(0, term);
        world.pass(Duration::from_secs(1));
        assert_eq!(world.server(0).state(), State::Serving, "{transfer_blocks}");
        assert_eq!(world.server(0).mounted(), 76, "{transfer_blocks}");
        assert_eq!(world.recorded(), records);
        assert!((0..76).all(|node| world.is_connected(node)), "{transfer_blocks}");
    }
}

#[test]
fn the_block_that_is_damaged_is_named() {
    for transfer_blocks in [1, 2, 16] {
        let mut world = World::with_voters(1, 1);
        world.kill_server(0);
        world.nodes[0].config.transfer_blocks = transfer_blocks;
        let geometry = world.super_block().geometry;
        let damaged = BlockNo(geometry.clients.0 + 1);
        for copy in [0, u64::from(geometry.clients_blocks)] {
            world.disk.block(BlockNo(damaged.0 + copy))[100] ^= 1;
        }
        world.serve(0, 2);
        world.settle();
        assert_eq!(world.server(0).state(), State::Failed);
        assert!(world.told(0, &Event::Fault(Fault::TableDamaged(damaged))));
    }
}

#[test]
fn two_copies_of_one_age_that_differ_are_damage() {
    let mut world = World::with_voters(1, 1);
    world.kill_server(0);
    let geometry = world.super_block().geometry;
    let second = BlockNo(geometry.clients.0 + u64::from(geometry.clients_blocks));
    let seq = TableBlock::decode(
        world.disk.block(geometry.clients),
        geometry.clients,
        VOLUME,
        portable,
    )
    .unwrap()
    .seq;
    encode_table_block(
        seq,
        core::iter::empty(),
        second,
        VOLUME,
        portable,
        world.disk.block(second),
    );
    world.serve(0, 2);
    world.settle();
    assert_eq!(world.server(0).state(), State::Failed);
    assert!(world.told(0, &Event::Fault(Fault::TableDamaged(geometry.clients))));
}
