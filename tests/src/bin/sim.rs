//! Runs the simulator: `cargo xtask sim` calls this.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use ostrakon_core::rules::Rule;
use ostrakon_tests::sim::course::Courses;
use ostrakon_tests::sim::machine::Rules;
use ostrakon_tests::sim::run::{Outcome, catch_panics, drawn_run, random_run_under, random_world};
#[cfg(feature = "rules-off")]
use ostrakon_tests::sim::runner::{EXIT_NO_PROGRESS, EXIT_SAFETY};
use ostrakon_tests::sim::runner::{Plan, Summary, replay_line, run_many, several};
#[cfg(feature = "rules-off")]
use ostrakon_tests::sim::stories::stories;
use ostrakon_tests::sim::trace::Listen;
#[cfg(feature = "rules-off")]
use ostrakon_tests::sim::world::Wrong;

/// Exit code of a command line that cannot be followed; what clap uses, too.
const EXIT_USAGE: u8 = 2;

/// Simulates clusters with every fault that the design promises to survive, each decided by one seed.
///
/// Exit codes: 0 all is well, 2 a wrong argument, 10 a safety violation, 11 no progress, 12 a panic.
#[derive(Parser, Debug)]
#[command(name = "sim", version)]
struct Arguments {
    /// The first seed. With neither --runs nor --minutes only this one is run.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs, of one seed after the other.
    #[arg(long, value_parser = one_or_more)]
    runs: Option<u64>,
    /// Minutes to go on for.
    #[arg(long, value_parser = minutes)]
    minutes: Option<Duration>,
    /// Threads; all cores unless given.
    #[arg(long, value_parser = one_or_more)]
    jobs: Option<u64>,
    /// Stop after so many failures: 10 unless given, or 1 if a rule is left out.
    #[arg(long, value_parser = one_or_more)]
    failures: Option<u64>,
    /// Whose rules the mounts follow.
    #[arg(long, value_enum, default_value_t = Chosen::Ours)]
    rules: Chosen,
    /// Leave this rule of the election out, to see that it is noticed; `list` lists them. Tells a story that misses the rule, if
    /// there is one and neither a seed nor anything about runs is given; at random otherwise.
    #[arg(long, value_name = "RULE")]
    rules_off: Option<String>,
    /// Draw a single run into this file, as an SVG that any browser shows.
    #[arg(long, value_name = "FILE", requires = "seed", conflicts_with_all = ["runs", "minutes"])]
    draw: Option<PathBuf>,
    /// Print every event of a single run, or of the story of a rule that is left out.
    #[arg(short, long)]
    verbose: bool,
}

/// Whose rules.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Chosen {
    /// Those of this repository.
    Ours,
    /// Those of the 2019 design, in the same worlds: it is known to fail.
    #[value(name = "2019")]
    Of2019,
}

impl Chosen {
    const fn rules(self) -> Rules {
        match self {
            Self::Ours => Rules::Ours,
            Self::Of2019 => Rules::Of2019,
        }
    }
}

/// A count that is worth counting.
fn one_or_more(text: &str) -> Result<u64, String> {
    let count = text.parse().ok().filter(|&count| count > 0);
    count.ok_or_else(|| "expected a whole number, 1 or more".to_owned())
}

/// A time that passes.
fn minutes(text: &str) -> Result<Duration, String> {
    let minutes = text.parse::<f64>().ok().filter(|minutes| *minutes > 0.0);
    let time = minutes.and_then(|minutes| Duration::try_from_secs_f64(minutes * 60.0).ok());
    time.ok_or_else(|| "expected a number above 0, as 0.5 for half a minute".to_owned())
}

impl Arguments {
    /// Whether one run is asked for, and no other.
    const fn is_single(&self) -> bool {
        self.seed.is_some() && self.runs.is_none() && self.minutes.is_none()
    }

    /// Whether something is given that only random runs have, so that no story is told.
    #[cfg(any(test, feature = "rules-off"))]
    const fn asks_for_runs(&self) -> bool {
        self.seed.is_some() || self.is_about_many()
    }

