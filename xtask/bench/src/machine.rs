//! What kind of machine this is, in terms that say nothing about which one.

use std::fmt;

/// The class of the machine.
#[derive(Clone, Debug)]
pub struct Machine {
    processors: usize,
    model: String,
    memory_gib: u64,
    kernel: String,
    file_system: String,
    load: String,
}

impl Machine {
    /// This one, and the file system of this folder.
    pub fn look(folder: &std::path::Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
        let memory = read("/proc/meminfo");
        let kib: u64 = memory
            .lines()
            .find_map(|line| {
                line.strip_prefix("MemTotal:")?
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            })
            .unwrap_or(0);
        let release = read("/proc/sys/kernel/osrelease");
        let mut numbers = release.trim().split(['.', '-']);
        let kernel = [numbers.next().unwrap_or("?"), numbers.next().unwrap_or("?")].join(".");
        let loads = read("/proc/loadavg");
        Self {
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            model: model.unwrap_or("an unknown processor").trim().to_owned(),
            memory_gib: (kib + (1 << 19)) >> 20,
            kernel,
            file_system: file_system(folder),
            load: loads.split(' ').next().unwrap_or("?").to_owned(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} processors ({}), {} GiB of memory, Linux {}, images on {}; load average {} when the run began",
            self.processors, self.model, self.memory_gib, self.kernel, self.file_system, self.load
        )
    }
}

/// The kind of the file system that holds a folder: the longest mount point above it.
fn file_system(folder: &std::path::Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mut best = (0, "an unknown file system".to_owned());
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        if let [_, point, kind, ..] = fields[..]
            && folder.starts_with(point)
            && point.len() >= best.0
        {
            best = (point.len(), kind.to_owned());
        }
    }
    best.1
}
