//! Events in words: a stable name, fields for programs, a sentence for people.

use std::net::SocketAddr;

use ostrakon_core::event::{Event, Fault, GaveUp, Silenced, Unmounted};
use ostrakon_core::format::hello::Offer;
use ostrakon_core::ids::{Ballot, Rid, VolumeId};
use serde_json::{Map, Value, json};

use crate::fence::coverage::Survives;
use crate::fence::{FenceReport, How};
use crate::host::{HostEvent, Notice};
use crate::offline::super_error_text;
use crate::program::{Ending, RunnerEvent};

/// An event, described.
#[derive(Clone, PartialEq, Debug)]
pub struct Description {
    /// Its name; never changed once published.
    pub event: &'static str,
    /// What else is to be said, for programs.
    pub fields: Map<String, Value>,
    /// The same for people.
    pub text: String,
}

/// Describes the events of one mount.
#[derive(Clone, Debug)]
pub struct Narrator {
    rid: Rid,
    volume: VolumeId,
    server_addr: Option<SocketAddr>,
    /// The ballot this mount stood with last: the term that its fences and faults belong to.
    ballot: Option<Ballot>,
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => unreachable!("fields are an object, not {other}"),
    }
}

fn say(event: &'static str, value: Value, text: impl Into<String>) -> Description {
    Description {
        event,
        fields: fields(value),
        text: text.into(),
    }
}

impl Narrator {
    /// For a mount with this rid, which serves there if it is elected.
    pub const fn new(rid: Rid, volume: VolumeId, server_addr: Option<SocketAddr>) -> Self {
        Self {
            rid,
            volume,
            server_addr,
            ballot: None,
        }
    }

    /// One line of JSON: `event`, `rid`, `at_ms`, then what belongs to the event.
    pub fn json_line(&self, description: &Description, at_ms: u64) -> String {
        let mut line = fields(json!({
            "event": description.event,
            "rid": self.rid.to_string(),
            "at_ms": at_ms,
        }));
        line.extend(description.fields.clone());
        Value::Object(line).to_string()
    }

    /// One line for people, with the time of day in UTC.
    pub fn text_line(&self, description: &Description, at_ms: u64) -> String {
        let (ms, s) = (at_ms % 1000, at_ms / 1000);
        let (hours, minutes, seconds) = (s / 3600 % 24, s / 60 % 60, s % 60);
        format!(
            "{hours:02}:{minutes:02}:{seconds:02}.{ms:03} {:<16} {}",
            description.event, description.text
        )
    }

    /// Describes an event. The only place where events get their names.
    pub fn describe(&mut self, event: &HostEvent) -> Description {
        match event {
            HostEvent::Mount(event) => self.describe_mount(event),
            HostEvent::Notice(notice) => describe_notice(notice),
        }
    }

    fn term(&self) -> Option<u64> {
        self.ballot.map(|ballot| ballot.term.0)
    }

    fn describe_mount(&mut self, event: &Event) -> Description {
        match event {
            Event::Started => say(
                "started",
                json!({ "volume": self.volume.to_string(), "voter": self.server_addr.is_some() }),
                format!("mount {} of volume {}", self.rid, self.volume),
            ),
            Event::Connected { .. }
            | Event::Disconnected { .. }
            | Event::PlainClient
            | Event::VoterAfterAll => self.describe_client(event),
            Event::Unmounting
            | Event::WaitingForQuorum { .. }
            | Event::Unmounted(_)
            | Event::Evicted
            | Event::Answered { .. } => describe_leaving(event),
            Event::Serving { .. }
            | Event::Recovered { .. }
            | Event::Superseded { .. }
            | Event::StoppedServing { .. }
            | Event::ClientEvicted(_) => self.describe_server(event),
            Event::Fault(fault) => self.describe_fault(fault),
            event => self.describe_election(event),
        }
    }

