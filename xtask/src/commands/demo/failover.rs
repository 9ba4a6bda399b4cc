//! A leader that dies, a leader that freezes, and hosts that come back.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::MountId;
use ostrakon_xtask::cluster::device::{Ballot, Dump, QuorumBlock};
use ostrakon_xtask::cluster::event::{Kind, Record};
use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::failure::{During, Failure, Result, ensure};

use super::stage::Stage;

/// The unit of the device.
const BLOCK_BYTES: usize = 4096;

/// How long a thawed leader is watched: many times what it would need for another write.
const WATCH: Duration = Duration::from_secs(1);

pub(super) fn leader_killed(stage: &mut Stage) -> Result<()> {
    stage.act("The leader is killed (SIGKILL)");
    let (old, ballot) = stage.leader()?;
    let from = stage.cluster.log().mark();
    let moment = Instant::now();
    stage.cluster.get_mut(old).kill()?;
    stage.say_at(
        moment,
        &format!(
            "{}, server of term {}, is killed",
            stage.cluster.name(old),
            ballot.term
        ),
    );
    stage.lose(old);
    let serving = succeeded(
        stage,
        "fail-over after SIGKILL, until all are connected again",
        from,
        moment,
    )?;
    stage.verify_server(&serving, ballot.term, Some(&ballot))?;
    stage.verify_mounted()
}

/// The host that was lost mounts again: with a new rid, as another mount.
pub(super) fn host_returns(stage: &mut Stage) -> Result<()> {
    let gone = stage.gone.take().ok_or_else(|| Failure::new("no host is gone"))?;
    stage.act(&format!("{} comes back", gone.host));
    let (_, before) = stage.leader()?;
    let from = stage.cluster.log().mark();
    let moment = Instant::now();
    let id = stage.start_voter(&gone.host, gone.addr)?;
    let connected = stage.cluster.wait_connected(&[id], from)?;
    stage.say_at(
        connected,
        &format!("{} is connected, with a new rid", stage.cluster.name(id)),
    );
    stage.timings.add(
        format!("{} mounts again", gone.host),
        connected.duration_since(moment),
    );
    let (_, after) = stage.leader()?;
    ensure(before == after, || {
        format!("{before:?} served before, {after:?} serves now")
    })?;
    stage.verified("the server is the one it was: nobody was deposed by the return");
    stage.verify_mounted()
}

pub(super) fn leader_frozen(stage: &mut Stage) -> Result<()> {
    stage.act("The leader freezes (SIGSTOP): connections stay open, nothing answers");
    let (old, ballot) = stage.leader()?;
    let from = stage.cluster.log().mark();
    let moment = Instant::now();
    stage.cluster.get_mut(old).freeze()?;
    stage.say_at(
        moment,
        &format!(
            "{}, server of term {}, is frozen",
            stage.cluster.name(old),
            ballot.term
        ),
    );
    stage.lose(old);
    let serving = succeeded(
        stage,
        "fail-over after SIGSTOP, until all are connected again",
        from,
        moment,
    )?;
    verify_fence(stage, &ballot, from, &serving)?;
    stage.verify_server(&serving, ballot.term, Some(&ballot))?;
    // When the record of the frozen one is gone as well, its successor has nothing left to write by itself.
    stage.verify_mounted()?;
    thaw(stage, old, &ballot, &serving)
}

/// Waits until a successor serves and everybody on stage is connected to it.
fn succeeded(stage: &mut Stage, what: &str, from: Mark, moment: Instant) -> Result<Record> {
    let (serving, connected) = stage.cluster.wait_settled(&stage.everyone(), from)?;
    stage.timings.add(what, connected.duration_since(moment));
    stage.narrate_leader(serving.mount, from, moment);
    stage.say_at(connected, "all others are connected to it");
    stage
        .timings
        .add("    all are connected again", connected.duration_since(moment));
    Ok(serving)
}

/// A frozen leader cannot have stopped by itself: the successor must say that it had it fenced, before it served.
fn verify_fence(stage: &Stage, victim: &Ballot, from: Mark, serving: &Record) -> Result<()> {
    let fenced = stage.cluster.log().find(from, |record| {
        let of_successor = record.mount == serving.mount && record.event.kind == Kind::Fenced;
        (of_successor && record.event.text("victim_rid") == Some(&victim.rid)).then_some(record.seen)
    });
    ensure(fenced.is_some_and(|fenced| fenced <= serving.seen), || {
        format!("the successor served without a confirmed fence of {}", victim.rid)
    })
}

/// Thaws the old leader and shows that no byte on the device is of its making from then on.
fn thaw(stage: &mut Stage, old: MountId, ballot: &Ballot, serving: &Record) -> Result<()> {
    let name = stage.cluster.name(old).to_owned();
    let from = stage.cluster.log().mark();
    let before = stage.cluster.dump()?;
    let bytes_before = outside_region(stage, &before)?;
    stage.cluster.get_mut(old).thaw()?;
    stage.say(&format!(
        "{name} is thawed (SIGCONT), and watched for {} s",
        WATCH.as_secs()
    ));
    let started = Instant::now();
    while started.elapsed() < WATCH {
        // At every look, not only at the end: a super block written by the wrong one could be written over.
        let (leader, now) = stage.leader()?;
        ensure(leader == serving.mount && now > *ballot, || {
            format!("after the thaw the device names {now:?} as server")
        })?;
        thread::sleep(Duration::from_millis(20));
    }
    let after = stage.cluster.dump()?;
    ensure(
        writes_of(&before, &ballot.rid).is_superset(&writes_of(&after, &ballot.rid)),
        || {
            format!(
                "{name} wrote to the quorum region after it was fenced: {:?}",
                after.written_by(&ballot.rid)
            )
        },
    )?;
    ensure(bytes_before == outside_region(stage, &after)?, || {
        "something outside the quorum region was written while nobody had a reason to".to_owned()
    })?;
    let said = stage
        .cluster
        .log()
        .find(from, |record| (record.mount == old).then(|| record.clone()));
    ensure(said.is_none(), || {
        format!("{name} did something after it was fenced: {said:?}")
    })?;
    let running = stage.cluster.get(old).is_running();
    ensure(!running, || format!("{name} was fenced by killing it, and runs"))?;
    stage.verified(&format!(
        "no block of the quorum region is newly {name}'s, and no byte elsewhere has changed"
    ));
    Ok(())
}

fn writes_of<'a>(dump: &'a Dump, rid: &str) -> BTreeSet<&'a QuorumBlock> {
    dump.written_by(rid).into_iter().collect()
}

/// The image with the quorum region, where votes may be written at any time, blanked out.
fn outside_region(stage: &Stage, dump: &Dump) -> Result<Vec<u8>> {
    let region = dump.region();
    let image = stage.cluster.image();
    let mut bytes = std::fs::read(image).during(format!("reading {}", image.display()))?;
    for (number, block) in (0..).zip(bytes.chunks_mut(BLOCK_BYTES)) {
        if region.contains(&number) {
            block.fill(0);
        }
    }
    Ok(bytes)
}
