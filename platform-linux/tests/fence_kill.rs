//! `ostrakon fence-kill` against real mounts.

mod common;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use common::Bench;
use rustix::process::Signal;

fn feed(mut command: Command, input: &str) -> std::process::Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_mount_is_on_then_killed_then_off() {
    let bench = Bench::formatted("1");
    let mut victim = bench.client(&[]);
    let rid = victim.rid();
    bench.expect(0, &["fence-kill", "--rid", &rid, "--action", "status"]);
    let (said, _) = bench.expect(0, &["fence-kill", "--rid", &rid]);
    assert!(said.contains("killed and gone"), "{said}");
    assert_eq!(victim.end().signal(), Some(9));
    bench.expect(2, &["fence-kill", "--rid", &rid, "--action", "status"]);
    let (said, _) = bench.expect(0, &["fence-kill", "--rid", &rid]);
    assert!(
        said.contains("gone already"),
        "fencing again is done at once: {said}"
    );
}

#[test]
fn it_speaks_the_protocol_of_fence_agents() {
    let bench = Bench::formatted("1");
    let mut victim = bench.client(&[]);
    let rid = victim.rid();
    let fence = || bench.command(&["fence-kill"]);
    let status = feed(
        fence(),
        &format!("action=status\nplug=10.0.0.1\nostrakon_rid={rid}\n"),
    );
    assert_eq!(status.status.code(), Some(0), "{status:?}");
    let off = feed(
        fence(),
        &format!("# a comment\naction=off\nplug={rid}\nunknown=1\n"),
    );
    assert_eq!(off.status.code(), Some(0), "{off:?}");
    assert_eq!(victim.end().signal(), Some(9));
    for input in [
        "action=off\n",
        "action=off\nplug=node-7\n",
        "action=on\nplug=1\n",
        "",
    ] {
        let refused = feed(fence(), input);
        assert_eq!(refused.status.code(), Some(1), "{input:?}: {refused:?}");
    }
    let (metadata, _) = bench.expect(0, &["fence-kill", "--action", "metadata"]);
    assert!(metadata.starts_with("<?xml") && metadata.contains("<action name=\"off\" />"));
}

#[test]
fn a_frozen_mount_is_killed_too() {
    let bench = Bench::formatted("1");
    let mut victim = bench.client(&[]);
    let rid = victim.rid();
    victim.signal(Signal::STOP);
    bench.expect(0, &["fence-kill", "--rid", &rid]);
    assert_eq!(victim.end().signal(), Some(9));
}

#[test]
fn a_mount_that_nobody_here_knows_is_not_said_to_be_dead() {
    let bench = Bench::formatted("1");
    let (_, error) = bench.expect(1, &["fence-kill", "--rid", "00000000deadbeef"]);
    assert!(error.contains("cannot be said to be dead"), "{error}");
}
