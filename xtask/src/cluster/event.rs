//! One line that a mount printed with `--json`.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;

use super::MountId;
use crate::failure::{During, Failure, Result};

/// What kind of event it is; the names are those of the JSON lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The mount believes the super block.
    Started,
    /// A server answered its greeting.
    Connected,
    /// Its connection is gone.
    Disconnected,
    /// It won the votes.
    Elected,
    /// Its ballot is sealed.
    Sealed,
    /// It listens, and its address is published.
    Serving,
    /// A newer leader takes over.
    Superseded,
    /// It asks for a predecessor's fence.
    Fencing,
    /// That fence was confirmed.
    Fenced,
    /// It stopped serving.
    StoppedServing,
    /// It begins to leave.
    Unmounting,
    /// It has left.
    Unmounted,
    /// A server threw it out.
    Evicted,
    /// Something is wrong.
    Error,
    /// Any other one, by its name.
    Other(String),
}

impl Kind {
    fn from_name(name: &str) -> Self {
        match name {
            "started" => Self::Started,
            "connected" => Self::Connected,
            "disconnected" => Self::Disconnected,
            "elected" => Self::Elected,
            "sealed" => Self::Sealed,
            "serving" => Self::Serving,
            "superseded" => Self::Superseded,
            "fencing" => Self::Fencing,
            "fenced" => Self::Fenced,
            "stopped_serving" => Self::StoppedServing,
            "unmounting" => Self::Unmounting,
            "unmounted" => Self::Unmounted,
            "evicted" => Self::Evicted,
            "error" => Self::Error,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// The mount's rid, 16 hex digits.
    pub rid: Option<String>,
    /// The term that it is about.
    pub term: Option<u64>,
    /// The address that it is about.
    pub server_addr: Option<SocketAddr>,
    /// The whole object.
    pub object: Value,
}

impl Event {
    /// Reads one line.
    pub fn parse(line: &str) -> Result<Self> {
        let object: Value = serde_json::from_str(line).during(format!("reading the event {line:?}"))?;
        let name = object["event"]
            .as_str()
            .ok_or_else(|| Failure::new(format!("a line without an event: {line:?}")))?;
        let server_addr = match &object["server_addr"] {
            Value::String(text) => Some(text.parse().during(format!("reading the address {text:?}"))?),
            _ => None,
        };
        Ok(Self {
            kind: Kind::from_name(name),
            rid: object["rid"].as_str().map(str::to_owned),
            term: object["term"].as_u64(),
            server_addr,
            object,
        })
    }

    /// A text field of the object.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.object[field].as_str()
    }
}

/// An event, whose it is, and when it was seen here.
#[derive(Clone, Debug)]
pub struct Record {
    /// The mount that said it.
    pub mount: MountId,
    /// When its line arrived.
    pub seen: Instant,
    /// What it said.
    pub event: Event,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_binary_is_understood() {
        let line =
            r#"{"event":"serving","rid":"00000000000000ff","at_ms":12,"term":3,"server_addr":"[::1]:7"}"#;
        let event = Event::parse(line).expect("a good line");
        assert_eq!(event.kind, Kind::Serving);
        assert_eq!(event.rid.as_deref(), Some("00000000000000ff"));
        assert_eq!(event.term, Some(3));
        assert_eq!(event.server_addr, Some("[::1]:7".parse().expect("an address")));
    }

    #[test]
    fn a_line_that_is_not_an_event_is_refused() {
        for line in [
            "",
            "panicked",
            "{}",
            r#"{"event":7}"#,
            r#"{"event":"x","server_addr":"nowhere"}"#,
        ] {
            assert!(Event::parse(line).is_err(), "{line:?} was taken for an event");
        }
    }
}
