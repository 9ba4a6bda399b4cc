//! Hooks and the service manager.

mod common;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use common::{Bench, Mount, free_addr};
use rustix::process::Signal;
use serde_json::json;

#[test]
fn hooks_are_run_in_order_and_the_next_leader_waits_for_the_last() {
    let bench = Bench::formatted("1");
    let told = bench.image().with_file_name("told");
    let command = format!("echo $OSTRAKON_HOOK $OSTRAKON_TERM >>{}", told.display());
    let slow = format!("sleep 0.7; {command}");
    let hooks = [
        "--on-elected",
        &command,
        "--on-deposed",
        &slow,
        "--on-connected",
        &command,
    ];
    let mut host = bench.voter(&hooks);
    for _ in 0..2 {
        host.wait("hook");
    }
    assert_eq!(lines(&told), ["elected 1", "connected 1"]);
    let begun = Instant::now();
    host.signal(Signal::TERM);
    let hook = host.wait("hook");
    assert_eq!((&hook["hook"], &hook["error"]), (&json!("deposed"), &json!(null)));
    host.wait("stopped_serving");
    assert!(begun.elapsed() >= Duration::from_millis(700), "it waited");
    assert_eq!(host.end().code(), Some(0));
}

fn lines(path: &std::path::Path) -> Vec<String> {
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_hook_that_fails_is_told() {
    let bench = Bench::formatted("1");
    let mut host = bench.voter(&["--on-elected", "exit 3"]);
    let hook = host.wait("hook");
    assert!(hook["error"].as_str().unwrap().contains('3'), "{hook}");
    host.signal(Signal::TERM);
    assert_eq!(host.end().code(), Some(0));
}

#[test]
fn a_service_manager_is_told_of_readiness_life_and_the_end() {
    let bench = Bench::formatted("1");
    let path = bench.image().with_file_name("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let addr = free_addr();
    let mut command = bench.command(&[
        "mount",
        "IMAGE",
        "--json",
        "--server-addr",
        &addr,
        "--fence",
        "lease",
    ]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let begun = Instant::now();
    let mut host = Mount::start(command);
    let heard = |wanted: &str| loop {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).unwrap();
        if String::from_utf8_lossy(&bytes[..length]).contains(wanted) {
            return;
        }
    };
    heard("READY=1");
    (0..5).for_each(|_| heard("WATCHDOG=1"));
    assert!(
        begun.elapsed() >= Duration::from_millis(300),
        "twice in each time-out, no more"
    );
    host.signal(Signal::TERM);
    heard("STOPPING=1");
    assert_eq!(host.end().code(), Some(0));
}