    /// Whether something is given that one run does not have.
    const fn is_about_many(&self) -> bool {
        let many = self.runs.is_some() || self.minutes.is_some();
        many || self.jobs.is_some() || self.failures.is_some()
    }

    /// What contradicts itself, in words.
    fn contradiction(&self) -> Result<(), &'static str> {
        if matches!(self.rules, Chosen::Of2019) && self.rules_off.is_some() {
            return Err(
                "--rules 2019 has none of the rules that --rules-off leaves out: expected one of the two",
            );
        }
        if self.is_single() && self.is_about_many() {
            return Err(
                "--seed alone is one run, which has neither --jobs nor --failures: expected --runs N or --minutes M with them",
            );
        }
        let nothing = self.seed.is_none() && self.rules_off.is_none();
        if self.verbose && (self.is_about_many() || nothing) {
            return Err(
                "--verbose prints the events of one run, and many were asked for: expected --seed S or \
                 --rules-off RULE, for its story, without --runs, --minutes, --jobs and --failures",
            );
        }
        Ok(())
    }

    fn plan(&self) -> Plan {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.jobs.map(|jobs| usize::try_from(jobs).unwrap_or(usize::MAX));
        Plan {
            rules: self.rules.rules(),
            first_seed: self.seed.unwrap_or(1),
            runs: if self.minutes.is_none() {
                Some(self.runs.unwrap_or(1_000))
            } else {
                self.runs
            },
            time: self.minutes,
            jobs: jobs.unwrap_or_else(cores),
            failures_max: self
                .failures
                .unwrap_or(if self.rules_off.is_some() { 1 } else { 10 }),
        }
    }

    const fn listen(&self) -> Listen {
        if self.verbose {
            Listen::Print
        } else {
            Listen::Digest
        }
    }
}

fn main() -> ExitCode {
    end_with_the_pipe();
    let arguments = Arguments::parse();
    if let Err(why) = arguments.contradiction() {
        Arguments::command()
            .error(ErrorKind::ArgumentConflict, why)
            .exit();
    }
    let rules_off = arguments.rules_off.as_deref();
    if let Some(answer) = rules_off.and_then(|rule| leave_out(rule, &arguments)) {
        return answer;
    }
    let replay = |seed| replay_line(arguments.rules.rules(), rules_off, seed);
    catch_panics();
    let summary = match arguments.seed {
        Some(seed) if arguments.is_single() => {
            let draw = arguments.draw.as_deref();
            match run_one(arguments.rules.rules(), seed, arguments.listen(), draw, &replay) {
                Ok(summary) => summary,
                Err(error) => {
                    eprintln!("error: {error}");
                    return ExitCode::from(EXIT_USAGE);
                }
            }
        }
        _ => run_all(arguments.plan(), &replay),
    };
    println!("{summary}");
    ExitCode::from(summary.exit_code())
}

/// Whoever reads what is printed may have read enough, as `head` has: then this ends like any program, by SIGPIPE, which Rust ignores.
fn end_with_the_pipe() {
    let always = Arc::new(AtomicBool::new(true));
    if let Err(error) = signal_hook::flag::register_conditional_default(signal_hook::consts::SIGPIPE, always)
    {
        eprintln!("listening to signals: {error}");
    }
}

/// Leaves a rule out of this whole process, and tells its story unless runs were asked for; an exit code if there is nothing
/// to run.
fn leave_out(name: &str, arguments: &Arguments) -> Option<ExitCode> {
    let Some(rule) = Rule::ALL.iter().find(|rule| rule.name() == name) else {
        if name != "list" {
            eprintln!(
                "error: no rule is named {name}; those of the exhaustive search only are listed by cargo xtask model --rule list; \
                 here there are:"
            );
        }
        Rule::ALL.iter().for_each(|rule| println!("{}", rule.name()));
        return Some(match name {
            "list" => ExitCode::SUCCESS,
            _ => ExitCode::from(EXIT_USAGE),
        });
    };
    switch_off(*rule, arguments)
}

