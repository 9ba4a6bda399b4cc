//! The `ostrakon` command.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ostrakon_linux::cli::main()
}
