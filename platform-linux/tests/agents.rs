//! Fence agents and scripts: slow, refusing, lying, absent ones, and one of the distribution's.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::{Bench, Mount, free_addr};
use ostrakon_xtask::skipped;
use rustix::process::Signal;
use serde_json::{Value, json};

/// A voter whose host is another than that of its neighbour, as far as locks are concerned: what is known without an
/// agent does not count here.
fn voter(bench: &Bench, runtime: &str, options: &[&str]) -> Mount {
    let addr = free_addr();
    let own = [
        "mount",
        "IMAGE",
        "--json",
        "--server-addr",
        &addr,
        "--silence-ms",
        "400",
    ];
    let mut command = bench.command(&[&own, options].concat());
    let folder = bench.image().with_file_name(runtime);
    fs::create_dir_all(&folder).unwrap();
    command.env("OSTRAKON_RUNTIME_DIR", folder);
    Mount::start(command)
}

/// A first leader is killed; the second, with these options, has to fence it.
fn second_after_crash(bench: &Bench, options: &[&str]) -> (Mount, Value) {
    let mut first = voter(
        bench,
        "one",
        &["--fence", "agent:true", "--fence-param", "node-1"],
    );
    let serving = first.wait("serving");
    let mut second = voter(bench, "two", options);
    second.wait("connected");
    first.signal(Signal::KILL);
    first.end();
    (second, serving)
}