    fn describe_client(&self, event: &Event) -> Description {
        match event {
            Event::Connected { server, addr } => {
                let addr = addr.or(self.server_addr).map(|addr| addr.to_string());
                let text = format!(
                    "server {server}{}",
                    addr.as_ref().map_or(String::new(), |addr| format!(" at {addr}"))
                );
                say(
                    "connected",
                    json!({ "term": server.term.0, "server_rid": server.rid.to_string(), "server_addr": addr }),
                    text,
                )
            }
            Event::Disconnected { server } => say(
                "disconnected",
                json!({ "term": server.term.0, "server_rid": server.rid.to_string() }),
                format!("server {server}"),
            ),
            Event::VoterAfterAll => say(
                "voter",
                json!({}),
                "a voter's place has become free; this mount is a voter now",
            ),
            _ => say(
                "plain_client",
                json!({}),
                "the server has as many voters as it admits; this mount is a plain client",
            ),
        }
    }

    fn describe_election(&mut self, event: &Event) -> Description {
        match event {
            Event::Asking { votes, needed } => say(
                "asking",
                json!({ "votes": votes, "needed": needed }),
                format!("no server can be reached; {votes} of {needed} votes"),
            ),
            Event::Elected(ballot) => {
                self.ballot = Some(*ballot);
                say(
                    "elected",
                    json!({ "term": ballot.term.0 }),
                    format!("in term {}", ballot.term),
                )
            }
            Event::Sealed(ballot) => {
                self.ballot = Some(*ballot);
                say(
                    "sealed",
                    json!({ "term": ballot.term.0 }),
                    format!("term {}: every reader sees it", ballot.term),
                )
            }
            Event::GaveUp { ballot, why } => {
                let (name, by, text) = gave_up(*why);
                say(
                    "gave_up",
                    json!({ "term": ballot.term.0, "why": name, "by": by.map(super::show::ballot) }),
                    format!("term {}: {text}", ballot.term),
                )
            }
            Event::Fencing { victim, attempt } => {
                self.describe_victim("fencing", *victim, Some(*attempt), None)
            }
            Event::FenceFailed { victim, attempt } => {
                self.describe_victim("fence_failed", *victim, Some(*attempt), None)
            }
            Event::Silenced { victim, how } => match how {
                Silenced::Fenced => self.describe_victim("fenced", *victim, None, None),
                Silenced::FencedBefore => {
                    self.describe_victim("silenced", *victim, None, Some("fenced_before"))
                }
                Silenced::Void => self.describe_victim("silenced", *victim, None, Some("void")),
                Silenced::Stopped => self.describe_victim("silenced", *victim, None, Some("stopped")),
                Silenced::LeaseRanOut => {
                    self.describe_victim("silenced", *victim, None, Some("lease_ran_out"))
                }
            },
            // Core may learn to say more than this build knows the words for.
            other => say(
                "other",
                json!({ "debug": format!("{other:?}") }),
                format!("{other:?}"),
            ),
        }
    }

    fn describe_victim(
        &self,
        event: &'static str,
        victim: Ballot,
        attempt: Option<u32>,
        how: Option<&'static str>,
    ) -> Description {
        let mut value = json!({
            "term": self.term(),
            "victim_rid": victim.rid.to_string(),
            "victim_term": victim.term.0,
        });
        let mut text = format!("leader {victim}");
        if let Some(attempt) = attempt {
            value["attempt"] = json!(attempt);
            text += &format!(", try {attempt}");
        }
        if let Some(how) = how {
            value["how"] = json!(how);
            text += &format!(": {}", how.replace('_', " "));
        }
        say(event, value, text)
    }

    fn describe_server(&self, event: &Event) -> Description {
        match event {
            Event::Serving { ballot, addr } => say(
                "serving",
                json!({ "term": ballot.term.0, "server_addr": addr.to_string() }),
                format!("term {} at {addr}", ballot.term),
            ),
            Event::Recovered { clients } => say(
                "recovered",
                json!({ "term": self.term(), "clients": clients }),
                format!("{clients} clients mounted"),
            ),
            Event::Superseded { ballot, by } => say(
                "superseded",
                json!({ "term": ballot.term.0, "by_term": by.term.0, "by_rid": by.rid.to_string() }),
                format!("term {}: by {by}", ballot.term),
            ),
            Event::StoppedServing { ballot, clean } => say(
                "stopped_serving",
                json!({
                    "term": ballot.term.0,
                    "clean": clean,
                    "server_addr": self.server_addr.map(|addr| addr.to_string()),
                }),
                format!(
                    "term {}{}",
                    ballot.term,
                    if *clean { "" } else { ", not cleanly" }
                ),
            ),
            Event::ClientEvicted(rid) => say(
                "client_evicted",
                json!({ "term": self.term(), "client": rid.to_string() }),
                format!("client {rid} was fenced, or did not return in time"),
            ),
            other => unreachable!("{other:?} is no event of a server"),
        }
    }

