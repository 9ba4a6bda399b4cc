//! What the kernel counts of a process.

use std::time::{Duration, Instant};

use ostrakon_xtask::failure::{During, Failure, Result, ensure};

/// Counters of a process at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// When.
    pub at: Instant,
    /// Processor time, in user and kernel mode.
    pub cpu: Duration,
    /// Bytes read from storage.
    pub read_bytes: u64,
    /// Bytes written to storage.
    pub write_bytes: u64,
    /// Resident memory, in bytes.
    pub resident: u64,
}

impl Usage {
    /// Now, of this process.
    pub fn of(pid: u32) -> Result<Self> {
        let io = text(pid, "io")?;
        let status = text(pid, "status")?;
        Ok(Self {
            at: Instant::now(),
            cpu: cpu(&text(pid, "stat")?)?,
            read_bytes: field(&io, "read_bytes:")?,
            write_bytes: field(&io, "write_bytes:")?,
            // One that has ended, and was not collected yet, has none.
            resident: field(&status, "VmRSS:").unwrap_or(0) * 1024,
        })
    }

    /// What several processes use, all of which must live: the sum of a host one of whose processes has ended, or of none at
    /// all, would be no figure of a host.
    pub fn of_all(pids: &[u32]) -> Result<Vec<Self>> {
        ensure(!pids.is_empty(), || "no process of it was found".to_owned())?;
        let living = |&pid: &u32| {
            let usage = Self::of(pid)?;
            ensure(usage.resident > 0, || format!("its process {pid} has ended"))?;
            Ok(usage)
        };
        pids.iter().map(living).collect()
    }

    /// Share of one processor since `before`.
    pub fn cpu_share(&self, before: &Self) -> f64 {
        self.cpu.saturating_sub(before.cpu).as_secs_f64() / (self.at - before.at).as_secs_f64()
    }
}

fn text(pid: u32, name: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{name}");
    std::fs::read_to_string(&path).during(format!("reading {path}"))
}

fn field(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| Failure::new(format!("expected {name} and a number in {text:?}")))
}

/// Ticks of user and kernel mode: the 12th and 13th field behind the name in brackets, which may hold anything.
fn cpu(stat: &str) -> Result<Duration> {
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok());
    let (Some(user), Some(kernel)) = (ticks(11), ticks(12)) else {
        return Err(Failure::new(format!("expected processor times in {stat:?}")));
    };
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(
        (user + kernel) as f64 / per_second as f64,
    ))
}

/// A process and all that descend from it.
pub fn tree(pid: u32) -> Vec<u32> {
    let mut pids = vec![pid];
    let mut next = 0;
    while let Some(&parent) = pids.get(next) {
        next += 1;
        // Any of its threads may have started some.
        let threads = std::fs::read_dir(format!("/proc/{parent}/task"))
            .into_iter()
            .flatten()
            .flatten();
        for thread in threads {
            let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            pids.extend(
                children
                    .split_whitespace()
                    .filter_map(|text| text.parse::<u32>().ok()),
            );
        }
    }
    pids
}

/// Processes of a group, whatever their parents.
pub fn group(leader: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|&pid| {
        let found = stat(pid).and_then(|stat| stat.get(2)?.parse().ok());
        found == Some(leader)
    })
    .collect()
}

/// Whether a process does nothing any more: it is stopped, or has ended.
pub fn is_still(pid: u32) -> bool {
    stat(pid).is_none_or(|stat| {
        stat.first()
            .is_none_or(|state| matches!(&state[..], "T" | "Z" | "X"))
    })
}

/// What stands behind a process's name, which is in brackets and may hold anything: state, parent, group, ...
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Sends a signal; a process that is gone needs none.
pub fn signal(pids: &[u32], signal: rustix::process::Signal) {
    for &pid in pids {
        if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

/// Sends a signal to a process group; one that is empty needs none.
pub fn signal_group(leader: u32, signal: rustix::process::Signal) {
    if let Some(leader) = i32::try_from(leader)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    {
        let _ = rustix::process::kill_process_group(leader, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_counted() {
        let usage = Usage::of(std::process::id()).expect("the kernel tells of this process");
        assert!(usage.resident > 4096);
        assert!(tree(std::process::id()).contains(&std::process::id()));
    }

    #[test]
    fn a_host_without_processes_or_with_one_that_ended_is_not_measured() {
        let own = std::process::id();
        assert_eq!(Usage::of_all(&[own]).expect("this process lives").len(), 1);
        Usage::of_all(&[]).expect_err("nothing was measured");
        let mut child = std::process::Command::new("true").spawn().expect("true starts");
        let pid = child.id();
        // It has ended, and is there until it is waited for.
        while !is_still(pid) {
            std::thread::yield_now();
        }
        Usage::of_all(&[own, pid]).expect_err("one has ended");
        child.wait().expect("it is waited for");
        Usage::of_all(&[own, pid]).expect_err("one is gone");
    }

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 100 50 0 0";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let expected = Duration::from_secs_f64(150.0 / ticks);
        assert_eq!(cpu(stat).expect("a good line"), expected);
    }
}
