//! What a guest boots: a kernel that is there already, and an archive of busybox, modules and the program.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ostrakon_xtask::failure::{During, Failure, Result, ensure};

use crate::cargo::output;

/// What a guest needs beyond what is built in.
const MODULES: [&str; 4] = ["virtio_pci", "virtio_scsi", "sd_mod", "virtio_net"];

const INIT: &str = "\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod $module; done
until [ -b /dev/sda ]; do sleep 0.1; done
echo READY
while read -r line; do eval \"$line\"; done
";

/// A kernel and its modules by name.
pub(super) struct Kernel {
    pub(super) image: PathBuf,
    modules: BTreeMap<String, PathBuf>,
}

impl Kernel {
    pub(super) fn find(root: &Path) -> std::result::Result<Self, String> {
        let none = || {
            format!(
                "no boot/vmlinuz-* with the modules that belong to it in {}",
                root.display()
            )
        };
        let entries = fs::read_dir(root.join("boot")).map_err(|_| none())?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(version) = name.to_str().and_then(|name| name.strip_prefix("vmlinuz-")) else {
                continue;
            };
            let mut modules = BTreeMap::new();
            collect(&root.join("lib/modules").join(version), &mut modules);
            if MODULES.iter().all(|name| modules.contains_key(*name)) {
                return Ok(Self {
                    image: entry.path(),
                    modules,
                });
            }
        }
        Err(none())
    }

    /// A module behind all that it needs.
    fn add(&self, name: &str, order: &mut Vec<PathBuf>) -> Result<()> {
        let Some(path) = self.modules.get(&name.replace('-', "_")) else {
            // Built in.
            return Ok(());
        };
        if order.contains(path) {
            return Ok(());
        }
        let bytes = fs::read(path).during(format!("reading {}", path.display()))?;
        let mark = b"\0depends=";
        if let Some(at) = bytes.windows(mark.len()).position(|bytes| bytes == mark) {
            let names = bytes[at + mark.len()..]
                .split(|&byte| byte == 0)
                .next()
                .unwrap_or_default();
            for needed in String::from_utf8_lossy(names)
                .split(',')
                .filter(|name| !name.is_empty())
            {
                self.add(needed, order)?;
            }
        }
        order.push(path.clone());
        Ok(())
    }
}

fn collect(folder: &Path, modules: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // Not a link: the folder of modules links to that of its sources.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&path, modules);
        } else if path.extension() == Some(OsStr::new("ko"))
            && let Some(name) = path.file_stem().and_then(OsStr::to_str)
        {
            modules.insert(name.replace('-', "_"), path);
        }
    }
}

/// A program in a folder of PATH, or where administrators have theirs.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// Packs the archive.
pub(super) fn initrd(kernel: &Kernel, binary: &Path, folder: &Path) -> Result<PathBuf> {
    let root = folder.join("root");
    for name in ["bin", "dev", "proc", "sys", "run", "tmp", "modules"] {
        fs::create_dir_all(root.join(name)).during("making the guests' folders")?;
    }
    let busybox = find("busybox").ok_or_else(|| Failure::new("busybox is gone"))?;
    copy(&busybox, &root.join("bin/busybox"))?;
    copy(binary, &root.join("bin/ostrakon"))?;
    for library in libraries(binary)? {
        let inside = root.join(library.strip_prefix("/").unwrap_or(&library));
        if let Some(parent) = inside.parent() {
            fs::create_dir_all(parent).during("making the guests' folders")?;
        }
        copy(&library, &inside)?;
    }
    let mut order = Vec::new();
    for name in MODULES {
        kernel.add(name, &mut order)?;
    }
    for (number, module) in order.iter().enumerate() {
        copy(module, &root.join(format!("modules/{number:02}.ko")))?;
    }
    let init = root.join("init");
    fs::write(&init, INIT).during("writing init")?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).during("writing init")?;
    pack(&busybox, &root, folder.join("initrd"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .map(drop)
        .during(format!("copying {}", from.display()))
}

/// What the program is linked with, the loader too.
fn libraries(binary: &Path) -> Result<Vec<PathBuf>> {
    let listed = output(Command::new("ldd").arg(binary))?;
    let paths = listed.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths.map(PathBuf::from).collect())
}

fn pack(busybox: &Path, root: &Path, archive: PathBuf) -> Result<PathBuf> {
    let file = fs::File::create(&archive).during("making the archive")?;
    let script = "find . | \"$1\" cpio -o -H newc";
    let status = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(busybox)
        .current_dir(root)
        .stdout(file)
        .stderr(Stdio::null())
        .status()
        .during("packing the archive")?;
    ensure(status.success(), || {
        format!("packing the archive ended with {status}")
    })?;
    Ok(archive)
}
