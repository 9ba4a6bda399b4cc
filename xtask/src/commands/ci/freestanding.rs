//! Shows that core needs neither std nor alloc.
//!
//! On the host's own target, which is always there: core is built alone, and a program with a panic handler and
//! without a global allocator is compiled against it. If anything below it linked std there would be two panic
//! handlers, if anything linked alloc there would be no allocator: rustc refuses both. That it does is shown each
//! time, by asking for exactly these mistakes.

use std::path::{Path, PathBuf};
use std::process::Command;

use ostrakon_xtask::bare::Compiler;
use ostrakon_xtask::failure::{During, Failure, Result, ensure};

use crate::cargo::{build, cargo, succeed, target_folder};

/// Bare targets that core is built for: 32 bits with and without atomic operations, and 64 bits.
const TARGETS: [&str; 5] = [
    "thumbv7em-none-eabi",
    "thumbv6m-none-eabi",
    "riscv32imac-unknown-none-elf",
    "aarch64-unknown-none",
    "x86_64-unknown-none",
];

/// Without std, without alloc.
const PROGRAM: &str = "\
#![no_std]
extern crate ostrakon_core;
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} }
";

/// What must be refused: the line added, and a word of the complaint.
const MISTAKES: [(&str, &str); 2] = [
    ("extern crate std;", "panic_impl"),
    ("extern crate alloc;", "global memory allocator"),
];

pub(super) fn check() -> Result<Vec<String>> {
    on_the_host()?;
    let mut unchecked = Vec::new();
    let mut logs = false;
    for target in TARGETS {
        match Compiler::of(target)? {
            Ok(compiler) => {
                let mut build = cargo(["build"]);
                compiler
                    .prepare(&mut build)
                    .args(["--package", "ostrakon-core", "--target", target]);
                succeed(&mut build)?;
                eprintln!("core builds for {target} ({})", compiler.name());
                // Once is enough: it is the same for all.
                if !logs && compiler == Compiler::Prebuilt {
                    with_logs(target)?;
                    logs = true;
                }
            }
            Err(reason) => unchecked.push(reason),
        }
    }
    Ok(unchecked)
}

/// With what tells events to the crates `log` and `defmt`, without warnings.
fn with_logs(target: &str) -> Result<()> {
    for features in ["log", "defmt"] {
        succeed(&mut cargo([
            "clippy",
            "--package",
            "ostrakon-core",
            "--target",
            target,
            "--features",
            features,
            "--",
            "-D",
            "warnings",
        ]))?;
    }
    Ok(())
}

fn on_the_host() -> Result<()> {
    let folder = target_folder().join("freestanding");
    let folder_name = folder.to_string_lossy().into_owned();
    let arguments = [
        "build",
        "--package",
        "ostrakon-core",
        "--target-dir",
        &folder_name,
        "--config",
    ];
    // A panic handler of one's own needs a core that aborts: nobody unwinds there.
    let arguments = [&arguments[..], &["profile.dev.panic=\"abort\""]].concat();
    let files = build(&arguments, "ostrakon_core")?;
    let library = files
        .iter()
        .find(|file| file.extension().is_some_and(|extension| extension == "rlib"));
    let library = library.ok_or_else(|| Failure::new("cargo built no rlib of core"))?;
    ensure(compile(PROGRAM, library, &folder)?.is_none(), || {
        "core links std or alloc; see above".to_owned()
    })?;
    for (mistake, word) in MISTAKES {
        let complaint = compile(&format!("{PROGRAM}{mistake}\n"), library, &folder)?;
        ensure(complaint.as_ref().is_some_and(|text| text.contains(word)), || {
            format!("{mistake:?} should have been refused for its {word}; rustc says {complaint:?}")
        })?;
    }
    eprintln!("core needs neither std nor alloc");
    Ok(())
}

/// Compiles a program against core; what rustc complained of, if it did.
fn compile(program: &str, library: &Path, folder: &Path) -> Result<Option<String>> {
    let source = folder.join("freestanding.rs");
    std::fs::write(&source, program).during(format!("writing {}", source.display()))?;
    let dependencies: PathBuf = library.parent().unwrap_or(folder).join("deps");
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.args([
        "--edition",
        "2024",
        "--crate-type",
        "staticlib",
        "-C",
        "panic=abort",
        "--extern",
    ]);
    command.arg(format!("ostrakon_core={}", library.display()));
    command
        .arg("-L")
        .arg(format!("dependency={}", dependencies.display()));
    command
        .arg("-o")
        .arg(folder.join("libfreestanding.a"))
        .arg(&source);
    let output = command.output().during("running rustc")?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok(None);
    }
    if program == PROGRAM {
        eprint!("{complaint}");
    }
    Ok(Some(complaint))
}
