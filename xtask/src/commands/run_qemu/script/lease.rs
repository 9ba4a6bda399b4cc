//! Silence by a lease, guarded by a watchdog: what that covers, and what it does not.

use std::thread;
use std::time::Instant;

use ostrakon_xtask::failure::{Result, ensure};

use super::{Leader, Proof, Script, WATCH};
use crate::commands::run_qemu::fleet::Kind;
use crate::commands::run_qemu::guest::{Breakdown, Freeze};

impl Script<'_> {
    /// The leader's main loop stands still for good: its watchdog resets it, and it is one of the others again.
    pub(super) fn hang(&mut self, old: Leader) -> Result<Leader> {
        if self.fleet.guests[old.guest].kind != Kind::Image {
            return Ok(old);
        }
        let name = self.name(old.guest).to_owned();
        self.act(&format!("the leader's main loop hangs: {name}"));
        let (from, begun) = (self.fleet.news.mark(), Instant::now());
        self.fleet.break_down(old.guest, Breakdown::Hang)?;
        self.wait(from, "the watchdog to bite", |item| {
            (item.guest == old.guest && item.name() == "hello" && item.rid != old.ballot.rid).then_some(())
        })?;
        self.took(
            "from the hang until the watchdog has reset the node",
            begun.elapsed(),
        );
        let bites = self.fleet.watchdog_bites(old.guest)?;
        ensure(bites > 0, || {
            format!("{name} began anew, and QEMU has seen no bite of its watchdog")
        })?;
        self.fleet
            .news
            .say("ok", &format!("the watchdog has reset {name}"));
        // It may be elected again itself, as a mount of its own.
        let first = self.wait_leader(from, old.ballot.term)?;
        self.proven(from, &first, &old, Proof::LeaseRanOut)?;
        self.took("fail-over after a hang", first.serving.seen - begun);
        let (leader, _) = self.wait_settled(&self.everyone(), old.ballot.term)?;
        self.verify_leader(&leader, Some(&old.ballot))?;
        self.verify_mounted(&self.everyone())?;
        Ok(leader)
    }

    /// A machine that is paused finds its clock, its right and its watchdog as they were when it goes on. What it writes then
    /// is shown, and nothing is promised; only that it gives way in the end.
    pub(super) fn pause_under_lease(&mut self, old: &Leader) -> Result<Leader> {
        let name = self.name(old.guest).to_owned();
        self.act(&format!(
            "the leader's machine is paused, which no lease covers: {name}"
        ));
        let (from, begun) = (self.fleet.news.mark(), Instant::now());
        self.fleet.freeze(old.guest, Freeze::Paused)?;
        self.succeeded(from, begun, old, "fail-over after a pause", Proof::LeaseRanOut)?;
        let before = self.writes_of(&old.ballot.rid)?;
        self.act(&format!("{name} goes on"));
        let (thawed, thawed_at) = (self.fleet.news.mark(), Instant::now());
        self.fleet.thaw(old.guest)?;
        thread::sleep(WATCH);
        let after = self.writes_of(&old.ballot.rid)?;
        self.fleet.news.say(
            "shown",
            &format!(
                "{} blocks of {} were written after its successor served",
                after.difference(&before).count(),
                old.ballot.rid
            ),
        );
        // It stops, or was reset by its watchdog; a Linux mount always ends up as a client of the successor.
        let gave_way = self.wait(thawed, "the one that was paused to give way", |item| {
            let gave_way = ["stopped_serving", "superseded", "hello", "connected"];
            (item.guest == old.guest && gave_way.contains(&item.name())).then_some(item.seen)
        })?;
        self.took(
            "until the paused leader has given way",
            gave_way.saturating_duration_since(thawed_at),
        );
        let (now, _) = self.wait_settled(&self.everyone(), old.ballot.term)?;
        self.verify_leader(&now, Some(&old.ballot))?;
        self.verify_mounted(&self.everyone())?;
        Ok(now)
    }
}
