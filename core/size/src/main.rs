//! `ostrakon-size`: how much code, RAM and stack a mount takes on small targets.
//!
//! ```text
//! ostrakon-size            measure and print the table
//! ostrakon-size --write    measure and keep the table in core/SIZE.md
//! ostrakon-size --check    measure, and fail if anything has grown by more than 2 % over core/SIZE.md, or exceeds a
//!                          budget that it kept there
//! ```
//!
//! - `build`: builds the probe for each target that is installed.
//! - `program`: what of the built library the probe's entry points reach.
//! - `table`: the measurements as text, to and from `core/SIZE.md`.

#![forbid(unsafe_code)]

mod build;
mod program;
mod table;

use std::process::ExitCode;

use build::{TARGETS, Variant};
use table::Row;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [] => measure().map(drop),
        ["--write"] => measure().and_then(|rows| table::write(&rows)),
        ["--check"] => measure().and_then(|rows| table::check(&rows)),
        _ => Err("usage: ostrakon-size [--write | --check]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Every variant on every target that is there; says which are not.
fn measure() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for target in TARGETS {
        if !build::is_installed(target)? {
            println!("SKIPPED {target}: not installed (rustup target add {target})");
            continue;
        }
        for variant in [Variant::Voter, Variant::Client] {
            let library = build::probe(target, variant)?;
            let size = program::measure(&std::fs::read(&library)?)
                .map_err(|error| format!("{}: {error}", library.display()))?;
            rows.push(Row {
                target: target.to_owned(),
                variant: variant.name().to_owned(),
                size,
            });
        }
    }
    if rows.is_empty() {
        println!("SKIPPED everything: no bare target is installed");
    }
    print!("{}", table::text(&rows));
    Ok(rows)
}
