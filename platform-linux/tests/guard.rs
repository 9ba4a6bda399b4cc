//! The lease and its watchdog, as options of a real mount.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{Bench, Mount, free_addr};
use rustix::process::Signal;
use serde_json::json;

const LEASE: &[&str] = &["--fence", "lease", "--lease-ms", "600", "--io-timeout-ms", "500"];

fn voter(bench: &Bench, options: &[&str]) -> Mount {
    let addr = free_addr();
    let own = ["mount", "IMAGE", "--json", "--server-addr", &addr];
    Mount::start(bench.command(&[&own, LEASE, options].concat()))
}

#[test]
fn a_mount_says_at_its_start_what_its_way_of_fencing_survives() {
    let bench = Bench::formatted("1");
    let told = voter(&bench, &[]).wait("silencing");
    assert_eq!(told["method"], json!("lease"));
    let not = told["does_not_survive"].as_array().unwrap();
    assert!(not.contains(&json!("a frozen host")), "{told}");
    let told = bench.voter(&[]).wait("silencing");
    assert_eq!(told["method"], json!("kill agent"));
    let not = told["does_not_survive"].as_array().unwrap();
    assert!(
        not.contains(&json!("a frozen host")),
        "it reaches its own host only: {told}"
    );
    let addr = free_addr();
    let agent = [
        "mount",
        "IMAGE",
        "--json",
        "--server-addr",
        &addr,
        "--fence",
        "agent:true",
    ];
    let told = Mount::start(bench.command(&agent)).wait("silencing");
    assert_eq!(told["does_not_survive"], json!(["a lying agent"]));
    let mut client = bench.client(&[]);
    client.wait("started");
    client.signal(Signal::TERM);
    client.end();
    assert!(client.all().iter().all(|event| event["event"] != "silencing"));
}

#[test]
fn a_watchdog_is_fed_while_the_lease_holds_and_stopped_only_by_who_leaves() {
    let bench = Bench::formatted("1");
    let path = bench.image().with_file_name("watchdog");
    let fed = || fs::read(&path).unwrap();
    for kill in [false, true] {
        fs::write(&path, "").unwrap();
        let device = path.to_str().unwrap().to_owned();
        let mut host = voter(&bench, &["--watchdog", &device, "--watchdog-pretend-ms", "400"]);
        assert_eq!(host.wait("silencing")["method"], json!("lease + watchdog"));
        host.wait("serving");
        let status = bench.status();
        assert_eq!(
            status["log"][0]["quiet_ms"],
            json!(600 + 400 + 500),
            "others wait for it too"
        );
        let (begun, before) = (Instant::now(), fed().len());
        while fed().len() < before + 8 {
            assert!(begun.elapsed() < Duration::from_secs(20), "it is hardly fed");
            std::thread::sleep(Duration::from_millis(5));
        }
        // Four in each time-out, if none is late.
        assert!(
            begun.elapsed() >= Duration::from_millis(600),
            "it is fed too often"
        );
        // A frozen one feeds nothing.
        host.signal(Signal::STOP);
        std::thread::sleep(Duration::from_millis(50));
        let before = fed().len();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(fed().len(), before);
        host.signal(Signal::CONT);
        host.signal(if kill { Signal::KILL } else { Signal::TERM });
        host.end();
        assert_eq!(fed().ends_with(b"V"), !kill, "{:?}", fed());
    }
}

#[test]
fn a_watchdog_that_is_none_or_too_slow_is_refused() {
    let bench = Bench::formatted("1");
    let addr = free_addr();
    let own = ["mount", "IMAGE", "--server-addr", &addr];
    let refused = |options: &[&str]| bench.expect(2, &[&own, LEASE, options].concat()).1;
    let error = refused(&["--watchdog", "/dev/null", "--watchdog-pretend-ms", "601"]);
    assert!(error.contains("--lease-ms 601 or more"), "{error}");
    let error = refused(&["--watchdog", "/dev/null"]);
    assert!(error.contains("not a watchdog"), "{error}");
    let agent = ["--fence", "agent:true", "--watchdog", "/dev/null"];
    let (_, error) = bench.expect(2, &[&own, &agent[..]].concat());
    assert!(error.contains("guards a lease"), "{error}");
}
