//! `ostrakon dump`.

use std::path::PathBuf;

use clap::ValueEnum;
use ostrakon_core::format::{SUPER_COPIES, SuperBlock};
use serde_json::{Map, Value, json};

use super::{Exit, show};
use crate::disk::{Access, AlignedBuffer, DeviceFile};
use crate::offline::{
    CopyState, FenceState, Fences, OfflineError, Region, RegionState, Table, TableState, Volume, checksum,
};

/// Decode the blocks of a volume, and say of each invalid one why.
///
/// Every block of the part is shown, each copy by itself. The volume's key is never shown.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Block device or image file
    device: PathBuf,
    /// Which blocks; all if none is named
    part: Option<Part>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum Part {
    /// Both copies of the super block
    Super,
    /// The quorum region: votes and election logs
    Quorum,
    /// Both copies of the mounted-client table
    Clients,
    /// The ring of fence records
    Fences,
}

pub(super) fn run(args: &Args) -> Exit {
    let device = match DeviceFile::open(&args.device, Access::Read) {
        Ok(device) => device,
        Err(error) => return Exit::Failed.because(error),
    };
    let wanted = |part| args.part.is_none_or(|only| only == part);
    let mut parts = Map::new();
    if wanted(Part::Super) {
        parts.insert("super".to_owned(), supers(&device));
    }
    // Where the rest lies is known only from a super block that is believed.
    let error = match Volume::on(device) {
        Ok(volume) => {
            if wanted(Part::Quorum) {
                parts.insert("quorum".to_owned(), quorum(&Region::read(&volume)));
            }
            if wanted(Part::Clients) {
                parts.insert("clients".to_owned(), clients(&Table::read(&volume)));
            }
            if wanted(Part::Fences) {
                parts.insert("fences".to_owned(), fences(&Fences::read(&volume)));
            }
            None
        }
        Err(error) => Some(error),
    };
    let printed = if args.json {
        show::print_line(&Value::Object(parts).to_string())
    } else {
        show::print_line(&text(&parts))
    };
    conclude(args, printed, error)
}

/// A super block that cannot be believed is what `dump super` is for; the other parts need one.
fn conclude(args: &Args, printed: Exit, error: Option<OfflineError>) -> Exit {
    match error {
        Some(error) => Exit::of(&error).because(match args.part {
            Some(Part::Super) => error.to_string(),
            _ => format!("{error}: the other parts cannot be found without it"),
        }),
        None => printed,
    }
}

fn supers(device: &DeviceFile) -> Value {
    let copies = SUPER_COPIES.iter().map(|&at| {
        let mut buffer = AlignedBuffer::blocks(1);
        let decoded = device
            .read_at(at, buffer.bytes_mut())
            .map_err(|error| format!("unreadable: {error}"))
            .and_then(|()| {
                SuperBlock::decode(buffer.bytes(), at, None, checksum).map_err(|error| error.to_string())
            });
        match decoded {
            Ok(state) => with_block(at.0, show::super_block(&state)),
            Err(reason) => json!({ "block": at.0, "invalid": reason }),
        }
    });
    copies.collect()
}

fn quorum(region: &Region) -> Value {
    let numbered = (region.first.0..).zip(&region.blocks);
    let blocks = numbered.map(|(at, state)| match state {
        RegionState::Empty => json!({ "block": at, "empty": true }),
        RegionState::Written(head, log) => {
            let mut block = with_block(at, show::quorum_head(head));
            block["log"] = log.iter().map(show::log_entry).collect();
            block
        }
        RegionState::Damaged(damage) => json!({ "block": at, "invalid": damage.to_string() }),
    });
    blocks.collect()
}

fn clients(table: &Table) -> Value {
    table.blocks.iter().flat_map(table_copies).collect()
}

fn fences(ring: &Fences) -> Value {
    let numbered = (ring.first.0..).zip(&ring.blocks);
    let blocks = numbered.map(|(at, state)| match state {
        FenceState::Empty => json!({ "block": at, "empty": true }),
        FenceState::Record(seq, record) => with_block(at, show::fence(*seq, record)),
        FenceState::Damaged(damage) => json!({ "block": at, "invalid": damage.to_string() }),
    });
    blocks.collect()
}

fn table_copies(block: &TableState) -> Vec<Value> {
    let copies = block.at.iter().zip(&block.copies).map(|(at, copy)| match copy {
        CopyState::Valid { seq, records } => json!({
            "block": at.0,
            "seq": seq,
            "records": records.iter().flatten().map(show::client).collect::<Vec<_>>(),
        }),
        CopyState::Damaged(damage) => json!({ "block": at.0, "invalid": damage.to_string() }),
    });
    copies.collect()
}

fn with_block(at: u64, mut value: Value) -> Value {
    value["block"] = json!(at);
    value
}

/// One line for each block; the text is made from the document, so that the two cannot differ.
fn text(parts: &Map<String, Value>) -> String {
    let mut lines = Vec::new();
    for (part, blocks) in parts {
        lines.push(format!("{part}:"));
        for block in blocks.as_array().into_iter().flatten() {
            lines.extend(block_lines(block));
        }
    }
    lines.join("\n")
}

fn block_lines(block: &Value) -> Vec<String> {
    let at = &block["block"];
    if let Some(reason) = block["invalid"].as_str() {
        return vec![format!("  block {at}: INVALID: {reason}")];
    }
    if block["empty"] == json!(true) {
        return vec![format!("  block {at}: empty")];
    }
    let nested = ["log", "records"];
    let mut lines = vec![format!(
        "  block {at}: {}",
        fields(block, &["block", "log", "records"])
    )];
    for list in nested.iter().filter_map(|name| block[name].as_array()) {
        lines.extend(list.iter().map(|item| format!("    {}", fields(item, &[]))));
    }
    lines
}

fn fields(value: &Value, without: &[&str]) -> String {
    let pairs = value.as_object().into_iter().flatten();
    let shown = pairs
        .filter(|(name, value)| !without.contains(&name.as_str()) && !value.is_null())
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            Value::Object(_) => format!("{name}=({})", fields(value, &[])),
            value => format!("{name}={value}"),
        });
    shown.collect::<Vec<_>>().join(" ")
}
