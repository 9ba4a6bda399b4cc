//! What mount and keeper say to each other: lines of text over a socket pair.

use std::fmt;
use std::str::FromStr;

use ostrakon_core::ids::Term;
use ostrakon_core::time::{Duration, Instant};

/// From the mount to the keeper.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// Start the program under this term.
    Start(Term),
    /// Until when it may run. The keeper ends it in time, without being told again.
    Right(Right),
    /// End it: SIGTERM now, SIGKILL after this time.
    Stop(Duration),
    /// Pass this signal on.
    Signal(i32),
}

/// Until when the program may run, and how long before that it is asked to end, and killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Right {
    pub(super) until: Instant,
    pub(super) warn: Duration,
    pub(super) kill: Duration,
}

impl Right {
    /// Ends with nothing but an order.
    pub(super) const ENDLESS: Self = Self {
        until: Instant::NEVER,
        warn: Duration::ZERO,
        kill: Duration::ZERO,
    };

    /// When the program is asked to end.
    pub(super) const fn warn_at(&self) -> Instant {
        Instant(self.until.0.saturating_sub(self.warn.0))
    }

    /// When it is killed.
    pub(super) const fn kill_at(&self) -> Instant {
        Instant(self.until.0.saturating_sub(self.kill.0))
    }
}

/// From the keeper to the mount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Report {
    /// It runs, as this process and process group.
    Started(i32),
    /// It could not be started.
    Failed(String),
    /// Its first process has ended; what else it started is being killed.
    Ended(Ending),
    /// Nothing of it is left.
    Gone,
}

/// How a program ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Ending {
    /// The exit code by which a shell would tell of it.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Code(code) => code as u8,
            Self::Signal(signal) => 128_u8.wrapping_add(signal as u8),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(term) => write!(f, "start {}", term.0),
            Self::Right(right) => {
                write!(f, "right {} {} {}", right.until.0, right.warn.0, right.kill.0)
            }
            Self::Stop(grace) => write!(f, "stop {}", grace.0),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

impl FromStr for Order {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let unknown = || format!("order {line:?}: expected start, right, stop or signal with numbers");
        let (verb, rest) = line.split_once(' ').ok_or_else(unknown)?;
        let numbers: Result<Vec<u64>, _> = rest.split(' ').map(str::parse).collect();
        let numbers = numbers.map_err(|_| unknown())?;
        match (verb, numbers[..].as_ref()) {
            ("start", &[term]) => Ok(Self::Start(Term(term))),
            ("right", &[until, warn, kill]) => Ok(Self::Right(Right {
                until: Instant(until),
                warn: Duration(warn),
                kill: Duration(kill),
            })),
            ("stop", &[grace]) => Ok(Self::Stop(Duration(grace))),
            ("signal", &[signal]) => i32::try_from(signal).map(Self::Signal).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started(pid) => write!(f, "started {pid}"),
            Self::Failed(why) => write!(f, "failed {}", why.replace('\n', " ")),
            Self::Ended(Ending::Code(code)) => write!(f, "ended code {code}"),
            Self::Ended(Ending::Signal(signal)) => write!(f, "ended signal {signal}"),
            Self::Gone => f.write_str("gone"),
        }
    }
}

impl FromStr for Report {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let unknown = || format!("report {line:?}: expected started, failed, ended or gone");
        let number = |text: &str| text.parse().map_err(|_| unknown());
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (verb, rest.split_once(' ')) {
            ("gone", None) if rest.is_empty() => Ok(Self::Gone),
            ("failed", _) => Ok(Self::Failed(rest.to_owned())),
            ("started", None) => number(rest).map(Self::Started),
            ("ended", Some(("code", code))) => number(code).map(|code| Self::Ended(Ending::Code(code))),
            ("ended", Some(("signal", signal))) => {
                number(signal).map(|signal| Self::Ended(Ending::Signal(signal)))
            }
            _ => Err(unknown()),
        }
    }
}

/// Whole lines out of what has come in so far.
#[derive(Default)]
pub(super) struct Lines(Vec<u8>);

impl Lines {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn next_line(&mut self) -> Option<String> {
        let end = self.0.iter().position(|&byte| byte == b'\n')?;
        let rest = self.0.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.0, rest);
        line.pop();
        Some(String::from_utf8_lossy(&line).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let right = Right {
            until: Instant(1_000),
            warn: Duration(300),
            kill: Duration(10),
        };
        for order in [
            Order::Start(Term(7)),
            Order::Right(right),
            Order::Right(Right::ENDLESS),
            Order::Stop(Duration(5)),
            Order::Signal(1),
        ] {
            assert_eq!(order.to_string().parse(), Ok(order));
        }
        for report in [
            Report::Started(4),
            Report::Failed("no such file: x".to_owned()),
            Report::Failed(String::new()),
            Report::Ended(Ending::Code(3)),
            Report::Ended(Ending::Signal(9)),
            Report::Gone,
        ] {
            assert_eq!(report.to_string().parse(), Ok(report));
        }
        for line in [
            "",
            "start",
            "start x",
            "right 1 2",
            "stop -1",
            "signal 99999999999",
            "dance 1",
        ] {
            assert!(line.parse::<Order>().unwrap_err().contains("expected"), "{line}");
        }
        for line in ["", "gone now", "started", "ended 3", "ended code x"] {
            assert!(line.parse::<Report>().unwrap_err().contains("expected"), "{line}");
        }
    }

    #[test]
    fn a_right_ends_in_two_steps() {
        let right = Right {
            until: Instant(1_000),
            warn: Duration(300),
            kill: Duration(2_000),
        };
        assert_eq!((right.warn_at(), right.kill_at()), (Instant(700), Instant(0)));
        assert_eq!(Right::ENDLESS.kill_at(), Instant::NEVER);
    }

    #[test]
    fn lines_come_whole_however_they_were_cut() {
        let mut lines = Lines::default();
        lines.add(b"gone\nstar");
        assert_eq!(lines.next_line().as_deref(), Some("gone"));
        assert_eq!(lines.next_line(), None);
        lines.add(b"ted 4\n");
        assert_eq!(lines.next_line().as_deref(), Some("started 4"));
    }
}
