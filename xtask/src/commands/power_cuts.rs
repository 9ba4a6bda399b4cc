//! `cargo xtask power-cuts`: the simulator's scenarios, cut at every write to the device.

use std::ffi::OsString;
use std::fmt;
use std::io::{BufRead as _, BufReader, ErrorKind, Read, Write as _};
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
    id: Option<String>,
    cuts: Option<OsString>,
    second_cuts: Option<OsString>,
}

pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    match wishes(arguments)? {
        None => say(HELP.trim_end())?,
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
            Arg::Long("cuts") => wishes.cuts = Some(some(count(parser.value()?)?)?),
            Arg::Long("second-cuts") => wishes.second_cuts = Some(count(parser.value()?)?),
            Arg::Long("id") => wishes.id = Some(id(parser.value()?)?),
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
fn replay(tests: &[OsString], id: &str) -> Result<()> {
    build()?;
    let mut command = scenarios(tests);
    command.arg("--nocapture").env("OSTRAKON_CUT", id);
    play(&mut command)?.survived(id)?;
    say(format_args!("Survived: {id}"))
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
    let played = play(&mut command)?;
    demand(played.tests > 0, no_scenario)?;
    let text = std::fs::read_to_string(&lines).during(format!("reading {}", lines.display()))?;
    let totals = Totals::of(&text);
    if wishes.second_cuts.as_deref() != Some("0".as_ref()) {
        for scenario in &totals.too_long {
            say(format_args!("not cut a second time: {scenario}"))?;
        }
    }
    ensure(played.ended_well, || {
        format!("a scenario did not survive, or failed without a cut; {totals}")
    })?;
    totals.demand_cuts()?;
    say(totals)
}

/// Says a line on the standard output. Fails if nobody reads it.
fn say(line: impl fmt::Display) -> Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::unheard()),
        said => said.during("saying what happens"),
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

/// What the tests that were run did.
#[derive(Default, Debug, PartialEq, Eq)]
struct Played {
    /// Tests, also those that play no scenario.
    tests: u64,
    /// Those that failed.
    failed: u64,
    /// Replays in which every cut happened.
    cut: u64,
    /// Replays that were over before a cut.
    never_cut: u64,
    /// Whether all went well.
    ended_well: bool,
}

impl Played {
    /// Takes note of a line. Whether it is worth passing on.
    fn hear(&mut self, line: &str) -> bool {
        if let Some(tests) = tests_begun(line) {
            self.tests += tests;
            return false;
        }
        // On one processor, the harness begins the line with the name of the test.
        self.cut += u64::from(line.ends_with(EVERY_CUT_HAPPENED));
        self.never_cut += u64::from(line.ends_with(NEVER_CAME));
        self.failed += u64::from(line.ends_with("FAILED"));
        !is_harness(line)
    }

    /// Fails unless the cut happened, and everything survived it.
    fn survived(&self, id: &str) -> Result<()> {
        demand(self.tests > 0, no_scenario)?;
        let only_never_cut = self.never_cut > 0 && self.failed == self.never_cut;
        demand(self.ended_well || !only_never_cut, || {
            format!("{id} never came: its scenario ended before that write; expected an earlier one")
        })?;
        ensure(self.ended_well, || format!("the cut {id} broke something"))?;
        demand(self.cut > 0, || {
            format!("{id} was tried on nothing: expected the name of a test that plays a scenario")
        })
    }
}

/// What a replay says, in tests/src/sim/power_cut.rs, if it was cut as the ID says.
const EVERY_CUT_HAPPENED: &str = "every cut happened";
/// What it says if it was over before.
const NEVER_CAME: &str = "a cut never came";

/// Runs tests, and passes on what they say without what cargo and the harness say beside it.
fn play(command: &mut Command) -> Result<Played> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().during(format!("running {}", words(command)))?;
    let complaints = child.stderr.take();
    let complaining = std::thread::spawn(move || {
        for line in complaints
            .into_iter()
            .flat_map(|from| BufReader::new(from).lines())
        {
            if let Some(line) = line.ok().filter(|line| !is_cargos(line)) {
                // Nobody may read it, which is no reason to end.
                let _ = writeln!(std::io::stderr(), "{line}");
            }
        }
    });
    let mut played = Played::default();
    let said = child.stdout.take();
    let heard = said.map_or(Ok(()), |said| pass_on(said, &mut played));
    if heard.is_err() {
        // It may have ended already, which is what is wanted.
        let _ = child.kill();
    }
    let status = child.wait().during(format!("running {}", words(command)))?;
    heard?;
    let _ = complaining.join();
    played.ended_well = status.success();
    Ok(played)
}

