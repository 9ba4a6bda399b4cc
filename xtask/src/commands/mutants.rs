//! `cargo xtask mutants`: breaks core in one place after the other, and sees whether a test notices.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use lexopt::{Arg, ValueExt};
use ostrakon_xtask::failure::{During, Failure, Result, demand, ensure};

use crate::cargo::{cargo, target_folder, words, workspace};

const HELP: &str = "\
cargo xtask mutants [FOLDER[/FILE] …] [--shard K/N]

Changes one operator, condition or result of core at a time and runs core's tests: a change that no test notices is a hole in
the tests. Goes through the folders of core/src in the order of what they decide, or through those named:

  cargo xtask mutants superio decide/safety.rs

Each change is tried with the tests of its own folder first, and if they do not notice it, with all of core's, the slow ones last.
--shard tries every N-th change only, from the K-th (counted from 0). Those that no test could notice are listed, each with its
reason, in .cargo/mutants.toml. A whole run takes hours; needs cargo-mutants (cargo install --locked cargo-mutants). What it found
stands in target/mutants, by folder; what the run before found, in the folder called the same and .last.
";

/// The folders of core, those on which safety hangs first.
const FOLDERS: [&str; 9] = [
    "decide", "superio", "format", "election", "session", "server", "client", "mount", "noise",
];

/// Seconds after which a change is taken to have made a test run for ever: four times what all of them take.
const TIMEOUT_S: &str = "100";

/// Tests that take longer than all others together: they are left for those that only they may notice.
const LAST: [&str; 6] = [
    "every_acknowledged_record_survives_a_power_cut_at_any_write",
    "a_leader_that_has_lost_one_voter_long_ago_answers_the_next_one_as_fast",
    "two_controllers_with_a_severed_link_keep_their_leader",
    "a_client_that_vanished_without_a_word_is_missed_all_the_same",
    "voters_that_lose_their_server_at_one_moment_do_not_vote_past_one_another",
    "hole_13_a_bad_server_address_yields_once_to_whom_it_keeps_out",
];

pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let (mut places, mut shard) = (Vec::new(), None);
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Long("shard") => shard = Some(parser.value()?.string()?),
            Arg::Value(place) => places.push(Place::named(&place.string()?)?),
            other => return Err(other.unexpected().into()),
        }
    }
    let there = cargo(["mutants", "--version"]).output();
    ensure(there.is_ok_and(|output| output.status.success()), || {
        "missing: cargo-mutants. cargo install --locked cargo-mutants brings it".to_owned()
    })?;
    if places.is_empty() {
        for folder in FOLDERS {
            places.push(Place::named(folder)?);
        }
    }
    // Held until the end.
    let _alone = run_alone(&target_folder().join("mutants"))?;
    let mut all = Tally::default();
    for place in &places {
        let tally = try_place(place, shard.as_deref())?;
        println!("{}: {tally}", place.name);
        all.add(&tally);
    }
    println!("In all: {all}");
    all.missed
        .iter()
        .for_each(|missed| println!("  not noticed: {missed}"));
    Ok(if all.missed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A folder of core, or a file in one.
struct Place {
    name: String,
    /// The tests of its own folder.
    tests: String,
    /// Its files, as cargo-mutants wants to be told.
    files: String,
}

impl Place {
    fn named(name: &str) -> Result<Self> {
        let name = name.trim_start_matches("core/src/").trim_end_matches('/');
        let folder = name.split('/').next().unwrap_or(name);
        demand(FOLDERS.contains(&folder), || {
            format!("core has no folder {folder}, only: {}", FOLDERS.join(", "))
        })?;
        let files = if name.contains('/') {
            let file = workspace().join("core/src").join(name);
            demand(file.is_file(), || format!("core/src/{name} is no file"))?;
            name.to_owned()
        } else {
            format!("{name}/**/*.rs")
        };
        Ok(Self {
            name: name.to_owned(),
            tests: format!("{folder}::"),
            files: format!("core/src/{files}"),
        })
    }
}

/// What a run found is kept until the next but one.
fn keep_as_the_last(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let mut last = folder.as_os_str().to_owned();
    last.push(".last");
    let last = PathBuf::from(last);
    if last.exists() {
        std::fs::remove_dir_all(&last).during(format!("removing {}", last.display()))?;
    }
    std::fs::rename(folder, &last).during(format!("keeping {}", last.display()))
}

/// Two runs at once would build in one folder, and each make the other's changes look slow.
fn run_alone(folder: &Path) -> Result<File> {
    std::fs::create_dir_all(folder).during(format!("making {}", folder.display()))?;
    let path = folder.join("lock");
    let lock = File::create(&path).during(format!("making {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Failure::new(
            "another `cargo xtask mutants` goes on in this target folder: wait for its end, or give this one a CARGO_TARGET_DIR",
        )),
        Err(TryLockError::Error(error)) => Err(error).during(format!("locking {}", path.display())),
    }
}

