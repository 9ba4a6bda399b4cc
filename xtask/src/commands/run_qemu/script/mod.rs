//! The scripted form: what the README promises of the images, each step verified on the device by the Linux code.

mod breakdowns;
mod lease;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::Cluster;
use ostrakon_xtask::cluster::device::{Ballot, Status};
use ostrakon_xtask::failure::{Failure, Result, ensure};

use super::Fence;
use super::fleet::{Fleet, Kind};
use super::guest::{Breakdown, Freeze};
use super::news::{Item, Mark};

/// How long anything may take under emulation on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a thawed guest is watched: many times what it would need for another write.
const WATCH: Duration = Duration::from_millis(1_500);

/// How often what was said is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Lines of the log beneath a failure.
const LAST_WORDS: usize = 40;

/// The script and what it measured.
pub(super) struct Script<'a> {
    fleet: &'a Arc<Fleet>,
    cluster: &'a Cluster,
    fence: Fence,
    acts: Acts,
    timings: Vec<(String, Duration)>,
    resident_kib: Vec<u64>,
}

/// How a successor must have come to know of its predecessor's silence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Proof {
    /// The power switch confirmed it.
    Fenced,
    /// Its lease ran out.
    LeaseRanOut,
    /// In whatever way: it may have stopped cleanly before it was fenced.
    Any,
}

/// How much is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Acts {
    /// Everything.
    All,
    /// Without those in which a node breaks down and says so, a client is evicted, or no more than a fact is shown.
    FailOvers,
    /// The first election, one fail-over, and the end.
    OneFailOver,
    /// The first election, and the end.
    Election,
}

/// Who serves.
struct Leader {
    guest: usize,
    ballot: Ballot,
    serving: Item,
}

impl Leader {
    fn of(item: &Item) -> Option<Self> {
        let term = (item.name() == "serving").then(|| item.word(0).parse().ok())??;
        let ballot = Ballot {
            term,
            rid: item.rid.clone(),
        };
        Some(Self {
            guest: item.guest,
            ballot,
            serving: item.clone(),
        })
    }
}

/// The newest leader and when the last of these guests was connected to it, if all are.
fn settled(items: &[Item], guests: &BTreeSet<usize>, term: u64) -> Option<(Leader, Instant)> {
    let leader = items
        .iter()
        .filter_map(Leader::of)
        .max_by_key(|leader| leader.ballot.term)?;
    let mut last = leader.serving.seen;
    for &guest in guests {
        let state = items.iter().rev().find(|item| {
            item.guest == guest && ["connected", "disconnected", "hello"].contains(&item.name())
        })?;
        if state.name() != "connected" || state.word(1) != leader.ballot.rid {
            return None;
        }
        last = last.max(state.seen);
    }
    (leader.ballot.term > term).then_some((leader, last))
}

impl<'a> Script<'a> {
    /// Nothing has happened yet.
    pub(super) const fn new(fleet: &'a Arc<Fleet>, cluster: &'a Cluster, fence: Fence, acts: Acts) -> Self {
        Self {
            fleet,
            cluster,
            fence,
            acts,
            timings: Vec::new(),
            resident_kib: Vec::new(),
        }
    }

    /// KiB that the process of each guest held once everybody was connected.
    pub(super) fn resident_kib(&self) -> &[u64] {
        &self.resident_kib
    }

    /// What took how long.
    pub(super) fn timings(&self) -> &[(String, Duration)] {
        &self.timings
    }

    /// Plays everything.
    pub(super) fn play(&mut self) -> Result<()> {
        let outcome = self.acts();
        outcome.map_err(|failure| {
            let last = self.fleet.news.tail(LAST_WORDS).join("\n");
            Failure::new(format!("{failure}\nthe last words:\n{last}"))
        })
    }

    fn acts(&mut self) -> Result<()> {
        let mut leader = self.elect()?;
        match self.fence {
            _ if self.voters() == 1 || self.acts == Acts::Election => {}
            _ if self.acts == Acts::OneFailOver => leader = self.kill(&leader)?,
            Fence::Line => {
                leader = self.kill(&leader)?;
                leader = self.freeze(&leader, Freeze::Paused)?;
                leader = self.freeze(&leader, Freeze::Stopped)?;
                if self.acts == Acts::All {
                    self.evict(&leader)?;
                }
                for what in [Breakdown::Panic, Breakdown::Disk, Breakdown::Network] {
                    // Only an image is taken apart: what becomes of Linux mounts then has tests of its own.
                    if self.acts == Acts::All && self.fleet.guests[leader.guest].kind == Kind::Image {
                        leader = self.break_down(&leader, what)?;
                    }
                }
            }
            Fence::Lease => {
                leader = self.kill(&leader)?;
                leader = self.hang(leader)?;
                if self.acts == Acts::All {
                    leader = self.pause_under_lease(&leader)?;
                }
            }
        }
        self.leave(&leader)
    }