fn script(bench: &Bench, body: &str) -> (PathBuf, String) {
    let path = bench.image().with_file_name("agent");
    fs::write(
        &path,
        format!("#!/bin/sh\ncd {}\n{body}\n", path.parent().unwrap().display()),
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let line = path.display().to_string();
    (path, line)
}

#[test]
fn a_script_finds_the_victim_and_the_map_in_its_environment() {
    let bench = Bench::formatted("1");
    let (_, line) = script(&bench, "env | grep OSTRAKON_ | sort >told");
    let map = bench.image().with_file_name("map");
    fs::write(&map, "10.9.9.9 plug=8\nparam:node-1 plug=3 login-name=x\n").unwrap();
    let options = [
        "--fence",
        &format!("script:{line}"),
        "--fence-map",
        map.to_str().unwrap(),
    ];
    let (mut second, serving) = second_after_crash(&bench, &options);
    assert_eq!(second.wait("fenced")["victim_rid"], serving["rid"]);
    let told = fs::read_to_string(map.with_file_name("told")).unwrap();
    let addr = serving["server_addr"].as_str().unwrap();
    let (ip, _port) = addr.rsplit_once(':').unwrap();
    for (key, value) in [
        ("VICTIM_RID", serving["rid"].as_str().unwrap()),
        ("VICTIM_ADDR", addr),
        ("VICTIM_IP", ip),
        ("VICTIM_TERM", "1"),
        ("VICTIM_PARAM", "node-1"),
        ("MAP_PLUG", "3"),
        ("MAP_LOGIN_NAME", "x"),
    ] {
        assert!(
            told.contains(&format!("OSTRAKON_{key}={value}\n")),
            "{key}: {told}"
        );
    }
}

#[test]
fn a_refusal_keeps_the_next_leader_from_serving_until_a_fence_is_confirmed() {
    let bench = Bench::formatted("1");
    let (path, line) = script(&bench, "test -e mended || { echo no power switch >&2; exit 1; }");
    let (mut second, first) = second_after_crash(&bench, &["--fence", &format!("script:{line}")]);
    second.wait("fence_failed");
    let report = second.wait("fence_report");
    assert!(
        report["failures"][0]
            .as_str()
            .unwrap()
            .contains("no power switch"),
        "{report}"
    );
    assert_eq!(bench.status()["server"]["term"], json!(1), "nobody serves");
    assert_eq!(
        bench.status()["fences"],
        json!([]),
        "it leads nobody yet, and may not write"
    );
    fs::write(path.with_file_name("mended"), "").unwrap();
    second.wait("fenced");
    let serving = second.wait("serving");
    let record = bench.status()["fences"][0].clone();
    for (field, value) in [
        ("victim", first["rid"].clone()),
        ("term", json!(1)),
        ("addr", first["server_addr"].clone()),
        ("by", json!({ "term": serving["term"], "rid": serving["rid"] })),
        ("why", json!("predecessor")),
        ("how", json!("fence")),
        ("method", json!("agent")),
        ("result", json!("done")),
    ] {
        assert_eq!(record[field], value, "{field}: {record}");
    }
    assert!(
        record["attempts"].as_u64() > Some(1),
        "the refusals count: {record}"
    );
    let (text, _) = bench.expect(0, &["status", "IMAGE"]);
    assert!(text.contains("leader of term 1: fenced (agent); by"), "{text}");
    let dump = bench.json(&["dump", "IMAGE", "fences", "--json"]);
    assert_eq!(dump["fences"][0]["victim"], first["rid"]);
    assert_eq!(dump["fences"][31]["empty"], json!(true));
}

#[test]
fn a_victim_that_the_map_does_not_know_is_not_fenced_before_it_is_mended() {
    let bench = Bench::formatted("1");
    let map = bench.image().with_file_name("map");
    fs::write(&map, "10.9.9.9 plug=8\n").unwrap();
    let options = ["--fence", "agent:true", "--fence-map", map.to_str().unwrap()];
    let (mut second, _) = second_after_crash(&bench, &options);
    let report = second.wait("fence_report");
    assert!(
        report["failures"][0]
            .as_str()
            .unwrap()
            .contains("no line for the victim"),
        "{report}"
    );
    fs::write(&map, "* plug=8\n").unwrap();
    second.wait("serving");
}

#[test]
fn a_slow_agent_is_killed_and_the_next_one_asked() {
    let bench = Bench::formatted("1");
    let options = [
        "--fence",
        "agent:sleep 100",
        "--fence",
        "agent:true",
        "--fence-timeout-ms",
        "1000",
    ];
    let (mut second, _) = second_after_crash(&bench, &options);
    let report = second.wait("fence_report");
    assert_eq!(report["how"], json!("confirmed by true"));
    second.wait("fenced");
    second.wait("serving");
}

#[test]
fn an_agent_that_is_gone_when_it_is_needed_is_told_of() {
    let bench = Bench::formatted("1");
    let (path, line) = script(&bench, "exit 0");
    let mut first = voter(&bench, "one", &["--fence", "agent:true"]);
    first.wait("serving");
    let mut second = voter(&bench, "two", &["--fence", &format!("agent:{line}")]);
    second.wait("connected");
    fs::remove_file(path).unwrap();
    first.signal(Signal::KILL);
    let report = second.wait("fence_report");
    assert!(
        report["failures"][0].as_str().unwrap().contains("cannot be run"),
        "{report}"
    );
}

#[test]
fn a_lying_agent_is_believed_and_the_deposed_leader_finds_out_and_stops() {
    let bench = Bench::formatted("1");
    let mut first = voter(&bench, "one", &["--fence", "agent:true"]);
    first.wait("serving");
    let mut second = voter(&bench, "two", &["--fence", "agent:true"]);
    second.wait("connected");
    first.signal(Signal::STOP);
    let serving = second.wait("serving");
    first.signal(Signal::CONT);
    // It is not said that nothing was written meanwhile: that is what the table of failures warns of.
    first.wait("superseded");
    first.wait("stopped_serving");
    assert_eq!(bench.status()["server"]["term"], serving["term"]);
}

#[test]
fn an_agent_of_the_distribution_works_unchanged() {
    if !Path::new("/usr/sbin/fence_dummy").exists() {
        return skipped::note(
            "an agent of the distribution",
            "/usr/sbin/fence_dummy is not there; the package fence-agents brings it",
        );
    }
    let bench = Bench::formatted("1");
    let state = bench.image().with_file_name("state");
    fs::write(&state, "on").unwrap();
    let agent = format!(
        "agent:/usr/sbin/fence_dummy,type=file,status_file={}",
        state.display()
    );
    let (mut second, _) = second_after_crash(&bench, &["--fence", &agent]);
    let report = second.wait("fence_report");
    assert_eq!(report["done"], json!(true), "{report}");
    second.wait("serving");
    assert_eq!(fs::read_to_string(state).unwrap().trim(), "off");
}

#[test]
fn an_operator_can_fence_by_hand() {
    let bench = Bench::formatted("1");
    let (mut second, serving) = second_after_crash(&bench, &["--fence", "agent:false"]);
    second.wait("fence_failed");
    let rid = serving["rid"].as_str().unwrap();
    let by_hand = |code: i32, more: &[&str]| {
        let mut command = bench.command(&[&["fence", "IMAGE", rid], more].concat());
        command.env("OSTRAKON_RUNTIME_DIR", bench.image().with_file_name("two"));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    by_hand(2, &[]);
    let refused = by_hand(1, &["--fence", "agent:false"]);
    assert!(
        refused.contains("is not fenced") && refused.contains("exit code 1"),
        "{refused}"
    );
    assert_eq!(
        bench.status()["server"]["term"],
        json!(1),
        "a refusal confirms nothing"
    );
    let said = by_hand(0, &["--confirmed"]);
    assert!(
        said.contains("confirmed by the operator") && said.contains(rid),
        "{said}"
    );
    second.wait("fenced");
    second.wait("serving");
    let record = &bench.status()["fences"][0];
    for (field, value) in [
        ("victim", json!(rid)),
        ("method", json!("operator")),
        ("result", json!("done")),
    ] {
        assert_eq!(record[field], value, "{record}");
    }
    assert!(
        by_hand(3, &["--confirmed"]).contains("no mount"),
        "it is gone from the log"
    );
}