/// Tries every change of a place: first with its own tests, then what they missed with all that are quick, then with all.
fn try_place(place: &Place, shard: Option<&str>) -> Result<Tally> {
    let folder = target_folder().join("mutants").join(place.name.replace('/', "-"));
    keep_as_the_last(&folder)?;
    std::fs::create_dir_all(&folder).during(format!("making {}", folder.display()))?;
    let mut tally = Tally::default();
    for pass in 0..3 {
        let which = match pass {
            0 => Which::Shard(shard),
            _ => Which::Missed(&tally.missed),
        };
        let mut command = mutants(place, &folder, &which);
        let tests = (pass == 0).then_some(place.tests.as_str());
        command.arg("--").args(tests).arg("--").args(AT_THE_FIRST_FAILURE);
        if pass < 2 {
            command.args(LAST.iter().flat_map(|test| ["--skip", test]));
        }
        let status = command.status().during(format!("running {}", words(&command)))?;
        // 2: some were missed, 3: some ran into the time limit.
        ensure(matches!(status.code(), Some(0 | 2 | 3)), || {
            format!("{} ended with {status}", words(&command))
        })?;
        tally.read(&folder.join("mutants.out"))?;
        if tally.missed.is_empty() {
            break;
        }
    }
    Ok(tally)
}

/// What tells a test binary to end at the first failure, which those of a stable compiler do only if asked like a nightly one's.
const AT_THE_FIRST_FAILURE: [&str; 2] = ["-Zunstable-options", "--fail-fast"];

