//! `ostrakon-bench`: the program behind `cargo xtask bench`.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use lexopt::{Arg, ValueExt};
use ostrakon_bench::machine::Machine;
use ostrakon_bench::parts::{Context, PARTS, Part};
use ostrakon_bench::report::{self, Report};
use ostrakon_xtask::cluster::reaper::Reaper;
use ostrakon_xtask::failure::{During, Failure, Result};

/// What was asked for.
struct Wishes {
    binary: PathBuf,
    target: PathBuf,
    /// Where the document and its charts go; below the target folder unless this is a whole run.
    document: PathBuf,
    charts: PathBuf,
    quick: bool,
    only: Vec<String>,
}

fn main() -> ExitCode {
    match wishes().and_then(|wishes| run(&wishes)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn wishes() -> Result<Wishes> {
    let mut paths = [const { None::<PathBuf> }; 4];
    let (mut quick, mut only) = (false, Vec::new());
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        let place = match argument {
            Arg::Long("quick") => {
                quick = true;
                continue;
            }
            Arg::Long("only") => {
                only.push(parser.value()?.string()?);
                continue;
            }
            Arg::Long("binary") => 0,
            Arg::Long("target") => 1,
            Arg::Long("document") => 2,
            Arg::Long("charts") => 3,
            other => return Err(other.unexpected().into()),
        };
        paths[place] = Some(parser.value()?.into());
    }
    let [Some(binary), Some(target), Some(document), Some(charts)] = paths else {
        return Err(Failure::new("this program is run by cargo xtask bench"));
    };
    Ok(Wishes {
        binary,
        target,
        document,
        charts,
        quick,
        only,
    })
}

fn run(wishes: &Wishes) -> Result<()> {
    let parts = chosen(&wishes.only)?;
    let machine = Machine::look(&wishes.target);
    let folder = wishes.target.join(format!("bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).during(format!("making {}", folder.display()))?;
    let mut context = Context {
        binary: wishes.binary.clone(),
        folder: folder.clone(),
        quick: wishes.quick,
        reaper: Reaper::start(&folder)?,
        report: Report::default(),
    };
    let mut failed = Vec::new();
    for part in &parts {
        eprintln!("== {}: {}", part.name, part.about);
        let started = Instant::now();
        if let Err(failure) = (part.run)(&mut context) {
            eprintln!("error: {failure}");
            context.report.missing.push(format!("{}: {failure}", part.name));
            failed.push(part.name);
        }
        eprintln!("   {:.0} s", started.elapsed().as_secs_f64());
    }
    let link = wishes.charts.file_name().map(PathBuf::from).unwrap_or_default();
    let beside = wishes
        .document
        .parent()
        .and_then(|folder| wishes.charts.strip_prefix(folder).ok());
    let link = beside.unwrap_or(&link).display().to_string();
    report::write(
        &context.report,
        &machine,
        &command(wishes),
        &wishes.document,
        &wishes.charts,
        &link,
    )?;
    println!("{}", wishes.document.display());
    match failed[..] {
        [] => Ok(()),
        _ => Err(Failure::new(format!("failed: {}", failed.join(", ")))),
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Part>> {
    let find = |name: &String| {
        let known: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        let found = PARTS.iter().find(|part| part.name == name);
        found
            .ok_or_else(|| Failure::usage(format!("there is no part {name}; there are {}", known.join(", "))))
    };
    if names.is_empty() {
        return Ok(PARTS.iter().collect());
    }
    names.iter().map(find).collect()
}

fn command(wishes: &Wishes) -> String {
    let mut words = String::from("cargo xtask bench");
    if wishes.quick {
        words.push_str(" --quick");
    }
    wishes
        .only
        .iter()
        .for_each(|part| words.push_str(&format!(" --only {part}")));
    words
}