#[cfg(feature = "rules-off")]
fn switch_off(rule: Rule, arguments: &Arguments) -> Option<ExitCode> {
    ostrakon_core::rules::switch_off(rule);
    if arguments.asks_for_runs() {
        return None;
    }
    // What goes wrong without some rules takes a sequence of rare events: it is told before anything is drawn.
    catch_panics();
    let own = stories().into_iter().filter(|story| story.rule == rule);
    let found = own
        .filter_map(|story| Some((story.scenario.find_seed(story.tell)?, story)))
        .next();
    let Some(((seed, wrong), story)) = found else {
        if !arguments.verbose {
            return None;
        }
        eprintln!(
            "error: no story is told about {}: expected --seed S with --verbose",
            rule.name()
        );
        return Some(ExitCode::from(EXIT_USAGE));
    };
    if arguments.verbose {
        story.scenario.play_seed(seed, Listen::Print, story.tell);
    }
    println!("a story about {}: {wrong}", rule.name());
    Some(ExitCode::from(match wrong {
        Wrong::Safety(_) => EXIT_SAFETY,
        Wrong::NoProgress(_) => EXIT_NO_PROGRESS,
    }))
}

#[cfg(not(feature = "rules-off"))]
fn switch_off(rule: Rule, _: &Arguments) -> Option<ExitCode> {
    eprintln!(
        "error: this build cannot leave {} out: `cargo xtask sim` builds with the feature `rules-off` for that",
        rule.name()
    );
    Some(ExitCode::from(EXIT_USAGE))
}

/// The line that replays the run of a seed.
type Replay<'a> = dyn Fn(u64) -> String + 'a;

fn run_one(
    rules: Rules,
    seed: u64,
    listen: Listen,
    draw: Option<&Path>,
    replay: &Replay<'_>,
) -> Result<Summary, String> {
    // A run that prints everything begins with them by itself.
    if !matches!(listen, Listen::Print) {
        println!("{}", random_world(rules, seed, Listen::Nobody).options);
    }
    let outcome = match draw {
        None => random_run_under(rules, seed, listen),
        Some(file) => {
            let (outcome, picture) = drawn_run(rules, seed, listen);
            std::fs::write(file, picture)
                .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
            outcome
        }
    };
    report(seed, &outcome, replay);
    eprintln!("trace digest {:016x}", outcome.digest);
    let mut summary = Summary::default();
    summary.add(seed, &outcome);
    Ok(summary)
}

fn run_all(plan: Plan, replay: &Replay<'_>) -> Summary {
    let start = Instant::now();
    let mut last = Instant::now();
    let summary = run_many(plan, |seed, outcome, summary| {
        report(seed, outcome, replay);
        if last.elapsed() >= Duration::from_secs(5) {
            last = Instant::now();
            progress(start, summary);
        }
    });
    progress(start, &summary);
    let counts = summary.counts;
    let [ms, steps, strikes] = summary.median_run();
    eprintln!(
        "the median run: {:.1} virtual seconds, {steps} events, {strikes} strikes of chaos",
        f64::from(ms) / 1e3
    );
    tell_courses(&summary.courses);
    eprintln!(
        "{} elected, {} sealed, {} served, {} fences ({} on the innocent: {} of healthy hosts, {} of void ballots, {} of ballots that had stopped), \
         {} evicted, {} left",
        counts.elected,
        counts.sealed,
        counts.served,
        counts.fences,
        counts.innocent_fenced,
        counts.healthy_fenced,
        counts.void_fenced,
        counts.stopped_fenced,
        counts.evicted,
        counts.left
    );
    if summary.gave_up {
        let failures = several(summary.violations(), "failure");
        println!("stopped after {failures}: --failures N allows more");
    }
    if counts.fences_too_many_innocents() {
        println!(
            "too many fences on the innocent: {} of {}",
            counts.innocent_fenced, counts.fences
        );
    }
    summary
}

/// How many runs tried what they are meant to try, and how long they waited.
fn tell_courses(courses: &Courses) {
    eprintln!(
        "while faults went on: {} runs with two servers or more, {} with none",
        courses.contested, courses.unserved
    );
    eprintln!(
        "after that: {} runs are over, with fewer voters than votes that are needed; in {} voters are leaving and too few would \
         stay; in {} faults stop for a core quorum first",
        courses.no_quorum_possible, courses.voters_leave, courses.core_first
    );
    let [server, all] = [courses.to_server, courses.to_connect];
    eprintln!(
        "longest after that: {:.1} virtual seconds to a server (seed {}), {:.1} until everybody is connected (seed {})",
        server.time as f64 / 1e6,
        server.seed,
        all.time as f64 / 1e6,
        all.seed
    );
}

