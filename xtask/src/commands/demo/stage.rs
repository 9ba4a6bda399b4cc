//! The cluster of the demonstration, who plays in it, and how it is narrated.

use std::net::SocketAddr;
use std::time::Instant;

use ostrakon_xtask::cluster::device::{Ballot, Status};
use ostrakon_xtask::cluster::event::{Kind, Record};
use ostrakon_xtask::cluster::log::Mark;
use ostrakon_xtask::cluster::{Cluster, MountId, Options, PATIENCE};
use ostrakon_xtask::failure::{Failure, Result, ensure};

use super::table::Timings;

/// Votes that elect, of three voters.
pub(super) const QUORUM_COUNT: u16 = 2;

/// Half the default: a frozen leader is noticed while one still likes to watch.
const TIMES: [&str; 2] = ["--silence-ms", "2000"];

/// A voter that is gone and may come back.
pub(super) struct Gone {
    pub(super) host: String,
    pub(super) addr: SocketAddr,
}

/// Everything on stage.
pub(super) struct Stage {
    pub(super) cluster: Cluster,
    pub(super) timings: Timings,
    /// Voters that are mounted.
    pub(super) voters: Vec<MountId>,
    /// Plain clients that are mounted.
    pub(super) clients: Vec<MountId>,
    /// The voter that was lost last.
    pub(super) gone: Option<Gone>,
    /// Mounts of each host so far: a mount that comes back is another one, and is named so.
    lives: Vec<(String, u32)>,
    started: Instant,
    act: u32,
}

