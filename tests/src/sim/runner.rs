//! Many random runs on all cores.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::check::Counts;
use super::course::Courses;
use super::machine::Rules;
use super::run::{Outcome, Verdict, random_run_under};
use super::trace::Listen;
use super::world::Wrong;

/// Exit code when all is well.
pub const EXIT_FINE: u8 = 0;
/// Exit code of a safety violation.
pub const EXIT_SAFETY: u8 = 10;
/// Exit code when something that has to happen did not, or too many of the innocent were fenced.
pub const EXIT_NO_PROGRESS: u8 = 11;
/// Exit code of a panic.
pub const EXIT_PANIC: u8 = 12;

/// Which seeds to run, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Whose rules the mounts follow.
    pub rules: Rules,
    /// The first seed; the others follow it.
    pub first_seed: u64,
    /// Runs; `None` for as many as the time allows.
    pub runs: Option<u64>,
    /// Time; `None` for as long as the runs take.
    pub time: Option<Duration>,
    /// Threads.
    pub jobs: usize,
    /// Failures after which to stop.
    pub failures_max: u64,
}

/// What came of many runs.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Runs that ended.
    pub runs: u64,
    /// Safety violations.
    pub unsafe_runs: u64,
    /// Runs without progress.
    pub stalled_runs: u64,
    /// Panics.
    pub panics: u64,
    /// No more were begun, because there were as many failures as the plan allows.
    pub gave_up: bool,
    /// Counts of all runs.
    pub counts: Counts,
    /// How they went.
    pub courses: Courses,
    /// Virtual time of all runs in microseconds.
    pub virtual_time: u64,
    /// Of each run: its virtual time in milliseconds, its steps, and how often chaos struck.
    sizes: [Vec<u32>; 3],
}

impl Summary {
    /// Runs that did not end as they should.
    pub const fn violations(&self) -> u64 {
        self.unsafe_runs + self.stalled_runs + self.panics
    }

    /// What a run is like: the median of virtual time in milliseconds, of steps, and of strikes of chaos.
    pub fn median_run(&self) -> [u32; 3] {
        self.sizes.each_ref().map(|sizes| {
            let mut sorted = sizes.clone();
            sorted.sort_unstable();
            sorted.get(sorted.len() / 2).copied().unwrap_or(0)
        })
    }

    /// The exit code that tells them apart: the worst counts.
    pub const fn exit_code(&self) -> u8 {
        let shoots = self.counts.fences_too_many_innocents();
        match (self.unsafe_runs, self.panics, self.stalled_runs) {
            (0, 0, 0) if !shoots => EXIT_FINE,
            (0, 0, _) => EXIT_NO_PROGRESS,
            (0, _, _) => EXIT_PANIC,
            (_, _, _) => EXIT_SAFETY,
        }
    }

    /// Adds what came of one more run.
    pub fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.runs += 1;
        self.virtual_time += outcome.time;
        let size = [outcome.time / 1_000, outcome.steps, outcome.counts.strikes];
        for (sizes, size) in self.sizes.iter_mut().zip(size) {
            sizes.push(u32::try_from(size).unwrap_or(u32::MAX));
        }
        self.counts.add(&outcome.counts);
        self.courses.add(seed, &outcome.course);
        match outcome.verdict {
            Verdict::Fine => {}
            Verdict::Wrong(Wrong::Safety(_)) => self.unsafe_runs += 1,
            Verdict::Wrong(Wrong::NoProgress(_)) => self.stalled_runs += 1,
            Verdict::Panic(_) => self.panics += 1,
        }
    }
}

/// What came of them in one line: `2000 runs, 3 violations (1 of safety, 2 without progress)`.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {}",
            several(self.runs, "run"),
            several(self.violations(), "violation")
        )?;
        let kinds = [
            (self.unsafe_runs, "of safety".to_owned()),
            (self.stalled_runs, "without progress".to_owned()),
            (self.panics, plural(self.panics, "panic")),
        ];
        let kinds = kinds.iter().filter(|(count, _)| *count > 0);
        let kinds: Vec<String> = kinds.map(|(count, kind)| format!("{count} {kind}")).collect();
        match kinds[..] {
            [] => Ok(()),
            _ => write!(f, " ({})", kinds.join(", ")),
        }
    }
}