    fn act(&self, title: &str) {
        self.fleet.news.say("----", title);
    }

    fn verified(&self, sentence: &str) {
        self.fleet.news.say("ok", &format!("on the device: {sentence}"));
    }

    fn everyone(&self) -> BTreeSet<usize> {
        (0..self.fleet.guests.len()).collect()
    }

    fn voters(&self) -> usize {
        self.fleet
            .guests
            .iter()
            .filter(|guest| guest.addr.is_some())
            .count()
    }

    fn name(&self, guest: usize) -> &str {
        &self.fleet.guests[guest].name
    }

    fn wait<T>(&self, from: Mark, what: &str, pick: impl FnMut(&Item) -> Option<T>) -> Result<T> {
        let found = self.fleet.news.wait(from, PATIENCE, pick);
        found.ok_or_else(|| Failure::new(format!("waited {} s for {what}, in vain", PATIENCE.as_secs())))
    }

    /// Waits until a guest serves in a term above `term`.
    fn wait_leader(&self, from: Mark, term: u64) -> Result<Leader> {
        self.wait(from, "a server", |item| {
            Leader::of(item).filter(|leader| leader.ballot.term > term)
        })
    }

    /// Waits until each of these guests is connected to the newest leader, whose term is above `term`: the first one
    /// to serve may have yielded to another. Returns that leader, and when the last guest was connected.
    fn wait_settled(&self, guests: &BTreeSet<usize>, term: u64) -> Result<(Leader, Instant)> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(settled) = self.fleet.news.look(|items| settled(items, guests, term)) {
                return Ok(settled);
            }
            thread::sleep(LOOK_INTERVAL);
        }
        let names: Vec<&str> = guests.iter().map(|&guest| self.name(guest)).collect();
        Err(Failure::new(format!(
            "waited {} s for {} to be connected to a leader of a term above {term}, in vain",
            PATIENCE.as_secs(),
            names.join(", ")
        )))
    }

    fn rid(&self, guest: usize) -> Result<String> {
        let rid = self.fleet.guests[guest].state().rid;
        rid.ok_or_else(|| Failure::new(format!("{} has not told its rid", self.name(guest))))
    }

    /// The device names this leader, at its address, and everything up to `silent` as silent.
    fn verify_leader(&self, leader: &Leader, silent: Option<&Ballot>) -> Result<Status> {
        let status = self.cluster.status()?;
        ensure(status.server.as_ref() == Some(&leader.ballot), || {
            format!("{:?} serves, the device names {:?}", leader.ballot, status.server)
        })?;
        let addr = self.fleet.guests[leader.guest].addr;
        ensure(status.server_addr == addr, || {
            format!(
                "the server listens at {addr:?}, the device says {:?}",
                status.server_addr
            )
        })?;
        ensure(silent.is_none_or(|silent| status.fenced >= *silent), || {
            format!(
                "{silent:?} was succeeded, the device names only {:?} as silent",
                status.fenced
            )
        })?;
        let below = silent.map_or(String::new(), |silent| {
            format!(", and term {} as silent", silent.term)
        });
        self.verified(&format!(
            "{} is server of term {}{below}",
            self.name(leader.guest),
            leader.ballot.term
        ));
        Ok(status)
    }

    /// The table of clients holds exactly these guests; records of the dead may take the recovery time to go.
    fn verify_mounted(&self, guests: &BTreeSet<usize>) -> Result<()> {
        let mut rids = BTreeSet::new();
        for &guest in guests {
            rids.insert(self.rid(guest)?);
        }
        self.cluster
            .wait_status(PATIENCE, &format!("exactly {rids:?} as mounted"), |status| {
                let mounted: BTreeSet<String> =
                    status.clients.iter().map(|client| client.rid.clone()).collect();
                mounted == rids
            })?;
        self.verified(&format!("{} mounts, and no others", rids.len()));
        Ok(())
    }

    fn took(&mut self, what: &str, took: Duration) {
        self.timings.push((what.to_owned(), took));
    }

    fn elect(&mut self) -> Result<Leader> {
        self.act("all guests are switched on");
        let (from, begun) = (self.fleet.news.mark(), Instant::now());
        for guest in self.everyone() {
            self.fleet.switch_on(guest)?;
        }
        let leader = self.wait_leader(from, 0)?;
        self.took("from the first power-on to a server", leader.serving.seen - begun);
        let (leader, connected) = self.wait_settled(&self.everyone(), 0)?;
        self.took(
            "from the first power-on until everybody is connected",
            connected - begun,
        );
        self.resident_kib = self.fleet.resident_kib();
        self.verify_leader(&leader, None)?;
        self.verify_mounted(&self.everyone())?;
        Ok(leader)
    }

    fn kill(&mut self, old: &Leader) -> Result<Leader> {
        self.act(&format!("the leader's plug is pulled: {}", self.name(old.guest)));
        let (from, begun) = (self.fleet.news.mark(), Instant::now());
        self.fleet.switch_off(old.guest);
        let proof = match self.fence {
            Fence::Line => Proof::Fenced,
            Fence::Lease => Proof::LeaseRanOut,
        };
        let leader = self.succeeded(from, begun, old, "fail-over after the plug was pulled", proof)?;
        self.act(&format!("{} is switched on again", self.name(old.guest)));
        self.returns(old.guest, &leader)
    }

    /// Waits for a successor, which must have had this proof of its predecessor's silence, and for everybody else to be
    /// connected to it.
    fn succeeded(
        &mut self,
        from: Mark,
        begun: Instant,
        old: &Leader,
        what: &str,
        proof: Proof,
    ) -> Result<Leader> {
        let first = self.wait_leader(from, old.ballot.term)?;
        ensure(first.guest != old.guest, || {
            "the one that is gone serves".to_owned()
        })?;
        self.proven(from, &first, old, proof)?;
        self.took(what, first.serving.seen - begun);
        let mut others = self.everyone();
        others.remove(&old.guest);
        let (leader, connected) = self.wait_settled(&others, old.ballot.term)?;
        self.took("    until all others are connected", connected - begun);
        self.verify_leader(&leader, Some(&old.ballot))?;
        Ok(leader)
    }

    /// The successor knew that its predecessor is silent before it served.
    fn proven(&self, from: Mark, successor: &Leader, old: &Leader, proof: Proof) -> Result<()> {
        if proof == Proof::Any {
            return Ok(());
        }
        let proven = self.wait(from, "the predecessor's silence to be known", |item| {
            let how = match item.name() {
                "fenced" => Proof::Fenced,
                "silenced" if item.word(2) == "Fenced" => Proof::Fenced,
                // As the images say it, and as Linux mounts do.
                "silenced" if ["LeaseRanOut", "lease_ran_out"].contains(&item.word(2)) => Proof::LeaseRanOut,
                _ => Proof::Any,
            };
            let it = item.guest == successor.guest && how == proof && item.word(1) == old.ballot.rid;
            it.then_some(item.seen)
        })?;
        ensure(proven <= successor.serving.seen, || {
            "it served before its predecessor's silence was known".to_owned()
        })
    }

    /// A guest that was off, or whose processor stood still, boots and mounts anew; nobody is deposed by that.
    fn returns(&mut self, guest: usize, leader: &Leader) -> Result<Leader> {
        if !self.fleet.guests[guest].is_on() {
            self.fleet.switch_on(guest)?;
        }
        let (now, _) = self.wait_settled(&self.everyone(), leader.ballot.term - 1)?;
        ensure(now.ballot == leader.ballot, || {
            format!("{:?} served before, {:?} serves now", leader.ballot, now.ballot)
        })?;
        self.verify_leader(&now, None)?;
        self.verify_mounted(&self.everyone())?;
        Ok(now)
    }

    fn freeze(&mut self, old: &Leader, how: Freeze) -> Result<Leader> {
        let (name, words) = (self.name(old.guest).to_owned(), freeze_words(how));
        self.act(&format!("the leader freezes: {name}, {words}"));
        let (from, begun) = (self.fleet.news.mark(), Instant::now());
        self.fleet.freeze(old.guest, how)?;
        let what = format!("fail-over after a freeze ({words})");
        let leader = self.succeeded(from, begun, old, &what, Proof::Fenced)?;

        self.act(&format!("{name} is thawed"));
        let before = self.writes_of(&old.ballot.rid)?;
        if self.fleet.guests[old.guest].is_on() {
            self.fleet.thaw(old.guest)?;
        }
        let watched = Instant::now();
        while watched.elapsed() < WATCH {
            // At every look, not only at the end: a super block written by the wrong one could be written over.
            let server = self.cluster.status()?.server;
            ensure(server.as_ref() == Some(&leader.ballot), || {
                format!("after the thaw the device names {server:?} as server")
            })?;
            thread::sleep(Duration::from_millis(20));
        }
        let after = self.writes_of(&old.ballot.rid)?;
        ensure(after.is_subset(&before), || {
            format!(
                "{} wrote after its successor served: {:?}",
                old.ballot.rid,
                after.difference(&before)
            )
        })?;
        self.verified(&format!(
            "nothing of {} was written after its successor served",
            old.ballot.rid
        ));
        self.returns(old.guest, &leader)
    }

    /// A client that stands still for too long is evicted; when it goes on and learns of it, it begins anew.
    fn evict(&mut self, leader: &Leader) -> Result<()> {
        let client = |guest: &usize| {
            let guest = &self.fleet.guests[*guest];
            guest.addr.is_none() && guest.kind == Kind::Image
        };
        let Some(victim) = self.everyone().into_iter().find(client) else {
            return Ok(());
        };
        let (name, rid) = (self.name(victim).to_owned(), self.rid(victim)?);
        self.act(&format!("a client is paused until it is evicted: {name}"));
        let (from, begun) = (self.fleet.news.mark(), Instant::now());
        self.fleet.freeze(victim, Freeze::Paused)?;
        self.wait(from, "an eviction", |item| {
            (item.name() == "client_evicted" && item.word(0) == rid).then_some(())
        })?;
        self.took("until a paused client was evicted", begun.elapsed());
        let mut others = self.everyone();
        others.remove(&victim);
        self.verify_mounted(&others)?;
        self.act(&format!("{name} goes on"));
        self.fleet.thaw(victim)?;
        self.wait(from, "the evicted one to begin anew", |item| {
            (item.guest == victim && item.name() == "hello" && item.rid != rid).then_some(())
        })?;
        self.wait_settled(&self.everyone(), leader.ballot.term - 1)?;
        self.verify_leader(leader, None)?;
        self.verify_mounted(&self.everyone())
    }

    /// Writes of a mount that stand in the quorum region: the block and the writer's number of it.
    fn writes_of(&self, rid: &str) -> Result<BTreeSet<(u64, u64)>> {
        let dump = self.cluster.dump()?;
        Ok(dump
            .written_by(rid)
            .iter()
            .map(|block| (block.block, block.write_nr))
            .collect())
    }

    fn leave(&mut self, leader: &Leader) -> Result<()> {
        self.act("everybody unmounts");
        let begun = Instant::now();
        for guest in self.everyone() {
            self.fleet.unmount(guest)?;
        }
        for guest in self.everyone() {
            let status = self.fleet.wait_end(guest, PATIENCE)?;
            let clean = self.fleet.clean_status(guest)?;
            ensure(status.code() == Some(clean), || {
                format!(
                    "{} should have ended with status {clean}, it did with {status}",
                    self.name(guest)
                )
            })?;
        }
        self.took("everybody unmounts", begun.elapsed());
        let status = self.cluster.status()?;
        ensure(status.server.is_none() && status.clients.is_empty(), || {
            format!("all have left, and the device shows {status:?}")
        })?;
        ensure(
            status.unmount_barrier > 0 && status.fenced >= leader.ballot,
            || format!("the last quorum did not leave through the barrier, or not cleanly: {status:?}"),
        )?;
        self.verified("no server, no mounts; the last quorum left through the barrier");
        Ok(())
    }
}

