//! `ostrakon-qemu-decoder IMAGE`: reads defmt frames from standard input and prints a line for each.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

use std::io::{ErrorKind, Read, Write};
use std::process::ExitCode;

use defmt_decoder::{DecodeError, Frame, StreamDecoder, Table};

/// Bytes of one read.
const READ_BYTES: usize = 4096;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("ostrakon-qemu-decoder: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(image), None) = (arguments.next(), arguments.next()) else {
        return Err("expected one argument, the image that the frames come from".to_owned());
    };
    let bytes = std::fs::read(&image).map_err(|error| format!("{}: {error}", image.display()))?;
    let table = Table::parse(&bytes).map_err(|error| format!("{}: {error}", image.display()))?;
    let table = table.ok_or_else(|| format!("{} holds no defmt messages", image.display()))?;
    let mut decoder = table.new_stream_decoder();
    let mut input = std::io::stdin().lock();
    let mut buffer = [0; READ_BYTES];
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(format!("reading standard input: {error}")),
        };
        decoder.received(&buffer[..count]);
        print_all(decoder.as_mut()).map_err(|error| format!("writing to standard output: {error}"))?;
    }
}

/// Prints every frame that has come in whole. A damaged one is told and passed over: the next one is found by its mark.
fn print_all(decoder: &mut dyn StreamDecoder) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    loop {
        match decoder.decode() {
            Ok(frame) => writeln!(output, "{}", line(&frame))?,
            Err(DecodeError::UnexpectedEof) => return output.flush(),
            Err(DecodeError::Malformed) => writeln!(output, "(a frame that is no message)")?,
        }
    }
}

/// `seconds level message`, as the image itself writes it without defmt.
fn line(frame: &Frame<'_>) -> String {
    let level = frame.level().map_or("", |level| level.as_str()).to_uppercase();
    let time = frame
        .display_timestamp()
        .map_or_else(String::new, |time| time.to_string());
    format!("{time:>11} {level:5} {}", frame.display_message())
}
