//! `cargo xtask sim` and `cargo xtask model`: the simulator and the exhaustive search, built for speed.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use ostrakon_xtask::failure::{During, Failure, Result, ensure};

use crate::cargo::{cargo, pass_on, words, workspace};

/// Rules that no story misses and no random run can be relied on to: what becomes unsafe without them only the exhaustive
/// search shows.
const BY_EXHAUSTIVE_SEARCH: [&str; 2] = ["r10-two-passes", "r10-invalid-is-not-empty"];

/// The simulator. Options are passed on; with `--help` it answers itself.
pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let left_out = left_out(&arguments);
    let mut searched = BY_EXHAUSTIVE_SEARCH.iter();
    let searched = searched.find(|rule| left_out.as_deref() == Some(**rule));
    if let Some(rule) = searched.filter(|_| asks_for_nothing_else(&arguments)) {
        println!(
            "{rule} is missed by the exhaustive search (cargo xtask model --rule {rule}); with --seed, --runs or --minutes this command \
             goes on at random:"
        );
        return model(vec!["--rule".into(), rule.into()]);
    }
    // A rule can be left out only of a core that was built for it.
    let features: &[&str] = match left_out {
        Some(_) => &["rules-off"],
        None => &[],
    };
    run_binary("ostrakon-tests", "sim", "sim", features, arguments)
}

/// Every step is told in any case.
fn asks_for_nothing_else(arguments: &[OsString]) -> bool {
    let options = arguments.iter().map(|argument| argument.to_string_lossy());
    options
        .filter(|argument| argument.starts_with('-'))
        .all(|argument| argument.starts_with("--rules-off") || argument == "--verbose" || argument == "-v")
}

/// The rule that is to be left out, if one is.
fn left_out(arguments: &[OsString]) -> Option<String> {
    let mut arguments = arguments.iter().map(|argument| argument.to_string_lossy());
    let found = arguments.find(|argument| argument.starts_with("--rules-off"))?;
    Some(match found.split_once('=') {
        Some((_, rule)) => rule.to_owned(),
        None => arguments.next().unwrap_or_default().into_owned(),
    })
}

/// The exhaustive search, likewise.
pub(crate) fn model(arguments: Vec<OsString>) -> Result<ExitCode> {
    run_binary("ostrakon-model", "model", "release", &[], arguments)
}

fn run_binary(
    package: &str,
    binary: &str,
    profile: &str,
    features: &[&str],
    arguments: Vec<OsString>,
) -> Result<ExitCode> {
    let mut command = runs(package, binary, profile, features);
    command.arg("--").args(arguments);
    let status = command.status().during(format!("running {}", words(&command)))?;
    Ok(pass_on(status))
}

/// Whether the same seed gives the same run, byte for byte, in the build for speed and in that of the ordinary tests, which
/// has every assertion and is not made for this processor.
pub(crate) fn check_digests() -> Result<()> {
    for seed in DIGEST_SEEDS {
        let [fast, checked] = ["sim", "dev"].map(|profile| digest(profile, seed));
        let (fast, checked) = (fast?, checked?);
        ensure(fast == checked, || {
            format!(
                "seed {seed} is one run in the profile sim (digest {fast}), and another in the profile dev ({checked})"
            )
        })?;
        println!("seed {seed}: digest {fast} in both builds");
    }
    Ok(())
}

/// A run each, short and long.
const DIGEST_SEEDS: [u64; 3] = [1, 2, 9_520];

/// The digest of every line of a run's trace.
fn digest(profile: &str, seed: u64) -> Result<String> {
    let mut command = runs("ostrakon-tests", "sim", profile, &[]);
    command.args(["--", "--seed", &seed.to_string()]);
    let output = command.output().during(format!("running {}", words(&command)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let mut lines = said.lines();
    let found = lines.find_map(|line| line.strip_prefix("trace digest "));
    found
        .map(str::to_owned)
        .ok_or_else(|| Failure::new(format!("{} tells no digest: {said}", words(&command))))
}

/// `cargo run` of a binary, up to where its own arguments begin. Where the user stands, because its files are meant to lie there.
fn runs(package: &str, binary: &str, profile: &str, features: &[&str]) -> Command {
    let mut command = cargo([
        "run",
        "--quiet",
        "--manifest-path",
        &workspace().join("Cargo.toml").to_string_lossy(),
        "--profile",
        profile,
        "--package",
        package,
        "--bin",
        binary,
    ]);
    command.args(features.iter().flat_map(|feature| ["--features", feature]));
    if let Ok(here) = std::env::current_dir() {
        command.current_dir(here);
    }
    if profile == "sim" {
        // For the very processor that it runs on: nothing of a run depends on that but its speed.
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        command.env("RUSTFLAGS", format!("{flags} -Ctarget-cpu=native"));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_that_is_left_out_is_found_among_the_options() {
        let of = |words: &[&str]| left_out(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of(&["--seed", "3"]), None);
        assert_eq!(
            of(&["--rules-off", "r4-seal", "--runs", "3"]).as_deref(),
            Some("r4-seal")
        );
        assert_eq!(
            of(&["--runs", "3", "--rules-off=r4-seal"]).as_deref(),
            Some("r4-seal")
        );
        assert_eq!(
            of(&["--rules-off"]).as_deref(),
            Some(""),
            "the simulator says what is missing"
        );
        let alone =
            |words: &[&str]| asks_for_nothing_else(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(alone(&["--rules-off", "r4-seal"]) && alone(&["--rules-off=r4-seal"]));
        assert!(alone(&["--rules-off", "r4-seal", "--verbose"]));
        for more in [
            ["--seed", "69"],
            ["--runs", "50"],
            ["--minutes", "1"],
            ["--failures", "3"],
        ] {
            let words = ["--rules-off", "r4-seal"].into_iter().chain(more);
            assert!(!alone(&words.collect::<Vec<_>>()), "{more:?}");
        }
    }

    #[test]
    fn files_are_meant_where_the_user_stands() {
        let command = runs("ostrakon-tests", "sim", "sim", &[]);
        let here = std::env::current_dir().expect("a test stands somewhere");
        assert_eq!(command.get_current_dir(), Some(here.as_path()));
        let mut words = command.get_args().skip_while(|word| *word != "--manifest-path");
        let manifest = words.nth(1).map(std::path::PathBuf::from);
        assert!(manifest.is_some_and(|manifest| manifest.is_absolute() && manifest.is_file()));
    }
}
