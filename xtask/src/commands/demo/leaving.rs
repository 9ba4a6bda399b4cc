//! One voter leaves, then the last quorum does.

use std::thread;
use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::MountId;
use ostrakon_xtask::cluster::event::Kind;
use ostrakon_xtask::failure::{Failure, Result, ensure};

use super::stage::Stage;

/// How long a voter that is still needed is watched while its farewell is held.
const HELD: Duration = Duration::from_millis(500);

pub(super) fn one_voter_leaves(stage: &mut Stage) -> Result<()> {
    stage.act("A voter that is not needed leaves (SIGTERM)");
    let (leader, before) = stage.leader()?;
    let leaver = follower(stage, leader)?;
    let from = stage.cluster.log().mark();
    let took = leave(stage, leaver)?;
    stage.timings.add("a voter leaves", took);
    let disturbed = stage.cluster.log().find(from, |record| {
        (record.mount != leaver && record.event.kind == Kind::Disconnected).then_some(record.mount)
    });
    if let Some(id) = disturbed {
        return Err(Failure::new(format!(
            "{} lost its server when another left",
            stage.cluster.name(id)
        )));
    }
    let (_, after) = stage.leader()?;
    ensure(before == after, || {
        format!("{before:?} served before, {after:?} serves now")
    })?;
    stage.verify_mounted()
}

pub(super) fn last_quorum_leaves(stage: &mut Stage) -> Result<()> {
    stage.act("The last quorum leaves, through the unmount barrier");
    let (leader, _) = stage.leader()?;
    let barrier = stage.cluster.status()?.unmount_barrier;
    let needed = follower(stage, leader)?;
    hold(stage, needed)?;
    for client in stage.clients.clone() {
        leave(stage, client)?;
    }
    let moment = Instant::now();
    stage.cluster.get_mut(leader).terminate()?;
    stage.say(&format!(
        "{} is told to leave: now every voter is leaving",
        stage.cluster.name(leader)
    ));
    for voter in [needed, leader] {
        stage.cluster.wait_clean_exit(voter)?;
        stage.say(&format!("{} has left", stage.cluster.name(voter)));
        stage.voters.retain(|&id| id != voter);
    }
    stage.timings.add("the last quorum leaves", moment.elapsed());
    let status = stage.cluster.status()?;
    ensure(status.unmount_barrier == barrier + 1, || {
        format!(
            "expected the barrier at {}; the device shows {status:?}",
            barrier + 1
        )
    })?;
    ensure(
        status.clients.is_empty() && status.server_addr.is_none() && status.server.is_none(),
        || format!("expected a volume at rest; the device shows {status:?}"),
    )?;
    stage.verified(&format!(
        "barrier {}, no server, no address, nobody mounted",
        status.unmount_barrier
    ));
    Ok(())
}

/// Tells a voter to leave that is still needed: its farewell is held, and it goes on as a voter.
fn hold(stage: &mut Stage, voter: MountId) -> Result<()> {
    let name = stage.cluster.name(voter).to_owned();
    stage.cluster.get_mut(voter).terminate()?;
    stage.say(&format!(
        "{name} is told to leave, but without it the others could elect nobody"
    ));
    thread::sleep(HELD);
    ensure(stage.cluster.get(voter).is_running(), || {
        format!("{name} left although it was needed")
    })?;
    let rid = stage.cluster.rid(voter)?;
    let status = stage.cluster.status()?;
    ensure(status.is_mounted(&rid), || {
        format!("{name} is needed and not recorded; the device shows {status:?}")
    })?;
    stage.verified(&format!("{name} stays until the others can spare it"));
    Ok(())
}

/// Leaves and waits for the clean end; how long it took.
fn leave(stage: &mut Stage, leaver: MountId) -> Result<Duration> {
    let name = stage.cluster.name(leaver).to_owned();
    let rid = stage.cluster.rid(leaver)?;
    let moment = Instant::now();
    stage.cluster.get_mut(leaver).terminate()?;
    stage.cluster.wait_clean_exit(leaver)?;
    let took = moment.elapsed();
    stage.say(&format!("{name} has left"));
    stage.voters.retain(|&id| id != leaver);
    stage.clients.retain(|&id| id != leaver);
    let status = stage.cluster.status()?;
    ensure(!status.is_mounted(&rid), || {
        format!("{name} has left and is still recorded: {status:?}")
    })?;
    stage.verified(&format!("{name}'s record is gone"));
    Ok(took)
}

fn follower(stage: &Stage, leader: MountId) -> Result<MountId> {
    let found = stage.voters.iter().copied().find(|&id| id != leader);
    found.ok_or_else(|| Failure::new("no voter but the leader is mounted"))
}
