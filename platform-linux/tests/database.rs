//! A database of the distribution under `ostrakon run`, whose host is killed: no acknowledged write is lost.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Bench, Mount, free_addr};
use ostrakon_xtask::lan::Lan;
use ostrakon_xtask::skipped;
use rustix::process::Signal;

/// Fail-overs.
const ROUNDS: usize = 3;

/// Acknowledged writes before each.
const WRITES: u64 = 300;

/// Counts up in the database until its connection breaks; the last number that was acknowledged.
fn count_until_it_breaks(database: SocketAddr, at_least: u64, kill: impl FnOnce()) -> u64 {
    let begun = Instant::now();
    let stream = loop {
        match TcpStream::connect(database) {
            Ok(stream) => break stream,
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the database does not come back"
        );
    };
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let (mut stream, mut kill) = (stream, Some(kill));
    let (mut acknowledged, mut count) = (0, 0);
    loop {
        let mut answer = String::new();
        let sent = stream.write_all(b"INCR counter\r\n");
        if sent.is_err() || answers.read_line(&mut answer).unwrap_or(0) == 0 {
            break;
        }
        let Some(number) = answer.strip_prefix(':') else {
            assert!(answer.starts_with("-LOADING"), "{answer}");
            continue;
        };
        acknowledged = number.trim().parse().unwrap();
        assert!(
            acknowledged > at_least,
            "{at_least} was acknowledged before, and is lost: {acknowledged}"
        );
        count += 1;
        if count == WRITES
            && let Some(kill) = kill.take()
        {
            kill();
        }
    }
    acknowledged
}

const REDIS: &str = "/usr/bin/redis-server";

/// Whether it is there; says so if this test is skipped.
fn has_redis(test: &str) -> bool {
    let has = Path::new(REDIS).exists();
    if !has {
        skipped::note(
            test,
            "/usr/bin/redis-server is not there; the package redis-server brings it",
        );
    }
    has
}

/// A host that runs Redis on data that all hosts see, in a process that `wrap` may put elsewhere.
fn host(bench: &Bench, addr: &str, port: u16, bind: &str, wrap: impl Fn(Command) -> Command) -> Mount {
    let data = bench.image().with_file_name("data");
    fs::create_dir_all(&data).unwrap();
    let (port, dir) = (port.to_string(), data.to_str().unwrap());
    let own = [
        "run",
        "IMAGE",
        "--json",
        "--server-addr",
        addr,
        "--fence",
        "agent:ostrakon fence-kill",
    ];
    let program = [
        "--",
        REDIS,
        "--bind",
        bind,
        "--port",
        &port,
        "--protected-mode",
        "no",
        "--dir",
        dir,
    ];
    let durable = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
    let mut command = wrap(bench.command(&[&own[..], &program, &durable].concat()));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Mount::start_run(command)
}

#[test]
fn redis_moves_to_the_other_host_and_loses_no_acknowledged_write() {
    if !has_redis("redis moves to the other host") {
        return;
    }
    let bench = Bench::formatted("1");
    // 127.0.0.1 is what Redis listens on.
    let database = SocketAddr::from(([127, 0, 0, 1], free_addr().parse::<SocketAddr>().unwrap().port()));
    let host = || {
        host(&bench, &free_addr(), database.port(), "127.0.0.1", |command| {
            command
        })
    };
    let mut leader = host();
    leader.wait("program_started");
    let mut acknowledged = 0;
    for _ in 0..ROUNDS {
        let mut next = host();
        next.wait("connected");
        acknowledged = count_until_it_breaks(database, acknowledged, || leader.signal(Signal::KILL));
        leader.end();
        next.wait("program_started");
        leader = next;
    }
    let last = count_until_it_breaks(database, acknowledged, || leader.signal(Signal::KILL));
    assert!(last >= WRITES * (ROUNDS + 1) as u64, "{last}");
}

