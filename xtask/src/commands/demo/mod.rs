//! `cargo xtask demo`: a cluster of real processes on one image file, told as a story, verified on the device.

mod failover;
mod leaving;
mod stage;
mod start;
mod table;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use lexopt::Arg;
use ostrakon_xtask::cluster::Cluster;
use ostrakon_xtask::failure::Result;

use crate::cargo::{ostrakon_binary, target_folder};
use stage::{QUORUM_COUNT, Stage};

const HELP: &str = "\
cargo xtask demo [--dev] [--keep] [--verbose]

Builds the ostrakon binary, formats an image file below the target folder and runs three voters and two plain
clients on it as processes of their own. They elect a server; it is killed, and later its successor is frozen; one
voter leaves, then all the others. Each step is verified on the device, through `ostrakon status` and `ostrakon
dump`. Takes less than half a minute after the build; exit code 0 only if every step held.

  --dev      a build for development: quicker to build, slower to run
  --keep     keeps the folder with the image and what each mount wrote to stderr
  --verbose  prints every event of every mount at the end
";

struct Wishes {
    dev: bool,
    keep: bool,
    verbose: bool,
}

pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let mut wishes = Wishes {
        dev: false,
        keep: false,
        verbose: false,
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Long("dev") => wishes.dev = true,
            Arg::Long("keep") => wishes.keep = true,
            Arg::Long("verbose") => wishes.verbose = true,
            other => return Err(other.unexpected().into()),
        }
    }
    show(&wishes).map(|()| ExitCode::SUCCESS)
}

fn show(wishes: &Wishes) -> Result<()> {
    let binary = ostrakon_binary(!wishes.dev)?;
    let started = Instant::now();
    let cluster = Cluster::format(&binary, &target_folder(), "demo", QUORUM_COUNT)?;
    let mut stage = Stage::new(cluster);
    if wishes.keep {
        println!(
            "Everything is kept in {}\n",
            stage.cluster.keep_folder().display()
        );
    }
    let outcome = play(&mut stage);
    if wishes.verbose {
        stage.print_events();
    }
    outcome?;
    println!("\nWhat took how long:\n{}", stage.timings);
    println!(
        "Every step was verified on the device. {:.1} s in all.",
        started.elapsed().as_secs_f32()
    );
    Ok(())
}

fn play(stage: &mut Stage) -> Result<()> {
    start::first_election(stage)?;
    start::clients_connect(stage)?;
    failover::leader_killed(stage)?;
    failover::host_returns(stage)?;
    failover::leader_frozen(stage)?;
    failover::host_returns(stage)?;
    leaving::one_voter_leaves(stage)?;
    leaving::last_quorum_leaves(stage)
}