fn progress(start: Instant, summary: &Summary) {
    let seconds = start.elapsed().as_secs_f64().max(0.001);
    eprintln!(
        "{} in {seconds:.0} s ({:.1} a second, {:.0} virtual seconds a second), {}",
        several(summary.runs, "run"),
        summary.runs as f64 / seconds,
        summary.virtual_time as f64 / 1e6 / seconds,
        several(summary.violations(), "violation")
    );
}

fn report(seed: u64, outcome: &Outcome, replay: &Replay<'_>) {
    if let Some(what) = outcome.verdict.failure() {
        println!("seed {seed}: {what}\n  replay: {}", replay(seed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &[&str]) -> Result<Arguments, String> {
        let words = ["sim"].iter().chain(words);
        let arguments = Arguments::try_parse_from(words).map_err(|error| error.to_string())?;
        arguments.contradiction()?;
        Ok(arguments)
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for words in [
            &["--rules", "2019", "--rules-off", "r4-seal"][..],
            &["--verbose"],
            &["--verbose", "--runs", "3"],
            &["--verbose", "--seed", "1", "--minutes", "1"],
            &["--verbose", "--rules-off", "r4-seal", "--runs", "3"],
            &["--verbose", "--rules-off", "r4-seal", "--failures", "3"],
            &["--seed", "1", "--jobs", "3"],
            &["--seed", "1", "--failures", "2"],
            &["--seed", "1", "--rules-off", "r4-seal", "--failures", "2"],
            &["--draw", "run.svg"],
            &["--draw", "run.svg", "--seed", "1", "--runs", "2"],
            &["--runs", "0"],
            &["--jobs", "0"],
            &["--failures", "0"],
            &["--minutes", "0"],
            &["--minutes", "-1"],
            &["--minutes", "1e300"],
        ] {
            assert!(told(words).is_err(), "{words:?}");
        }
        let refused = told(&["--runs", "0"]).expect_err("no runs at all");
        assert!(refused.contains("1 or more"), "{refused}");
    }

    #[test]
    fn what_fits_together_is_taken() {
        for words in [
            &[][..],
            &["--seed", "1", "--verbose", "--draw", "run.svg"],
            &["--rules-off", "r4-seal", "--verbose"],
            &["--rules-off", "r4-seal", "--seed", "3", "--verbose"],
            &["--rules", "2019", "--runs", "3", "--failures", "1", "--jobs", "1"],
            &["--seed", "1", "--runs", "3", "--failures", "1", "--jobs", "1"],
            &["--minutes", "0.5"],
        ] {
            assert!(told(words).is_ok(), "{words:?}: {:?}", told(words).err());
        }
    }

    #[test]
    fn the_story_of_a_rule_is_told_unless_runs_are_asked_for() {
        let runs = |words: &[&str]| {
            let words = ["--rules-off", "r4-seal"].iter().chain(words).copied();
            told(&words.collect::<Vec<_>>()).map(|arguments| arguments.asks_for_runs())
        };
        assert_eq!(runs(&[]), Ok(false));
        assert_eq!(runs(&["--verbose"]), Ok(false));
        for words in [
            &["--seed", "1"][..],
            &["--seed", "1", "--verbose"],
            &["--runs", "50"],
            &["--minutes", "1"],
            &["--failures", "3"],
            &["--jobs", "1"],
        ] {
            assert_eq!(runs(words), Ok(true), "{words:?}");
        }
    }

    #[test]
    fn a_rule_that_is_left_out_is_noticed_once_unless_more_is_wanted() {
        let failures = |words: &[&str]| told(words).map(|arguments| arguments.plan().failures_max);
        assert_eq!(failures(&[]), Ok(10));
        assert_eq!(failures(&["--rules-off", "r4-seal"]), Ok(1));
        assert_eq!(failures(&["--rules-off", "r4-seal", "--failures", "3"]), Ok(3));
    }
}