    fn describe_fault(&self, fault: &Fault) -> Description {
        let (kind, message) = fault_words(fault);
        say(
            "error",
            json!({ "kind": kind, "message": message, "term": self.term() }),
            message.clone(),
        )
    }
}

fn describe_leaving(event: &Event) -> Description {
    match event {
        Event::Unmounting => say("unmounting", json!({}), "leaving"),
        Event::WaitingForQuorum { votes, needed } => say(
            "waiting_for_quorum",
            json!({ "votes": votes, "needed": needed }),
            format!("leaving needs a server: {votes} of {needed} votes"),
        ),
        Event::Unmounted(how) => {
            let name = unmounted(*how);
            say("unmounted", json!({ "how": name }), name.replace('_', " "))
        }
        Event::Evicted => say("evicted", json!({}), "by the server; a new mount needs a new rid"),
        Event::Answered { id, status, length } => say(
            "answered",
            json!({ "request": id.0, "status": *status as u16, "length": length }),
            format!("request {}: {status:?}, {length} bytes", id.0),
        ),
        other => unreachable!("{other:?} is no event of leaving"),
    }
}

const fn unmounted(how: Unmounted) -> &'static str {
    match how {
        Unmounted::Farewell => "farewell",
        Unmounted::Barrier => "barrier",
        Unmounted::NeverMounted => "never_mounted",
        Unmounted::LeftRecord => "left_record",
        Unmounted::Forced => "forced",
        Unmounted::Evicted => "evicted",
        Unmounted::Superseded => "superseded",
    }
}

fn gave_up(why: GaveUp) -> (&'static str, Option<Ballot>, String) {
    match why {
        GaveUp::TooFewVotes => ("too_few_votes", None, "not enough votes in time".to_owned()),
        GaveUp::Higher(by) => ("higher", Some(by), format!("{by} is higher")),
        GaveUp::Overtaken => ("overtaken", None, "the super block has moved past it".to_owned()),
        GaveUp::FenceRefused(by) => ("fence_refused", Some(by), format!("{by} could not be fenced")),
        GaveUp::CannotFence(by) => (
            "cannot_fence",
            Some(by),
            format!("{by} promises no lease, and this host has no fence agent"),
        ),
        GaveUp::ServerReached => ("server_reached", None, "a server was reached".to_owned()),
        GaveUp::Unmounting => ("unmounting", None, "leaving".to_owned()),
        GaveUp::ServerFailed => ("server_failed", None, "the server could not start".to_owned()),
    }
}

fn fault_words(fault: &Fault) -> (&'static str, String) {
    match fault {
        Fault::Super(error) => ("super", format!("the super block: {}", super_error_text(*error))),
        Fault::Disk { first, write, error } => {
            let operation = if *write { "writing" } else { "reading" };
            ("disk", format!("{operation} at block {first}: {error:?}"))
        }
        Fault::DamagedBlock(at) => (
            "damaged_block",
            format!("block {at} of the quorum region is damaged"),
        ),
        Fault::AbsurdTerm(at) => (
            "absurd_term",
            format!("block {at} has an absurd term; it is ignored"),
        ),
        Fault::LogFull => (
            "log_full",
            "the election log is full: nobody can be elected before leaders in it are fenced".to_owned(),
        ),
        Fault::LogAlmostFull => (
            "log_almost_full",
            "the election log has too many leftover leaders for another candidacy".to_owned(),
        ),
        Fault::TooManyVoters { active } => (
            "too_many_voters",
            format!("{active} voters are active; this one abstains"),
        ),
        Fault::TableDamaged(at) => (
            "table_damaged",
            format!("both copies of block {at} of the client table are invalid"),
        ),
        Fault::TableTooLarge { volume, memory } => (
            "table_too_large",
            format!("the volume has room for {volume} clients, this server for {memory}"),
        ),
        Fault::CannotListen(addr) => ("cannot_listen", format!("cannot listen at {addr}")),
        Fault::Refused(status) => ("refused", format!("the server refused the greeting: {status:?}")),
        Fault::ServerSpeaks(offer) => (
            "server_speaks",
            format!(
                "the server speaks {offer}, this mount {}: both hosts need the same release",
                Offer::OURS
            ),
        ),
        Fault::PeerSpeaks(offer) => (
            "peer_speaks",
            format!(
                "a client speaks {offer}, this server {}: it was turned away",
                Offer::OURS
            ),
        ),
        Fault::Unproven(addr) => (
            "unproven",
            format!(
                "whoever listens at {addr} has not shown that it knows the volume's key: another program, or a server of \
                 another volume"
            ),
        ),
        Fault::LeaseRanOut => (
            "lease_ran_out",
            "the lease ran out; answers are held back".to_owned(),
        ),
        other => ("other", format!("{other:?}")),
    }
}

