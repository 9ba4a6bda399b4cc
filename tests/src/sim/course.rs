//! How a run went, beyond what is counted: what the summary of many runs tells of it.

use super::clock::Time;

/// How a run went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Course {
    /// Leaders that began to serve while faults went on.
    pub served_in_chaos: u64,
    /// More votes are needed than there are voters: there can be no server, and nothing to expect after the faults.
    pub no_quorum_possible: bool,
    /// Too few voters that stay live when faults stop, and no host is free for another one: the others are on their way out, and are
    /// replaced when they have left.
    pub voters_leave: bool,
    /// They stopped for a core quorum first.
    pub core_first: bool,
    /// From then until the core had a server.
    pub core_to_server: Option<Time>,
    /// From then until all of the core was connected to it.
    pub core_to_connect: Option<Time>,
    /// When faults stopped.
    pub calm_at: Time,
    /// From then until there was a server.
    pub to_server: Option<Time>,
    /// From then until everybody was connected to it.
    pub to_connect: Option<Time>,
}

/// The longest time of many runs, and the seed of the run that took it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Longest {
    /// How long.
    pub time: Time,
    /// Whose run.
    pub seed: u64,
}

impl Longest {
    fn see(&mut self, seed: u64, time: Option<Time>) {
        if time.is_some_and(|time| time > self.time) {
            *self = Self {
                time: time.unwrap_or_default(),
                seed,
            };
        }
    }
}

/// How many runs went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Courses {
    /// Runs in which two leaders or more served while faults went on: a succession, while things went wrong.
    pub contested: u64,
    /// Runs in which nobody served while faults went on.
    pub unserved: u64,
    /// Runs that ended with the faults, because there are fewer voters than votes that are needed.
    pub no_quorum_possible: u64,
    /// Runs in which too few voters would have stayed when the faults stopped.
    pub voters_leave: u64,
    /// Runs in which faults stopped for a core quorum first.
    pub core_first: u64,
    /// The longest time from the end of the faults to a server.
    pub to_server: Longest,
    /// The longest time from the end of the faults until everybody was connected to it.
    pub to_connect: Longest,
}

impl Courses {
    /// Adds the course of one more run.
    pub fn add(&mut self, seed: u64, course: &Course) {
        self.contested += u64::from(course.served_in_chaos > 1);
        self.unserved += u64::from(course.served_in_chaos == 0);
        self.no_quorum_possible += u64::from(course.no_quorum_possible);
        self.voters_leave += u64::from(course.voters_leave);
        self.core_first += u64::from(course.core_first);
        for (server, all) in [
            (course.core_to_server, course.core_to_connect),
            (course.to_server, course.to_connect),
        ] {
            self.to_server.see(seed, server);
            self.to_connect.see(seed, all);
        }
    }
}
