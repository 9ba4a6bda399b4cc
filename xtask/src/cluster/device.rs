//! What `ostrakon status --json` and `ostrakon dump --json` say about the device. The only file that knows the names
//! of their fields.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::Value;

use crate::failure::{During, Failure, Result};

/// A ballot, or the mark up to which ballots are silent. Ordered by term, then rid, which is 16 hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ballot {
    /// Its term.
    pub term: u64,
    /// Its rid.
    pub rid: String,
}

/// A record of the mounted-client table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Client {
    /// Who.
    pub rid: String,
    /// Whether it votes.
    pub voter: bool,
}

/// The device as `status` tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// Votes that elect.
    pub quorum_count: u64,
    /// Updates of the super block so far.
    pub seq: u64,
    /// Every ballot up to here is silent for good.
    pub fenced: Ballot,
    /// The ballot that serves; `None` when nobody does.
    pub server: Option<Ballot>,
    /// Where it listens.
    pub server_addr: Option<SocketAddr>,
    /// Last quorums released so far.
    pub unmount_barrier: u64,
    /// Who is mounted.
    pub clients: Vec<Client>,
}

impl Status {
    pub(super) fn from_json(json: &Value) -> Result<Self> {
        Ok(Self {
            quorum_count: number(json, "quorum_count")?,
            seq: number(json, "super_seq")?,
            fenced: ballot(&json["fenced"])?,
            server: optional(live(&json["server"]), ballot)?,
            server_addr: optional(&json["server_addr"], address)?,
            unmount_barrier: number(json, "unmount_barrier")?,
            clients: mounted(list(json, "clients")?)?,
        })
    }

    /// Whether this rid is recorded as mounted.
    pub fn is_mounted(&self, rid: &str) -> bool {
        self.clients.iter().any(|client| client.rid == rid)
    }

    /// Voters that are recorded as mounted.
    pub fn voters(&self) -> usize {
        self.clients.iter().filter(|client| client.voter).count()
    }
}

/// A valid block of the quorum region.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct QuorumBlock {
    /// Its number on the device.
    pub block: u64,
    /// Who wrote it.
    pub rid: String,
    /// The writer's count of its writes.
    pub write_nr: u64,
    /// The writer's term.
    pub term: u64,
}

/// The device as `dump` tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dump {
    /// Valid blocks of the quorum region.
    pub quorum: Vec<QuorumBlock>,
    /// Blocks of the region that nobody has written yet.
    pub empty: Vec<u64>,
    /// Blocks of the region that are invalid, with the reason for each.
    pub invalid: Vec<(u64, String)>,
}

impl Dump {
    pub(super) fn from_json(json: &Value) -> Result<Self> {
        let mut dump = Self {
            quorum: Vec::new(),
            empty: Vec::new(),
            invalid: Vec::new(),
        };
        for value in list(json, "quorum")? {
            let block = number(value, "block")?;
            match value["invalid"].as_str() {
                Some(reason) => dump.invalid.push((block, reason.to_owned())),
                None if value["empty"] == true => dump.empty.push(block),
                None => dump.quorum.push(QuorumBlock {
                    block,
                    rid: text(value, "rid")?,
                    write_nr: number(value, "write_nr")?,
                    term: number(value, "term")?,
                }),
            }
        }
        Ok(dump)
    }

    /// The blocks of the quorum region, whatever is in them.
    pub fn region(&self) -> BTreeSet<u64> {
        let written = self.quorum.iter().map(|block| block.block);
        let invalid = self.invalid.iter().map(|(block, _)| *block);
        written.chain(invalid).chain(self.empty.iter().copied()).collect()
    }

    /// The blocks that this rid wrote.
    pub fn written_by(&self, rid: &str) -> Vec<&QuorumBlock> {
        self.quorum.iter().filter(|block| block.rid == rid).collect()
    }
}

/// The server, unless it stopped or was fenced: the super block goes on naming it.
fn live(server: &Value) -> &Value {
    if server["live"] == false {
        &Value::Null
    } else {
        server
    }
}

/// Records of those who are mounted: an evicted client's stays for it to read.
fn mounted(records: &[Value]) -> Result<Vec<Client>> {
    let mounted = records.iter().filter(|record| record["evicted"] != true);
    mounted.map(client).collect()
}

fn ballot(value: &Value) -> Result<Ballot> {
    Ok(Ballot {
        term: number(value, "term")?,
        rid: text(value, "rid")?,
    })
}

fn client(value: &Value) -> Result<Client> {
    Ok(Client {
        rid: text(value, "rid")?,
        voter: value["voter"].as_bool().ok_or_else(|| missing(value, "voter"))?,
    })
}

fn address(value: &Value) -> Result<SocketAddr> {
    let text = value.as_str().ok_or_else(|| missing(value, "an address"))?;
    text.parse().during(format!("reading the address {text:?}"))
}

fn optional<T>(value: &Value, read: impl Fn(&Value) -> Result<T>) -> Result<Option<T>> {
    if value.is_null() {
        Ok(None)
    } else {
        read(value).map(Some)
    }
}

fn number(value: &Value, field: &str) -> Result<u64> {
    value[field].as_u64().ok_or_else(|| missing(value, field))
}

fn text(value: &Value, field: &str) -> Result<String> {
    value[field]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| missing(value, field))
}

fn list<'a>(value: &'a Value, field: &str) -> Result<&'a Vec<Value>> {
    value[field].as_array().ok_or_else(|| missing(value, field))
}

fn missing(value: &Value, field: &str) -> Failure {
    Failure::new(format!("expected {field} in {value}"))
}