/// Each host is a network namespace; what is killed is whatever runs there: ostrakon, its guard and the database at once.
#[test]
fn redis_answers_on_the_other_host_after_all_of_its_host_is_killed() {
    const TEST: &str = "redis moves when all of its host is killed";
    if !has_redis(TEST) {
        return;
    }
    let lan = match Lan::new(2) {
        Ok(lan) => lan,
        Err(error) => return skipped::note(TEST, &format!("no hosts of their own: {error}")),
    };
    let bench = Bench::formatted("1");
    let host = |index: usize| {
        let addr = lan.addr(index).to_string();
        host(&bench, &addr, 6379, "0.0.0.0", |command| {
            lan.within(index, &command)
        })
    };
    let database = |index: usize| SocketAddr::new(lan.addr(index).ip(), 6379);
    let mut leader = host(0);
    leader.wait("program_started");
    let mut acknowledged = 0;
    for round in 0..=ROUNDS {
        let (leads, waits) = (round % 2, (round + 1) % 2);
        let mut next = host(waits);
        next.wait("connected");
        // The writer is on the host that lives on.
        let writes = || {
            lan.enter(waits).unwrap();
            count_until_it_breaks(database(leads), acknowledged, || lan.kill(leads).unwrap())
        };
        acknowledged = std::thread::scope(|scope| scope.spawn(writes).join().unwrap());
        leader.end();
        next.wait("program_started");
        leader = next;
    }
    assert!(acknowledged >= WRITES * (ROUNDS + 1) as u64, "{acknowledged}");
}

/// The commands that the README tells to type, as they stand there, in a shell.
#[test]
fn what_the_readme_tells_to_try_works_as_written() {
    const TEST: &str = "the README's example of two hosts on one machine";
    if !has_redis(TEST) {
        return;
    }
    // Names of namespaces are those of a machine. Here they are those of this shell and its children.
    let own_names = "mkdir -p /run/netns && mount -t tmpfs none /run/netns";
    let unshared = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-c", &format!("{own_names} && {script}")]);
        command
    };
    match unshared("ip netns add one").output() {
        Ok(tried) if tried.status.success() => {}
        tried => {
            let said = tried.map(|output| String::from_utf8_lossy(&output.stderr).trim().to_owned());
            return skipped::note(TEST, &format!("no namespaces, which take root: {said:?}"));
        }
    }
    let readme = include_str!("../../README.md");
    let mut blocks = readme.split("```").skip(1).step_by(2);
    let typed = blocks.find(|block| block.contains("ip netns add one")).unwrap();
    let bench = Bench::empty();
    let folder = bench.image().parent().unwrap().to_owned();
    fs::write(folder.join("typed"), typed).unwrap();
    // If a line fails, or all of it hangs, nothing is left running.
    let script = "trap 'for host in one two; do ip netns pids $host | xargs --no-run-if-empty kill -9; done 2>/dev/null' EXIT
        set -e; . ./typed";
    let mut shell = Command::new("timeout");
    let unshared = unshared(script);
    let ended = shell
        .arg("120")
        .arg(unshared.get_program())
        .args(unshared.get_args())
        .current_dir(&folder)
        .env("PATH", path_with_ostrakon())
        .env("OSTRAKON_RUNTIME_DIR", &folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr),
    );
    assert!(ended.status.success(), "{out}\n{err}");
    for told in [
        "\nOK\n",
        "\nDelphi\n",
        " since term 2, at 10.0.0.2:7000",
        "leader of term 1: fenced (fence-kill)",
    ] {
        assert!(out.contains(told), "{told:?} is not in\n{out}\n{err}");
    }
    assert!(err.contains("farewell"), "{err}");
}

fn path_with_ostrakon() -> std::ffi::OsString {
    let own = PathBuf::from(env!("CARGO_BIN_EXE_ostrakon"));
    let others = std::env::var_os("PATH").unwrap_or_default();
    let folders = [own.parent().unwrap().to_owned()];
    std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&others))).unwrap()
}
