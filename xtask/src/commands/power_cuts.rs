//! `cargo xtask power-cuts`: the simulator's scenarios, cut at every write to the device.

use std::ffi::OsString;
use std::process::ExitCode;

use lexopt::{Arg, ValueExt};
use ostrakon_xtask::failure::{During, Result, ensure};

use crate::cargo::{cargo, succeed, target_folder};

const HELP: &str = "\
cargo xtask power-cuts [TEST …] [--cuts N|all] [--second-cuts N|all]
cargo xtask power-cuts TEST --id ID

Plays the scenarios in tests/tests, or those whose names contain TEST, and cuts the power of the device and of all hosts at
their writes: at every write with each fate of what is under way, or (--cuts) at so many of these, spread over the scenario.
Short scenarios are cut again as they come back, so many times in all (--second-cuts, 200 unless given). After each cut
nothing acknowledged may be lost, and everybody has to come back, be served, and leave.

A failure prints the ID that replays it: --id prints what happens.
";

/// Second cuts of a scenario, unless said otherwise: all of them would be the square of its writes.
const SECOND_CUTS: &str = "200";

pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let (mut tests, mut id) = (Vec::new(), None);
    let (mut cuts, mut second_cuts) = (OsString::from("all"), OsString::from(SECOND_CUTS));
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Long("cuts") => cuts = count(parser.value()?)?,
            Arg::Long("second-cuts") => second_cuts = count(parser.value()?)?,
            Arg::Long("id") => id = Some(parser.value()?),
            Arg::Value(test) => tests.push(test),
            other => return Err(other.unexpected().into()),
        }
    }
    let mut command = cargo([
        "test",
        "--package",
        "ostrakon-tests",
        "--no-fail-fast",
        "--tests",
        "--",
    ]);
    command.args(tests);
    if let Some(id) = id {
        command.arg("--nocapture").env("OSTRAKON_CUT", id);
        return succeed(&mut command).map(|()| ExitCode::SUCCESS);
    }
    let lines = target_folder().join("power-cuts.txt");
    std::fs::create_dir_all(target_folder()).during("making the target folder")?;
    std::fs::write(&lines, "").during(format!("emptying {}", lines.display()))?;
    command
        .env("OSTRAKON_CUTS", cuts)
        .env("OSTRAKON_SECOND_CUTS", second_cuts)
        .env("OSTRAKON_CUTS_FILE", &lines);
    let ended = succeed(&mut command);
    let text = std::fs::read_to_string(&lines).during(format!("reading {}", lines.display()))?;
    println!("{}", Totals::of(&text));
    ended?;
    ensure(!text.is_empty(), || "no scenario has such a name".to_owned())?;
    Ok(ExitCode::SUCCESS)
}

fn count(value: OsString) -> Result<OsString> {
    let text = value.string()?;
    let fits = text == "all" || text.parse::<u64>().is_ok();
    ensure(fits, || format!("{text}: expected a number, or all"))?;
    Ok(text.into())
}

/// What all scenarios that ended well did together.
#[derive(Default, Debug, PartialEq, Eq)]
struct Totals {
    scenarios: u64,
    cuts: u64,
    second_cuts: u64,
}

impl Totals {
    /// From lines of a name, cuts, second cuts, and writes.
    fn of(text: &str) -> Self {
        let mut totals = Self::default();
        for line in text.lines() {
            let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
            let [cuts, second_cuts, _] = numbers[..] else {
                continue;
            };
            totals.scenarios += 1;
            totals.cuts += cuts;
            totals.second_cuts += second_cuts;
        }
        totals
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} scenarios survived {} power cuts, and {} second ones",
            self.scenarios, self.cuts, self.second_cuts
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_up() {
        let totals = Totals::of("a 4 2 59\nb 8 0 1000\nbroken\n");
        assert_eq!(
            totals.to_string(),
            "2 scenarios survived 12 power cuts, and 2 second ones"
        );
    }

    #[test]
    fn a_count_is_a_number_or_all() {
        assert!(count("all".into()).is_ok() && count("12".into()).is_ok());
        assert!(count("some".into()).is_err());
    }
}
