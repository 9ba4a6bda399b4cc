//! Strangers: port scans, broken programs and floods that reach a listener, and those who listened and repeat what they heard.

use ostrakon_core::bounds::MESSAGE_BYTES_MAX;
use ostrakon_core::format::wire::{Command, Message, RequestId, Status};

use super::{ConnKey, NetStep, Segment, Who};
use crate::sim::trace::note;
use crate::sim::world::{Happening, World};

/// What a stranger does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prank {
    /// Sends something.
    Talk(ConnKey),
    /// Goes away.
    Leave(ConnKey),
}

impl World {
    /// Somebody who has no business here connects to a host, so many times.
    pub fn stranger(&mut self, host: usize, connections: usize) -> bool {
        note!(
            self,
            "net",
            "{connections} strangers connect to {}",
            self.hosts[host].name
        );
        for _ in 0..connections {
            let outside = self.net.outside();
            self.open_conn(outside, Who::Stranger, host);
        }
        // A machine that runs answers, if only that nobody listens.
        self.hosts[host].power
    }

    pub(super) fn stranger_connected(&mut self, key: ConnKey) {
        let talks = self.dice.between(0, 4);
        for _ in 0..talks {
            let after = self.dice.scattered(10, 2_000_000);
            self.after(after, Happening::Net(NetStep::Stranger(Prank::Talk(key))));
        }
        let after = self.dice.scattered(1_000, 30_000_000);
        self.after(after, Happening::Net(NetStep::Stranger(Prank::Leave(key))));
    }

    pub(super) fn play(&mut self, prank: Prank) {
        match prank {
            Prank::Talk(key) => {
                let words = self.words();
                let end = self.prankster(key);
                if self.net.conn(key).is_some_and(|conn| conn.ends[end].open) {
                    self.transmit(key, end, &words);
                }
            }
            Prank::Leave(key) => {
                let last = if self.dice.one_in(2) {
                    Segment::Fin
                } else {
                    Segment::Rst
                };
                let end = self.prankster(key);
                self.close_end(key, end, last);
                self.forget_received(key, end);
            }
        }
    }

    /// The end whose owner plays pranks: who was asked, if that is an impostor.
    fn prankster(&self, key: ConnKey) -> usize {
        let impostor = |conn: &super::Conn| conn.ends[1].who == Who::Impostor;
        usize::from(self.net.conn(key).is_some_and(impostor))
    }

    /// What was said in past sessions and in those of others: a message or several, in any order, whole, cut or changed.
    fn repeated(&mut self) -> Vec<u8> {
        let mut words = Vec::new();
        for _ in 0..self.dice.between(1, 4) {
            let at = self.dice.below(self.net.overheard.len() as u64) as usize;
            words.extend_from_slice(&self.net.overheard[at]);
        }
        if self.dice.one_in(4) {
            words.truncate(self.dice.below(words.len() as u64) as usize);
        }
        if self.dice.one_in(4) && !words.is_empty() {
            let at = self.dice.below(words.len() as u64) as usize;
            words[at] ^= 1 << self.dice.below(8);
        }
        words
    }

    /// Something that was said before, garbage, or a message that is well formed and out of place, whole or in part.
    pub(super) fn words(&mut self) -> Vec<u8> {
        if !self.net.overheard.is_empty() && self.dice.one_in(2) {
            return self.repeated();
        }
        let mut body = vec![0; self.dice.below(200) as usize];
        self.dice.fill(&mut body);
        if self.dice.one_in(3) {
            return body;
        }
        let command = self.dice.pick(&[
            Command::GREETING,
            Command::FAREWELL,
            Command::PING,
            Command::RESIGNING,
            Command::SERVICE,
        ]);
        let message = Message {
            command: command.unwrap_or(Command::GREETING),
            answer: self.dice.one_in(4),
            status: Status::Ok,
            id: RequestId(self.dice.below(3)),
            released: RequestId(self.dice.below(3)),
            body: &body,
        };
        let mut frame = [0; MESSAGE_BYTES_MAX];
        let length = message.encode(&mut frame).expect("the body is short");
        let kept = if self.dice.one_in(3) {
            self.dice.below(length as u64) as usize
        } else {
            length
        };
        frame[..kept].to_vec()
    }
}