/// A count and what is counted.
pub fn several(count: u64, what: &str) -> String {
    format!("{count} {}", plural(count, what))
}

fn plural(count: u64, what: &str) -> String {
    match count {
        1 => what.to_owned(),
        _ => format!("{what}s"),
    }
}

/// The line that replays a run: of our rules, of those of 2019, or without one of ours.
pub fn replay_line(rules: Rules, rules_off: Option<&str>, seed: u64) -> String {
    let rules = match rules {
        Rules::Ours => "",
        Rules::Of2019 => " --rules 2019",
    };
    let off = rules_off.map_or(String::new(), |rule| format!(" --rules-off {rule}"));
    format!("cargo xtask sim{rules}{off} --seed {seed} --verbose")
}

/// Runs them all. `tell` hears of each run as it ends, with the summary so far.
pub fn run_many(plan: Plan, mut tell: impl FnMut(u64, &Outcome, &Summary)) -> Summary {
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let start = Instant::now();
    let (send, receive) = mpsc::channel();
    let mut summary = Summary::default();
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs.max(1) {
            let (send, next, stop) = (send.clone(), &next, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let late = plan.time.is_some_and(|time| start.elapsed() >= time);
                    if late || plan.runs.is_some_and(|runs| index >= runs) {
                        break;
                    }
                    let seed = plan.first_seed.wrapping_add(index);
                    if send
                        .send((seed, random_run_under(plan.rules, seed, Listen::Nobody)))
                        .is_err()
                    {
                        break;
                    }
                }
            });
        }
        drop(send);
        for (seed, outcome) in receive {
            summary.add(seed, &outcome);
            tell(seed, &outcome, &summary);
            if summary.violations() >= plan.failures_max {
                stop.store(true, Ordering::Relaxed);
                summary.gave_up = true;
            }
        }
    });
    // The last of all that were wanted may have been the one too many.
    summary.gave_up &= plan.runs.is_none_or(|runs| summary.runs < runs);
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_tells_safety_from_progress() {
        let line = |runs, unsafe_runs, stalled_runs, panics| {
            let summary = Summary {
                runs,
                unsafe_runs,
                stalled_runs,
                panics,
                ..Summary::default()
            };
            summary.to_string()
        };
        assert_eq!(line(2_000, 0, 0, 0), "2000 runs, 0 violations");
        assert_eq!(line(1, 0, 1, 0), "1 run, 1 violation (1 without progress)");
        assert_eq!(
            line(2_000, 1, 2, 0),
            "2000 runs, 3 violations (1 of safety, 2 without progress)"
        );
        assert_eq!(
            line(3, 0, 1, 2),
            "3 runs, 3 violations (1 without progress, 2 panics)"
        );
    }

    #[test]
    fn many_runs_end_with_as_many_failures_as_are_allowed() {
        let plan = |runs, failures_max| Plan {
            rules: Rules::Of2019,
            first_seed: 1,
            runs: Some(runs),
            time: None,
            jobs: 1,
            failures_max,
        };
        let gave_up = run_many(plan(100, 1), |_, _, _| {});
        assert!(gave_up.gave_up && gave_up.violations() >= 1 && gave_up.runs < 100);
        let all = run_many(plan(2, 100), |_, _, _| {});
        assert!(!all.gave_up && all.runs == 2);
    }

    #[test]
    fn a_failure_is_replayed_under_the_rules_that_it_was_found_with() {
        let line = |rules, off| replay_line(rules, off, 7);
        assert_eq!(line(Rules::Ours, None), "cargo xtask sim --seed 7 --verbose");
        assert_eq!(
            line(Rules::Of2019, None),
            "cargo xtask sim --rules 2019 --seed 7 --verbose"
        );
        assert_eq!(
            line(Rules::Ours, Some("r4-seal")),
            "cargo xtask sim --rules-off r4-seal --seed 7 --verbose"
        );
    }
}
