//! The names of events are a promise to those who read them.

use ostrakon_core::disk::{DiskError, DiskRequest, IoId};
use ostrakon_core::format::hello::Offer;
use ostrakon_core::format::wire::{RequestId, Status};
use ostrakon_core::ids::{BlockNo, Term};
use ostrakon_core::superio::SuperError;
use ostrakon_core::time::Duration;

use super::*;

fn ballot(term: u64, rid: u64) -> Ballot {
    Ballot {
        term: Term(term),
        rid: Rid::new(rid).unwrap(),
    }
}

fn narrator() -> Narrator {
    Narrator::new(
        Rid::new(0xab).unwrap(),
        VolumeId([1; 16]),
        Some("10.0.0.1:7".parse().unwrap()),
    )
}

/// Each event, its name, and what its line must contain.
fn all() -> Vec<(Event, &'static str, Value)> {
    let addr = "10.0.0.9:7".parse().unwrap();
    let (us, them) = (ballot(5, 0xab), ballot(4, 0xcd));
    let victim = json!({ "victim_rid": "00000000000000cd", "victim_term": 4 });
    vec![
        (Event::Started, "started", json!({ "voter": true })),
        (
            Event::Connected {
                server: them,
                addr: Some(addr),
            },
            "connected",
            json!({ "term": 4, "server_addr": "10.0.0.9:7", "server_rid": "00000000000000cd" }),
        ),
        (
            Event::Connected {
                server: us,
                addr: None,
            },
            "connected",
            json!({ "term": 5, "server_addr": "10.0.0.1:7" }),
        ),
        (
            Event::Disconnected { server: them },
            "disconnected",
            json!({ "term": 4 }),
        ),
        (Event::PlainClient, "plain_client", json!({})),
        (Event::VoterAfterAll, "voter", json!({})),
        (
            Event::Asking { votes: 1, needed: 2 },
            "asking",
            json!({ "votes": 1, "needed": 2 }),
        ),
        (Event::Elected(us), "elected", json!({ "term": 5 })),
        (Event::Sealed(us), "sealed", json!({ "term": 5 })),
        (
            Event::GaveUp {
                ballot: us,
                why: GaveUp::Higher(them),
            },
            "gave_up",
            json!({ "term": 5, "why": "higher" }),
        ),
        (
            Event::Fencing {
                victim: them,
                attempt: 2,
            },
            "fencing",
            json!({ "attempt": 2, "victim_term": 4 }),
        ),
        (
            Event::Silenced {
                victim: them,
                how: Silenced::Fenced,
            },
            "fenced",
            victim.clone(),
        ),
        (
            Event::Silenced {
                victim: them,
                how: Silenced::LeaseRanOut,
            },
            "silenced",
            json!({ "how": "lease_ran_out" }),
        ),
        (
            Event::Silenced {
                victim: them,
                how: Silenced::Void,
            },
            "silenced",
            json!({ "how": "void" }),
        ),
        (
            Event::Silenced {
                victim: them,
                how: Silenced::Stopped,
            },
            "silenced",
            json!({ "how": "stopped" }),
        ),
        (
            Event::FenceFailed {
                victim: them,
                attempt: 1,
            },
            "fence_failed",
            victim,
        ),
        (
            Event::Serving { ballot: us, addr },
            "serving",
            json!({ "term": 5, "server_addr": "10.0.0.9:7" }),
        ),
        (
            Event::Recovered { clients: 3 },
            "recovered",
            json!({ "clients": 3 }),
        ),
        (
            Event::Superseded { ballot: us, by: them },
            "superseded",
            json!({ "term": 5, "by_term": 4 }),
        ),
        (
            Event::StoppedServing {
                ballot: us,
                clean: true,
            },
            "stopped_serving",
            json!({ "term": 5, "clean": true }),
        ),
        (
            Event::ClientEvicted(them.rid),
            "client_evicted",
            json!({ "client": "00000000000000cd" }),
        ),
        (Event::Evicted, "evicted", json!({})),
        (Event::Unmounting, "unmounting", json!({})),
        (
            Event::WaitingForQuorum { votes: 1, needed: 2 },
            "waiting_for_quorum",
            json!({ "votes": 1 }),
        ),
        (
            Event::Unmounted(Unmounted::Barrier),
            "unmounted",
            json!({ "how": "barrier" }),
        ),
        (
            Event::Answered {
                id: RequestId(7),
                status: Status::Ok,
                length: 9,
            },
            "answered",
            json!({ "request": 7, "status": 0, "length": 9 }),
        ),
        (
            Event::Fault(Fault::LogFull),
            "error",
            json!({ "kind": "log_full" }),
        ),
    ]
}