/// Which changes of a place are tried.
enum Which<'a> {
    /// All, or a shard of them.
    Shard(Option<&'a str>),
    /// Those that the pass before missed: named one by one, because a shard of what is left would be other ones.
    Missed(&'a [String]),
}

/// An expression that a change of this name alone matches.
fn only(name: &str) -> String {
    let mut expression = String::from("^");
    for letter in name.chars() {
        if "\\.+*?()|[]{}^$".contains(letter) {
            expression.push('\\');
        }
        expression.push(letter);
    }
    expression.push('$');
    expression
}

fn mutants(place: &Place, folder: &Path, which: &Which<'_>) -> Command {
    let mut command = cargo(["mutants", "--package", "ostrakon-core", "--profile", "mutants"]);
    command
        .args([
            "--cargo-arg=--lib",
            "--no-shuffle",
            "--timeout",
            TIMEOUT_S,
            "--file",
            &place.files,
        ])
        .arg("--output")
        .arg(folder)
        // What core depends on is built once, and not for each place again.
        .env("CARGO_TARGET_DIR", target_folder().join("mutants-target"))
        // Property tests are bounded by time: each need not take all of it, thousands of times.
        .env("ARBTEST_BUDGET_MS", "50")
        .env("RUSTC_BOOTSTRAP", "1");
    match which {
        Which::Shard(None) => {}
        Which::Shard(Some(shard)) => {
            command.args(["--sharding", "round-robin", "--shard", shard]);
        }
        Which::Missed(names) => {
            command.arg("--baseline=skip");
            names.iter().for_each(|name| {
                command.arg("--re").arg(only(name));
            });
        }
    }
    command
}

/// What became of the changes.
#[derive(Default, Debug, PartialEq, Eq)]
struct Tally {
    caught: usize,
    /// Of these, those that made a test run for ever, or a machine that has much else to do: run these again.
    endless: usize,
    missed: Vec<String>,
}

impl Tally {
    /// Adds what this run caught, and keeps what it missed. A change that makes a test run for ever is noticed, too.
    fn read(&mut self, folder: &Path) -> Result<()> {
        let endless = lines(&folder.join("timeout.txt"))?.len();
        self.endless += endless;
        self.caught += lines(&folder.join("caught.txt"))?.len() + endless;
        self.missed = lines(&folder.join("missed.txt"))?;
        Ok(())
    }

    fn add(&mut self, other: &Self) {
        self.caught += other.caught;
        self.endless += other.endless;
        self.missed.extend_from_slice(&other.missed);
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.caught + self.missed.len();
        let percent = if all == 0 {
            100.0
        } else {
            self.caught as f64 * 100.0 / all as f64
        };
        write!(f, "{} of {all} changes noticed ({percent:.1} %)", self.caught)?;
        if self.endless > 0 {
            write!(f, ", {} of them by running for {TIMEOUT_S} s", self.endless)?;
        }
        Ok(())
    }
}

fn lines(path: &PathBuf) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("reading {}: {error}", path.display())))?;
    Ok(text.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_folders_or_files_of_core() {
        let files = |name: &str| Place::named(name).map(|place| (place.files, place.tests)).ok();
        let pair = |files: &str, tests: &str| Some((files.to_owned(), tests.to_owned()));
        assert_eq!(files("superio"), pair("core/src/superio/**/*.rs", "superio::"));
        assert_eq!(
            files("core/src/decide/log.rs"),
            pair("core/src/decide/log.rs", "decide::")
        );
        assert_eq!(files("xtask"), None);
    }

    #[test]
    fn what_was_missed_is_named_by_itself() {
        let name = "core/src/a.rs:1:2: replace |= with &= in <impl A for B<'_>>::c -> [u8; 2]";
        let expected = r"^core/src/a\.rs:1:2: replace \|= with &= in <impl A for B<'_>>::c -> \[u8; 2\]$";
        assert_eq!(only(name), expected);
    }

    #[test]
    fn a_second_run_is_refused_while_one_goes_on_and_results_are_kept_once() {
        let folder = std::env::temp_dir().join(format!("ostrakon-mutants-{}", std::process::id()));
        let alone = run_alone(&folder).unwrap();
        let refused = run_alone(&folder).unwrap_err().to_string();
        assert!(refused.contains("another `cargo xtask mutants`"), "{refused}");
        drop(alone);
        run_alone(&folder).unwrap();

        let place = folder.join("superio");
        keep_as_the_last(&place).unwrap();
        for found in ["first", "second"] {
            std::fs::create_dir(&place).unwrap();
            std::fs::write(place.join("caught.txt"), found).unwrap();
            keep_as_the_last(&place).unwrap();
            assert!(!place.exists());
            let last = folder.join("superio.last").join("caught.txt");
            assert_eq!(std::fs::read_to_string(last).unwrap(), found);
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_tally_says_how_many_were_noticed() {
        let mut all = Tally::default();
        assert_eq!(all.to_string(), "0 of 0 changes noticed (100.0 %)");
        all.add(&Tally {
            caught: 9,
            endless: 0,
            missed: vec!["a".to_owned()],
        });
        assert_eq!(all.to_string(), "9 of 10 changes noticed (90.0 %)");
    }
}
