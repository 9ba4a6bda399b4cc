//! Never two servers, whatever voters do.

use std::thread;
use std::time::Duration;

use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::cluster::{Cluster, MountId, Options};
use ostrakon_xtask::failure::{Result, ensure};

use crate::support::{Dice, leader, volume, without};
use crate::watch::Watch;

/// Addresses for voters that are known before they start, so that the watch can knock there.
fn addresses(cluster: &Cluster, count: usize) -> Result<Vec<std::net::SocketAddr>> {
    (0..count).map(|_| cluster.free_addr()).collect()
}

/// Two pairs of voters could each elect one of them: twice the quorum count.
#[test]
fn four_voters_with_two_votes_never_have_two_servers() -> Result<()> {
    let mut cluster = volume("four", 2)?;
    let doors = addresses(&cluster, 4)?;
    let watch = Watch::start(cluster.tool(), doors.clone());
    let mut ids: Vec<MountId> = Vec::new();
    for (number, &door) in doors.iter().enumerate() {
        ids.push(cluster.mount(&format!("four{number}"), Options::voter(door))?);
    }
    cluster.wait_connected(&ids, Mark::START)?;
    for round in 0..4 {
        let old = leader(&cluster)?;
        let door = cluster.get(old).options().server_addr.unwrap_or(doors[0]);
        let from = cluster.log().mark();
        cluster.kill(old)?;
        // It restarts right into the election that its death begins.
        ids = without(&ids, old);
        ids.push(cluster.mount(&format!("again{round}"), Options::voter(door))?);
        cluster.wait_connected(&ids, from)?;
    }
    watch.finish()?;
    // By what they say themselves: the watch looks now and then, and may miss one that was killed soon.
    let servers = terms_of_servers_grow(&cluster)?;
    ensure(servers >= 5, || {
        format!("expected five servers one after the other, saw {servers}")
    })
}

/// A voter that restarts has forgotten what it voted for: each mount is another voter to the rules.
#[test]
fn a_voter_that_restarts_again_and_again_never_makes_two_servers() -> Result<()> {
    let mut dice = Dice::new()?;
    let mut cluster = volume("restarts", 2)?;
    let doors = addresses(&cluster, 3)?;
    let watch = Watch::start(cluster.tool(), doors.clone());
    let steady = [
        cluster.mount("steady0", Options::voter(doors[0]))?,
        cluster.mount("steady1", Options::voter(doors[1]))?,
    ];
    let mut restless = cluster.mount("restless", Options::voter(doors[2]))?;
    for round in 0..20 {
        thread::sleep(Duration::from_millis(20 + dice.below(400)));
        cluster.kill(restless)?;
        restless = cluster.mount(&format!("restless{round}"), Options::voter(doors[2]))?;
    }
    cluster.wait_connected(&[steady[0], steady[1], restless], Mark::START)?;
    watch.finish()?;
    terms_of_servers_grow(&cluster).map(|_| ())
}

/// From what the mounts say: each server's ballot is above those of all servers before it. Returns how many there were.
fn terms_of_servers_grow(cluster: &Cluster) -> Result<usize> {
    use ostrakon_xtask::cluster::event::Kind;

    let mut servers = 0;
    let mut before = None;
    for record in cluster.log().since(Mark::START) {
        if record.event.kind == Kind::Serving {
            let ballot = (record.event.term, record.event.rid.clone());
            ensure(before.as_ref() < Some(&ballot), || {
                format!("{before:?} served, then {ballot:?}")
            })?;
            before = Some(ballot);
            servers += 1;
        }
    }
    Ok(servers)
}
