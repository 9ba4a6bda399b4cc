//! The power fails after any write: nothing that was acknowledged is lost, and nothing comes back.

extern crate std;

use std::vec::Vec;

use crate::event::Unmounted;
use crate::session::disk::Loss;
use crate::session::world::{World, rid};
use crate::time::Duration;

const LOSSES: [Loss; 3] = [Loss::LastTorn, Loss::All, Loss::AllButLast];

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
fn a_server_that_took_over_after_a_cut_writes_the_older_copy_first() {
    // After a cut between the two passes the second copy may be the newer one of a later reign: cut again and again.
    let mut world = World::with_voters(1, 1);
    for round in 0..8 {
        let writes = round % 4;
        world.disk.writes_left = Some(writes);
        let node = world.plain();
        world.pass(Duration::from_millis(200));
        let acknowledged = world.is_connected(node);
        let before = world.recorded();
        world.kill_server(0);
        world.disk.lose_power(LOSSES[round as usize % 3]);
        let recorded = world.recorded();
        assert!(recorded.contains(&1), "round {round}");
        assert!(
            !acknowledged || recorded.contains(&rid(node).value()),
            "round {round}"
        );
        assert!(recorded.len() + 1 >= before.len(), "round {round}");
        world.serve(0, 2 + u64::from(round));
        world.pass(Duration::from_secs(2));
        assert!(world.is_connected(node), "round {round}");
    }
    assert_eq!(world.recorded().len(), 9);
}
