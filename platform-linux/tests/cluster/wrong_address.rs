//! A voter whose `--server-addr` is wrong.

use std::net::{SocketAddr, TcpListener};

use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::cluster::{Options, PATIENCE};
use ostrakon_xtask::failure::{During, Result, ensure};

use crate::support::volume;

/// With the wrong one and one other voter mounted first, either may win the votes; the third makes sure that
/// two good ones are there in the end.
fn others_have_a_server(name: &str, wrong: SocketAddr) -> Result<()> {
    let mut cluster = volume(name, 2)?;
    let bad = cluster.mount("bad", Options::voter(wrong))?;
    let good = [cluster.voter("good0")?, cluster.voter("good1")?];
    cluster.wait_connected(&good, Mark::START)?;
    let status = cluster.wait_status(PATIENCE, "a server at a good address", |status| {
        status.server_addr.is_some_and(|addr| addr != wrong)
    })?;
    let server = status
        .server
        .as_ref()
        .and_then(|server| cluster.by_rid(&server.rid));
    ensure(server.is_some_and(|id| id != bad), || {
        format!("the wrong one serves: {status:?}")
    })
}

#[test]
fn of_another_host_does_not_keep_others_from_a_server() -> Result<()> {
    // TEST-NET-1 (RFC 5737): nobody's, so binding fails.
    others_have_a_server("foreign-address", SocketAddr::from(([192, 0, 2, 1], 4_000)))
}

#[test]
fn in_use_does_not_keep_others_from_a_server() -> Result<()> {
    let squatter = TcpListener::bind("127.0.0.1:0").during("taking a port")?;
    let taken = squatter.local_addr().during("asking for the port")?;
    others_have_a_server("taken-address", taken)
}
