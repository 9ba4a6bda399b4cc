//! What a node does that breaks down: it says so on its log and by its exit code, and the others go on without it.

use std::thread;
use std::time::Instant;

use ostrakon_xtask::failure::{Failure, Result, ensure};

use super::{LOOK_INTERVAL, Leader, PATIENCE, Proof, Script};
use crate::commands::run_qemu::guest::{
    Breakdown, EXIT_DISK_LOST, EXIT_NETWORK_LOST, EXIT_PANIC, exit_status,
};

/// What is to be seen of a breakdown.
struct Signs {
    /// For people.
    title: &'static str,
    what: &'static str,
    /// The image's exit code.
    code: i32,
    /// On its log.
    words: &'static str,
    /// One that is cut off from the others may be asked to stop, through the disk, before anybody fences it.
    proof: Proof,
}

const fn signs(what: Breakdown) -> Option<Signs> {
    Some(match what {
        Breakdown::Panic => Signs {
            title: "the leader panics",
            what: "fail-over after a panic",
            code: EXIT_PANIC,
            words: "panic: ",
            proof: Proof::Fenced,
        },
        Breakdown::Disk => Signs {
            title: "the leader's disk answers nothing any more",
            what: "fail-over after the disk was lost",
            code: EXIT_DISK_LOST,
            words: "the disk is lost",
            proof: Proof::Fenced,
        },
        Breakdown::Network => Signs {
            title: "the leader's network cable is pulled out",
            what: "fail-over after the network was lost",
            code: EXIT_NETWORK_LOST,
            words: "the network is lost",
            proof: Proof::Any,
        },
        Breakdown::Hang => return None,
    })
}

impl Script<'_> {
    /// Something of the leader breaks down: another takes its place, and it ends by itself and says why.
    pub(super) fn break_down(&mut self, old: &Leader, what: Breakdown) -> Result<Leader> {
        let Some(signs) = signs(what) else {
            return Err(Failure::new("a node that hangs cannot say so"));
        };
        let name = self.name(old.guest).to_owned();
        self.act(&format!("{}: {name}", signs.title));
        let (from, begun) = (self.fleet.news.mark(), Instant::now());
        self.fleet.break_down(old.guest, what)?;
        let leader = self.succeeded(from, begun, old, signs.what, signs.proof)?;
        // The fence of a node that is still at it resets it: then it cannot end by itself any more.
        if self.fleet.guests[old.guest].state().rid.as_ref() == Some(&old.ballot.rid) {
            self.ended_with(old, &signs)?;
        }
        if self.fleet.guests[old.guest].is_on() {
            self.fleet.switch_off(old.guest);
        }
        self.act(&format!("{name} is switched on again"));
        self.returns(old.guest, &leader)
    }

    fn ended_with(&self, old: &Leader, signs: &Signs) -> Result<()> {
        let name = self.name(old.guest);
        let (status, expected) = (self.fleet.wait_end(old.guest, PATIENCE)?, exit_status(signs.code));
        ensure(status.code() == Some(expected), || {
            format!("{name} should have ended with status {expected}, it did with {status}")
        })?;
        // Its log is read by another thread.
        let deadline = Instant::now() + PATIENCE;
        while !self.fleet.news.has_said(name, signs.words) {
            ensure(Instant::now() < deadline, || {
                format!("{name} does not say {:?} on its log", signs.words)
            })?;
            thread::sleep(LOOK_INTERVAL);
        }
        self.fleet.news.say(
            "ok",
            &format!("{name} said {:?} and ended with status {expected}", signs.words),
        );
        Ok(())
    }
}
