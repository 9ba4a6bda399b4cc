//! Which failures of a leader each way of silencing it survives. The one place where this is said: `--help`, the line
//! that a mount tells when it starts, and the documents are made from it.

use std::fmt;

/// How a leader of this mount's making is silenced, supposing that all voters chose the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Silencing {
    /// Fence agents.
    pub agent: bool,
    /// One of them kills a process of the same host.
    pub kill: bool,
    /// SCSI reservations.
    pub scsi: bool,
    /// The read lease.
    pub lease: bool,
    /// A watchdog that is fed within the lease only.
    pub watchdog: bool,
}

/// What may become of a leader.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Failure {
    /// Its process ends.
    Crash,
    /// Nobody reaches it over the network.
    SeveredNetwork,
    /// It does not reach the disk.
    SeveredDisk,
    /// Its process stands still and goes on later.
    FrozenProcess,
    /// Its whole host stands still and goes on later.
    FrozenHost,
    /// Its host is a virtual machine that is paused, migrated or restored.
    PausedMachine,
    /// A fence agent says that it is off, and it is not.
    LyingAgent,
}

/// Whether there is one writer all the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Survives {
    /// In any case.
    Yes,
    /// Not in any case.
    No,
    /// Under this condition.
    If(&'static str),
}

/// Every failure, in the order in which they are told.
pub const FAILURES: [Failure; 7] = [
    Failure::Crash,
    Failure::SeveredNetwork,
    Failure::SeveredDisk,
    Failure::FrozenProcess,
    Failure::FrozenHost,
    Failure::PausedMachine,
    Failure::LyingAgent,
];

/// No way at all, to name those that are chosen on top of.
const NONE: Silencing = Silencing {
    agent: false,
    kill: false,
    scsi: false,
    lease: false,
    watchdog: false,
};

/// Every combination that a mount may choose, as far as it makes a difference.
pub const COMBINATIONS: [Silencing; 7] = [
    Silencing { agent: true, ..NONE },
    Silencing {
        agent: true,
        kill: true,
        ..NONE
    },
    Silencing { scsi: true, ..NONE },
    Silencing { lease: true, ..NONE },
    Silencing {
        lease: true,
        watchdog: true,
        ..NONE
    },
    Silencing {
        agent: true,
        lease: true,
        ..NONE
    },
    Silencing {
        agent: true,
        lease: true,
        watchdog: true,
        ..NONE
    },
];

const IF_SAME_HOST: Survives = Survives::If("the victim is a process of the host that succeeds it");

const IF_CONFIRMED: Survives =
    Survives::If("the agent confirms; if it does not, the lease is waited out, which is not enough");

impl Silencing {
    /// Whether one writer is left after this failure of a leader.
    pub const fn survives(self, failure: Failure) -> Survives {
        if self.kill && !self.lease {
            return match failure {
                Failure::Crash | Failure::SeveredNetwork | Failure::SeveredDisk | Failure::FrozenProcess => {
                    IF_SAME_HOST
                }
                Failure::FrozenHost | Failure::PausedMachine | Failure::LyingAgent => Survives::No,
            };
        }
        if self.scsi {
            // The device itself refuses what comes late, from whatever woke up, and no agent is asked.
            return Survives::Yes;
        }
        match failure {
            Failure::Crash | Failure::SeveredNetwork | Failure::SeveredDisk => Survives::Yes,
            Failure::FrozenProcess | Failure::FrozenHost => match (self.agent, self.lease, self.watchdog) {
                (_, true, true) | (true, false, _) => Survives::Yes,
                (true, true, false) => IF_CONFIRMED,
                (false, ..) => Survives::No,
            },
            // Its clock and its watchdog stand still with it.
            Failure::PausedMachine => match (self.agent, self.lease) {
                (true, false) => Survives::If("the agent acts on the hypervisor"),
                (true, true) => Survives::If("the agent acts on the hypervisor, and confirms"),
                (false, _) => Survives::No,
            },
            Failure::LyingAgent => match self.agent {
                true => Survives::No,
                false => Survives::Yes,
            },
        }
    }

    /// The failures survived, those survived under a condition, and those not survived.
    pub fn row(self) -> Row {
        Row(FAILURES.map(|failure| (failure, self.survives(failure))))
    }
}

/// What one combination survives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row(pub [(Failure, Survives); FAILURES.len()]);

impl Row {
    /// The names of those with this answer.
    pub fn with(&self, wanted: impl Fn(Survives) -> bool) -> Vec<&'static str> {
        let chosen = self.0.iter().filter(|(_, survives)| wanted(*survives));
        chosen.map(|(failure, _)| failure.name()).collect()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one writer is left ")?;
        let mut told = Vec::new();
        for (index, &(_, survives)) in self.0.iter().enumerate() {
            // Where the first of each answer stands, all of them are told.
            if self.0[..index].iter().any(|&(_, before)| before == survives) {
                continue;
            }
            let names = self.with(|other| other == survives).join(", ");
            told.push(match survives {
                Survives::Yes => format!("after: {names}"),
                Survives::If(condition) => format!("after: {names}, if {condition}"),
                Survives::No => format!("NOT after: {names}"),
            });
        }
        f.write_str(&told.join("; "))
    }
}

impl Failure {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crash => "a crash",
            Self::SeveredNetwork => "a severed network",
            Self::SeveredDisk => "a severed disk",
            Self::FrozenProcess => "a frozen process",
            Self::FrozenHost => "a frozen host",
            Self::PausedMachine => "a paused, migrated or restored virtual machine",
            Self::LyingAgent => "a lying agent",
        }
    }
}

impl fmt::Display for Silencing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            (self.agent && !self.kill, "agent"),
            (self.kill, "kill agent"),
            (self.scsi, "scsi"),
            (self.lease, "lease"),
            (self.watchdog, "watchdog"),
        ];
        let names: Vec<_> = named
            .iter()
            .filter(|(has, _)| *has)
            .map(|(_, name)| *name)
            .collect();
        f.write_str(&names.join(" + "))
    }
}

/// The whole table, for `--help`.
pub fn table() -> String {
    let mut text = String::from("What is survived, supposing that all voters chose the same:");
    for silencing in COMBINATIONS {
        text += &format!("\n  {silencing}:\n    {}", silencing.row());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_are_those_of_the_design_document() {
        let signs = |silencing: Silencing| {
            FAILURES.map(|failure| match silencing.survives(failure) {
                Survives::Yes => 'y',
                Survives::No => 'n',
                Survives::If(_) => 'i',
            })
        };
        let rows: Vec<String> = COMBINATIONS
            .iter()
            .map(|&silencing| format!("{silencing}: {}", String::from_iter(signs(silencing))))
            .collect();
        assert_eq!(
            rows,
            [
                "agent: yyyyyin",
                "kill agent: iiiinnn",
                "scsi: yyyyyyy",
                "lease: yyynnny",
                "lease + watchdog: yyyyyny",
                "agent + lease: yyyiiin",
                "agent + lease + watchdog: yyyyyin",
            ]
        );
    }

    #[test]
    fn a_row_names_every_failure_once() {
        for silencing in COMBINATIONS {
            let text = silencing.row().to_string();
            for failure in FAILURES {
                assert_eq!(text.matches(failure.name()).count(), 1, "{text}");
            }
            assert!(table().contains(&text));
            assert!(text.starts_with("one writer is left after: a crash"), "{text}");
        }
        let lease = COMBINATIONS[3].row().to_string();
        assert!(
            lease.contains("NOT after: a frozen process, a frozen host"),
            "{lease}"
        );
    }
}
