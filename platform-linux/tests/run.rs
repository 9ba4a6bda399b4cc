//! `ostrakon run`: a program on exactly one host.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Bench, Mount, free_addr};
use rustix::process::{Pid, Signal};
use serde_json::json;

const AGENT: &[&str] = &["--fence", "agent:ostrakon fence-kill", "--silence-ms", "500"];
const LEASE: &[&str] = &["--fence", "lease", "--lease-ms", "600", "--io-timeout-ms", "500"];

/// Writes its term and a number, again and again.
const WITNESS: &str = "i=0; while :; do i=$((i+1)); echo $OSTRAKON_TERM $i >>$W; sleep 0.002; done";

/// Does not end when asked to, and says when it has become deaf.
const DEAF: &str = "trap '' TERM; echo ready >>$W; while :; do sleep 0.01; done";

struct Stage {
    bench: Bench,
}

impl Stage {
    fn new() -> Self {
        let bench = Bench::formatted("1");
        fs::write(bench.image().with_file_name("witness"), "").unwrap();
        Self { bench }
    }

    fn witness(&self) -> PathBuf {
        self.bench.image().with_file_name("witness")
    }

    /// A host that runs this script; `$W` is the witness file.
    fn host(&self, options: &[&str], script: &str) -> Mount {
        let addr = free_addr();
        let own = ["run", "IMAGE", "--json", "--server-addr", &addr];
        // A shell tells on standard error of children that were killed, among the events.
        let script = format!("exec 2>/dev/null; {script}");
        let program = ["--", "sh", "-c", &script];
        let mut command = self.bench.command(&[&own, options, &program].concat());
        command.env("W", self.witness()).stdout(Stdio::null());
        Mount::start_run(command)
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.witness()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn wait_for_lines(&self, more: usize) {
        let (begun, wanted) = (Instant::now(), self.lines().len() + more);
        while self.lines().len() < wanted {
            assert!(begun.elapsed() < Duration::from_secs(20), "nothing is written");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// No writer writes after another has begun: terms grow, and each counts up from 1 without a gap.
    fn check_witness(&self) -> u64 {
        let mut last = (0, 0);
        for line in self.lines() {
            let (term, number) = line.split_once(' ').unwrap();
            let now: (u64, u64) = (term.parse().unwrap(), number.parse().unwrap());
            let follows = now == (last.0, last.1 + 1) || (now.0 > last.0 && now.1 == 1);
            assert!(follows, "{now:?} after {last:?}");
            last = now;
        }
        last.0
    }
}

fn is_alive(pid: i64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what} never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn pid_of(event: &serde_json::Value) -> i64 {
    event["pid"].as_i64().unwrap()
}

fn at_ms(event: &serde_json::Value) -> u64 {
    event["at_ms"].as_u64().unwrap()
}

/// The keeper: the parent of the program.
fn keeper_of(program: i64) -> Pid {
    let stat = fs::read_to_string(format!("/proc/{program}/stat")).unwrap();
    let rest = stat.rsplit_once(')').unwrap().1;
    Pid::from_raw(rest.split_whitespace().nth(1).unwrap().parse().unwrap()).unwrap()
}

#[test]
fn the_program_moves_to_another_host_when_its_host_is_killed() {
    let stage = Stage::new();
    let mut first = stage.host(AGENT, WITNESS);
    let started = first.wait("program_started");
    let mut second = stage.host(AGENT, WITNESS);
    second.wait("connected");
    stage.wait_for_lines(20);
    first.signal(Signal::KILL);
    let moved = second.wait("program_started");
    assert!(moved["term"].as_u64() > started["term"].as_u64());
    assert!(!is_alive(pid_of(&started)));
    stage.wait_for_lines(20);
    assert_eq!(json!(stage.check_witness()), moved["term"]);
}

#[test]
fn nothing_that_the_program_started_outlives_a_killed_host() {
    let stage = Stage::new();
    // A child in a session of its own, and one whose parent is gone: neither is in the program's group.
    let script = "setsid sleep 300 & echo $! >>$W; (setsid sh -c 'echo $$ >>$W; exec 9<&- 5<&-; sleep 301' &); sleep 302";
    let mut host = stage.host(AGENT, script);
    host.wait("program_started");
    wait_until("two pids", || stage.lines().len() == 2);
    let pids: Vec<i64> = stage.lines().iter().map(|line| line.parse().unwrap()).collect();
    assert!(pids.iter().all(|&pid| is_alive(pid)));
    host.signal(Signal::KILL);
    host.end();
    wait_until("the end of all", || pids.iter().all(|&pid| !is_alive(pid)));
}

#[test]
fn a_frozen_host_is_fenced_with_its_program_even_if_the_keeper_is_frozen_too() {
    for keeper_too in [false, true] {
        let stage = Stage::new();
        let mut first = stage.host(AGENT, WITNESS);
        let started = first.wait("program_started");
        let mut second = stage.host(AGENT, WITNESS);
        second.wait("connected");
        stage.wait_for_lines(20);
        let keeper = keeper_of(pid_of(&started));
        first.signal(Signal::STOP);
        if keeper_too {
            rustix::process::kill_process(keeper, Signal::STOP).unwrap();
        }
        second.wait("program_started");
        assert!(!is_alive(pid_of(&started)), "it was fenced");
        first.signal(Signal::CONT);
        first.end();
        stage.wait_for_lines(20);
        stage.check_witness();
    }
}

#[test]
fn under_a_lease_the_keeper_ends_the_program_of_a_frozen_host_in_time() {
    let stage = Stage::new();
    let mut first = stage.host(LEASE, WITNESS);
    let started = first.wait("program_started");
    let mut second = stage.host(LEASE, WITNESS);
    second.wait("connected");
    stage.wait_for_lines(20);
    first.signal(Signal::STOP);
    second.wait("program_started");
    assert!(
        !is_alive(pid_of(&started)),
        "its lease was waited out, and it still runs"
    );
    first.signal(Signal::CONT);
    stage.wait_for_lines(20);
    stage.check_witness();
}

#[test]
fn leaving_asks_the_program_to_end_and_waits_for_it() {
    let stage = Stage::new();
    let mut host = stage.host(
        AGENT,
        "trap 'until [ -e $W.go ]; do sleep 0.01; done; echo bye >>$W; exit 4' TERM; echo ready >>$W; \
         while :; do sleep 0.01; done",
    );
    let started = host.wait("program_started");
    wait_until("the program's trap", || stage.lines() == ["ready"]);
    host.signal(Signal::TERM);
    host.wait("program_stopping");
    std::thread::sleep(Duration::from_millis(400));
    let status = stage.bench.status();
    assert_eq!(
        status["server"]["live"],
        json!(true),
        "nobody may take it for stopped"
    );
    assert!(is_alive(pid_of(&started)));
    fs::write(stage.bench.image().with_file_name("witness.go"), "").unwrap();
    assert_eq!(host.wait("program_ended")["code"], json!(4));
    host.wait("stopped_serving");
    assert_eq!(host.end().code(), Some(0));
    assert_eq!(stage.lines(), ["ready", "bye"]);
    assert_eq!(stage.bench.status()["server"]["live"], json!(false));
}

#[test]
fn a_program_that_does_not_end_is_killed() {
    let stage = Stage::new();
    let options = [AGENT, &["--stop-timeout-ms", "300"]].concat();
    let mut host = stage.host(&options, DEAF);
    host.wait("program_started");
    wait_until("the program's trap", || stage.lines() == ["ready"]);
    host.signal(Signal::TERM);
    let asked = host.wait("program_stopping");
    let ended = host.wait("program_ended");
    assert_eq!(ended["signal"], json!(9));
    assert!(
        at_ms(&ended) - at_ms(&asked) >= 250,
        "it was not given its time: {asked} {ended}"
    );
    assert_eq!(host.end().code(), Some(0));
}

#[test]
fn the_exit_code_comes_through_when_the_policy_is_to_leave() {
    let stage = Stage::new();
    for (script, code) in [("exit 7", 7), ("kill -9 $$", 137), ("exit 0", 0)] {
        let mut host = stage.host(&[AGENT, &["--on-exit", "leave"]].concat(), script);
        assert_eq!(host.end().code(), Some(code), "{script}");
        assert_eq!(stage.bench.status()["server"]["live"], json!(false));
    }
}

#[test]
fn a_program_that_ends_is_taken_over_by_another_host_or_started_again() {
    let stage = Stage::new();
    let mut first = stage.host(AGENT, "sleep 0.3; exit 1");
    first.wait("program_started");
    let mut second = stage.host(AGENT, WITNESS);
    second.wait("connected");
    assert_eq!(first.wait("program_ended")["code"], json!(1));
    first.wait("stopped_serving");
    let taken = second.wait("program_started");
    first.wait("connected");
    assert!(taken["term"].as_u64() > Some(1));

    let stage = Stage::new();
    let mut host = stage.host(&[AGENT, &["--on-exit", "restart"]].concat(), "exit 1");
    let first = host.wait("program_started");
    let again = host.wait("program_started");
    assert_eq!(first["term"], again["term"]);
    assert!(at_ms(&again) - at_ms(&first) >= 900, "not in a flood");
}

#[test]
fn signals_are_passed_on() {
    let stage = Stage::new();
    let mut host = stage.host(
        AGENT,
        "trap 'echo hup >>$W' HUP; trap 'echo usr1 >>$W' USR1; echo on >>$W; while :; do sleep 0.01; done",
    );
    host.wait("program_started");
    wait_until("the program", || stage.lines() == ["on"]);
    host.signal(Signal::HUP);
    wait_until("one signal", || stage.lines() == ["on", "hup"]);
    host.signal(Signal::USR1);
    wait_until("the other", || stage.lines() == ["on", "hup", "usr1"]);
}

#[test]
fn the_program_is_told_where_it_runs_and_its_output_comes_through() {
    let bench = Bench::formatted("1");
    let addr = free_addr();
    let (out, err) = bench.expect(
        5,
        &[
            "run", "IMAGE", "--server-addr", &addr, "--fence", "lease", "--on-exit", "leave", "--",
            "sh", "-c",
            "echo $OSTRAKON_TERM $OSTRAKON_SERVER_ADDR $OSTRAKON_DEVICE; echo $OSTRAKON_RID $OSTRAKON_VOLUME >&2; cat; exit 5",
        ],
    );
    assert_eq!(out, format!("1 {addr} {}\n", bench.image().display()));
    let volume = bench.status()["volume"].as_str().unwrap().to_owned();
    let said = err
        .lines()
        .find(|line| line.ends_with(&volume) && line.len() == 16 + 1 + 32);
    assert!(said.is_some(), "{err}");
}

#[test]
fn what_cannot_work_is_refused() {
    let bench = Bench::formatted("1");
    let addr = free_addr();
    for (options, word) in [
        (&["run", "IMAGE", "--", "true"][..], "needs --server-addr"),
        (
            &[
                "run",
                "IMAGE",
                "--server-addr",
                &addr,
                "--fence",
                "lease",
                "--",
                "/nonexistent/x",
            ],
            "no such program",
        ),
        (
            &["run", "IMAGE", "--server-addr", &addr, "--", "true"],
            "needs --fence",
        ),
        (
            &[
                "run",
                "IMAGE",
                "--server-addr",
                &addr,
                "--fence",
                "scsi",
                "--",
                "true",
            ],
            "does not end PROGRAM",
        ),
        (
            &["mount", "IMAGE", "--server-addr", &addr, "--fence", "scsi"],
            "a file has no reservations",
        ),
        (
            &["run", "IMAGE", "--server-addr", &addr, "--fence", "lease"],
            "PROGRAM",
        ),
    ] {
        let (_, error) = bench.expect(2, options);
        assert!(error.contains(word), "{options:?}: {error}");
    }
}

#[test]
fn a_second_signal_kills_the_program_and_leaves_at_once() {
    let stage = Stage::new();
    // A time that nobody waits for.
    let options = [AGENT, &["--stop-timeout-ms", "86400000"]].concat();
    let mut host = stage.host(&options, DEAF);
    let started = host.wait("program_started");
    wait_until("the program's trap", || stage.lines() == ["ready"]);
    host.signal(Signal::TERM);
    host.wait("program_stopping");
    host.signal(Signal::TERM);
    assert_eq!(host.end().code(), Some(5), "its ballot is still live");
    assert!(!is_alive(pid_of(&started)), "nothing outlives it");
}
