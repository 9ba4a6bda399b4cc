//! `format`, `status`, `dump`, `set-quorum-count` and `rekey` on image files, whole and broken.

mod common;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use common::Bench;
use serde_json::json;

const BLOCK: u64 = 4096;

fn write_at(bench: &Bench, bytes: &[u8], at: u64) {
    let file = OpenOptions::new().write(true).open(bench.image()).unwrap();
    file.write_all_at(bytes, at).unwrap();
    file.sync_all().unwrap();
}

#[test]
fn a_new_volume_says_what_it_was_made_for() {
    let bench = Bench::formatted("2");
    let status = bench.status();
    for (field, value) in [
        ("quorum_count", json!(2)),
        ("clients_max", json!(100)),
        ("server", json!(null)),
        ("clients", json!([])),
        ("voters_seen", json!([])),
        ("log", json!([])),
        ("damaged", json!([])),
        ("super_copies", json!("equal")),
    ] {
        assert_eq!(status[field], value, "{field}");
    }
    let (text, _) = bench.expect(0, &["status", "IMAGE"]);
    assert!(
        text.contains("votes needed  2") && text.contains("none, and there never was one"),
        "{text}"
    );
}

#[test]
fn dump_shows_every_block_and_never_the_key() {
    let bench = Bench::formatted("3");
    let dump = bench.json(&["dump", "IMAGE", "--json"]);
    assert_eq!(dump["super"].as_array().unwrap().len(), 2);
    assert_eq!(dump["quorum"].as_array().unwrap().len(), 64);
    assert_eq!(
        dump["clients"].as_array().unwrap().len(),
        2 * 100usize.div_ceil(36)
    );
    assert!(
        dump["quorum"]
            .as_array()
            .unwrap()
            .iter()
            .all(|block| block["empty"] == json!(true))
    );
    assert_eq!(dump["super"][1]["quorum_count"], json!(3));
    let (text, _) = bench.expect(0, &["dump", "IMAGE", "quorum"]);
    assert_eq!(text.lines().count(), 65);
    // The key is 32 bytes of the super block: none of it may show, in hexadecimal or otherwise.
    let (all, _) = bench.expect(0, &["dump", "IMAGE", "--json"]);
    let block = fs::read(bench.image()).unwrap()[16 * 4096..17 * 4096].to_vec();
    for window in block
        .windows(8)
        .filter(|window| window.iter().all(|&byte| byte != 0))
    {
        let hex: String = window.iter().map(|byte| format!("{byte:02x}")).collect();
        let is_volume = bench.status()["volume"].as_str().unwrap().contains(&hex);
        assert!(is_volume || !all.contains(&hex), "{hex}");
    }
}

#[test]
fn format_refuses_what_holds_something_unless_forced_and_says_what() {
    let bench = Bench::formatted("1");
    let before = bench.status()["volume"].clone();
    let (_, error) = bench.expect(3, &["format", "IMAGE", "--quorum-count", "1"]);
    assert!(
        error.contains(before.as_str().unwrap()) && error.contains("quorum count 1"),
        "{error}"
    );
    let (said, _) = bench.expect(0, &["format", "IMAGE", "--quorum-count", "5", "--force"]);
    assert!(said.contains("destroyed: ostrakon volume"), "{said}");
    assert_ne!(bench.status()["volume"], before);
    assert_eq!(bench.status()["quorum_count"], json!(5));
}

#[test]
fn format_knows_other_peoples_marks() {
    let bench = Bench::empty();
    fs::write(bench.image(), vec![0; 8 << 20]).unwrap();
    write_at(&bench, b"XFSB", 0);
    let (_, error) = bench.expect(3, &["format", "IMAGE", "--quorum-count", "1"]);
    assert!(error.contains("XFS") && error.contains("--force"), "{error}");
    bench.expect(0, &["format", "IMAGE", "--quorum-count", "1", "--force"]);
    assert_eq!(
        &fs::read(bench.image()).unwrap()[..4],
        [0; 4],
        "nobody takes it for XFS any more"
    );
}

#[test]
fn a_damaged_volume_is_still_somebodys_volume() {
    let bench = Bench::formatted("1");
    write_at(&bench, &[0xff; 100], 16 * BLOCK + 300);
    write_at(&bench, &[0xff; 100], 32 * BLOCK + 300);
    let (_, error) = bench.expect(3, &["format", "IMAGE", "--quorum-count", "1"]);
    assert!(error.contains("cannot be read"), "{error}");
}

