//! Rules of the house that the compiler does not check.

use std::path::{Path, PathBuf};

use ostrakon_xtask::failure::{During, Failure, Result};

use crate::cargo::workspace;

/// Lines of a source file beyond which it is two files.
const LINES_MAX: usize = 600;

/// Folders of packages whose every crate root forbids `unsafe`. Platform crates may use it, with a reason at each place
/// (clippy's `undocumented_unsafe_blocks`).
const WITHOUT_UNSAFE: [&str; 3] = ["core", "tests", "xtask"];

/// Packages and files among these that speak C, or name symbols for a linker.
const WITH_UNSAFE: [&str; 3] = ["core/c/", "core/size/probe/", "tests/fuzz/src/bin/guided.rs"];

/// Folders of sources.
const PACKAGES: [&str; 5] = ["core", "platform-linux", "platform-qemu", "tests", "xtask"];

/// What core is the same source without, on every platform: asking what it is built for.
const ASKS_FOR_PLATFORM: [&str; 8] = [
    "target_os",
    "target_arch",
    "target_family",
    "target_env",
    "target_vendor",
    "target_abi",
    "cfg(unix",
    "cfg(windows",
];

/// What a crate root says.
const FORBID: &str = "#![forbid(unsafe_code)]";

pub(super) fn check() -> Result<Vec<String>> {
    let root = workspace();
    let mut complaints = Vec::new();
    for package in PACKAGES {
        for file in sources(&root.join(package))? {
            let text = std::fs::read_to_string(&file).during(format!("reading {}", file.display()))?;
            let name = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
            complaints.extend(too_long(&name, &text));
            complaints.extend(undone(&name, &text));
            if name.starts_with("core/src/") {
                complaints.extend(asks_for_platform(&name, &text));
            }
            let may = WITH_UNSAFE.iter().any(|package| name.starts_with(package));
            if WITHOUT_UNSAFE.contains(&package) && !may && is_crate_root(package_of(&file), &file) {
                complaints.extend(allows_unsafe(&name, &text));
            }
        }
    }
    if complaints.is_empty() {
        Ok(Vec::new())
    } else {
        Err(Failure::new(complaints.join("\n")))
    }
}

fn too_long(name: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > LINES_MAX).then(|| format!("{name}: {lines} lines, at most {LINES_MAX} are allowed"))
}

fn undone(name: &str, text: &str) -> Option<String> {
    // Put together, so that this file does not find itself.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    let found = marks.into_iter().find(|mark| text.contains(mark))?;
    Some(format!(
        "{name}: says {found}; what is left undone belongs in an issue"
    ))
}

fn asks_for_platform(name: &str, text: &str) -> Option<String> {
    let found = ASKS_FOR_PLATFORM.into_iter().find(|mark| text.contains(mark))?;
    Some(format!(
        "{name}: asks for {found}; core is the same on every platform"
    ))
}

fn allows_unsafe(name: &str, text: &str) -> Option<String> {
    (!text.lines().any(|line| line == FORBID)).then(|| format!("{name}: a crate root without {FORBID}"))
}

/// The folder of the package that a file belongs to: packages may lie within one another.
fn package_of(file: &Path) -> &Path {
    let mut folders = file.ancestors().skip(1);
    folders
        .find(|folder| folder.join("Cargo.toml").is_file())
        .unwrap_or(file)
}

/// Whether cargo starts a crate at this file of a package.
fn is_crate_root(package: &Path, file: &Path) -> bool {
    let Ok(path) = file.strip_prefix(package) else {
        return false;
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let in_targets = ["src/bin", "tests", "examples", "benches"]
        .iter()
        .any(|targets| folder == Path::new(targets));
    in_targets || path == Path::new("src/lib.rs") || path == Path::new("src/main.rs")
}

/// The Rust sources below a folder, sorted.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).during(format!("listing {}", folder.display()))?;
        for entry in entries {
            let path = entry.during(format!("listing {}", folder.display()))?.path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_found() {
        assert!(too_long("a.rs", &"\n".repeat(LINES_MAX)).is_none());
        assert!(too_long("a.rs", &"\n".repeat(LINES_MAX + 1)).is_some());
    }

    #[test]
    fn crate_roots_are_told_from_modules() {
        let root = |path: &str| is_crate_root(Path::new("/w/core"), &Path::new("/w/core").join(path));
        for path in ["src/lib.rs", "src/main.rs", "src/bin/sim.rs", "tests/a.rs"] {
            assert!(root(path), "{path}");
        }
        for path in ["src/a.rs", "src/a/lib.rs", "tests/a/mod.rs"] {
            assert!(!root(path), "{path}");
        }
    }

    #[test]
    fn a_file_belongs_to_the_innermost_package() {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(package_of(&package.join("src/commands/ci/sources.rs")), package);
        assert_eq!(
            package_of(&package.join("../core/src/lib.rs")),
            package.join("../core")
        );
    }

    #[test]
    fn a_core_that_asks_for_its_platform_is_found() {
        assert!(asks_for_platform("a.rs", "#[cfg(feature = \"voter\")]\n#[cfg(test)]").is_none());
        assert!(asks_for_platform("a.rs", "#[cfg(target_os = \"none\")]").is_some());
        assert!(asks_for_platform("a.rs", "if cfg!(target_arch = \"x86_64\") {}").is_some());
    }

    #[test]
    fn a_root_that_allows_unsafe_is_found() {
        assert!(allows_unsafe("a.rs", &format!("//! A\n{FORBID}\n")).is_none());
        assert!(allows_unsafe("a.rs", &format!("//! A\n// {FORBID}\n")).is_some());
    }
}
