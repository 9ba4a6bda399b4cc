//! The Debian package: what lies in it, and that it works from where it lies.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::Bench;
use ostrakon_xtask::skipped;

/// All but the man pages, with their modes.
const FILES: [&str; 12] = [
    "drwx------ ./etc/ostrakon/",
    "-rwxr-xr-x ./usr/bin/ostrakon",
    "-rw-r--r-- ./usr/lib/systemd/system/ostrakon@.service",
    "-rw-r--r-- ./usr/share/bash-completion/completions/ostrakon",
    "-rw-r--r-- ./usr/share/doc/ostrakon/DESIGN.md",
    "-rw-r--r-- ./usr/share/doc/ostrakon/FORMAT.md",
    "-rw-r--r-- ./usr/share/doc/ostrakon/LICENSE-APACHE",
    "-rw-r--r-- ./usr/share/doc/ostrakon/LICENSE-MIT",
    "-rw-r--r-- ./usr/share/doc/ostrakon/OPERATING.md",
    "-rw-r--r-- ./usr/share/fish/vendor_completions.d/ostrakon.fish",
    "-rw-r--r-- ./usr/share/man/man1/ostrakon.1.gz",
    "-rw-r--r-- ./usr/share/zsh/vendor-completions/_ostrakon",
];

fn said_by(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that `--help` names: each has a page.
fn subcommands(bench: &Bench) -> Vec<String> {
    let help = bench.expect(0, &["--help"]).0;
    let (_, list) = help.split_once("Commands:\n").unwrap();
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect()
}

fn package(folder: &Path) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/build-deb.sh");
    let program = env!("CARGO_BIN_EXE_ostrakon");
    said_by(Command::new("sh").arg(script).arg(folder).arg(program));
    let built = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut packages: Vec<_> = built
        .filter(|path| path.extension().is_some_and(|ext| ext == "deb"))
        .collect();
    assert_eq!(packages.len(), 1, "{packages:?}");
    packages.remove(0)
}

#[test]
fn the_debian_package_holds_the_program_and_all_that_belongs_beside_it() {
    for tool in ["dpkg-deb", "strip", "gzip"] {
        if Command::new(tool).arg("--version").output().is_err() {
            return skipped::note("the Debian package", &format!("{tool} is not there"));
        }
    }
    let bench = Bench::empty();
    let folder = bench.image().with_file_name("debian");
    let package = package(&folder);
    let listed = said_by(Command::new("dpkg-deb").arg("--contents").arg(&package));
    let mut found: Vec<String> = listed
        .lines()
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            assert_eq!(words[1], "root/root", "{line}");
            format!("{} {}", words[0], words[words.len() - 1])
        })
        .filter(|entry| !entry.starts_with("drwxr-xr-x "))
        .collect();
    let pages = subcommands(&bench);
    assert!(pages.len() > 5, "{pages:?}");
    let pages = pages
        .iter()
        .map(|name| format!("-rw-r--r-- ./usr/share/man/man1/ostrakon-{name}.1.gz"));
    let mut expected: Vec<String> = FILES.map(str::to_owned).into_iter().chain(pages).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);

    let installed = folder.join("installed");
    said_by(
        Command::new("dpkg-deb")
            .arg("--extract")
            .arg(&package)
            .arg(&installed),
    );
    let version = said_by(Command::new(installed.join("usr/bin/ostrakon")).arg("--version"));
    let field = said_by(
        Command::new("dpkg-deb")
            .arg("--field")
            .arg(&package)
            .arg("Version"),
    );
    assert_eq!(version, format!("ostrakon {field}"));
    let unit = fs::read_to_string(installed.join("usr/lib/systemd/system/ostrakon@.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/bin/ostrakon "), "{unit}");
}