#[test]
fn format_checks_its_arguments() {
    let bench = Bench::empty();
    bench.expect(2, &["format", "IMAGE"]);
    bench.expect(2, &["format", "IMAGE", "--quorum-count", "0", "--size", "8M"]);
    bench.expect(2, &["format", "IMAGE", "--quorum-count", "1", "--size", "lots"]);
    bench.expect(
        2,
        &[
            "format",
            "IMAGE",
            "--quorum-count",
            "1",
            "--size",
            "8M",
            "--clients-max",
            "0",
        ],
    );
    let (_, error) = bench.expect(2, &["format", "IMAGE", "--quorum-count", "1"]);
    assert!(error.contains("--size"), "{error}");
    let (_, error) = bench.expect(2, &["format", "IMAGE", "--quorum-count", "1", "--size", "64K"]);
    assert!(error.contains("clients-max"), "{error}");
    assert!(
        !bench.image().exists(),
        "what could not be formatted is not left behind"
    );
    let folder = bench.image();
    fs::create_dir(&folder).unwrap();
    let (_, error) = bench.expect(1, &["format", "IMAGE", "--quorum-count", "1"]);
    assert!(error.contains("expected a block device"), "{error}");
}

#[test]
fn an_existing_file_is_never_made_anew() {
    let bench = Bench::empty();
    fs::write(bench.image(), "precious").unwrap();
    let (_, error) = bench.expect(
        3,
        &[
            "format",
            "IMAGE",
            "--quorum-count",
            "1",
            "--size",
            "8M",
            "--force",
        ],
    );
    assert!(error.contains("is there already"), "{error}");
    assert_eq!(fs::read(bench.image()).unwrap(), b"precious");
}

#[test]
fn what_is_no_volume_is_told_so() {
    let bench = Bench::empty();
    bench.expect(1, &["status", "IMAGE"]);
    for content in [
        vec![],
        vec![0; 4096],
        vec![0; 1 << 20],
        vec![0xa5; 1 << 20],
        vec![7; 65536 + 100],
    ] {
        fs::write(bench.image(), &content).unwrap();
        for command in ["status", "dump", "mount"] {
            let (_, error) = bench.expect(4, &[command, "IMAGE"]);
            assert!(error.contains("no ostrakon volume"), "{command}: {error}");
        }
        bench.expect(4, &["set-quorum-count", "IMAGE", "3"]);
    }
}

#[test]
fn a_truncated_volume_is_an_error_that_says_by_how_much() {
    let bench = Bench::formatted("1");
    let file = OpenOptions::new().write(true).open(bench.image()).unwrap();
    file.set_len(100 * BLOCK).unwrap();
    for command in ["status", "mount"] {
        let (_, error) = bench.expect(4, &[command, "IMAGE"]);
        assert!(
            error.contains("has 100 blocks") && error.contains("takes 2048"),
            "{error}"
        );
    }
    file.set_len(20 * BLOCK).unwrap();
    bench.expect(4, &["status", "IMAGE"]);
    let (out, _) = bench.expect(4, &["dump", "IMAGE", "super"]);
    assert!(
        out.contains("quorum_count=1") && out.contains("INVALID: unreadable"),
        "{out}"
    );
}

#[test]
fn one_lost_copy_of_the_super_block_is_survived_and_shown() {
    let bench = Bench::formatted("4");
    write_at(&bench, &[0xee; 512], 16 * BLOCK + 512);
    let status = bench.status();
    assert_eq!(status["quorum_count"], json!(4));
    assert_eq!(status["super_copies"], json!("only second valid"));
    let dump = bench.json(&["dump", "IMAGE", "super", "--json"]);
    assert!(
        dump["super"][0]["invalid"].as_str().unwrap().contains("checksum"),
        "{dump}"
    );
}

#[test]
fn both_copies_lost_is_an_error_with_both_reasons() {
    let bench = Bench::formatted("1");
    write_at(&bench, &[0xee; 512], 16 * BLOCK + 512);
    write_at(&bench, &[0; 4096], 32 * BLOCK);
    let (_, error) = bench.expect(4, &["status", "IMAGE"]);
    assert!(
        error.contains("checksum") && error.contains("not an ostrakon block"),
        "{error}"
    );
    let (out, error) = bench.expect(4, &["dump", "IMAGE"]);
    assert_eq!(out.matches("INVALID").count(), 2, "{out}");
    assert!(error.contains("other parts cannot be found"), "{error}");
}

#[test]
fn damaged_blocks_are_shown_with_their_reasons_and_hide_nothing_else() {
    let bench = Bench::formatted("1");
    let quorum = fs::read(bench.image()).unwrap()[64 * 4096..65 * 4096].to_vec();
    write_at(&bench, &quorum, 70 * BLOCK);
    write_at(&bench, &[1; 4096], 71 * BLOCK);
    write_at(&bench, &[9], 129 * BLOCK + 4000);
    let status = bench.status();
    let damaged: Vec<_> = status["damaged"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["block"].clone())
        .collect();
    assert_eq!(damaged, [70, 71, 129]);
    assert!(
        status["damaged"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("misdirected"),
        "{status}"
    );
    assert_eq!(status["clients_lost_blocks"], json!(0), "the other copy is whole");
    let (out, _) = bench.expect(0, &["dump", "IMAGE", "quorum"]);
    assert!(out.contains("block 71: INVALID: not an ostrakon block"), "{out}");
}

#[test]
fn a_region_of_garbage_never_panics_anything() {
    let bench = Bench::formatted("1");
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let garbage: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (noise >> 56) as u8
    })
    .take(80 * 4096)
    .collect();
    write_at(&bench, &garbage, 64 * BLOCK);
    assert_eq!(bench.status()["damaged"].as_array().unwrap().len(), 64 + 6 + 9);
    bench.expect(0, &["dump", "IMAGE"]);
    let (_, error) = bench.expect(3, &["set-quorum-count", "IMAGE", "2"]);
    assert!(error.contains("damaged"), "{error}");
}

