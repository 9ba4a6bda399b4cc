//! Real mounts, elections and fail-overs, as processes on one image file.

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Bench, Mount, free_addr};
use rustix::process::Signal;
use serde_json::json;

fn at_ms(event: &serde_json::Value) -> u64 {
    event["at_ms"].as_u64().unwrap()
}

#[test]
fn one_voter_serves_a_client_and_both_leave() {
    let bench = Bench::formatted("1");
    let (mut voter, mut client) = (bench.voter(&[]), bench.client(&[]));
    let serving = voter.wait("serving");
    let connected = client.wait("connected");
    assert_eq!(connected["server_addr"], serving["server_addr"]);
    assert_eq!(connected["term"], serving["term"]);
    let rid = voter.rid();
    let status = bench.status();
    assert_eq!(status["server"]["rid"], json!(rid));
    assert_eq!(status["server"]["live"], json!(true));
    assert_eq!(status["clients"].as_array().unwrap().len(), 2);

    let (_, error) = bench.expect(3, &["set-quorum-count", "IMAGE", "2"]);
    assert!(error.contains("unmount it first"), "{error}");
    let (_, error) = bench.expect(3, &["rekey", "IMAGE"]);
    assert!(error.contains("unmount it first"), "{error}");
    let (_, error) = bench.expect(3, &["format", "IMAGE", "--quorum-count", "1"]);
    assert!(error.contains("in use"), "{error}");

    for mount in [&mut client, &mut voter] {
        mount.signal(Signal::TERM);
        mount.wait("unmounting");
        mount.wait("unmounted");
        assert_eq!(mount.end().code(), Some(0));
    }
    let status = bench.status();
    assert_eq!(status["clients"], json!([]));
    assert_eq!(status["server"]["live"], json!(false));
    assert_eq!(status["server_addr"], json!(null));
    bench.expect(0, &["set-quorum-count", "IMAGE", "2"]);

    // With another key everybody knows everybody again.
    bench.expect(0, &["rekey", "IMAGE"]);
    bench.expect(0, &["set-quorum-count", "IMAGE", "1"]);
    let mut voter = bench.voter(&[]);
    let mut client = bench.client(&[]);
    client.wait("connected");
    for mount in [&mut client, &mut voter] {
        mount.signal(Signal::TERM);
        mount.wait("unmounted");
        assert_eq!(mount.end().code(), Some(0));
    }
}

#[test]
fn a_killed_leader_is_fenced_and_its_clients_are_served_by_the_next() {
    let bench = Bench::formatted("2");
    let mut voters = [bench.voter(&[]), bench.voter(&[]), bench.voter(&[])];
    let mut client = bench.client(&[]);
    let first = client.wait("connected");
    voters.iter_mut().for_each(|voter| drop(voter.wait("connected")));
    let server = first["server_rid"].clone();
    let index = (0..3)
        .find(|&index| json!(voters[index].rid()) == server)
        .unwrap();
    voters[index].signal(Signal::KILL);
    client.wait("disconnected");
    let second = client.wait("connected");
    assert!(second["term"].as_u64() > first["term"].as_u64());
    let next = (0..3)
        .find(|&index| json!(voters[index].rid()) == second["server_rid"])
        .unwrap();
    assert_ne!(next, index);
    assert_eq!(voters[next].wait("fenced")["victim_rid"], server);
    assert_eq!(voters[index].end().signal(), Some(9));
}

#[test]
fn elections_complete_on_a_slow_disk() {
    let bench = Bench::formatted("2");
    let delay = ["--io-delay-ms", "40"];
    let (mut one, mut two) = (bench.voter(&delay), bench.voter(&delay));
    let first = one.wait("connected");
    assert_eq!(two.wait("connected")["term"], first["term"]);
}

#[test]
fn a_mount_without_a_server_can_be_cancelled() {
    let bench = Bench::formatted("2");
    for mut mount in [bench.client(&[]), bench.voter(&[])] {
        mount.wait("started");
        std::thread::sleep(Duration::from_millis(300));
        mount.signal(Signal::INT);
        assert_eq!(mount.wait("unmounted")["how"], json!("never_mounted"));
        assert_eq!(mount.end().code(), Some(0));
    }
}

#[test]
fn a_second_signal_leaves_by_force() {
    let bench = Bench::formatted("2");
    let (mut one, mut two) = (bench.voter(&[]), bench.voter(&[]));
    one.wait("connected");
    two.wait("connected");
    // One is killed, so that the other cannot leave for want of a quorum.
    one.signal(Signal::KILL);
    one.end();
    two.signal(Signal::TERM);
    two.wait("unmounting");
    std::thread::sleep(Duration::from_millis(300));
    two.signal(Signal::TERM);
    assert_eq!(two.wait("unmounted")["how"], json!("forced"));
    assert_eq!(two.end().code(), Some(5));
}

#[test]
fn an_unmount_without_a_quorum_gives_up_after_its_time() {
    let bench = Bench::formatted("2");
    let (mut one, mut two) = (bench.voter(&[]), bench.voter(&["--unmount-timeout-ms", "500"]));
    one.wait("connected");
    two.wait("connected");
    one.signal(Signal::KILL);
    one.end();
    two.signal(Signal::TERM);
    assert_eq!(two.wait("unmounted")["how"], json!("left_record"));
    assert_eq!(two.end().code(), Some(5));
}