#[test]
fn every_event_keeps_its_name_and_fields() {
    for (event, name, expected) in all() {
        let mut narrator = narrator();
        let description = narrator.describe(&HostEvent::Mount(event.clone()));
        let line: Value = serde_json::from_str(&narrator.json_line(&description, 1234)).unwrap();
        assert_eq!(line["event"], json!(name), "{event:?}");
        assert_eq!(line["rid"], json!("00000000000000ab"));
        assert_eq!(line["at_ms"], json!(1234));
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&line[field], value, "{event:?}: {field}");
        }
        assert!(!description.text.is_empty(), "{event:?}");
    }
}

#[test]
fn fences_belong_to_the_term_in_which_this_mount_was_elected() {
    let mut narrator = narrator();
    narrator.describe(&HostEvent::Mount(Event::Elected(ballot(9, 0xab))));
    let victim = ballot(8, 1);
    let fencing = narrator.describe(&HostEvent::Mount(Event::Fencing { victim, attempt: 1 }));
    assert_eq!(fencing.fields["term"], json!(9));
}

#[test]
fn every_fault_has_a_kind_and_words_of_its_own() {
    let at = BlockNo(77);
    let faults = [
        Fault::Super(SuperError::Unsettled),
        Fault::Disk {
            first: at,
            write: true,
            error: DiskError::TimedOut,
        },
        Fault::DamagedBlock(at),
        Fault::AbsurdTerm(at),
        Fault::LogFull,
        Fault::LogAlmostFull,
        Fault::TooManyVoters { active: 17 },
        Fault::TableDamaged(at),
        Fault::TableTooLarge { volume: 9, memory: 8 },
        Fault::CannotListen("10.0.0.1:7".parse().unwrap()),
        Fault::Refused(Status::Full),
        Fault::ServerSpeaks(Offer::OURS),
        Fault::PeerSpeaks(Offer::OURS),
        Fault::Unproven("10.0.0.1:7".parse().unwrap()),
        Fault::LeaseRanOut,
    ];
    let mut kinds: Vec<_> = faults.iter().map(|fault| fault_words(fault).0).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), faults.len());
    assert!(!kinds.contains(&"other"));
}

#[test]
fn notices_of_the_platform_have_names_too() {
    let request = DiskRequest::Flush {
        id: IoId(1),
        limit: Duration::ZERO,
    };
    let report = FenceReport {
        victim: ballot(4, 1),
        how: None,
        failures: vec!["no".to_owned()],
    };
    let notices = [
        (Notice::PageCache("/x".into()), "page_cache"),
        (
            Notice::DiskError {
                request,
                words: "gone".to_owned(),
            },
            "disk_error",
        ),
        (Notice::CannotListen("taken".to_owned()), "listen_failed"),
        (Notice::Fence(report), "fence_report"),
    ];
    for (notice, name) in notices {
        assert_eq!(narrator().describe(&HostEvent::Notice(notice)).event, name);
    }
}

#[test]
fn lines_for_people_begin_with_the_time_of_day() {
    let mut narrator = narrator();
    let unmounting = narrator.describe(&HostEvent::Mount(Event::Unmounting));
    let at_ms = ((23 * 60 + 59) * 60 + 58) * 1000 + 7 + 86_400_000 * 3;
    let line = narrator.text_line(&unmounting, at_ms);
    assert_eq!(line, "23:59:58.007 unmounting       leaving");
}
