//! A database of the distribution under `ostrakon run`, whose host is killed: no acknowledged write is lost.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Bench, Mount, free_addr};
use ostrakon_xtask::skipped;
use rustix::process::Signal;

/// Fail-overs.
const ROUNDS: usize = 3;

/// Counts up in the database until its connection breaks; the last number that was acknowledged.
fn count_until_it_breaks(port: &str, at_least: u64, kill: impl FnOnce()) -> u64 {
    let begun = Instant::now();
    let stream = loop {
        match TcpStream::connect(("127.0.0.1", port.parse().unwrap())) {
            Ok(stream) => break stream,
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the database does not come back"
        );
    };
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let (mut stream, mut acknowledged, mut kill) = (stream, 0, Some(kill));
    for written in 1.. {
        let mut answer = String::new();
        let sent = stream.write_all(b"INCR counter\r\n");
        if sent.is_err() || answers.read_line(&mut answer).unwrap_or(0) == 0 {
            break;
        }
        // While it reads its log it says so.
        if let Some(number) = answer.strip_prefix(':') {
            acknowledged = number.trim().parse().unwrap();
            assert!(
                acknowledged > at_least,
                "{at_least} was acknowledged before, and is lost: {acknowledged}"
            );
        }
        if written == 300
            && let Some(kill) = kill.take()
        {
            kill();
        }
    }
    acknowledged
}

#[test]
fn redis_moves_to_the_other_host_and_loses_no_acknowledged_write() {
    let redis = "/usr/bin/redis-server";
    if !Path::new(redis).exists() {
        return skipped::note(
            "redis moves to the other host",
            "/usr/bin/redis-server is not there; the package redis-server brings it",
        );
    }
    let bench = Bench::formatted("1");
    let data = bench.image().with_file_name("data");
    fs::create_dir(&data).unwrap();
    let database = free_addr();
    let port = database.rsplit_once(':').unwrap().1;
    let host = || {
        let addr = free_addr();
        let own = [
            "run",
            "IMAGE",
            "--json",
            "--server-addr",
            &addr,
            "--fence",
            "agent:ostrakon fence-kill",
        ];
        let program = [
            "--",
            redis,
            "--port",
            port,
            "--dir",
            data.to_str().unwrap(),
            "--save",
            "",
        ];
        let durable = ["--appendonly", "yes", "--appendfsync", "always"];
        let mut command = bench.command(&[&own[..], &program, &durable].concat());
        command.stdout(Stdio::null());
        Mount::start_run(command)
    };
    let mut leader = host();
    leader.wait("program_started");
    let mut acknowledged = 0;
    for _ in 0..ROUNDS {
        let mut next = host();
        next.wait("connected");
        acknowledged = count_until_it_breaks(port, acknowledged, || leader.signal(Signal::KILL));
        leader.end();
        next.wait("program_started");
        leader = next;
    }
    let last = count_until_it_breaks(port, acknowledged, || leader.signal(Signal::KILL));
    assert!(last >= 300 * ROUNDS as u64, "{last}");
}
