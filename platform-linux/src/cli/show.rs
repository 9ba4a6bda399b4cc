//! Pieces of volumes as JSON, the same in every command.

use ostrakon_core::format::{
    ClientRecord, FenceParam, FenceReason, FenceRecord, FenceResult, FenceWay, LogEntry, QuorumHead,
    SuperBlock, VoteKind,
};
use ostrakon_core::ids::{Ballot, Mark};
use ostrakon_core::superio::Copies;
use serde_json::{Value, json};

use crate::clock;
use crate::fence::fence_param_text;

pub(super) fn ballot(ballot: Ballot) -> Value {
    json!({ "term": ballot.term.0, "rid": ballot.rid.to_string() })
}

pub(super) fn mark(mark: Mark) -> Value {
    json!({ "term": mark.term.0, "rid": format!("{:016x}", mark.rid) })
}

pub(super) fn text_of(param: &FenceParam) -> String {
    match fence_param_text(param) {
        Ok(text) => text.to_owned(),
        Err(_) => param.0.escape_ascii().to_string(),
    }
}

/// A super block without its key, which is nobody's to see.
pub(super) fn super_block(state: &SuperBlock) -> Value {
    let geometry = &state.geometry;
    json!({
        "volume": state.volume.to_string(),
        "seq": state.seq,
        "quorum_count": state.quorum_count,
        "fenced": mark(state.fenced),
        "server": state.server.map(ballot),
        "server_addr": state.server_addr.map(|addr| addr.to_string()),
        "unmount_barrier": state.unmount_barrier,
        "geometry": {
            "region": geometry.region.0,
            "doorbell": geometry.doorbell.0,
            "clients": geometry.clients.0,
            "clients_blocks": geometry.clients_blocks,
            "clients_max": geometry.clients_max,
            "fences": geometry.fences.0,
            "reserved": geometry.reserved.0,
            "reserved_blocks": geometry.reserved_blocks,
        },
    })
}

pub(super) const fn copies(copies: Copies) -> &'static str {
    match copies {
        Copies::Equal => "equal",
        Copies::Newer(0) => "first newer",
        Copies::Newer(_) => "second newer",
        Copies::Only(0) => "only first valid",
        Copies::Only(_) => "only second valid",
    }
}

pub(super) fn client(record: &ClientRecord) -> Value {
    json!({
        "rid": record.rid.to_string(),
        "voter": record.voter,
        "evicted": record.evicted,
        "barrier": record.barrier,
        "host": record.host.to_string(),
        "boot": record.boot.to_string(),
        "addr": record.addr.map(|addr| addr.to_string()),
        "fence_param": text_of(&record.fence_param),
    })
}

pub(super) fn log_entry(entry: &LogEntry) -> Value {
    json!({
        "term": entry.ballot.term.0,
        "rid": entry.ballot.rid.to_string(),
        "host": entry.host.to_string(),
        "boot": entry.boot.to_string(),
        "addr": entry.addr.to_string(),
        "quiet_ms": entry.quiet_ms,
        "fenced": entry.fenced,
        "fence_param": text_of(&entry.fence_param),
    })
}

pub(super) fn fence(seq: u64, record: &FenceRecord) -> Value {
    let at = (record.unix_s > 0).then(|| clock::rfc3339(record.unix_s));
    json!({
        "seq": seq,
        "at": at,
        "victim": record.rid.to_string(),
        "term": (record.term.0 > 0).then_some(record.term.0),
        "host": record.host.to_string(),
        "addr": record.addr.map(|addr| addr.to_string()),
        "by": ballot(record.by),
        "why": match record.why {
            FenceReason::Predecessor => "predecessor",
            FenceReason::Place => "place",
            FenceReason::Absent => "absent",
        },
        "how": match record.how {
            FenceWay::Fence => "fence",
            FenceWay::Lease => "lease",
            FenceWay::Evicted => "evicted",
        },
        "method": record.method.text(),
        "result": match record.result {
            FenceResult::Done => "done",
            FenceResult::Failed => "failed",
        },
        "attempts": record.attempts,
        "others": record.others,
    })
}

pub(super) const fn vote_kind(kind: VoteKind) -> &'static str {
    match kind {
        VoteKind::Vote => "vote",
        VoteKind::Ask => "ask",
        VoteKind::Yes => "yes",
        VoteKind::Leader => "leader",
    }
}

pub(super) fn quorum_head(head: &QuorumHead) -> Value {
    json!({
        "rid": head.writer.to_string(),
        "host": head.host.to_string(),
        "boot": head.boot.to_string(),
        "write_nr": head.write_nr.0,
        "term": head.term.0,
        "kind": vote_kind(head.kind),
        "vote_for": head.vote_for.map(|rid| rid.to_string()),
        "own": head.own.map(ballot),
        "void_term": head.void_term.0,
        "won": head.won,
        "sealed": head.sealed,
        "barren": head.barren,
        "round": head.round,
        "answer": head.answer.map(|answer| json!({
            "voters": answer.voters,
            "interval_us": answer.interval.0,
        })),
        "cycle_us": head.cycle.0,
    })
}

/// Prints on standard output. A reader that went away is no error.
pub(super) fn print_line(text: &str) -> super::Exit {
    use std::io::Write;
    match writeln!(std::io::stdout().lock(), "{text}") {
        Ok(()) => super::Exit::Done,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => super::Exit::Done,
        Err(error) => super::Exit::Failed.because(format_args!("cannot write to standard output: {error}")),
    }
}

/// Whether nobody reads standard output any more.
pub(super) fn reader_is_gone() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec};
    let stdout = std::io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::OUT)];
    let polled = rustix::event::poll(&mut fds, Some(&Timespec::default()));
    polled.is_ok() && fds[0].revents().contains(PollFlags::ERR)
}
