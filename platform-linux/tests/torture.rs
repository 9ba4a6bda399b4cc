//! Fail-overs of a program under `ostrakon run`, many in a row, judged by what the program itself wrote.
//!
//! `OSTRAKON_FAILOVERS=1000 cargo test -p ostrakon-linux --test torture -- --nocapture` is the long form; a seed that is
//! printed replays the order and the pauses (not the scheduling of the machine) with `OSTRAKON_SEED`.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Bench, Mount, free_addr};
use ostrakon_xtask::{skipped, torture};
use rustix::process::Signal;

/// Fail-overs where nothing else was asked for.
const FAILOVERS: u32 = 4;

/// How long a program may take to write for the first time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes its term and a number, again and again: first what it is about to do, then that it was done.
const WITNESS: &str = "i=0; while :; do i=$((i+1)); echo $OSTRAKON_TERM $i >>$W; sleep 0.002; done";

struct Random(u64);

impl Random {
    /// xorshift64*: enough for pauses.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

struct Field {
    bench: Bench,
    options: &'static [&'static str],
}

impl Field {
    fn witness(&self) -> PathBuf {
        self.bench.image().with_file_name("witness")
    }

    fn host(&self) -> Mount {
        let addr = free_addr();
        let own = ["run", "IMAGE", "--json", "--server-addr", &addr];
        let script = format!("exec 2>/dev/null; {WITNESS}");
        let program = ["--", "sh", "-c", &script];
        let mut command = self.bench.command(&[&own, self.options, &program].concat());
        command.env("W", self.witness()).stdout(Stdio::null());
        Mount::start_run(command)
    }

    /// Waits until as many writers have begun: that a program was started does not mean that it was given the processor.
    fn wait_written(&self, expected: u32) {
        let deadline = Instant::now() + PATIENCE;
        let begun = || {
            let text = fs::read_to_string(self.witness()).unwrap();
            let firsts = text.lines().filter(|line| line.ends_with(" 1"));
            firsts.count() >= expected as usize
        };
        while !begun() {
            assert!(
                Instant::now() < deadline,
                "the program was started, and writes nothing"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The term of the last writer; fails if one wrote after the next had begun, if a term came back, or if there were
    /// not as many as expected.
    fn judge(&self, expected: u32) -> u64 {
        let begun = Instant::now();
        loop {
            let (term, writers) = self.read();
            assert!(writers <= expected, "{writers} writers, not {expected}");
            if writers == expected {
                return term;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "the program does not write"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The term of the last writer, and how many there were.
    fn read(&self) -> (u64, u32) {
        let (mut last, mut writers) = ((0, 0), 0);
        for line in fs::read_to_string(self.witness()).unwrap().lines() {
            let (term, count) = line.split_once(' ').unwrap();
            let now: (u64, u64) = (term.parse().unwrap(), count.parse().unwrap());
            let begins = now.0 > last.0 && now.1 == 1;
            assert!(begins || now == (last.0, last.1 + 1), "{now:?} after {last:?}");
            writers += u32::from(begins);
            last = now;
        }
        (last.0, writers)
    }
}

const LEASE: &[&str] = &[
    "--fence",
    "lease",
    "--lease-ms",
    "600",
    "--io-timeout-ms",
    "500",
    "--silence-ms",
    "500",
];

/// Kills or freezes whoever leads, again and again; the one after it takes over, and a new one joins.
fn two_hosts(options: &'static [&'static str], freeze_only: bool) {
    let seed = number("OSTRAKON_SEED", clock_seed());
    let rounds = number("OSTRAKON_FAILOVERS", u64::from(FAILOVERS)) as u32;
    println!("OSTRAKON_SEED={seed} OSTRAKON_FAILOVERS={rounds} {options:?}");
    let mut random = Random(seed | 1);
    let field = Field {
        bench: Bench::formatted("1"),
        options,
    };
    fs::write(field.witness(), "").unwrap();
    let mut leader = field.host();
    leader.wait("program_started");
    let mut took = [Vec::new(), Vec::new()];
    for round in 1..=rounds {
        let mut next = field.host();
        next.wait("connected");
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        let freeze = freeze_only || random.below(2) == 0;
        let begun = Instant::now();
        leader.signal(if freeze { Signal::STOP } else { Signal::KILL });
        next.wait("program_started");
        took[usize::from(freeze)].push(begun.elapsed());
        if freeze {
            // Thawed at some moment after its successor began, if it is still there at all.
            std::thread::sleep(Duration::from_micros(random.below(20_000)));
            leader.signal(Signal::CONT);
        }
        field.wait_written(round + 1);
        // Nobody killed it for a lease.
        leader.signal(Signal::KILL);
        leader.end();
        let term = field.judge(round + 1);
        let status = field.bench.status();
        assert_eq!(
            status["server"]["term"].as_u64(),
            Some(term),
            "what the device says"
        );
        leader = next;
    }
    println!("{rounds} fail-overs, one writer at a time");
    for (what, mut took) in ["SIGKILL", "SIGSTOP"].into_iter().zip(took) {
        took.sort();
        if let (Some(median), Some(longest)) = (took.get(took.len() / 2), took.last()) {
            println!(
                "{} by {what}: the program ran again after {median:?} (median), {longest:?} (longest)",
                took.len()
            );
        }
    }
}

fn clock_seed() -> u64 {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    time.unwrap().subsec_nanos().into()
}

#[test]
fn one_writer_at_a_time_over_many_fail_overs_with_a_fence_agent() {
    two_hosts(
        &["--fence", "agent:ostrakon fence-kill", "--silence-ms", "500"],
        false,
    );
}

#[test]
fn the_frozen_leader_writes_nothing_after_its_successor_serves() {
    two_hosts(
        &["--fence", "agent:ostrakon fence-kill", "--silence-ms", "500"],
        true,
    );
}

#[test]
fn under_a_lease_the_program_of_a_frozen_or_killed_host_ends_before_the_next_begins() {
    two_hosts(LEASE, false);
}

/// Three hosts, each in a network of its own that can be cut; `cargo xtask torture` is the long form.
#[test]
fn a_host_that_is_killed_frozen_or_cut_off_is_succeeded_by_one_of_two() {
    let options = torture::Options {
        failovers: 4,
        seed: number("OSTRAKON_SEED", clock_seed()),
        faults: vec![torture::Fault::Sever, torture::Fault::Kill],
        method: torture::Method::Agent,
        verbose: false,
    };
    println!("{options:?}");
    let binary = Path::new(env!("CARGO_BIN_EXE_ostrakon"));
    let report = torture::run(binary, Path::new(env!("CARGO_TARGET_TMPDIR")), &options);
    let report = report.unwrap_or_else(|failure| panic!("{failure}"));
    println!("{report}");
    assert_eq!(report.writers, options.failovers + 1);
    if let Some(reason) = report.skipped {
        skipped::note("a host that is cut off from the network", &reason);
    }
}
