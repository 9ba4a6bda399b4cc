//! Runs the simulator: `cargo xtask sim` calls this.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use ostrakon_core::rules::Rule;
use ostrakon_tests::sim::course::Courses;
use ostrakon_tests::sim::machine::Rules;
use ostrakon_tests::sim::run::{Outcome, Verdict, catch_panics, drawn_run, random_run_under, random_world};
#[cfg(feature = "rules-off")]
use ostrakon_tests::sim::runner::{EXIT_NO_PROGRESS, EXIT_SAFETY};
use ostrakon_tests::sim::runner::{Plan, Summary, replay_line, run_many};
#[cfg(feature = "rules-off")]
use ostrakon_tests::sim::stories::stories;
use ostrakon_tests::sim::trace::Listen;
#[cfg(feature = "rules-off")]
use ostrakon_tests::sim::world::Wrong;

/// Exit code of a command line that cannot be followed; what clap uses, too.
const EXIT_USAGE: u8 = 2;

/// Simulates clusters with every fault that the design promises to survive, each decided by one seed.
///
/// Exit codes: 0 all is well, 10 a safety violation, 11 no progress, 12 a panic.
#[derive(Parser, Debug)]
#[command(name = "sim", version)]
struct Arguments {
    /// The first seed. With neither --runs nor --minutes only this one is run.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs, of one seed after the other.
    #[arg(long)]
    runs: Option<u64>,
    /// Minutes to go on for.
    #[arg(long)]
    minutes: Option<f64>,
    /// Threads; all cores unless given.
    #[arg(long)]
    jobs: Option<usize>,
    /// Stop after so many failures.
    #[arg(long, default_value_t = 10)]
    failures: u64,
    /// Whose rules the mounts follow.
    #[arg(long, value_enum, default_value_t = Chosen::Ours)]
    rules: Chosen,
    /// Leave this rule of the election out, to see that it is noticed; `list` lists them. Stops at the first failure.
    #[arg(long, value_name = "RULE")]
    rules_off: Option<String>,
    /// Draw a single run into this file, as an SVG that any browser shows.
    #[arg(long, value_name = "FILE", requires = "seed", conflicts_with_all = ["runs", "minutes"])]
    draw: Option<PathBuf>,
    /// Print every event of a single run.
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

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let rules_off = arguments.rules_off.as_deref();
    if let Some(answer) = rules_off.and_then(|rule| leave_out(rule, arguments.seed.is_none())) {
        return answer;
    }
    let replay = |seed| replay_line(arguments.rules.rules(), rules_off, seed);
    catch_panics();
    let summary = match (arguments.seed, arguments.runs, arguments.minutes) {
        (Some(seed), None, None) => {
            let listen = if arguments.verbose {
                Listen::Print
            } else {
                Listen::Digest
            };
            match run_one(
                arguments.rules.rules(),
                seed,
                listen,
                arguments.draw.as_deref(),
                &replay,
            ) {
                Ok(summary) => summary,
                Err(error) => {
                    eprintln!("error: {error}");
                    return ExitCode::from(EXIT_USAGE);
                }
            }
        }
        (seed, runs, minutes) => {
            let plan = Plan {
                rules: arguments.rules.rules(),
                first_seed: seed.unwrap_or(1),
                runs: if runs.is_none() && minutes.is_none() {
                    Some(1_000)
                } else {
                    runs
                },
                time: minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0)),
                jobs: arguments
                    .jobs
                    .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
                failures_max: if arguments.rules_off.is_some() {
                    1
                } else {
                    arguments.failures
                },
            };
            run_all(plan, &replay)
        }
    };
    if summary.violations() > 0 {
        println!(
            "{} unsafe, {} without progress, {} panics",
            summary.unsafe_runs, summary.stalled_runs, summary.panics
        );
    }
    println!("{} runs, {} violations", summary.runs, summary.violations());
    ExitCode::from(summary.exit_code())
}

/// Leaves a rule out of this whole process, and tells its story unless a run was asked for; an exit code if there is nothing
/// to run.
fn leave_out(name: &str, tells: bool) -> Option<ExitCode> {
    let Some(rule) = Rule::ALL.iter().find(|rule| rule.name() == name) else {
        if name != "list" {
            eprintln!("error: no rule is named {name}; there are:");
        }
        Rule::ALL.iter().for_each(|rule| println!("{}", rule.name()));
        return Some(match name {
            "list" => ExitCode::SUCCESS,
            _ => ExitCode::from(EXIT_USAGE),
        });
    };
    switch_off(*rule, tells)
}

#[cfg(feature = "rules-off")]
fn switch_off(rule: Rule, tells: bool) -> Option<ExitCode> {
    ostrakon_core::rules::switch_off(rule);
    if !tells {
        return None;
    }
    // What goes wrong without some rules takes a sequence of rare events: it is told before anything is drawn.
    catch_panics();
    let mut own = stories().into_iter().filter(|story| story.rule == rule);
    let wrong = own.find_map(|story| story.scenario.find(story.tell))?;
    println!("a story about {}: {wrong}", rule.name());
    Some(ExitCode::from(match wrong {
        Wrong::Safety(_) => EXIT_SAFETY,
        Wrong::NoProgress(_) => EXIT_NO_PROGRESS,
    }))
}

#[cfg(not(feature = "rules-off"))]
fn switch_off(rule: Rule, _tells: bool) -> Option<ExitCode> {
    eprintln!(
        "this build cannot leave {} out: `cargo xtask sim` builds with the feature `rules-off` for that",
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
        "{} runs in {seconds:.0} s ({:.1} a second, {:.0} virtual seconds a second), {} violations",
        summary.runs,
        summary.runs as f64 / seconds,
        summary.virtual_time as f64 / 1e6 / seconds,
        summary.violations()
    );
}

fn report(seed: u64, outcome: &Outcome, replay: &Replay<'_>) {
    let what = match &outcome.verdict {
        Verdict::Fine => return,
        Verdict::Wrong(wrong) => wrong.to_string(),
        Verdict::Panic(what) => format!("panic: {what}"),
    };
    println!("seed {seed}: {what}\n  replay: {}", replay(seed));
}
