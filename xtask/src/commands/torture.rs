//! `cargo xtask torture`: fail-overs of real processes, many in a row.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use lexopt::{Arg, Parser, ValueExt};
use ostrakon_xtask::failure::{Failure, Result};
use ostrakon_xtask::torture::{self, Fault, Method, Options};

use crate::cargo::{ostrakon_binary, target_folder};

const HELP: &str = "\
cargo xtask torture [OPTIONS]

Three hosts run a program under `ostrakon run`. Again and again the one that leads is killed, frozen or cut off from the
network, and another takes over. The program appends its term and a number that counts up from 1, for as long as it runs, to
one file that all hosts share. That is judged line by line, and stricter than a file for each value: whoever writes
once after its successor began leaves a line out of order. Never may two write at once, and terms only grow. Hosts are network namespaces where that is allowed (root, and the command ip);
otherwise no network is cut, and that is said.

Options:
  --failovers N   how many (default 40; some two seconds each)
  --faults LIST   of kill, freeze, sever; by comma (default all three)
  --method WORD   agent: the kill agent (default), or lease: a lease, and no watchdog
  --seed N        decides faults and pauses, not the scheduling of the machine (default: the clock)
  --debug         the debug build instead of the release build
";

pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut options = Options {
        failovers: 40,
        seed: now.map_or(1, |time| u64::from(time.subsec_nanos())),
        faults: vec![Fault::Kill, Fault::Freeze, Fault::Sever],
        method: Method::Agent,
        verbose: true,
    };
    let mut release = true;
    let mut parser = Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("failovers") => options.failovers = parser.value()?.parse()?,
            Arg::Long("seed") => options.seed = parser.value()?.parse()?,
            Arg::Long("faults") => options.faults = faults(&parser.value()?.string()?)?,
            Arg::Long("method") => options.method = method(&parser.value()?.string()?)?,
            Arg::Long("debug") => release = false,
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let binary = ostrakon_binary(release)?;
    println!(
        "{} fail-overs by {:?}, {:?}, seed {}",
        options.failovers, options.faults, options.method, options.seed
    );
    let report = torture::run(&binary, &target_folder(), &options)?;
    println!("{report}");
    Ok(ExitCode::SUCCESS)
}

fn faults(list: &str) -> Result<Vec<Fault>> {
    let fault = |word: &str| match word {
        "kill" => Ok(Fault::Kill),
        "freeze" => Ok(Fault::Freeze),
        "sever" => Ok(Fault::Sever),
        _ => Err(Failure::usage(format!(
            "--faults: {word:?}, expected kill, freeze or sever"
        ))),
    };
    list.split(',').map(fault).collect()
}

fn method(word: &str) -> Result<Method> {
    match word {
        "agent" => Ok(Method::Agent),
        "lease" => Ok(Method::Lease),
        _ => Err(Failure::usage(format!(
            "--method: {word:?}, expected agent or lease"
        ))),
    }
}
