//! `ostrakon generate`: what belongs beside the program, from the same definitions as `--help`. For packagers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap_complete::Shell;

use super::Exit;

/// The unit of the service manager: one instance for each file in /etc/ostrakon.
const UNIT: &str = include_str!("../../packaging/ostrakon@.service");

/// Write man pages, shell completions and the systemd unit to a folder.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The folder, made if it is not there: laid out like the root of a system
    root: PathBuf,
}

pub(super) fn run(args: &Args) -> Exit {
    match generate(&args.root) {
        Ok(()) => Exit::Done,
        Err(error) => Exit::Failed.because(format_args!("{}: {error}", args.root.display())),
    }
}

fn generate(root: &Path) -> io::Result<()> {
    let made = |folder: &str| -> io::Result<PathBuf> {
        let folder = root.join(folder);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    };
    fs::write(made("usr/lib/systemd/system")?.join("ostrakon@.service"), UNIT)?;
    clap_mangen::generate_to(super::command(), made("usr/share/man/man1")?)?;
    for (shell, folder, name) in [
        (Shell::Bash, "usr/share/bash-completion/completions", "ostrakon"),
        (Shell::Zsh, "usr/share/zsh/vendor-completions", "_ostrakon"),
        (
            Shell::Fish,
            "usr/share/fish/vendor_completions.d",
            "ostrakon.fish",
        ),
    ] {
        let mut file = fs::File::create(made(folder)?.join(name))?;
        clap_complete::generate(shell, &mut super::command(), "ostrakon", &mut file);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_belongs_beside_the_program_is_written() {
        let folder = tempfile::tempdir().unwrap();
        generate(folder.path()).unwrap();
        let read = |path: &str| fs::read_to_string(folder.path().join(path)).expect(path);
        for subcommand in [
            "format",
            "mount",
            "run",
            "status",
            "dump",
            "set-quorum-count",
            "fence-kill",
        ] {
            let page = read(&format!("usr/share/man/man1/ostrakon-{subcommand}.1"));
            assert!(
                page.contains(".SH SYNOPSIS") && page.contains("Exit codes"),
                "{subcommand}"
            );
            assert!(read("usr/share/bash-completion/completions/ostrakon").contains(subcommand));
        }
        assert!(read("usr/share/man/man1/ostrakon-run.1").contains("on\\-exit"));
        assert!(read("usr/share/zsh/vendor-completions/_ostrakon").starts_with("#compdef"));
        assert!(read("usr/share/fish/vendor_completions.d/ostrakon.fish").contains("server-addr"));
        assert!(read("usr/lib/systemd/system/ostrakon@.service").contains("Type=notify"));
    }
}
