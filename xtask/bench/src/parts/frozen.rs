//! The frozen leader: what a program that runs because its host leads still writes after its successor has begun.
//!
//! The program appends a line to a file of its own twenty times a second, which stands for writes to what the hosts
//! share. Everything on the first host is stopped, until the successor's program has begun; then everything goes on, and
//! the lines of the first one are counted from then on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ostrakon_xtask::cluster::sandbox::Sandbox;
use ostrakon_xtask::failure::{During, Failure, Result};

use super::{Context, folder, peer_ip};
use crate::measure::device::fill;
use crate::peers::etcd::{Etcd, Times};
use crate::peers::sanlock::{Sanlock, wait_for_file};
use crate::peers::{Daemon, find, until};
use crate::report::{Section, Table};

/// How long the first program is watched after the thaw.
const WATCH: Duration = Duration::from_secs(3);

/// Longest until the successor's program begins.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) fn run(context: &mut Context) -> Result<()> {
    let mut table = Table::new(&[
        "",
        "successor's program began after, s",
        "lines the frozen one wrote after that",
    ]);
    for (label, fence) in [
        ("ostrakon run, agent", "agent:ostrakon fence-kill"),
        ("ostrakon run, lease", "lease"),
    ] {
        let counted = ostrakon(context, fence)?;
        table.row(row(label, counted));
    }
    match find("etcdctl", "etcd-client").and_then(|()| find("etcd", "etcd-server")) {
        Err(why) => context.missing(why),
        Ok(()) => context.optional("etcd's lock", |context| {
            let counted = etcd(context)?;
            table.row(row("etcdctl lock, time to live 10 s", counted));
            Ok(())
        }),
    }
    match find("sanlock", "sanlock") {
        Err(why) => context.missing(why),
        Ok(()) if context.quick => {}
        Ok(()) => context.optional("sanlock's lease", |context| {
            let counted = sanlock(context)?;
            table.row(row("sanlock, I/O time-out 1 s, without its watchdog", counted));
            Ok(())
        }),
    }
    context.report.sections.push(Section {
        title: "The frozen leader's program".to_owned(),
        text: "Each system runs a program on the host that leads, or holds the lock: it appends a line to a file every 50 ms. The first host's \
               processes are stopped (SIGSTOP), all of them; when the successor's program has begun they go on (SIGCONT), and the lines \
               of the first one are counted for three seconds. Each such line is a write to shared data by two at once. Of a lease without a watchdog one is possible: the program was frozen between two of its own steps, and is ended as soon as it runs again."
            .to_owned(),
        tables: vec![table],
        charts: Vec::new(),
    });
    Ok(())
}

fn row(label: &str, (took, lines): (Duration, usize)) -> Vec<String> {
    vec![
        label.to_owned(),
        format!("{:.2}", took.as_secs_f64()),
        lines.to_string(),
    ]
}

/// The program, as a script beside its file: a tool that runs it might take its options for its own.
fn writer(file: &Path) -> Result<[String; 2]> {
    let script = file.with_extension("sh");
    let text = format!("while :; do echo x >> '{}'; sleep 0.05; done\n", file.display());
    std::fs::write(&script, text).during(format!("writing {}", script.display()))?;
    Ok(["/bin/sh".to_owned(), script.display().to_string()])
}

fn lines(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

/// Stops the first, waits for the second's file, lets the first go on, and counts.
fn freeze(first: &[&Daemon], files: &[PathBuf; 2]) -> Result<(Duration, usize)> {
    let started = std::time::Instant::now();
    for daemon in first {
        daemon.freeze()?;
    }
    until(PATIENCE, "the successor's program", || {
        (lines(&files[1]) > 0).then_some(())
    })?;
    let took = started.elapsed();
    let before = lines(&files[0]);
    first.iter().for_each(|daemon| daemon.thaw());
    std::thread::sleep(WATCH);
    Ok((took, lines(&files[0]) - before))
}

fn ostrakon(context: &Context, fence: &str) -> Result<(Duration, usize)> {
    let sandbox = Sandbox::create(&context.folder, "frozen")?;
    let image = sandbox.folder().join("volume.img");
    let format = Command::new(&context.binary)
        .arg("format")
        .arg(&image)
        .args(["--quorum-count", "1", "--size", "8M"])
        .output()
        .during("running ostrakon format")?;
    if !format.status.success() {
        return Err(Failure::new(String::from_utf8_lossy(&format.stderr).into_owned()));
    }
    let files = ["a", "b"].map(|name| sandbox.folder().join(name));
    let mut hosts = Vec::new();
    for file in &files {
        let mut command = Command::new(&context.binary);
        command
            .arg("run")
            .arg(&image)
            .args([
                "--server-addr",
                &sandbox.free_addr()?.to_string(),
                "--fence",
                fence,
                "--",
            ])
            .args(writer(file)?)
            .env("OSTRAKON_RUNTIME_DIR", sandbox.runtime_dir());
        hosts.push(Daemon::start(
            &mut command,
            &file.with_extension("log"),
            &context.reaper,
        )?);
        // The first one leads before the second one comes.
        wait_for_file(&files[0])?;
    }
    std::thread::sleep(Duration::from_secs(1));
    freeze(&[&hosts[0]], &files)
}

fn etcd(context: &Context) -> Result<(Duration, usize)> {
    let home = absolute(&folder(context, "etcd-lock"))?;
    let ip = peer_ip(40);
    let _etcd = Etcd::start(&home, ip, Times::Default, &context.reaper)?;
    let files = ["a", "b"].map(|name| home.join(name));
    let mut holders = Vec::new();
    for file in &files {
        let mut command = Command::new("etcdctl");
        command
            .env("ETCDCTL_API", "3")
            .args([
                "--endpoints",
                &format!("http://{ip}:2379"),
                "lock",
                "--ttl",
                "10",
                "bench",
            ])
            .args(writer(file)?);
        holders.push(Daemon::start(
            &mut command,
            &file.with_extension("log"),
            &context.reaper,
        )?);
        wait_for_file(&files[0])?;
    }
    std::thread::sleep(Duration::from_secs(1));
    freeze(&[&holders[0]], &files)
}

fn sanlock(context: &Context) -> Result<(Duration, usize)> {
    let home = absolute(&folder(context, "sanlock-frozen"))?;
    let image = home.join("image");
    fill(&image, 16)?;
    let mut sanlock = Sanlock::create(&home, &image, 1, &context.reaper)?;
    sanlock.join()?;
    sanlock.join()?;
    let files = ["a", "b"].map(|name| home.join(name));
    let first = writer(&files[0])?;
    let holder = sanlock.hold(0, &first.each_ref().map(String::as_str))?;
    wait_for_file(&files[0])?;
    let started = std::time::Instant::now();
    for daemon in [sanlock.host(0), &holder] {
        daemon.freeze()?;
    }
    sanlock.take(1)?;
    let took = started.elapsed();
    let before = lines(&files[0]);
    for daemon in [sanlock.host(0), &holder] {
        daemon.thaw();
    }
    std::thread::sleep(WATCH);
    Ok((took, lines(&files[0]) - before))
}

/// A folder that programs find from wherever they run.
fn absolute(folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).during(format!("making {}", folder.display()))?;
    folder
        .canonicalize()
        .during(format!("looking for {}", folder.display()))
}
