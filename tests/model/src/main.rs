//! Explores small worlds over the election's decisions, and says what it found: `cargo xtask model` calls this.
//!
//! Without `--rule` all rules hold, and the exit code is 10 if a violation is found all the same. With `--rule` one
//! row of the table "what breaks when a rule goes" is explored, and the exit code is 10 because it is found.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use ostrakon_model::config::Config;
use ostrakon_model::search::{Report, search};
use ostrakon_model::worlds::{FULL, QUICK, Row, rows};

/// Exit code of a command line that cannot be followed; what clap uses, too.
const EXIT_USAGE: u8 = 2;
const EXIT_VIOLATION: u8 = 10;

/// Explores every interleaving of small worlds over the election's own decisions, breadth first, and says how many states there are.
///
/// Exit codes: 0 no violation, 2 a wrong argument, 10 a violation (with a rule left out that is what is expected).
#[derive(Parser, Debug)]
#[command(name = "model", version)]
struct Options {
    /// The worlds of a few minutes (the default), all but one explored to the end.
    #[arg(long, conflicts_with_all = ["full", "world", "rule", "rules"])]
    quick: bool,
    /// Larger ones too: hours, and as much memory as there is.
    #[arg(long, conflicts_with_all = ["world", "rule", "rules"])]
    full: bool,
    /// Of all of them those whose name contains this.
    #[arg(long, value_name = "WORDS", conflicts_with_all = ["rule", "rules"])]
    world: Option<String>,
    /// Stop each world after so many states.
    #[arg(long, value_name = "MAX", value_parser = clap::value_parser!(u64).range(1..))]
    states: Option<u64>,
    /// One rule left out: the violation that follows, step by step; `list` lists them, those of the simulator by the names that `sim --rules-off` uses.
    #[arg(long, conflicts_with = "rules")]
    rule: Option<String>,
    /// Every rule left out, one after the other.
    #[arg(long)]
    rules: bool,
}

/// What is explored: a world, and the row of the table that it is from.
type Wanted = Vec<(Config, Option<Row>)>;

fn wanted(options: &Options) -> Result<Wanted, String> {
    let of_rows = |rows: Vec<Row>| rows.into_iter().map(|row| (row.config, Some(row))).collect();
    match &options.rule {
        Some(name) => {
            let row = rows().into_iter().find(|row| row.name == name);
            let row =
                row.ok_or_else(|| format!("no rule is named {name}; there are:\n{}", names().join("\n")))?;
            Ok(of_rows(vec![row]))
        }
        None if options.rules => Ok(of_rows(rows())),
        None => Ok(worlds(options)?
            .into_iter()
            .map(|config| (config, None))
            .collect()),
    }
}

fn names() -> Vec<&'static str> {
    rows().iter().map(|row| row.name).collect()
}

/// The worlds with all rules that were asked for.
fn worlds(options: &Options) -> Result<Vec<Config>, String> {
    let all = || QUICK.iter().chain(FULL).copied();
    let Some(words) = &options.world else {
        let larger = if options.full { FULL } else { &[] };
        return Ok(QUICK.iter().chain(larger).copied().collect());
    };
    let chosen: Vec<Config> = all().filter(|world| world.name.contains(words)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = all().map(|world| world.name).collect();
        return Err(format!("no world {words:?}; there are:\n{}", names.join("\n")));
    }
    Ok(chosen)
}

fn show(config: &Config, report: &Report) {
    let seconds = report.took.as_secs_f64();
    println!(
        "{}: {} states to depth {} in {seconds:.1} s ({:.0} a second), {}",
        config.name,
        report.states,
        report.depth,
        report.states as f64 / seconds.max(1e-9),
        match (&report.violation, report.complete) {
            (Some((violation, _)), _) => format!("VIOLATION: {violation}"),
            (None, true) => "all there are; no violation".to_owned(),
            (None, false) => "not all there are; no violation so far".to_owned(),
        }
    );
}

/// Whoever reads what is printed may have read enough, as `head` has: then this ends like any program, by SIGPIPE, which Rust ignores.
fn end_with_the_pipe() {
    let always = Arc::new(AtomicBool::new(true));
    if let Err(error) = signal_hook::flag::register_conditional_default(signal_hook::consts::SIGPIPE, always)
    {
        eprintln!("listening to signals: {error}");
    }
}

fn main() -> ExitCode {
    end_with_the_pipe();
    let options = Options::parse();
    if options.rule.as_deref() == Some("list") {
        println!("{}", names().join("\n"));
        return ExitCode::SUCCESS;
    }
    let worlds = match wanted(&options) {
        Ok(worlds) => worlds,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let mut violated = false;
    for (config, row) in &worlds {
        let config = Config {
            states_max: options.states.unwrap_or(config.states_max),
            ..*config
        };
        println!("{config}");
        let report = search(&config);
        show(&config, &report);
        if let Some((violation, steps)) = &report.violation {
            violated = true;
            if worlds.len() == 1 || row.is_none() {
                for (nr, step) in steps.iter().enumerate() {
                    println!("{:4}  {step}", nr + 1);
                }
                println!("      => {violation}");
            }
        }
        if let Some(row) = row {
            println!("the design's own model: {} steps", row.steps_then);
        }
    }
    if violated {
        ExitCode::from(EXIT_VIOLATION)
    } else {
        ExitCode::SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_contradicts_itself_is_refused() {
        let taken = |words: &[&str]| Options::try_parse_from(["model"].iter().chain(words)).is_ok();
        for words in [
            &["--quick", "--full"][..],
            &["--rule", "r5-abort", "--world", "lease"],
            &["--rule", "r5-abort", "--rules"],
            &["--rule", "r5-abort", "--full"],
            &["--rules", "--world", "lease"],
            &["--rules", "--quick"],
            &["--states", "0"],
        ] {
            assert!(!taken(words), "{words:?}");
        }
        for words in [
            &[][..],
            &["--world", "lease", "--states", "9"],
            &["--rule", "r5-abort"],
        ] {
            assert!(taken(words), "{words:?}");
        }
    }

    #[test]
    fn a_rule_that_is_not_known_is_answered_with_those_that_are() {
        let asked =
            |rule: &str| wanted(&Options::try_parse_from(["model", "--rule", rule]).expect("it fits"));
        assert!(asked("r10-two-passes").is_ok());
        let refused = asked("two_passes").expect_err("that is none");
        assert!(refused.contains("r10-two-passes"), "{refused}");
    }
}