#[test]
fn the_lease_alone_carries_a_fail_over() {
    let bench = Bench::formatted("1");
    let lease = |addr: &str| {
        let own = [
            "mount",
            "IMAGE",
            "--json",
            "--server-addr",
            addr,
            "--fence",
            "lease",
        ];
        let times = ["--lease-ms", "500", "--io-timeout-ms", "400"];
        Mount::start(bench.command(&[&own[..], &times].concat()))
    };
    let mut first = lease(&free_addr());
    let serving = first.wait("serving");
    first.wait("connected");
    let mut second = lease(&free_addr());
    second.wait("connected");
    let killed = Instant::now();
    first.signal(Signal::KILL);
    let silenced = second.wait("silenced");
    assert_eq!(silenced["how"], json!("lease_ran_out"));
    assert_eq!(silenced["victim_term"], serving["term"]);
    assert!(
        killed.elapsed() >= Duration::from_millis(900),
        "lease and the longest write were waited out"
    );
    second.wait("serving");
}

#[test]
fn nobody_who_reads_standard_output_stops_a_mount() {
    let bench = Bench::formatted("1");
    let addr = free_addr();
    let own = [
        "mount",
        "IMAGE",
        "--json",
        "--server-addr",
        &addr,
        "--fence",
        "agent:true",
    ];
    let mut child = bench.command(&own).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut client = bench.client(&[]);
    client.wait("connected");
    client.signal(Signal::TERM);
    assert_eq!(client.end().code(), Some(0));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn garbage_silence_and_a_flood_on_the_port_disturb_nobody() {
    let bench = Bench::formatted("1");
    let mut voter = bench.voter(&[]);
    let addr = voter.wait("serving")["server_addr"].as_str().unwrap().to_owned();
    let mut strangers = Vec::new();
    for number in 0..200u32 {
        let Ok(mut stranger) = TcpStream::connect(&addr) else {
            continue;
        };
        if number % 2 == 0 {
            let _ = stranger.write_all(&[number as u8; 2000]);
        }
        strangers.push(stranger);
    }
    let begun = Instant::now();
    let mut client = bench.client(&[]);
    client.wait("connected");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(strangers);
    client.signal(Signal::TERM);
    assert_eq!(client.end().code(), Some(0));
    voter.expect_unchallenged_end();
}

#[test]
fn events_come_in_order_with_their_common_fields() {
    let bench = Bench::formatted("1");
    let mut voter = bench.voter(&[]);
    voter.wait("connected");
    voter.signal(Signal::TERM);
    voter.end();
    let told = voter.all().to_vec();
    assert_eq!(told[0]["event"], "started");
    assert_eq!(told.last().unwrap()["event"], "unmounted");
    for pair in told.windows(2) {
        assert!(at_ms(&pair[0]) <= at_ms(&pair[1]));
        assert_eq!(pair[0]["rid"], pair[1]["rid"]);
    }
    let place = |name: &str| {
        told.iter()
            .position(|event| event["event"] == name)
            .unwrap_or_else(|| panic!("{name}"))
    };
    let steps = [
        "started",
        "elected",
        "sealed",
        "serving",
        "unmounting",
        "stopped_serving",
        "unmounted",
    ];
    assert!(
        steps.windows(2).all(|pair| place(pair[0]) < place(pair[1])),
        "{told:#?}"
    );
}

#[test]
fn a_frozen_leader_is_fenced_and_killed_and_never_writes_again() {
    let bench = Bench::formatted("1");
    let quick = ["--silence-ms", "500"];
    let mut first = bench.voter(&quick);
    first.wait("serving");
    let mut second = bench.voter(&quick);
    second.wait("connected");
    first.signal(Signal::STOP);
    assert_eq!(second.wait("fenced")["victim_rid"], json!(first.rid()));
    let serving = second.wait("serving");
    first.signal(Signal::CONT);
    assert_eq!(first.end().signal(), Some(9));
    assert_eq!(bench.status()["server"]["term"], serving["term"]);
}

#[test]
fn a_client_that_was_evicted_mounts_anew_under_another_identity() {
    let bench = Bench::formatted("1");
    let quick = ["--silence-ms", "400", "--recovery-ms", "400"];
    let mut voter = bench.voter(&quick);
    let mut client = bench.client(&quick);
    client.wait("connected");
    let rid = client.rid();
    client.signal(Signal::STOP);
    assert_eq!(voter.wait("client_evicted")["client"], json!(rid));
    client.signal(Signal::CONT);
    client.wait("evicted");
    let started = client.wait("started");
    assert_ne!(started["rid"], json!(rid));
    client.wait("connected");
    assert_eq!(bench.status()["clients"].as_array().unwrap().len(), 2);
}

#[test]
fn numbers_for_a_collector_are_kept_up_to_date() {
    let bench = Bench::formatted("1");
    let path = bench.image().with_file_name("ostrakon.prom");
    let mut voter = bench.voter(&["--metrics-file", path.to_str().unwrap()]);
    voter.wait("connected");
    let expect = |line: &str| {
        let begun = Instant::now();
        while !std::fs::read_to_string(&path).unwrap().lines().any(|found| {
            found.starts_with(line.split_once(' ').unwrap().0)
                && found.ends_with(line.split_once(' ').unwrap().1)
        }) {
            assert!(begun.elapsed() < Duration::from_secs(10), "{line}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    expect("ostrakon_leads{ 1");
    expect("ostrakon_connected{ 1");
    voter.signal(Signal::TERM);
    voter.end();
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .contains("ostrakon_events_total")
    );
}
