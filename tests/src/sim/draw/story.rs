//! From what happened to what is drawn: the bands of each host, and the marks on them.

use ostrakon_core::event::Event;
use ostrakon_core::ids::Ballot;

use crate::sim::clock::Time;
use crate::sim::film::Shot;
use crate::sim::host::ProcId;
use crate::sim::world::World;

/// What a process is, for as long as a band lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// Runs, without a server.
    Alone,
    /// Connected to the server of this ballot.
    Client(Ballot),
    /// Has won under this ballot.
    Elected(Ballot),
    /// Has sealed it.
    Sealed(Ballot),
    /// Serves under it.
    Serves(Ballot),
}

/// A band on the line of a host.
#[derive(Clone, Debug)]
pub(super) struct Band {
    pub(super) proc: ProcId,
    pub(super) role: Role,
    pub(super) from: Time,
    pub(super) to: Time,
}

/// What a mark stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sign {
    Start,
    Crash,
    PowerOff,
    End,
    Vote(ProcId),
    Elected,
    Sealed,
    GaveUp,
    Stopped,
    /// By whom, and when; the mark itself lies where the victim was last.
    Fenced {
        by: ProcId,
        acted: Time,
    },
    DiskLost,
    DiskFound,
    Cut(usize),
    Mended,
}

/// A mark on the line of a host.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) host: usize,
    pub(super) at: Time,
    pub(super) sign: Sign,
    pub(super) says: String,
}

/// Everything about hosts.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    pub(super) bands: Vec<Band>,
    pub(super) marks: Vec<Mark>,
    /// A process did not run from then until then.
    pub(super) pauses: Vec<(ProcId, Time, Time)>,
    open: std::collections::BTreeMap<ProcId, (Role, Time)>,
    paused: std::collections::BTreeMap<ProcId, Time>,
    gone: std::collections::BTreeMap<ProcId, Time>,
}

impl Story {
    /// What happened in this world.
    pub(super) fn of(world: &World) -> Self {
        let mut story = Self::default();
        let shots = world.film.iter().flat_map(|film| &film.shots);
        let mut shots = shots.peekable();
        for (at, proc, event) in &world.history {
            while let Some((time, shot)) = shots.next_if(|(time, _)| time < at) {
                story.shot(world, *time, shot);
            }
            story.told(world, *at, *proc, event);
        }
        for (time, shot) in shots {
            story.shot(world, *time, shot);
        }
        for proc in 0..world.procs.len() {
            story.set(proc, None, world.now);
            story.resumes(proc, world.now);
        }
        story
    }

    /// Every moment at which something happens.
    pub(super) fn moments(&self) -> Vec<Time> {
        let bands = self.bands.iter().flat_map(|band| [band.from, band.to]);
        let marks = self.marks.iter().map(|mark| mark.at);
        bands.chain(marks).collect()
    }

    fn set(&mut self, proc: ProcId, role: Option<Role>, at: Time) {
        if self.open.get(&proc).map(|&(role, _)| role) == role {
            return;
        }
        if let Some((role, from)) = self.open.remove(&proc) {
            self.bands.push(Band {
                proc,
                role,
                from,
                to: at,
            });
        }
        if let Some(role) = role {
            self.open.insert(proc, (role, at));
        }
    }

    fn resumes(&mut self, proc: ProcId, at: Time) {
        if let Some(from) = self.paused.remove(&proc) {
            self.pauses.push((proc, from, at));
        }
    }

    fn mark(&mut self, world: &World, proc: ProcId, at: Time, sign: Sign, says: String) {
        let says = format!("{:.3} s  {} {says}", at as f64 / 1e6, world.procs[proc].name);
        let host = world.procs[proc].host;
        self.marks.push(Mark { host, at, sign, says });
    }

    fn on_host(&mut self, host: usize, at: Time, sign: Sign, says: String) {
        let says = format!("{:.3} s  {says}", at as f64 / 1e6);
        self.marks.push(Mark { host, at, sign, says });
    }

