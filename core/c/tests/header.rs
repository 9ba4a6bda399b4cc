//! The header that is checked in is the one that the sources give, and C and C++ take it without a warning.

use std::path::{Path, PathBuf};
use std::process::Command;

use ostrakon_xtask::skipped;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn generate() -> String {
    let config = cbindgen::Config::from_file(folder().join("cbindgen.toml")).expect("cbindgen.toml");
    let builder = cbindgen::Builder::new().with_config(config).with_crate(folder());
    let mut header = Vec::new();
    builder
        .generate()
        .expect("the sources of this crate parse")
        .write(&mut header);
    let header = String::from_utf8(header).expect("a header of plain text");
    // Rust's heading above what a caller must see to; in C that goes without saying.
    header.replace("// # Safety\n", "")
}

#[test]
fn the_header_is_up_to_date() {
    let path = folder().join("include/ostrakon.h");
    let generated = generate();
    if std::env::var_os("OSTRAKON_BLESS").is_some() {
        std::fs::write(&path, &generated).expect("the header can be written");
    }
    let found = std::fs::read_to_string(&path).expect("include/ostrakon.h");
    assert!(
        found == generated,
        "include/ostrakon.h is not what the sources give; OSTRAKON_BLESS=1 cargo test -p ostrakon-c writes it anew"
    );
}

/// Compiles a file that is nothing but the header and a look at a few of its names.
fn compiles(compiler: &str, arguments: &[&str]) {
    if Command::new(compiler).arg("--version").output().is_err() {
        return skipped::note(
            &format!("the header under {compiler} {}", arguments.join(" ")),
            &format!("no {compiler} here (on Debian: apt-get install gcc g++)"),
        );
    }
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let source = scratch.path().join("uses_header.c");
    let text = "#include \"ostrakon.h\"\n\
        static uint64_t memory[OSTRAKON_MOUNT_BYTES_8 / 8];\n\
        int main(void) {\n\
            ostrakon_mount *mount = 0;\n\
            ostrakon_config config;\n\
            ostrakon_error error = ostrakon_config_default(&config);\n\
            if (error != OSTRAKON_ERROR_NONE) return 1;\n\
            return ostrakon_start(memory, sizeof memory, 8, 0, &config, &mount) == OSTRAKON_ERROR_CONFIG_RID ? 0 : 1;\n\
        }\n";
    std::fs::write(&source, text).expect("the source can be written");
    let output = Command::new(compiler)
        .args(arguments)
        .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-c", "-o"])
        .arg(scratch.path().join("uses_header.o"))
        .arg("-I")
        .arg(folder().join("include"))
        .arg(&source)
        .output()
        .expect("the compiler runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler} {arguments:?}:\n{errors}");
}

#[test]
fn c99_takes_the_header() {
    compiles("gcc", &["-std=c99"]);
}

#[test]
fn cxx_takes_the_header() {
    compiles("g++", &["-x", "c++", "-std=c++11"]);
}

#[test]
fn small_enums_do_not_change_the_interface() {
    // What AAPCS compilers do by default.
    compiles("gcc", &["-std=c99", "-fshort-enums"]);
}