#[test]
fn the_quorum_count_is_changed_in_both_copies() {
    let bench = Bench::formatted("1");
    bench.expect(2, &["set-quorum-count", "IMAGE", "0"]);
    bench.expect(2, &["set-quorum-count", "IMAGE", "70000"]);
    let (said, _) = bench.expect(0, &["set-quorum-count", "IMAGE", "3"]);
    assert!(said.contains("1 is now 3"), "{said}");
    let status = bench.status();
    assert_eq!(status["quorum_count"], json!(3));
    assert_eq!(status["super_seq"], json!(2));
    assert_eq!(status["super_copies"], json!("equal"));
}

/// The key in each copy of the super block.
fn keys(bench: &Bench) -> [Vec<u8>; 2] {
    let image = std::fs::read(bench.image()).unwrap();
    [16, 32].map(|block| {
        let at = block * usize::try_from(BLOCK).unwrap() + 192;
        image[at..at + 32].to_vec()
    })
}

/// The key, in any way in which it could be printed by mistake.
fn spellings(key: &[u8]) -> [String; 4] {
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    [hex.to_uppercase(), hex, format!("{key:?}"), format!("{key:x?}")]
}

#[test]
fn rekey_replaces_the_key_in_both_copies_and_nobody_prints_either() {
    let bench = Bench::formatted("1");
    let [old, copy] = keys(&bench);
    assert_eq!(old, copy);
    let before = bench.status();
    let (said, _) = bench.expect(0, &["rekey", "IMAGE"]);
    let [new, copy] = keys(&bench);
    assert_eq!(new, copy);
    assert_ne!(new, old);
    let after = bench.status();
    assert_eq!(after["super_seq"], json!(2));
    assert_eq!(after["volume"], before["volume"]);
    assert_eq!(after["quorum_count"], before["quorum_count"]);
    let mut printed = vec![said];
    for command in [
        &["status", "IMAGE"][..],
        &["status", "IMAGE", "--json"],
        &["dump", "IMAGE"],
    ] {
        printed.push(bench.expect(0, command).0);
    }
    for key in [old, new] {
        for spelling in spellings(&key) {
            assert!(!printed.iter().any(|text| text.contains(&spelling)));
        }
    }
}

#[test]
fn rekey_is_refused_like_every_change_offline() {
    let empty = Bench::empty();
    std::fs::write(empty.image(), [0; 1 << 20]).unwrap();
    empty.expect(4, &["rekey", "IMAGE"]);
    let bench = Bench::formatted("1");
    let before = keys(&bench);
    write_at(&bench, &[0xa5; 64 * 4096], 64 * BLOCK);
    let (_, error) = bench.expect(3, &["rekey", "IMAGE"]);
    assert!(error.contains("damaged"), "{error}");
    assert_eq!(keys(&bench), before);
}

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let bench = Bench::empty();
    let (help, _) = bench.expect(0, &["--help"]);
    for word in [
        "format",
        "mount",
        "status",
        "dump",
        "set-quorum-count",
        "rekey",
        "fence-kill",
        "Exit codes:",
    ] {
        assert!(help.contains(word), "{word}");
    }
    let (help, _) = bench.expect(0, &["mount", "--help"]);
    for word in [
        "FENCING",
        "does NOT cover",
        "virtual machine",
        "SIGTERM",
        "ostrakon_rid",
    ] {
        assert!(help.contains(word), "{word}");
    }
}

#[test]
fn status_looks_again_until_nobody_reads_and_says_how_long_it_took() {
    use std::io::{BufRead, BufReader};
    let bench = Bench::formatted("2");
    let status = bench.status();
    assert_eq!(status["carried_by"], json!(0));
    assert!(status["read_ms"].as_f64().unwrap() > 0.0);
    let watch = ["status", "IMAGE", "--watch", "--interval-ms", "10"];
    for more in [&["--json"][..], &[]] {
        let mut command = bench.command(&[&watch, more].concat());
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let looks = out
            .lines()
            .map(Result::unwrap)
            .filter(|line| line.contains("quorum_count") || line.contains("votes needed"));
        assert_eq!(looks.take(3).count(), 3);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}
