//! Impostors: somebody else answers at the address of a host. Another machine has taken it, another program stands at the port,
//! or somebody in between plays a server without knowing the key.

use std::fmt;

use ostrakon_core::format::hello::{CHALLENGE_BYTES, HELLO_BYTES, HELLO_HEAD_BYTES, REPLY_BYTES};

use super::stranger::Prank;
use super::{ConnKey, NetStep, Segment, Who};
use crate::sim::trace::note;
use crate::sim::world::{Happening, World, violate};

/// What an impostor does with those who connect to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guise {
    /// It never greets.
    Mute,
    /// It says anything.
    Babbler,
    /// It says what it heard servers say: their challenge, and when it is greeted, their replies, or what it was just told.
    Parrot,
    /// It goes away in the middle of the greeting.
    Quitter,
}

impl Guise {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Mute, Self::Babbler, Self::Parrot, Self::Quitter];
}

impl fmt::Display for Guise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mute => "never greets",
            Self::Babbler => "says anything",
            Self::Parrot => "says what servers said",
            Self::Quitter => "hangs up in the middle",
        })
    }
}

impl World {
    /// From now on somebody else answers at the address of this host, even if the host is dead. Connections that stand are not touched.
    pub fn impersonate(&mut self, host: usize, guise: Guise) -> bool {
        note!(
            self,
            "net",
            "at the address of {} is an impostor, who {guise}",
            self.hosts[host].name
        );
        let before = self.net.impostors[host].replace(guise);
        self.disturbed = self.now;
        self.wake_pipes();
        before != Some(guise)
    }

    /// Whether somebody else answers for this host.
    pub(crate) fn has_impostor(&self, host: usize) -> bool {
        self.net.impostors[host].is_some()
    }

    /// The host itself answers at its address again; whoever talks to the impostor is cut off.
    pub fn unmask(&mut self, host: usize) -> bool {
        let was = self.net.impostors[host].take().is_some();
        if was {
            note!(self, "net", "{} answers for itself again", self.hosts[host].name);
            self.disturbed = self.now;
            for (key, end) in self.net.conns_of(host) {
                if self.net.conns[&key].ends[end].who == Who::Impostor {
                    self.close_end(key, end, Segment::Rst);
                    self.forget_received(key, end);
                }
            }
        }
        was
    }

    /// Somebody connects to a host that an impostor stands for.
    pub(super) fn impostor_accepts(&mut self, key: ConnKey, guise: Guise) {
        let conn = self.net.conns.get_mut(&key).expect("it was there a moment ago");
        (conn.ends[1].who, conn.ends[1].open) = (Who::Impostor, true);
        self.send_segment(key, 1, Segment::SynAck);
        let mut stays = self.dice.scattered(1_000, 30_000_000);
        match guise {
            Guise::Mute => {}
            Guise::Babbler => {
                for _ in 0..self.dice.between(1, 4) {
                    let after = self.dice.scattered(10, 2_000_000);
                    self.after(after, Happening::Net(NetStep::Stranger(Prank::Talk(key))));
                }
            }
            Guise::Parrot => {
                let challenge = self.heard_before(CHALLENGE_BYTES);
                self.transmit(key, 1, &challenge);
            }
            Guise::Quitter => {
                let challenge = self.heard_before(CHALLENGE_BYTES);
                let said = self.dice.between(0, CHALLENGE_BYTES as u64) as usize;
                if said > 0 {
                    self.transmit(key, 1, &challenge[..said]);
                }
                stays = self.dice.scattered(10, 200_000);
            }
        }
        self.after(stays, Happening::Net(NetStep::Stranger(Prank::Leave(key))));
    }

    /// A process says something to an impostor: a hello, and no more before it has seen the proof that it asks for.
    pub(super) fn tell_impostor(&mut self, key: ConnKey) {
        let heard = self.net.conns[&key].ends[1].received.clone();
        if heard.len() > HELLO_BYTES {
            violate!(
                self,
                "an impostor heard {} bytes, expected a hello and no more",
                heard.len()
            );
        }
        let host = self.net.conns[&key].ends[1].host;
        if heard.len() < HELLO_BYTES || self.net.impostors[host] != Some(Guise::Parrot) {
            return;
        }
        let mut reply = match self.dice.below(4) {
            // What it was told itself is as long as a reply.
            0 => heard[HELLO_HEAD_BYTES..].to_vec(),
            1 => self.words(),
            _ => self.heard_before(REPLY_BYTES),
        };
        // And what a server said next, at some other time.
        for _ in 0..self.dice.below(3) {
            reply.extend(self.words());
        }
        if !reply.is_empty() {
            self.transmit(key, 1, &reply);
        }
    }

    /// Something of this length that was said lately; if nothing was, any bytes.
    fn heard_before(&mut self, length: usize) -> Vec<u8> {
        let overheard = self.net.overheard.iter().filter(|words| words.len() == length);
        let choice: Vec<Vec<u8>> = overheard.cloned().collect();
        if choice.is_empty() {
            let mut bytes = vec![0; length];
            self.dice.fill(&mut bytes);
            return bytes;
        }
        choice[self.dice.below(choice.len() as u64) as usize].clone()
    }
}
