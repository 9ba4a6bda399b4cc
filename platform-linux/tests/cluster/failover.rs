//! A leader is lost; the next one serves.

use std::thread;
use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::event::Kind;
use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::cluster::{Fence, Options, PATIENCE};
use ostrakon_xtask::failure::{Result, ensure};

use crate::support::{Dice, leader, volume, voters, without};
use crate::watch::Watch;

/// Far more than a fail-over with a fence that answers at once takes; what it took is printed.
const GENEROUS: Duration = Duration::from_secs(5);

#[test]
fn a_survivors_client_is_served_soon_after_the_leader_was_killed() -> Result<()> {
    let (mut cluster, mut ids) = voters("failover", 3, 2)?;
    let client = cluster.client("client")?;
    cluster.wait_connected(&[client], Mark::START)?;
    for round in 0..3 {
        let old = leader(&cluster)?;
        let ballot = cluster.status()?.server;
        let addr = cluster.get(old).options().server_addr;
        let from = cluster.log().mark();
        let killed = Instant::now();
        cluster.kill(old)?;
        ids = without(&ids, old);
        let served = cluster.wait_connected(&[client], from)?;
        let took = served.duration_since(killed);
        println!("round {round}: the client was served again after {took:?}");
        ensure(took < GENEROUS, || {
            format!("took {took:?}, at most {GENEROUS:?} expected")
        })?;
        let status = cluster.status()?;
        let named = ballot.is_some_and(|ballot| status.fenced >= ballot && status.server > Some(ballot));
        ensure(named, || {
            format!("expected the killed one silenced and succeeded; the device shows {status:?}")
        })?;
        // The host returns, so that two votes are there for the next round.
        let returned = cluster.log().mark();
        let options = addr.map(Options::voter).unwrap_or_default();
        let id = cluster.mount(&format!("returned{round}"), options)?;
        cluster.wait_connected(&[id], returned)?;
        ids.push(id);
    }
    Ok(())
}

#[test]
fn elections_complete_on_a_disk_that_takes_40_ms_for_everything() -> Result<()> {
    let mut cluster = volume("slow-disk", 2)?;
    let started = Instant::now();
    let mut ids = Vec::new();
    for name in ["slow0", "slow1", "slow2"] {
        let options = Options::voter(cluster.free_addr()?).with(&["--io-delay-ms", "40"]);
        ids.push(cluster.mount(name, options)?);
    }
    let connected = cluster.wait_connected(&ids, Mark::START)?;
    println!("first election: {:?}", connected.duration_since(started));
    let old = leader(&cluster)?;
    let from = cluster.log().mark();
    let killed = Instant::now();
    cluster.kill(old)?;
    let connected = cluster.wait_connected(&without(&ids, old), from)?;
    println!("fail-over: {:?}", connected.duration_since(killed));
    Ok(())
}

/// From a blink to long after its successor serves: with these times a frozen leader is fenced after some five seconds.
#[test]
fn a_leader_that_thaws_at_any_moment_does_no_harm() -> Result<()> {
    let mut dice = Dice::new()?;
    let mut cluster = volume("thaw", 2)?;
    let doors = (0..3).map(|_| cluster.free_addr()).collect::<Result<Vec<_>>>()?;
    let voter = |door| Options::voter(door).with(&["--silence-ms", "1000"]);
    let mut ids = Vec::new();
    for &door in &doors {
        ids.push(cluster.mount(&format!("thaw{}", ids.len()), voter(door))?);
    }
    cluster.wait_connected(&ids, Mark::START)?;
    let watch = Watch::start(cluster.tool(), doors.clone());
    let mut fenced = 0;
    for round in 0..4 {
        let old = leader(&cluster)?;
        let from = cluster.log().mark();
        cluster.get_mut(old).freeze()?;
        thread::sleep(Duration::from_millis(dice.below(3_000) + 2_000 * round));
        // Not collected yet: if it was fenced meanwhile, its pid is still its own.
        cluster.get_mut(old).thaw()?;
        thread::sleep(Duration::from_secs(1));
        if !cluster.get(old).is_running() {
            fenced += 1;
            ids = without(&ids, old);
            let door = cluster.get(old).options().server_addr.unwrap_or(doors[0]);
            ids.push(cluster.mount(&format!("thaw-again{round}"), voter(door))?);
            cluster.wait_connected(&ids, from)?;
        }
        cluster.wait_status(PATIENCE, "a server", |status| status.server_addr.is_some())?;
    }
    watch.finish()?;
    ensure(fenced > 0, || {
        cluster.failed("frozen for seconds, and never fenced").to_string()
    })
}

#[test]
fn a_lease_takes_the_place_of_a_fence_when_the_leader_is_killed() -> Result<()> {
    let mut cluster = volume("lease", 2)?;
    let mut ids = Vec::new();
    for name in ["lease0", "lease1", "lease2"] {
        let options = Options {
            fence: Some(Fence::Lease),
            ..Options::voter(cluster.free_addr()?)
        };
        ids.push(cluster.mount(name, options)?);
    }
    cluster.wait_connected(&ids, Mark::START)?;
    let old = leader(&cluster)?;
    let from = cluster.log().mark();
    let killed = Instant::now();
    cluster.kill(old)?;
    let connected = cluster.wait_connected(&without(&ids, old), from)?;
    println!("fail-over with a lease: {:?}", connected.duration_since(killed));
    let fencing = cluster.log().find(from, |record| {
        (record.event.kind == Kind::Fencing).then_some(record.mount)
    });
    ensure(fencing.is_none(), || {
        "somebody without a fence asked for one".to_owned()
    })
}

#[test]
fn a_voter_that_cannot_silence_anybody_is_refused() -> Result<()> {
    let mut cluster = volume("no-fence", 1)?;
    let options = Options {
        fence: None,
        ..Options::voter(cluster.free_addr()?)
    };
    let id = cluster.mount("unarmed", options)?;
    let status = cluster.get_mut(id).wait_exit(PATIENCE)?;
    let said = cluster.get(id).stderr();
    ensure(!status.success() && said.contains("--fence"), || {
        format!("expected a refusal that names --fence; it ended with {status} and said {said:?}")
    })
}
