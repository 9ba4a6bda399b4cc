//! `cargo xtask power-cuts`: the simulator's scenarios, cut at every write to the device.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, Stdio};

use lexopt::{Arg, ValueExt};
use ostrakon_xtask::failure::{During, Failure, Result, demand, ensure};

use crate::cargo::{cargo, succeed, target_folder, words};

const HELP: &str = "\
cargo xtask power-cuts [TEST …] [--cuts N|all] [--second-cuts N|all]
cargo xtask power-cuts TEST --id ID

Plays the scenarios in tests/tests, or those whose names contain TEST, and cuts the power of the device and of all hosts at
their writes: at every write with each fate of what is under way, or (--cuts) at so many of these, spread over the scenario.
Short scenarios are cut again as they come back, so many times in all (--second-cuts, 200 unless given). After each cut
nothing acknowledged may be lost, and everybody has to come back, be served, and leave.

A failure prints the ID that replays it: --id prints what happens. The last line is the result.
";

/// Second cuts of a scenario, unless said otherwise: all of them would be the square of its writes.
const SECOND_CUTS: &str = "200";

/// What is asked for.
#[derive(Default)]
struct Wishes {
    tests: Vec<OsString>,
    id: Option<OsString>,
    cuts: Option<OsString>,
    second_cuts: Option<OsString>,
}

pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    match wishes(arguments)? {
        None => print!("{HELP}"),
        Some(wishes) => match &wishes.id {
            Some(id) => replay(&wishes.tests, id)?,
            None => cut(&wishes)?,
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// None if only help is wanted.
fn wishes(arguments: Vec<OsString>) -> Result<Option<Wishes>> {
    let mut wishes = Wishes::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Long("cuts") => wishes.cuts = Some(count(parser.value()?)?),
            Arg::Long("second-cuts") => wishes.second_cuts = Some(count(parser.value()?)?),
            Arg::Long("id") => wishes.id = Some(parser.value()?),
            Arg::Value(test) => wishes.tests.push(test),
            other => return Err(other.unexpected().into()),
        }
    }
    if wishes.id.is_some() {
        demand(wishes.cuts.is_none() && wishes.second_cuts.is_none(), || {
            "--id replays one cut: expected neither --cuts nor --second-cuts with it".to_owned()
        })?;
        demand(!wishes.tests.is_empty(), || {
            "--id names a cut of one scenario: expected the scenario's name, too, as in `power-cuts hole_02 --id 3.17t`"
                .to_owned()
        })?;
    }
    Ok(Some(wishes))
}

/// Plays one cut, and prints what happens.
fn replay(tests: &[OsString], id: &OsString) -> Result<()> {
    build()?;
    let mut command = scenarios(tests);
    command.arg("--nocapture").env("OSTRAKON_CUT", id);
    let (played, ended) = play(&mut command)?;
    demand(played > 0, no_scenario)?;
    ensure(ended, || format!("the cut {} broke something", id.display()))?;
    println!("Survived: {}", id.display());
    Ok(())
}

/// Plays scenarios with cuts, and says how many.
fn cut(wishes: &Wishes) -> Result<()> {
    build()?;
    let otherwise = |wish: &Option<OsString>, value: &str| wish.clone().unwrap_or_else(|| value.into());
    let lines = target_folder().join("power-cuts.txt");
    std::fs::create_dir_all(target_folder()).during("making the target folder")?;
    std::fs::write(&lines, "").during(format!("emptying {}", lines.display()))?;
    let mut command = scenarios(&wishes.tests);
    command
        .env("OSTRAKON_CUTS", otherwise(&wishes.cuts, "all"))
        .env(
            "OSTRAKON_SECOND_CUTS",
            otherwise(&wishes.second_cuts, SECOND_CUTS),
        )
        .env("OSTRAKON_CUTS_FILE", &lines);
    let (played, ended) = play(&mut command)?;
    demand(played > 0, no_scenario)?;
    let text = std::fs::read_to_string(&lines).during(format!("reading {}", lines.display()))?;
    let totals = Totals::of(&text);
    if wishes.second_cuts.as_deref() != Some("0".as_ref()) {
        totals
            .too_long
            .iter()
            .for_each(|scenario| println!("not cut a second time: {scenario}"));
    }
    if ended {
        println!("{totals}");
        Ok(())
    } else {
        Err(Failure::new(format!(
            "a scenario did not survive, or failed without a cut; {totals}"
        )))
    }
}

fn no_scenario() -> String {
    "no scenario has such a name; `cargo test -p ostrakon-tests --tests -- --list` lists them".to_owned()
}

/// Builds the scenarios; says something only if that fails.
fn build() -> Result<()> {
    succeed(&mut cargo(
        ["test", "--quiet", "--no-run"].iter().chain(&SCENARIOS),
    ))
}

/// Where they are.
const SCENARIOS: [&str; 3] = ["--package", "ostrakon-tests", "--tests"];

/// Those whose names contain one of these, or all.
fn scenarios(tests: &[OsString]) -> Command {
    let mut command = cargo(["test", "--no-fail-fast"].iter().chain(&SCENARIOS));
    command.arg("--").args(tests);
    command
}