/// Passes on what the scenarios say, line by line.
fn pass_on(said: impl Read, played: &mut Played) -> Result<()> {
    for line in BufReader::new(said).lines() {
        let line = line.during("reading what the scenarios say")?;
        if played.hear(&line) {
            say(line)?;
        }
    }
    Ok(())
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

/// A count of cuts: without any, nothing is tried.
fn some(count: OsString) -> Result<OsString> {
    let cuts = count.to_str().and_then(|count| count.parse::<u64>().ok());
    demand(cuts != Some(0), || {
        "--cuts 0 tries nothing: expected 1 or more, or all".to_owned()
    })?;
    Ok(count)
}

/// The name of a cut: a seed, and one or more writes with the letter of their fate, each after a point.
fn id(value: OsString) -> Result<String> {
    let text = value.string()?;
    let is_number = |word: &str| word.parse::<u64>().is_ok();
    let is_cut = |word: &str| word.strip_suffix(['l', 'w', 't', 'm']).is_some_and(is_number);
    let parts = text.split_once('.');
    let fits = parts.is_some_and(|(seed, cuts)| is_number(seed) && cuts.split('.').all(is_cut));
    demand(fits, || {
        format!("{text:?} names no cut: expected SEED.WRITE and one of l, w, t, m, as in 3.17t")
    })?;
    Ok(text)
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

    /// Fails if nothing was cut.
    fn demand_cuts(&self) -> Result<()> {
        demand(self.cuts > 0, || {
            "nothing was cut: expected the name of a test that plays a scenario under our rules".to_owned()
        })
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    fn totals_without_a_cut_are_no_success() {
        let code = |text| {
            let demanded = Totals::of(text).demand_cuts();
            demanded.map_err(|failure| failure.exit_code())
        };
        assert_eq!(code(""), Err(2), "no scenario was played, or none wrote its line");
        assert_eq!(code("a 0 0 59 400"), Err(2));
        assert_eq!(code("a 0 0 59 400\nb 1 0 59 400"), Ok(()));
    }

    /// The exit code after these lines, and what is said of them.
    fn replayed(lines: &[&str], ended_well: bool) -> std::result::Result<(), (u8, String)> {
        let mut played = Played {
            ended_well,
            ..Played::default()
        };
        for line in lines {
            played.hear(line);
        }
        let survived = played.survived("3.17t");
        survived.map_err(|failure| (failure.exit_code(), failure.to_string()))
    }

    #[test]
    fn a_replay_is_a_success_only_if_it_was_cut() {
        let begun = "running 2 tests";
        assert_eq!(
            replayed(&[begun, EVERY_CUT_HAPPENED, "test a ... ok"], true),
            Ok(())
        );
        assert_eq!(
            replayed(&[begun, "test a ... every cut happened", "ok"], true),
            Ok(())
        );
        for (lines, ended_well, code, said) in [
            (&["running 0 tests"][..], true, 2, "no scenario has such a name"),
            (&[begun, "test a ... ok"], true, 2, "tried on nothing"),
            (&[begun, NEVER_CAME, "test a ... FAILED"], false, 2, "never came"),
            (
                &[begun, NEVER_CAME, "FAILED", EVERY_CUT_HAPPENED, "ok"],
                false,
                2,
                "never came",
            ),
            (&[begun, "test a ... FAILED"], false, 1, "broke something"),
            (
                &[begun, NEVER_CAME, "test a ... FAILED", "test b ... FAILED"],
                false,
                1,
                "broke something",
            ),
            (&[begun], false, 1, "broke something"),
        ] {
            let refused = replayed(lines, ended_well).expect_err("nothing that survived a cut");
            assert_eq!(refused.0, code, "{lines:?}: {}", refused.1);
            assert!(refused.1.contains(said), "{lines:?}: {}", refused.1);
        }
    }

    #[test]
    fn a_replay_says_what_is_waited_for() {
        let says = include_str!("../../../tests/src/sim/power_cut.rs");
        for line in [EVERY_CUT_HAPPENED, NEVER_CAME] {
            assert!(says.contains(&format!("&str = \"{line}\";")), "{line}");
        }
    }

    #[test]
    fn the_name_of_a_cut_is_known_before_anything_is_built() {
        for name in ["0.1l", "3.17t", "3.17t.40m", "12.900w.1l.2t"] {
            assert_eq!(id(name.into()).ok().as_deref(), Some(name));
        }
        for wrong in ["", "3", "3.", "3.t", "3.17", "3.17x", "x.17t", "3.17t.", "3.é"] {
            let refused = id(wrong.into()).map_err(|failure| failure.exit_code());
            assert_eq!(refused, Err(2), "{wrong}");
        }
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
        assert_eq!(taken(&["hole_02", "--cuts", "1", "--second-cuts", "0"]), Ok(()));
        assert_eq!(taken(&["hole_02", "--cuts", "0"]), Err(2));
        assert_eq!(taken(&["hole_02", "--id", "3.17"]), Err(2));
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
