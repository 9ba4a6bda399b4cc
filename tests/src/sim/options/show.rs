//! The options of a run in words.

use std::fmt::{self, Display, Formatter};

use super::{Chaos, DiskProfile, FenceKind, FenceProfile, Mischief, NetProfile, Options, Silence, Span};
use crate::sim::clock::Time;
use crate::sim::runner::several;

/// A time, in the unit in which it has the fewest digits.
fn time(us: Time) -> String {
    let (value, unit) = match us {
        0..1_000 => (us as f64, "us"),
        1_000..1_000_000 => (us as f64 / 1e3, "ms"),
        _ => (us as f64 / 1e6, "s"),
    };
    // Three decimals at most, and no zeros at the end.
    format!("{} {unit}", (value * 1e3).round() / 1e3)
}

impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self(low, high) if low == high => f.write_str(&time(*low)),
            Self(low, high) => write!(f, "{} to {}", time(*low), time(*high)),
        }
    }
}

/// What of this list happens at all, after these words.
fn rates(words: &str, list: &[(u32, &str)]) -> String {
    let list = list.iter().filter(|(ppm, _)| *ppm > 0);
    let list: Vec<String> = list.map(|(ppm, what)| format!("{ppm} {what}")).collect();
    match list[..] {
        [] => String::new(),
        _ => format!("; {words} {}", list.join(", ")),
    }
}

impl Display for DiskProfile {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let stall = format!("stall for {}", self.stall);
        let rates = rates(
            "of a million",
            &[
                (self.stall_ppm, stall.as_str()),
                (self.error_ppm, "fail"),
                (self.split_ppm, "go in pieces"),
                (self.lost_ppm, "are acknowledged and lost"),
                (self.misdirected_ppm, "land elsewhere"),
                (self.torn_error_ppm, "fail torn"),
            ],
        );
        write!(f, "disk: a request takes {}{rates}", self.latency)?;
        f.write_str(if self.spoils_sectors {
            "; a torn write spoils a sector"
        } else {
            ""
        })
    }
}

impl Display for NetProfile {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let rates = rates("of a million messages", &[(self.split_ppm, "arrive in pieces")]);
        write!(f, "network: {} one way{rates}", self.delay)
    }
}

impl Display for FenceKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KillProcess => "kills the process",
            Self::PowerOff => "powers the machine off",
            Self::CutDisk => "cuts the process from the disk",
        })
    }
}

impl Display for FenceProfile {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let rates = rates(
            "of a million requests",
            &[
                (self.refuse_ppm, "are refused"),
                (self.false_alarm_ppm, "act and report a failure"),
                (self.hang_ppm, "hang"),
            ],
        );
        write!(
            f,
            "fence: {} after {}, says so after {} more{rates}",
            self.kind, self.delay, self.report
        )
    }
}

impl Display for Silence {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fence => f.write_str("fences"),
            Self::Lease(ms) => write!(f, "leases of {ms} ms"),
            Self::Both(ms) => write!(f, "leases of {ms} ms, or fences by every other host"),
        }
    }
}

impl Display for Mischief {
    /// `PauseLeader` is `pause leader`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut words = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !words.is_empty() {
                words.push(' ');
            }
            words.push(letter.to_ascii_lowercase());
        }
        f.write_str(&words)
    }
}

impl Display for Chaos {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let weighed = Mischief::ALL.iter().zip(self.weights);
        let weighed = weighed.filter(|(_, weight)| *weight > 0);
        let list: Vec<String> = weighed
            .map(|(mischief, weight)| format!("{mischief} {weight}"))
            .collect();
        f.write_str(&match list[..] {
            [] => "none".to_owned(),
            _ => format!("every {}: {}", self.every, list.join(", ")),
        })
    }
}

impl Display for Options {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}, {}, quorum {}, silenced by {}",
            several(self.voters as u64, "voter"),
            several(self.clients as u64, "client"),
            self.quorum_count,
            self.silence
        )?;
        writeln!(
            f,
            "W {} ms, silence {} ms, recovery {} ms, fence time-out {} ms, {} a request, room for {}",
            self.write_time_max_ms,
            self.silence_max_ms,
            self.recovery_ms,
            self.fence_time_max_ms,
            several(self.transfer_blocks.into(), "block"),
            several(self.clients_max.into(), "mount")
        )?;
        writeln!(f, "{}\n{}\n{}", self.disk, self.net, self.fence)?;
        write!(
            f,
            "hosts: clocks drift by up to {} ppm, start within {} ms",
            self.drift_ppm_max, self.start_within_ms
        )?;
        match self.restart_after {
            Some(after) => write!(f, ", restart after {after}")?,
            None => f.write_str(", restart only by chaos")?,
        }
        match self.unreachable {
            Some(host) => writeln!(f, ", voter {host} cannot be reached")?,
            None => writeln!(f)?,
        }
        if let Some(ms) = self.unmount_time_max_ms {
            writeln!(f, "whoever leaves waits for {ms} ms at most")?;
        }
        write!(f, "chaos lasts {} ms", self.chaos_ms)?;
        if self.longer_ms > 0 {
            write!(f, ", {} ms of them more than usual", self.longer_ms)?;
        }
        if self.chaos_events < u64::MAX {
            write!(f, ", or {} events", self.chaos_events)?;
        }
        if let Some(core_first) = self.core_first {
            write!(f, "; {core_first}")?;
        }
        write!(f, "\nchaos strikes: {}", self.chaos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::dice::Dice;

    #[test]
    fn times_and_verbs_are_written_for_people() {
        assert_eq!(Span(25, 50).to_string(), "25 us to 50 us");
        assert_eq!(Span(2_751, 2_751).to_string(), "2.751 ms");
        assert_eq!(Span(0, 2_498_721).to_string(), "0 us to 2.499 s");
        assert_eq!(Mischief::CrashInWrite.to_string(), "crash in write");
        let disk = DiskProfile {
            lost_ppm: 7,
            split_ppm: 0,
            ..DiskProfile::healthy(Span(100, 400))
        };
        let says = "disk: a request takes 100 us to 400 us; of a million 7 are acknowledged and lost";
        assert_eq!(disk.to_string(), says);
    }

    #[test]
    fn options_hold_nothing_that_only_a_programmer_reads() {
        for seed in 0..200 {
            let mut options = Options::draw(&mut Dice::new(seed));
            options.draw_extras(seed);
            let text = options.to_string();
            let raw = ["{", "(", "Some", "None", "_", "::"];
            assert!(raw.iter().all(|raw| !text.contains(raw)), "seed {seed}: {text}");
        }
    }
}