const fn freeze_words(how: Freeze) -> &'static str {
    match how {
        Freeze::Paused => "QMP stop",
        Freeze::Stopped => "SIGSTOP",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(guest: usize, words: &str) -> Item {
        Item {
            seen: Instant::now(),
            guest,
            rid: format!("rid{guest}"),
            words: words.split(' ').map(str::to_owned).collect(),
        }
    }

    fn leader(items: &[Item], guests: &[usize], term: u64) -> Option<usize> {
        settled(items, &guests.iter().copied().collect(), term).map(|(leader, _)| leader.guest)
    }

    #[test]
    fn a_cluster_is_settled_when_everybody_is_connected_to_the_newest_leader() {
        let mut items = vec![
            item(0, "serving 1 addr"),
            item(0, "connected 1 rid0 itself"),
            item(1, "connected 1 rid0 addr"),
        ];
        assert_eq!(leader(&items, &[0, 1], 0), Some(0));
        assert_eq!(leader(&items, &[0, 1], 1), None, "only a later term counts");
        assert_eq!(leader(&items, &[0, 1, 2], 0), None, "one has not said anything");
        items.push(item(1, "serving 2 addr"));
        assert_eq!(
            leader(&items, &[1], 0),
            None,
            "it is still connected to its predecessor"
        );
        items.push(item(1, "connected 2 rid1 itself"));
        assert_eq!(leader(&items, &[1], 1), Some(1));
        assert_eq!(leader(&items, &[0, 1], 1), None);
    }

    #[test]
    fn a_connection_that_broke_or_belonged_to_an_earlier_boot_does_not_count() {
        for later in ["disconnected 1 rid0", "hello"] {
            let items = [
                item(0, "serving 1 addr"),
                item(1, "connected 1 rid0 addr"),
                item(1, later),
            ];
            assert_eq!(leader(&items, &[1], 0), None, "{later}");
        }
    }
}