/// Runs tests, and passes on what they say without what cargo and the harness say beside it. How many ran, and whether all went well.
fn play(command: &mut Command) -> Result<(u64, bool)> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().during(format!("running {}", words(command)))?;
    let complaints = child.stderr.take();
    let complaining = std::thread::spawn(move || {
        for line in complaints
            .into_iter()
            .flat_map(|from| BufReader::new(from).lines())
        {
            if let Some(line) = line.ok().filter(|line| !is_cargos(line)) {
                eprintln!("{line}");
            }
        }
    });
    let mut played = 0;
    for line in child
        .stdout
        .take()
        .into_iter()
        .flat_map(|from| BufReader::new(from).lines())
    {
        let line = line.during("reading what the scenarios say")?;
        match tests_begun(&line) {
            Some(tests) => played += tests,
            None if is_harness(&line) => {}
            None => println!("{line}"),
        }
    }
    let status = child.wait().during(format!("running {}", words(command)))?;
    let _ = complaining.join();
    Ok((played, status.success()))
}

/// From `running 3 tests`.
fn tests_begun(line: &str) -> Option<u64> {
    let count = line.strip_prefix("running ")?;
    let count = count.strip_suffix(" tests").or(count.strip_suffix(" test"))?;
    count.parse().ok()
}

/// What says nothing about a scenario.
fn is_harness(line: &str) -> bool {
    line.is_empty() || line.starts_with("test result: ok.")
}

/// What cargo says about itself.
fn is_cargos(line: &str) -> bool {
    let first = line.trim_start().split(' ').next().unwrap_or_default();
    first.is_empty() || ["Finished", "Running", "Compiling", "Doc-tests"].contains(&first)
}

fn count(value: OsString) -> Result<OsString> {
    let text = value.string()?;
    let fits = text == "all" || text.parse::<u64>().is_ok();
    demand(fits, || format!("{text}: expected a number, or all"))?;
    Ok(text.into())
}

/// What all scenarios that ended well did together.
#[derive(Default, Debug, PartialEq, Eq)]
struct Totals {
    scenarios: u64,
    cuts: u64,
    second_cuts: u64,
    /// Those that are not cut a second time, and why.
    too_long: Vec<String>,
}

impl Totals {
    /// From lines of a name, cuts, second cuts, writes, and the most writes of a scenario that is cut a second time.
    fn of(text: &str) -> Self {
        let mut totals = Self::default();
        for line in text.lines() {
            let name = line.split(' ').next().unwrap_or_default();
            let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
            let [cuts, second_cuts, writes, writes_max] = numbers[..] else {
                continue;
            };
            totals.scenarios += 1;
            totals.cuts += cuts;
            totals.second_cuts += second_cuts;
            if writes > writes_max {
                let why = format!("{name}, which has {writes} writes, more than {writes_max}");
                totals.too_long.push(why);
            }
        }
        totals
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = |count| if count == 1 { "" } else { "s" };
        write!(
            f,
            "{} scenario{} survived {} power cut{}, and {} second one{}",
            self.scenarios,
            plural(self.scenarios),
            self.cuts,
            plural(self.cuts),
            self.second_cuts,
            plural(self.second_cuts)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_up() {
        let totals = Totals::of("a 4 2 59 400\nb 8 0 1000 400\nbroken\n");
        assert_eq!(
            totals.to_string(),
            "2 scenarios survived 12 power cuts, and 2 second ones"
        );
        assert_eq!(totals.too_long, ["b, which has 1000 writes, more than 400"]);
        let one = Totals::of("a 1 1 59 400");
        assert_eq!(
            one.to_string(),
            "1 scenario survived 1 power cut, and 1 second one"
        );
    }

    #[test]
    fn a_count_is_a_number_or_all() {
        assert!(count("all".into()).is_ok() && count("12".into()).is_ok());
        assert!(count("some".into()).is_err());
    }

    #[test]
    fn one_cut_is_of_one_scenario_and_the_only_one() {
        let taken = |words: &[&str]| {
            let taken = wishes(words.iter().map(OsString::from).collect());
            taken.map(|_| ()).map_err(|failure| failure.exit_code())
        };
        assert_eq!(taken(&["hole_02", "--id", "3.17t"]), Ok(()));
        assert_eq!(taken(&["hole_02", "--cuts", "3", "--second-cuts", "all"]), Ok(()));
        assert_eq!(taken(&["--id", "3.17t"]), Err(2));
        assert_eq!(taken(&["hole_02", "--id", "3.17t", "--cuts", "4"]), Err(2));
        assert_eq!(taken(&["hole_02", "--id", "3.17t", "--second-cuts", "4"]), Err(2));
    }

    #[test]
    fn what_cargo_says_is_left_out_and_what_a_scenario_says_is_not() {
        assert!(is_cargos("    Finished `test` profile") && is_cargos("     Running tests/holes.rs"));
        assert!(!is_cargos("error: test failed, to rerun pass `--test holes`"));
        assert!(is_harness("") && is_harness("test result: ok. 1 passed"));
        assert!(!is_harness("test hole_02 ... ok") && !is_harness("test result: FAILED. 0 passed"));
        assert_eq!(tests_begun("running 1 test"), Some(1));
        assert_eq!(tests_begun("running 12 tests"), Some(12));
        assert_eq!(tests_begun("running late"), None);
    }
}