impl Stage {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            timings: Timings::default(),
            voters: Vec::new(),
            clients: Vec::new(),
            gone: None,
            lives: Vec::new(),
            started: Instant::now(),
            act: 0,
        }
    }

    /// Announces the next act.
    pub(super) fn act(&mut self, title: &str) {
        self.act += 1;
        println!("\n{}. {title}", self.act);
    }

    /// Says what happened just now.
    pub(super) fn say(&self, sentence: &str) {
        self.say_at(Instant::now(), sentence);
    }

    /// Says what happened at a moment.
    pub(super) fn say_at(&self, moment: Instant, sentence: &str) {
        println!(
            "   {:7.3} s  {sentence}",
            moment.duration_since(self.started).as_secs_f32()
        );
    }

    /// Says what was verified on the device.
    pub(super) fn verified(&self, sentence: &str) {
        println!("      ok on the device: {sentence}");
    }

    /// Starts a voter on a host; the same host may have had one before.
    pub(super) fn start_voter(&mut self, host: &str, addr: SocketAddr) -> Result<MountId> {
        let name = self.name_next(host);
        let id = self.cluster.mount(&name, Options::voter(addr).with(&TIMES))?;
        self.voters.push(id);
        Ok(id)
    }

    /// Starts a plain client.
    pub(super) fn start_client(&mut self, name: &str) -> Result<()> {
        let id = self.cluster.mount(name, Options::client().with(&TIMES))?;
        self.clients.push(id);
        Ok(())
    }

    fn name_next(&mut self, host: &str) -> String {
        match self.lives.iter_mut().find(|(name, _)| name == host) {
            Some((_, lives)) => {
                *lives += 1;
                format!("{host} (mount {lives})")
            }
            None => {
                self.lives.push((host.to_owned(), 1));
                host.to_owned()
            }
        }
    }

    /// Every mount that is mounted.
    pub(super) fn everyone(&self) -> Vec<MountId> {
        [&self.voters[..], &self.clients[..]].concat()
    }

    /// A voter that is no longer mounted, and may come back.
    pub(super) fn lose(&mut self, voter: MountId) {
        self.voters.retain(|&id| id != voter);
        let name = self.cluster.name(voter);
        let host = name.split(" (").next().unwrap_or(name).to_owned();
        self.gone = self
            .cluster
            .get(voter)
            .options()
            .server_addr
            .map(|addr| Gone { host, addr });
    }

    /// The mount that the device names as server.
    pub(super) fn leader(&self) -> Result<(MountId, Ballot)> {
        let status = self.cluster.status()?;
        let ballot = status
            .server
            .ok_or_else(|| Failure::new("the device names no server"))?;
        let id = self.cluster.by_rid(&ballot.rid);
        let id = id.ok_or_else(|| {
            Failure::new(format!(
                "the device names {} as server, which is none of ours",
                ballot.rid
            ))
        })?;
        Ok((id, ballot))
    }

    /// Waits for a server and shows that the device names exactly it, in a term above `term_before`, at its address,
    /// with every ballot up to `silent` silenced.
    pub(super) fn verify_server(
        &self,
        serving: &Record,
        term_before: u64,
        silent: Option<&Ballot>,
    ) -> Result<Status> {
        let name = self.cluster.name(serving.mount);
        let rid = self.cluster.rid(serving.mount)?;
        let addr = self.cluster.get(serving.mount).options().server_addr;
        let status = self.cluster.status()?;
        let expected = |holds: bool, what: &str| {
            ensure(holds, || {
                format!("expected {what} for {name} ({rid}); the device shows {status:?}")
            })
        };
        let server = status.server.as_ref();
        expected(
            server.is_some_and(|server| server.rid == rid),
            "its rid as server",
        )?;
        expected(
            server.is_some_and(|server| server.term > term_before),
            "a higher term",
        )?;
        expected(
            server.map(|server| server.term) == serving.event.term,
            "the term of its event",
        )?;
        expected(status.server_addr == addr && addr.is_some(), "its address")?;
        expected(
            server.is_some_and(|server| status.fenced < *server),
            "a server that is not fenced",
        )?;
        expected(
            silent.is_none_or(|ballot| status.fenced >= *ballot),
            "its predecessor silenced",
        )?;
        let term = serving.event.term.unwrap_or_default();
        self.verified(&format!(
            "{name} is the server of term {term}, fenced up to term {}",
            status.fenced.term
        ));
        Ok(status)
    }

    /// Shows that exactly those on stage are recorded as mounted. Records of the dead may take a moment to go.
    pub(super) fn verify_mounted(&self) -> Result<()> {
        let rids = self
            .everyone()
            .into_iter()
            .map(|id| self.cluster.rid(id))
            .collect::<Result<Vec<_>>>()?;
        let status = self
            .cluster
            .wait_status(PATIENCE, "exactly those who are mounted", |status| {
                status.clients.len() == rids.len() && rids.iter().all(|rid| status.is_mounted(rid))
            })?;
        let (voters, clients) = (self.voters.len(), self.clients.len());
        ensure(status.voters() == voters, || {
            format!("expected {voters} voters recorded; the device shows {status:?}")
        })?;
        self.verified(&format!(
            "{voters} voters and {clients} plain clients are recorded as mounted, nobody else"
        ));
        Ok(())
    }

    /// Narrates a new leader's steps since `from`, and adds them to the table as times since `moment`.
    pub(super) fn narrate_leader(&mut self, leader: MountId, from: Mark, moment: Instant) {
        for record in self.cluster.log().since(from) {
            if record.mount != leader {
                continue;
            }
            let done = match record.event.kind {
                Kind::Elected => "has won the votes",
                Kind::Sealed => "has sealed its ballot",
                Kind::Fencing => "asks for the fence of its predecessor",
                Kind::Fenced => "has the fence confirmed",
                Kind::Serving => "serves",
                _ => continue,
            };
            self.say_at(record.seen, &format!("{} {done}", self.cluster.name(leader)));
            self.timings
                .add(format!("    it {done}"), record.seen.duration_since(moment));
        }
    }

    /// Every event of every mount.
    pub(super) fn print_events(&self) {
        let names: Vec<&str> = self.cluster.mounts().iter().map(|mount| mount.name()).collect();
        println!("\nEvery event:\n{}", self.cluster.log().tail(&names, usize::MAX));
    }
}
