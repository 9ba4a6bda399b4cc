//! The last step before the program: this process becomes it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::Access;
use rustix::process::{Pid, Signal};

/// Exit code for a program that cannot be executed, and for one that is not there: the shell's.
const CANNOT_EXECUTE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// The program, by its path or found in PATH; `None` if there is none that this user may execute.
pub fn find_program(program: &Path) -> Option<PathBuf> {
    let executable = |path: &Path| path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok();
    if program.components().count() > 1 || program.is_absolute() {
        return Some(program.to_owned()).filter(|path| executable(path));
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|path| executable(path))
}

/// Becomes the program, which dies with its keeper. Returns only if that fails, with the exit code.
pub fn run(keeper: i32, command: &[OsString]) -> u8 {
    let [program, arguments @ ..] = command else {
        eprintln!("ostrakon: no program to execute");
        return NOT_FOUND;
    };
    if let Err(errno) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        eprintln!("ostrakon: the kernel will not end the program with its keeper: {errno}");
        return CANNOT_EXECUTE;
    }
    // The keeper may have died before the kernel was told.
    if rustix::process::getppid()
        .map(Pid::as_raw_nonzero)
        .map(|pid| pid.get())
        != Some(keeper)
    {
        return CANNOT_EXECUTE;
    }
    let error = Command::new(program).args(arguments).exec();
    eprintln!("ostrakon: cannot execute {}: {error}", program.display());
    match error.kind() {
        std::io::ErrorKind::NotFound => NOT_FOUND,
        _ => CANNOT_EXECUTE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_path_or_name() {
        assert_eq!(find_program(Path::new("/bin/sh")), Some("/bin/sh".into()));
        assert!(find_program(Path::new("sh")).is_some_and(|path| path.is_absolute()));
        for name in [
            "/nonexistent",
            "nobody-has-this",
            "./nobody-has-this",
            "/etc/passwd",
            "/",
        ] {
            assert_eq!(find_program(Path::new(name)), None, "{name}");
        }
    }
}
