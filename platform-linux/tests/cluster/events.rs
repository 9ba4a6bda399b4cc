//! What every mount tells, whatever becomes of it.

use ostrakon_xtask::cluster::event::Kind;
use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::cluster::{Cluster, MountId};
use ostrakon_xtask::failure::{Result, ensure};

use crate::support::{leader, voters, without};

/// Kinds of one mount's events, in order.
fn kinds(cluster: &Cluster, id: MountId) -> Vec<Kind> {
    let records = cluster.log().since(Mark::START);
    records
        .into_iter()
        .filter(|record| record.mount == id)
        .map(|record| record.event.kind)
        .collect()
}

/// Whether these come in this order, others between them or not.
fn in_order(kinds: &[Kind], expected: &[Kind]) -> bool {
    let mut left = kinds.iter();
    expected.iter().all(|kind| left.any(|other| other == kind))
}

#[test]
fn a_life_is_told_from_start_to_end() -> Result<()> {
    let (mut cluster, ids) = voters("events", 2, 1)?;
    let server = leader(&cluster)?;
    let other = without(&ids, server)[0];
    for id in [other, server] {
        cluster.get_mut(id).terminate()?;
        cluster.wait_clean_exit(id)?;
        cluster.wait_event(id, Kind::Unmounted, Mark::START)?;
    }
    let follower = [Kind::Started, Kind::Connected, Kind::Unmounting, Kind::Unmounted];
    let said = kinds(&cluster, other);
    ensure(in_order(&said, &follower), || {
        format!("expected {follower:?} of a follower; it said {said:?}")
    })?;
    let led = [
        Kind::Started,
        Kind::Elected,
        Kind::Sealed,
        Kind::Serving,
        Kind::Unmounting,
        Kind::StoppedServing,
        Kind::Unmounted,
    ];
    let said = kinds(&cluster, server);
    ensure(in_order(&said, &led), || {
        format!("expected {led:?} of a leader; it said {said:?}")
    })?;
    for record in cluster.log().since(Mark::START) {
        let complete = record.event.rid.as_ref().is_some_and(|rid| rid.len() == 16)
            && record.event.object["at_ms"]
                .as_u64()
                .is_some_and(|at_ms| at_ms > 0);
        ensure(complete, || {
            format!("an event without rid or at_ms: {}", record.event.object)
        })?;
    }
    Ok(())
}
