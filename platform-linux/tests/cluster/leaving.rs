//! Who leaves, who may not yet, and who is not waited for.

use std::thread;
use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::event::Kind;
use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::cluster::{Cluster, MountId, PATIENCE};
use ostrakon_xtask::failure::{Result, ensure};

use crate::support::{leader, volume, voters, without};

/// Nobody is mounted, nobody serves.
fn at_rest(cluster: &Cluster) -> Result<()> {
    let status = cluster.status()?;
    ensure(
        status.clients.is_empty() && status.server.is_none() && status.server_addr.is_none(),
        || format!("expected a volume at rest; the device shows {status:?}"),
    )
}

fn all_leave(cluster: &mut Cluster, ids: &[MountId]) -> Result<()> {
    let started = Instant::now();
    for &id in ids {
        cluster.get_mut(id).terminate()?;
    }
    for &id in ids {
        cluster.wait_clean_exit(id)?;
    }
    println!("all left after {:?}", started.elapsed());
    Ok(())
}

#[test]
fn a_killed_client_keeps_nobody_from_unmounting() -> Result<()> {
    let (mut cluster, ids) = voters("killed-client", 2, 2)?;
    let client = cluster.client("client")?;
    cluster.wait_connected(&[client], Mark::START)?;
    cluster.kill(client)?;
    all_leave(&mut cluster, &ids)?;
    at_rest(&cluster)
}

#[test]
fn a_killed_voter_keeps_nobody_from_unmounting() -> Result<()> {
    let (mut cluster, ids) = voters("killed-voter", 3, 2)?;
    let victim = without(&ids, leader(&cluster)?)[0];
    cluster.kill(victim)?;
    all_leave(&mut cluster, &without(&ids, victim))?;
    at_rest(&cluster)
}

#[test]
fn a_plain_client_holds_the_last_quorum_until_it_leaves() -> Result<()> {
    let (mut cluster, ids) = voters("client-holds", 2, 2)?;
    let client = cluster.client("client")?;
    cluster.wait_connected(&[client], Mark::START)?;
    for &id in &ids {
        cluster.get_mut(id).terminate()?;
    }
    thread::sleep(Duration::from_secs(1));
    for &id in &ids {
        ensure(cluster.get(id).is_running(), || {
            format!("{} left before the client did", cluster.name(id))
        })?;
    }
    all_leave(&mut cluster, &[client])?;
    for &id in &ids {
        cluster.wait_clean_exit(id)?;
    }
    at_rest(&cluster)
}

#[test]
fn a_leader_that_leaves_is_succeeded_without_a_fence() -> Result<()> {
    let (mut cluster, ids) = voters("resign", 3, 2)?;
    let old = leader(&cluster)?;
    let from = cluster.log().mark();
    let started = Instant::now();
    cluster.get_mut(old).terminate()?;
    cluster.wait_clean_exit(old)?;
    let connected = cluster.wait_connected(&without(&ids, old), from)?;
    println!("handed over after {:?}", connected.duration_since(started));
    let fencing = cluster.log().find(from, |record| {
        (record.event.kind == Kind::Fencing).then_some(record.mount)
    });
    ensure(fencing.is_none(), || {
        "a leader that stopped cleanly was fenced".to_owned()
    })
}

#[test]
fn a_mount_that_waits_for_a_quorum_can_be_cancelled() -> Result<()> {
    let mut cluster = volume("cancel", 2)?;
    let alone = cluster.voter("alone")?;
    cluster.rid(alone)?;
    thread::sleep(Duration::from_secs(1));
    all_leave(&mut cluster, &[alone])?;
    at_rest(&cluster)
}

#[test]
fn a_second_signal_leaves_by_force() -> Result<()> {
    let (mut cluster, ids) = voters("force", 2, 2)?;
    let last = without(&ids, leader(&cluster)?)[0];
    cluster.get_mut(last).terminate()?;
    thread::sleep(Duration::from_millis(500));
    ensure(cluster.get(last).is_running(), || {
        "a voter left that was needed".to_owned()
    })?;
    cluster.get_mut(last).terminate()?;
    let status = cluster.get_mut(last).wait_exit(PATIENCE)?;
    ensure(!status.success(), || {
        "a forced unmount leaves its record behind; that is no success".to_owned()
    })
}

#[test]
fn the_quorum_count_changes_only_while_nobody_is_mounted() -> Result<()> {
    let (mut cluster, ids) = voters("set-quorum", 2, 2)?;
    let output = cluster.tool().run("set-quorum-count", &["1"])?;
    ensure(!output.status.success(), || {
        "the quorum count was changed under two mounts".to_owned()
    })?;
    ensure(cluster.status()?.quorum_count == 2, || {
        "a refused change was made".to_owned()
    })?;
    all_leave(&mut cluster, &ids)?;
    let output = cluster.tool().run("set-quorum-count", &["1"])?;
    ensure(output.status.success(), || {
        format!("refused at rest: {}", String::from_utf8_lossy(&output.stderr))
    })?;
    ensure(cluster.status()?.quorum_count == 1, || {
        "the change was not made".to_owned()
    })?;
    let from = cluster.log().mark();
    let alone = cluster.voter("alone")?;
    cluster.wait_connected(&[alone], from).map(drop)
}
