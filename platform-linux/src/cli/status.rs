//! `ostrakon status`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ostrakon_core::bounds::{REGION_BLOCKS, SEAL_BLOCKS};
use serde_json::{Value, json};

use super::{Exit, show};
use crate::disk::Access;
use crate::offline::{Fences, Region, Table, Volume};

/// Say who serves and who is mounted, from the device alone.
///
/// Reads the device and nothing else, so that it works on a host where nothing runs. What stands on the device is
/// history: a voter seen there may be long gone, and a server named there may have died a moment ago.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Block device or image file
    device: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Look again and again, until it is interrupted
    #[arg(long)]
    watch: bool,
    /// Pause between two looks
    #[arg(long, value_name = "MS", default_value_t = 1_000, requires = "watch", value_parser = clap::value_parser!(u64).range(10..=86_400_000))]
    interval_ms: u64,
}

pub(super) fn run(args: &Args) -> Exit {
    loop {
        let begun = Instant::now();
        let volume = match Volume::open(&args.device, Access::Read) {
            Ok(volume) => volume,
            Err(error) => return Exit::of(&error).because(error),
        };
        let status = gather(&volume, begun);
        let words = match (args.json, args.watch) {
            (true, _) => status.to_string(),
            (false, false) => text(&status),
            // Home, then each line with the rest of the old one cleared, then everything below: nothing flickers.
            (false, true) => format!(
                "\x1b[H{}\x1b[J",
                text(&status).replace('\n', "\x1b[K\n") + "\x1b[K"
            ),
        };
        match show::print_line(&words) {
            Exit::Done if args.watch && !show::reader_is_gone() => {}
            exit => return exit,
        }
        std::thread::sleep(Duration::from_millis(args.interval_ms));
    }
}

/// Everything there is to say, as one document: the text is made from it, so that the two cannot differ.
fn gather(volume: &Volume, begun: Instant) -> Value {
    let state = volume.state();
    let region = Region::read(volume);
    let table = Table::read(volume);
    let clients: Vec<Value> = table
        .records(state.unmount_barrier)
        .map(|record| show::client(&record))
        .collect();
    let fences = Fences::read(volume);
    let log = region.live_entries(volume.view().trimmed());
    let mut damaged: Vec<Value> = region
        .damaged()
        .map(|(at, damage)| json!({ "block": at.0, "reason": damage.to_string() }))
        .collect();
    damaged.extend(
        table
            .damaged()
            .map(|(at, damage)| json!({ "block": at.0, "reason": damage.to_string() })),
    );
    damaged.extend(
        fences
            .damaged()
            .map(|(at, damage)| json!({ "block": at.0, "reason": damage.to_string() })),
    );
    json!({
        "device": volume.device().path().display().to_string(),
        "volume": state.volume.to_string(),
        "format_version": ostrakon_core::format::VERSION,
        "super_seq": state.seq,
        "super_copies": show::copies(volume.view().copies),
        "quorum_count": state.quorum_count,
        "server": state.server.map(|server| json!({
            "term": server.term.0,
            "rid": server.rid.to_string(),
            "live": volume.view().live_server().is_some(),
        })),
        "server_addr": state.server_addr.map(|addr| addr.to_string()),
        "fenced": show::mark(state.fenced),
        "unmount_barrier": state.unmount_barrier,
        "clients_max": state.geometry.clients_max,
        "clients": clients,
        "clients_lost_blocks": table.lost().count(),
        "fences": fences.records().iter().rev().map(|(seq, record)| show::fence(*seq, record)).collect::<Vec<_>>(),
        "voters_seen": region.voters().values().map(show::quorum_head).collect::<Vec<_>>(),
        "log": log.values().map(show::log_entry).collect::<Vec<_>>(),
        "carried_by": region.carriers(log.keys().next_back().copied()),
        "damaged": damaged,
        "read_ms": begun.elapsed().as_secs_f64() * 1_000.0,
    })
}

