//! How a test says that it could not run here. `cargo test` hides what a passing test prints, so the reasons
//! go to a file that `cargo xtask test` names in the environment, and prints when all tests are done.

use std::fs::OpenOptions;
use std::io::Write;

/// Environment variable that names the file of reasons.
pub const FILE_VARIABLE: &str = "OSTRAKON_SKIPPED_FILE";

/// Notes that `test` was skipped, and why. The caller returns right after it.
pub fn note(test: &str, reason: &str) {
    let line = format!("{test}: {reason}");
    eprintln!("skipped {line}");
    if let Some(path) = std::env::var_os(FILE_VARIABLE) {
        let written = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| writeln!(file, "{line}"));
        if let Err(error) = written {
            eprintln!("cannot note it in {}: {error}", path.display());
        }
    }
}
