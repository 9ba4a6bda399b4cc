//! Checks of a run under the 2019 rules: of what they come to, not of how. Each of them holds for our rules as well,
//! there as a consequence of stricter ones.

use ostrakon_core::event::Event;
use ostrakon_core::format::SUPER_COPIES;
use ostrakon_core::ids::{Ballot, Rid, Term};

use super::Leader;
use crate::sim::disk::Area;
use crate::sim::host::ProcId;
use crate::sim::machine::Rules;
use crate::sim::of2019::Super;
use crate::sim::world::{World, violate};

impl World {
    /// Whether this run follows the 2019 rules, which are judged here only.
    pub(crate) fn is_of_2019(&self) -> bool {
        self.options.rules == Rules::Of2019
    }

    /// Terms in the super block never go back, and its address is that of the server it names.
    pub(super) fn landed_2019(&mut self, proc: ProcId, first: u64, damaged: bool) {
        if self.device.area(first, 1) != Area::Super(0) || damaged {
            return;
        }
        let state = Super::decode(self.device.blocks(SUPER_COPIES[0].0, 1));
        let server = Rid::new(state.server_rid).map(|rid| Ballot {
            term: Term(state.server_term),
            rid,
        });
        let back = server < self.check.server || state.fenced_term < self.check.fenced.term.0;
        let live = self
            .check
            .server
            .filter(|_| state.addr.is_none())
            .and_then(|newest| {
                let leader = self.check.leaders.get(&newest)?;
                (leader.serving && leader.proc != proc && self.may_serve(leader.proc)).then_some(newest)
            });
        self.check.server = self.check.server.max(server);
        self.check.fenced.term = self.check.fenced.term.max(Term(state.fenced_term));
        let name = self.procs[proc].name.clone();
        if back {
            violate!(self, "{name} writes the super block backwards: {state:?}");
        } else if let Some(live) = live {
            violate!(self, "{name} clears the address of the healthy server {live}");
        }
    }

    /// Whether a process may still do something as a server: it lives, and nobody has fenced it.
    fn may_serve(&self, proc: ProcId) -> bool {
        let known = &self.procs[proc];
        !known.dead && !known.fenced && !known.cut && self.process_on(known.host) == Some(proc)
    }

    pub(super) fn observe_2019(&mut self, proc: ProcId, event: &Event) {
        match event {
            Event::Connected { server, .. } => self.procs[proc].connected = Some(*server),
            Event::Disconnected { .. } => self.procs[proc].connected = None,
            Event::Unmounted(how) => self.procs[proc].ended = Some(*how),
            Event::Elected(ballot) => {
                self.check.counts.elected += 1;
                let leader = Leader {
                    elected_at: self.now,
                    ..Leader::new(proc)
                };
                self.check.leaders.insert(*ballot, leader);
            }
            Event::Serving { ballot, .. } => self.serving_2019(*ballot),
            Event::StoppedServing { ballot, .. } => self.stopped_serving(*ballot),
            _ => {}
        }
    }

    /// Every leader that did not stop is fenced before the next serves.
    fn serving_2019(&mut self, ballot: Ballot) {
        self.check.counts.served += 1;
        if let Some(leader) = self.check.leaders.get_mut(&ballot) {
            leader.serving = true;
        }
        let mut others = self.check.leaders.iter().filter(|(other, _)| **other != ballot);
        let loud = others.find(|(_, leader)| leader.serving && self.may_serve(leader.proc));
        if let Some((&loud, leader)) = loud {
            let name = self.procs[leader.proc].name.clone();
            violate!(
                self,
                "{ballot} serves, and so does {name} under {loud}: two unfenced servers"
            );
        }
    }
}