    fn told(&mut self, world: &World, at: Time, proc: ProcId, event: &Event) {
        let leads = matches!(
            self.open.get(&proc),
            Some((Role::Elected(_) | Role::Sealed(_) | Role::Serves(_), _))
        );
        match event {
            Event::Connected { server, .. } if !leads => self.set(proc, Some(Role::Client(*server)), at),
            Event::Disconnected { .. } if !leads => self.set(proc, Some(Role::Alone), at),
            Event::Elected(ballot) => {
                self.set(proc, Some(Role::Elected(*ballot)), at);
                self.mark(
                    world,
                    proc,
                    at,
                    Sign::Elected,
                    format!("is elected in term {}", ballot.term.0),
                );
            }
            Event::Sealed(ballot) => {
                self.set(proc, Some(Role::Sealed(*ballot)), at);
                self.mark(
                    world,
                    proc,
                    at,
                    Sign::Sealed,
                    format!("has sealed term {}", ballot.term.0),
                );
            }
            Event::Serving { ballot, .. } => self.set(proc, Some(Role::Serves(*ballot)), at),
            Event::GaveUp { ballot, why } => {
                self.set(proc, Some(Role::Alone), at);
                self.mark(
                    world,
                    proc,
                    at,
                    Sign::GaveUp,
                    format!("gives term {} up: {why:?}", ballot.term.0),
                );
            }
            Event::StoppedServing { ballot, clean } => {
                self.set(proc, Some(Role::Alone), at);
                let how = if *clean { "cleanly" } else { "not cleanly" };
                self.mark(
                    world,
                    proc,
                    at,
                    Sign::Stopped,
                    format!("stops term {} {how}", ballot.term.0),
                );
            }
            _ => {}
        }
    }

    fn shot(&mut self, world: &World, at: Time, shot: &Shot) {
        match shot {
            Shot::Starts(proc) => {
                self.set(*proc, Some(Role::Alone), at);
                self.mark(world, *proc, at, Sign::Start, "starts".to_owned());
            }
            Shot::Dies(proc, silent) => {
                self.gone(*proc, at);
                let (sign, says) = match silent {
                    true => (Sign::PowerOff, "loses power"),
                    false => (Sign::Crash, "crashes"),
                };
                self.mark(world, *proc, at, sign, says.to_owned());
            }
            Shot::Ends(proc) => {
                self.gone(*proc, at);
                let how = world.procs[*proc].ended;
                let says = how.map_or(String::from("ends"), |how| format!("ends: {how:?}"));
                self.mark(world, *proc, at, Sign::End, says);
            }
            Shot::Pauses(proc) => {
                self.paused.entry(*proc).or_insert(at);
            }
            Shot::Resumes(proc) => self.resumes(*proc, at),
            Shot::Fenced { by, victim } => {
                let acted = at;
                let last = self.last_seen(world, *victim, at);
                let says = format!(
                    "{:.3} s  {} is fenced by {}",
                    at as f64 / 1e6,
                    world.procs[*victim].name,
                    world.procs[*by].name
                );
                self.marks.push(Mark {
                    host: world.procs[*victim].host,
                    at: last,
                    sign: Sign::Fenced { by: *by, acted },
                    says,
                });
            }
            Shot::Votes {
                voter,
                term,
                candidate,
            } => {
                let says = format!("votes for {} in term {}", world.procs[*candidate].name, term.0);
                self.mark(world, *voter, at, Sign::Vote(*candidate), says);
            }
            Shot::Link(from, to, cut) => {
                let (a, b) = (&world.hosts[*from].name, &world.hosts[*to].name);
                let (sign, says) = match cut {
                    true => (Sign::Cut(*to), format!("nothing gets from {a} to {b}")),
                    false => (Sign::Mended, format!("{a} reaches {b} again")),
                };
                self.on_host(*from, at, sign, says);
            }
            Shot::Path(host, fine) => {
                let name = &world.hosts[*host].name;
                let (sign, says) = match fine {
                    true => (Sign::DiskFound, format!("{name} has its disk again")),
                    false => (Sign::DiskLost, format!("{name} loses its way to the disk")),
                };
                self.on_host(*host, at, sign, says);
            }
            Shot::Super(_) | Shot::Calm => {}
        }
    }

    /// Where a process is meant on the line of its host: now, unless another one has started there since it was gone.
    fn last_seen(&self, world: &World, proc: ProcId, now: Time) -> Time {
        let host = world.procs[proc].host;
        let later = (proc + 1..world.procs.len()).filter(|&other| world.procs[other].host == host);
        let started = |other: ProcId| self.open.contains_key(&other) || self.gone.contains_key(&other);
        match self.gone.get(&proc) {
            Some(&gone) if later.into_iter().any(started) => gone,
            _ => now,
        }
    }

    fn gone(&mut self, proc: ProcId, at: Time) {
        self.gone.insert(proc, at);
        self.resumes(proc, at);
        self.set(proc, None, at);
    }
}