fn describe_notice(notice: &Notice) -> Description {
    match notice {
        Notice::PageCache(path) => say(
            "page_cache",
            json!({ "device": path.display().to_string() }),
            format!(
                "{}: the file system refuses O_DIRECT; several hosts need one that keeps their caches in step",
                path.display()
            ),
        ),
        Notice::DiskError { request, words } => say(
            "disk_error",
            json!({ "message": words, "request": format!("{request:?}") }),
            words.clone(),
        ),
        Notice::CannotListen(words) => say("listen_failed", json!({ "message": words }), words.clone()),
        Notice::Silencing(silencing) => {
            let row = silencing.row();
            say(
                "silencing",
                json!({
                    "method": silencing.to_string(),
                    "survives": row.with(|survives| survives == Survives::Yes),
                    "survives_if": row.with(|survives| matches!(survives, Survives::If(_))),
                    "does_not_survive": row.with(|survives| survives == Survives::No),
                }),
                format!("{silencing}: {row}"),
            )
        }
        Notice::Fence(report) => describe_report(report),
        Notice::Program(event) => describe_program(event),
        Notice::Hook(report) => say(
            "hook",
            json!({ "hook": report.hook, "error": report.error }),
            match &report.error {
                None => format!("{} done", report.hook),
                Some(error) => format!("{} failed: {error}", report.hook),
            },
        ),
    }
}

fn describe_program(event: &RunnerEvent) -> Description {
    match event {
        RunnerEvent::Started(pid, ballot) => say(
            "program_started",
            json!({ "pid": pid, "term": ballot.term.0 }),
            format!("process {pid}, term {}", ballot.term),
        ),
        RunnerEvent::Stopping(ballot) => say(
            "program_stopping",
            json!({ "term": ballot.term.0 }),
            format!("term {} is over here", ballot.term),
        ),
        RunnerEvent::Ended(ending) => {
            let (code, signal) = match *ending {
                Ending::Code(code) => (Some(code), None),
                Ending::Signal(signal) => (None, Some(signal)),
            };
            say(
                "program_ended",
                json!({ "code": code, "signal": signal }),
                ending.to_string(),
            )
        }
        RunnerEvent::Gone => say("program_gone", json!({}), "nothing of it is left"),
        RunnerEvent::Failed(why) => say("program_failed", json!({ "message": why }), why.clone()),
    }
}

fn describe_report(report: &FenceReport) -> Description {
    let how = report.how.as_ref().map(How::to_string);
    let text = match &how {
        Some(how) => format!("leader {}: {how}", report.victim),
        None => format!(
            "leader {} is not fenced: {}",
            report.victim,
            report.failures.join("; ").lines().collect::<Vec<_>>().join(" / ")
        ),
    };
    say(
        "fence_report",
        json!({
            "victim_rid": report.victim.rid.to_string(),
            "victim_term": report.victim.term.0,
            "done": report.how.is_some(),
            "how": how,
            "failures": report.failures,
        }),
        text,
    )
}

#[cfg(test)]
#[path = "narrate_tests.rs"]
mod tests;
