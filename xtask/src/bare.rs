//! Compilers for bare targets: what rustup installed, or the distribution's compiler and its sources.
//!
//! Without rustup's prebuilt `core` a target can be built for all the same: a compiler that comes with its sources builds
//! `core` itself. Debian has one for its browsers, `rustc-web`. It is unpacked into the target folder, and never
//! installed: nothing of the machine changes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{During, Failure, Result, ensure};

/// The distribution's packages that hold a compiler, the standard library of the host (for macros), and its sources.
const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// Packages they depend on that hold parts of the compiler; others are on every machine that compiles.
const PARTS: [&str; 3] = ["libstd-rust-web", "libllvm", "libz3"];

/// How a bare target is built for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Compiler {
    /// The compiler in use has a `core` for it.
    Prebuilt,
    /// The distribution's compiler, unpacked in this folder, builds `core` too.
    Distribution(PathBuf),
}

impl Compiler {
    /// The compiler for a target; `Err` holds the reason why there is none, and what to do.
    ///
    /// # Errors
    /// If rustc cannot be asked.
    pub fn of(target: &str) -> Result<std::result::Result<Self, String>> {
        if has_core(target)? {
            return Ok(Ok(Self::Prebuilt));
        }
        let folder = folder();
        if folder.join("usr/bin/rustc").is_file() {
            return Ok(Ok(Self::Distribution(folder)));
        }
        Ok(Err(format!(
            "no compiler for {target} (rustup target add {target}, or on Debian: cargo xtask bare-compiler)"
        )))
    }

    /// Makes a command of cargo, whose verb was given and whose other arguments follow, build with this compiler.
    pub fn prepare<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if let Self::Distribution(folder) = self {
            command
                .env("RUSTC", folder.join("usr/bin/rustc"))
                .env("LD_LIBRARY_PATH", libraries(folder))
                // `-Zbuild-std` is a feature of unstable compilers that every compiler has.
                .env("RUSTC_BOOTSTRAP", "1")
                .env_remove("RUSTFLAGS")
                .env_remove("CARGO_ENCODED_RUSTFLAGS")
                .args(["-Zbuild-std=core", "-Zbuild-std-features=compiler-builtins-mem"]);
        }
        command
    }

    /// The version of the compiler, and where its `core` comes from: what decides about code that is made of one source.
    ///
    /// # Errors
    /// If rustc cannot be asked.
    pub fn version(&self) -> Result<String> {
        let mut command = match self {
            Self::Prebuilt => Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())),
            Self::Distribution(folder) => Command::new(folder.join("usr/bin/rustc")),
        };
        if let Self::Distribution(folder) = self {
            command.env("LD_LIBRARY_PATH", libraries(folder));
        }
        let output = command
            .arg("--version")
            .output()
            .during("asking rustc for its version")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let number = text.split_whitespace().nth(1).unwrap_or("unknown");
        Ok(match self {
            Self::Prebuilt => number.to_owned(),
            Self::Distribution(_) => format!("{number}, core built too"),
        })
    }

    /// For people.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Prebuilt => "prebuilt core",
            Self::Distribution(_) => "the distribution's compiler, core built from source",
        }
    }
}

/// Where the distribution's compiler lies.
fn folder() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || package.parent().unwrap_or(package).join("target"),
        PathBuf::from,
    );
    target.join("bare-compiler")
}

fn libraries(folder: &Path) -> PathBuf {
    folder.join("usr/lib/x86_64-linux-gnu")
}

/// Whether the compiler in use has a `core` for a target.
///
/// # Errors
/// If rustc cannot be asked.
pub fn has_core(target: &str) -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", target])
        .output()
        .during("asking rustc where its libraries are")?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let is_core = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("libcore-");
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    Ok(output.status.success() && files.into_iter().any(|file| is_core(&file.file_name())))
}

/// Downloads the distribution's compiler from the machine's own package sources, and unpacks it; with `if_needed` only
/// where the compiler in use lacks a target.
///
/// # Errors
/// What is missing, and what to do.
pub fn provide(if_needed: bool) -> Result<()> {
    let folder = folder();
    if if_needed && has_core("thumbv7em-none-eabi")? && has_core("riscv32imac-unknown-none-elf")? {
        return Ok(());
    }
    if folder.join("usr/bin/rustc").is_file() {
        println!("it is there already: {}", folder.display());
        return Ok(());
    }
    ensure(cfg!(target_arch = "x86_64"), || {
        "the distribution's compiler is unpacked on x86_64 only".to_owned()
    })?;
    let unpacked = folder.with_extension("unpacking");
    let downloads = unpacked.join("downloads");
    // What an earlier try left behind.
    let _ = std::fs::remove_dir_all(&unpacked);
    std::fs::create_dir_all(&downloads).during(format!("making {}", downloads.display()))?;
    let packages = packages()?;
    println!("downloading {}", packages.join(" "));
    run(Command::new("apt-get")
        .arg("download")
        .args(&packages)
        .current_dir(&downloads))?;
    let files = std::fs::read_dir(&downloads).during("listing what was downloaded")?;
    for file in files {
        let file = file.during("listing what was downloaded")?.path();
        run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&unpacked))?;
    }
    std::fs::remove_dir_all(&downloads).during(format!("removing {}", downloads.display()))?;
    let rustc = unpacked.join("usr/bin/rustc");
    run(Command::new(&rustc)
        .arg("--version")
        .env("LD_LIBRARY_PATH", libraries(&unpacked)))?;
    std::fs::rename(&unpacked, &folder).during(format!("moving it to {}", folder.display()))
}

/// The packages to download: the compiler, its sources, and whatever parts of the compiler these depend on.
fn packages() -> Result<Vec<String>> {
    let output = Command::new("apt-cache")
        .args(["depends", "--recurse", "--no-recommends", "--no-suggests"])
        .args(["--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances"])
        .args(PACKAGES)
        .output()
        .during("running apt-cache, to find the distribution's compiler")?;
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut packages: Vec<String> = PACKAGES.map(str::to_owned).to_vec();
    // A package that is listed with its dependencies stands alone on its line.
    let names = listed.lines().filter(|line| !line.starts_with([' ', '|', '<']));
    packages.extend(
        names
            .filter(|name| PARTS.iter().any(|part| name.starts_with(part)))
            .map(str::to_owned),
    );
    ensure(packages.len() > PACKAGES.len(), || {
        "the package sources of this machine have no rustc-web (Debian: apt-get update, with the security suite)"
            .to_owned()
    })?;
    Ok(packages)
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .stdin(Stdio::null())
        .status()
        .during(format!("running {program}"))?;
    ensure(status.success(), || format!("{program} ended with {status}"))
        .map_err(|failure| Failure::new(format!("{failure}; see above")))
}
