//! `ostrakon-size`: how much code, RAM and stack a mount takes on small targets.
//!
//! - `build`: builds the probe for each target that is installed.
//! - `program`: what of the built library the probe's entry points reach.
//! - `table`: the measurements as text, to and from `core/SIZE.md`.

#![forbid(unsafe_code)]

mod build;
mod program;
mod table;

use std::process::ExitCode;

use build::{CHECKED, TARGETS, Variant};
use ostrakon_xtask::bare::Compiler;
use table::Row;

const HELP: &str = "\
cargo xtask size [--write [TARGET...] | --check | --parts TARGET]

Measures a whole mount, with and without its part in elections, on each bare target that this machine can build for.

                     print the table
  --write [TARGET..] keep it in core/SIZE.md: of all targets, or of those named
  --check            fail if a target of 32 bits has grown by more than 2 % over core/SIZE.md, or exceeds a budget that
                     it kept there
  --parts TARGET     what takes most: functions, and the deepest chains of calls
";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Exit code of a command line that cannot be followed; what clap uses, too.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [] => measure(&TARGETS).map(drop),
        ["--write"] => measure(&TARGETS).and_then(|rows| table::write(&rows)),
        ["--write", ref targets @ ..] => measure(targets).and_then(|rows| table::write(&rows)),
        ["--check"] => measure(&CHECKED).and_then(|rows| table::check(&rows)),
        ["--parts", target] => parts(target),
        ["--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => {
            eprintln!("error: size does not know {}\n\n{HELP}", words.join(" "));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what takes most, for those who want to make it less.
fn parts(target: &str) -> Result<()> {
    let compiler = Compiler::of(target)??;
    for variant in [Variant::Voter, Variant::Client] {
        let library = build::probe(&compiler, target, variant)?;
        println!("{target}, {}", variant.name());
        print!("{}", program::parts(&std::fs::read(&library)?)?);
    }
    Ok(())
}

/// Every variant on each of these targets that is there; says which are not.
fn measure(targets: &[&str]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for &target in targets {
        let compiler = match Compiler::of(target)? {
            Ok(compiler) => compiler,
            Err(reason) => {
                println!("SKIPPED {target}: {reason}");
                continue;
            }
        };
        for variant in [Variant::Voter, Variant::Client] {
            let library = build::probe(&compiler, target, variant)?;
            let size = program::measure(&std::fs::read(&library)?)
                .map_err(|error| format!("{}: {error}", library.display()))?;
            rows.push(Row {
                target: target.to_owned(),
                variant: variant.name().to_owned(),
                compiler: compiler.version()?,
                size,
            });
        }
    }
    if rows.is_empty() {
        println!("SKIPPED everything: no bare target can be built for");
    }
    print!("{}", table::text(&rows));
    Ok(rows)
}
