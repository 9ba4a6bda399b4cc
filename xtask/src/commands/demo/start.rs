//! The first election, and clients.

use std::time::Instant;

use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::failure::Result;

use super::stage::{QUORUM_COUNT, Stage};

pub(super) fn first_election(stage: &mut Stage) -> Result<()> {
    stage.act(&format!(
        "First election: three voters on a fresh volume, {QUORUM_COUNT} votes elect"
    ));
    let moment = Instant::now();
    for host in ["anna", "bert", "cleo"] {
        let addr = stage.cluster.free_addr()?;
        stage.start_voter(host, addr)?;
        stage.say(&format!("{host} mounts, a voter that would serve at {addr}"));
    }
    let (serving, connected) = stage.cluster.wait_settled(&stage.voters, Mark::START)?;
    stage.timings.add(
        "first election, from the start of three processes",
        connected.duration_since(moment),
    );
    stage.narrate_leader(serving.mount, Mark::START, moment);
    stage.say_at(connected, "all three voters are connected to it");
    stage
        .timings
        .add("    all voters are connected", connected.duration_since(moment));
    stage.verify_server(&serving, 0, None)?;
    stage.verify_mounted()
}

pub(super) fn clients_connect(stage: &mut Stage) -> Result<()> {
    stage.act("Two plain clients mount: they only need a server");
    let from = stage.cluster.log().mark();
    let moment = Instant::now();
    for name in ["xaver", "yves"] {
        stage.start_client(name)?;
    }
    let connected = stage.cluster.wait_connected(&stage.clients, from)?;
    stage.say_at(connected, "both are connected");
    stage
        .timings
        .add("two clients mount", connected.duration_since(moment));
    stage.verify_mounted()
}