fn text(status: &Value) -> String {
    let mut lines = vec![
        format!(
            "volume        {} on {}",
            word(&status["volume"]),
            word(&status["device"])
        ),
        format!("server        {}", server_line(status)),
        format!(
            "fenced        up to term {}, rid {}",
            status["fenced"]["term"],
            word(&status["fenced"]["rid"])
        ),
        format!("votes needed  {}", status["quorum_count"]),
        format!("barrier       {}", status["unmount_barrier"]),
        format!(
            "super block   update {}, copies: {}",
            status["super_seq"],
            word(&status["super_copies"])
        ),
        format!(
            "mounted       {} of {}",
            items(&status["clients"]).len(),
            status["clients_max"]
        ),
    ];
    lines.extend(items(&status["clients"]).iter().map(client_line));
    lines.push(format!("voters seen   {}", items(&status["voters_seen"]).len()));
    lines.extend(items(&status["voters_seen"]).iter().map(|voter| {
        format!(
            "  {}  term {}, {}, write {}",
            word(&voter["rid"]),
            voter["term"],
            word(&voter["kind"]),
            voter["write_nr"]
        )
    }));
    lines.push(format!(
        "election log  {} live; the highest stands in {} of {REGION_BLOCKS} blocks, sealed from {SEAL_BLOCKS}",
        items(&status["log"]).len(),
        status["carried_by"]
    ));
    lines.extend(items(&status["log"]).iter().map(|entry| {
        format!(
            "  {}  term {}, at {}",
            word(&entry["rid"]),
            entry["term"],
            word(&entry["addr"])
        )
    }));
    lines.extend(fence_lines(items(&status["fences"])));
    lines.push(format!(
        "disk          all of this was read in {:.1} ms",
        status["read_ms"].as_f64().unwrap_or_default()
    ));
    for damaged in items(&status["damaged"]) {
        lines.push(format!(
            "damaged       block {}: {}",
            damaged["block"],
            word(&damaged["reason"])
        ));
    }
    if status["clients_lost_blocks"] != json!(0) {
        lines.push(format!(
            "lost          {} blocks of the client table have no valid copy: who stood there is unknown",
            status["clients_lost_blocks"]
        ));
    }
    lines.join("\n")
}

fn server_line(status: &Value) -> String {
    let server = &status["server"];
    if server.is_null() {
        return "none, and there never was one".to_owned();
    }
    let who = format!("{} since term {}", word(&server["rid"]), server["term"]);
    match (server["live"] == json!(true), status["server_addr"].as_str()) {
        (true, Some(addr)) => format!("{who}, at {addr}"),
        (true, None) => format!("{who}, does not listen yet"),
        (false, _) => format!("none; the last was {who}, and is gone"),
    }
}

fn client_line(client: &Value) -> String {
    let kind = if client["voter"] == json!(true) {
        "voter"
    } else {
        "client"
    };
    let evicted = if client["evicted"] == json!(true) {
        ", evicted"
    } else {
        ""
    };
    match client["addr"].as_str() {
        Some(addr) => format!("  {}  {kind}{evicted}, at {addr}", word(&client["rid"])),
        None => format!("  {}  {kind}{evicted}", word(&client["rid"])),
    }
}

/// Fence records that the text shows; `--json` and `dump` show all.
const FENCES_SHOWN: usize = 8;

fn fence_lines(fences: &[Value]) -> Vec<String> {
    let shown = fences.len().min(FENCES_SHOWN);
    let head = match fences.len() {
        0 => "fences        none on record".to_owned(),
        all if all > shown => {
            format!("fences        {all} on record, the newest {shown} (all: `ostrakon dump DEVICE fences`)")
        }
        all => format!("fences        {all} on record, the newest first"),
    };
    let lines = fences.iter().take(FENCES_SHOWN).map(fence_line);
    std::iter::once(head).chain(lines).collect()
}

/// When, who, why, how and with what result, by whom.
fn fence_line(fence: &Value) -> String {
    let mut line = format!(
        "  {}  {}",
        fence["at"].as_str().unwrap_or("time unknown"),
        word(&fence["victim"])
    );
    if let Some(addr) = fence["addr"].as_str() {
        line += &format!(" at {addr}");
    }
    line += &match fence["why"].as_str() {
        Some("predecessor") => format!(", leader of term {}", fence["term"]),
        Some("place") => ", evicted, for its voter's place".to_owned(),
        _ => ", did not return in time".to_owned(),
    };
    let method = match word(&fence["method"]) {
        "" => String::new(),
        method => format!(" ({method})"),
    };
    line += &match (word(&fence["how"]), word(&fence["result"])) {
        ("fence", "done") => format!(": fenced{method}"),
        ("fence", _) => format!(": NOT fenced, {} tries failed", fence["attempts"]),
        ("lease", _) => ": its lease ran out".to_owned(),
        _ => ": evicted".to_owned(),
    };
    if fence["others"] != json!(0) {
        line += &format!(", and {} others", fence["others"]);
    }
    line + &format!(
        "; by {} in term {}",
        word(&fence["by"]["rid"]),
        fence["by"]["term"]
    )
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
