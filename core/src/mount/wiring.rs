//! What client, election and server of one mount tell one another, in one place and one order.

use super::{Life, Mount, START_BACKOFF_MAX};
use crate::client::Link;
use crate::election::{LeaderFacts, Lost};
use crate::ids::Ballot;
use crate::server::{Memory, State};
use crate::service::Service;
use crate::time::{Duration, Instant};

/// Failed tries to reach a server after which a voter that was never connected to it joins the election. One
/// failed connect is not a death certificate.
const FAILURES_BEFORE_ASKING: u32 = 2;

/// A server that lives is reached again within this time after a connection broke; asking costs disk I/O.
const RECONNECT_TIME: Duration = Duration::from_millis(200);

/// How long a server may be named without an address before a voter that finds it so joins the election.
const UNPUBLISHED_TIME: Duration = Duration::from_secs(1);

impl<M: Memory, S: Service> Mount<M, S> {
    /// One round: the client's link decides whether the election is held, its outcome whether the server runs, the
    /// server's state what the election answers, and where the client connects.
    pub(super) fn wire(&mut self, now: Instant) {
        self.polled_at = now;
        self.join_or_leave_election(now);
        if let Some(election) = &mut self.election {
            election.poll(now);
        }
        self.start_or_stop_server(now);
        let may_act = self.may_act(now);
        self.server.poll(now, may_act);
        // It may have turned off just now, and nothing else calls to find that out.
        self.again |= self.reign.is_some() && self.stopping && self.server.is_off() && !self.held;
        self.release_ghosts(now, may_act);
        self.tell_election_of_server(now);
        self.tell_client(now);
        let quiet = self.election.as_ref().is_none_or(|election| election.is_off());
        self.client.hold_farewell(!quiet && self.reign.is_none());
        self.client.poll(now);
        self.join_or_leave_election(now);
        if let Some(election) = &mut self.election {
            election.poll(now);
        }
    }

    fn join_or_leave_election(&mut self, now: Instant) {
        let wanted = self.wants_election(now);
        let lost = match self.client.link() {
            Link::Seeking {
                lost: Some(server),
                refused,
                ..
            } => Some(Lost { server, refused }),
            _ => None,
        };
        let admitted = self.client.welcome().is_some_and(|welcome| welcome.voter);
        if let Some(election) = &mut self.election {
            // One that was turned down as a voter passes the gate again, like one that was never admitted.
            election.set_admitted(admitted);
            election.set_wanted(now, wanted, lost);
        }
    }

    /// Whether this voter takes part in the election: it truly cannot reach a server, or leads itself.
    fn wants_election(&self, now: Instant) -> bool {
        if self.life != Life::Mounted || now < self.no_election_before {
            return false;
        }
        if self.reign.is_some() {
            return true;
        }
        // It would be elected, and could never serve.
        if self.server.is_too_small() {
            return false;
        }
        let Some(view) = self.client.super_view() else {
            return false;
        };
        match self.client.link() {
            Link::Connected { .. } | Link::Ended => false,
            Link::Seeking {
                since,
                lost,
                failures,
                refused,
                resigned,
            } => {
                let age = now.since(since);
                let unpublished = view.state.server_addr.is_none() && age >= UNPUBLISHED_TIME;
                let gone = lost.is_some() && (refused || resigned || failures > 0 || age >= RECONNECT_TIME);
                let unreachable = gone || failures >= FAILURES_BEFORE_ASKING;
                view.live_server().is_none() || unpublished || unreachable
            }
        }
    }

    /// Where nobody can be fenced, voters' places come back by silence.
    fn release_ghosts(&mut self, now: Instant, may_act: bool) {
        if let (true, false, Some(election)) = (may_act, self.can_fence(), &self.election) {
            self.server
                .release_silent_ghosts(now, |rid, since| election.wrote_since(rid, since));
        }
    }

    /// When a voter that looks for a server has looked long enough to join the election.
    pub(super) fn election_due(&self) -> Option<Instant> {
        self.election.as_ref()?;
        let Link::Seeking { since, lost, .. } = self.client.link() else {
            return None;
        };
        let due = since
            + if lost.is_some() {
                RECONNECT_TIME
            } else {
                UNPUBLISHED_TIME
            };
        (self.polled_at < due).then_some(due.max(self.no_election_before))
    }

    fn start_or_stop_server(&mut self, now: Instant) {
        let Some(election) = &mut self.election else {
            return;
        };
        match (self.reign, election.wish()) {
            (None, Some((ballot, view))) => {
                if let (true, Some(voter)) = (self.server.is_off(), &self.client.config().voter) {
                    self.server.start(now, view, ballot, voter.server_addr);
                    election.set_server_off(now, false);
                    self.reign = Some(ballot);
                    self.stopping = false;
                }
            }
            (Some(reign), Some((ballot, _))) if reign == ballot => {
                if self.server.state() == State::Failed {
                    self.stopping = true;
                    election.resign(now);
                    self.leave_election_to_others(now);
                }
            }
            (Some(reign), _) => self.end_reign(now, reign),
            (None, None) => {}
        }
    }

    /// A server that could not start, or whose disk failed, will most likely not start the next time either.
    pub(super) fn leave_election_to_others(&mut self, now: Instant) {
        self.start_failures = (self.start_failures + 1).min(8);
        let pause = Duration::from_secs(1 << (self.start_failures - 1));
        self.no_election_before = now + pause.min(START_BACKOFF_MAX);
    }

    fn end_reign(&mut self, now: Instant, reign: Ballot) {
        let Some(election) = &mut self.election else {
            return;
        };
        if !self.stopping {
            self.stopping = true;
            let clean = election.right(now) == Some(reign) && !election.is_disk_failing();
            if clean {
                self.server.stop(now, true)
            } else {
                self.server.abort(now)
            }
        }
        if self.server.is_off() && !self.held {
            self.reign = None;
            election.set_server_off(now, true);
        }
    }

    fn tell_election_of_server(&mut self, now: Instant) {
        let serving = self.reign.is_some() && self.server.state() == State::Serving;
        let Some(election) = &mut self.election else {
            return;
        };
        if serving && !self.serves {
            self.start_failures = 0;
            // Nobody waits for the return of a mount that was fenced.
            for rid in election.fenced_predecessors() {
                self.server.remove_fenced(rid);
            }
        }
        self.serves = serving;
        let bell = election.bell_since();
        if bell != self.pinged {
            self.pinged = bell;
            self.server.ping_voters(now);
        }
        let facts = LeaderFacts {
            serving,
            voters: self.server.voters_heard(bell.unwrap_or(now)),
            away: if serving { self.server.voters_away() } else { 0 },
            remote_seen: serving && self.server.remote_client_seen(),
        };
        election.set_facts(now, facts);
    }

    fn tell_client(&mut self, now: Instant) {
        let local = self.reign.filter(|_| self.server.state() == State::Serving);
        self.client.set_local_server(now, local);
        let Some((view, views)) = self.election.as_ref().and_then(|election| election.view()) else {
            return;
        };
        if views != self.views_shown {
            self.views_shown = views;
            self.client.see_super(now, view);
        }
    }
}
