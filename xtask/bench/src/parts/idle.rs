//! Idle hosts, of all systems in one window: what they read and write on the shared device, their processor and memory.

use std::time::Duration;

use ostrakon_xtask::cluster::{Cluster, MountId};
use ostrakon_xtask::failure::Result;

use super::{Context, folder, peer_ip, server};
use crate::measure::Samples;
use crate::measure::device::{DeviceIo, LoopDevice};
use crate::measure::process::{Usage, tree};
use crate::peers::etcd::{Etcd, Times};
use crate::peers::find;
use crate::peers::sanlock::Sanlock;
use crate::peers::sbd::Sbd;
use crate::report::{Bar, Chart, Section, Table, number};

const MIB: f64 = 1024.0 * 1024.0;

/// Hosts that are watched: their processes, and their shared device, if they have one.
struct Watched {
    label: String,
    /// Names of the facts that they give: memory, operations a second on the device by one of these hosts.
    facts: [&'static str; 2],
    /// Hosts among which the device's I/O is shared: those that do any.
    hosts: f64,
    pids: Vec<Vec<u32>>,
    device: Option<usize>,
    /// Which of the sanlocks it is, if it is one.
    sanlock: Option<usize>,
    ours: bool,
}

impl Watched {
    fn usage(&self) -> Result<Vec<Usage>> {
        Usage::of_all(&self.pids.concat())
    }
}

/// What the processes of one kind of host used when the window began, and when it ended.
type Window = (Vec<Usage>, Vec<Usage>);

/// What must live while the window lasts.
#[derive(Default)]
struct Alive {
    cluster: Option<Cluster>,
    sanlocks: Vec<Sanlock>,
    sbd: Option<Sbd>,
    etcd: Option<Etcd>,
    // Gone last: whoever uses them has ended by then.
    devices: Vec<LoopDevice>,
}

pub(super) fn run(context: &mut Context) -> Result<()> {
    let window = Duration::from_secs(if context.quick { 10 } else { 60 });
    let mut alive = Alive::default();
    let mut watched = Vec::new();
    let ours = start_ours(context, &mut alive, &mut watched)?;
    for (io_timeout, facts) in [
        (1, ["idle.rss.sanlock", "idle.ops.sanlock-tight"]),
        (10, ["idle.rss.sanlock-default", "idle.ops.sanlock"]),
    ] {
        match find("sanlock", "sanlock") {
            Err(why) => context.missing(why),
            Ok(()) => context.optional("sanlock", |context| {
                start_sanlock(context, io_timeout, facts, &mut alive, &mut watched)
            }),
        }
    }
    match find("sbd", "sbd") {
        Err(why) => context.missing(why),
        Ok(()) => context.optional("sbd", |context| start_sbd(context, &mut alive, &mut watched)),
    }
    match find("etcd", "etcd-server") {
        Err(why) => context.missing(why),
        Ok(()) => context.optional("etcd", |context| start_etcd(context, &mut alive, &mut watched)),
    }
    // What an election, or a join, leaves behind is over soon.
    std::thread::sleep(Duration::from_secs(5));
    let usages =
        |watched: &[Watched]| -> Vec<Result<Vec<Usage>>> { watched.iter().map(Watched::usage).collect() };
    let ios = |alive: &Alive| {
        alive
            .devices
            .iter()
            .map(LoopDevice::io)
            .collect::<Result<Vec<_>>>()
    };
    let (before, io_before) = (usages(&watched), ios(&alive)?);
    std::thread::sleep(window);
    let (after, io_after) = (usages(&watched), ios(&alive)?);
    let windows: Vec<Option<Window>> = watched
        .iter()
        .zip(before.into_iter().zip(after))
        .map(|(one, (before, after))| measured(context, &alive, one, before, after))
        .collect();
    if let (Some(cluster), Some((server, others))) = (&alive.cluster, ours) {
        quiet_others(context, cluster, server, &others, &watched, &windows);
    }
    tell(context, window, &watched, &windows, (&io_before, &io_after));
    Ok(())
}

/// Whether the window says anything of this host: all of its processes lived, and did what such a host does.
fn measured(
    context: &mut Context,
    alive: &Alive,
    one: &Watched,
    before: Result<Vec<Usage>>,
    after: Result<Vec<Usage>>,
) -> Option<Window> {
    let member = one
        .sanlock
        .map_or(Ok(()), |index| alive.sanlocks[index].all_renew());
    match member.and_then(|()| Ok((before?, after?))) {
        Ok(window) => Some(window),
        Err(failure) => {
            context.missing(format!("idle hosts, {}: {failure}", one.label));
            None
        }
    }
}

/// A server, two voters that do not serve, a plain client; on a loop device, or on a file where none can be made.
fn start_ours(
    context: &mut Context,
    alive: &mut Alive,
    watched: &mut Vec<Watched>,
) -> Result<Option<(MountId, Vec<MountId>)>> {
    let mut cluster = Cluster::unformatted(&context.binary, &context.folder, "idle")?;
    let image = cluster.image().to_owned();
    match LoopDevice::create(&folder(context, "idle-ostrakon.img"), 64) {
        Err(failure) => {
            context.missing(format!("I/O of shared devices: {failure}"));
            crate::measure::device::fill(&image, 64)?;
        }
        Ok(device) => {
            // The harness knows its image by a name of its own.
            std::os::unix::fs::symlink(device.path(), &image).map_err(|error| {
                ostrakon_xtask::failure::Failure::new(format!("a link to the device: {error}"))
            })?;
            alive.devices.push(device);
        }
    }
    cluster.tool().format(2, None)?;
    let mut ids = Vec::new();
    for name in ["idle0", "idle1", "idle2"] {
        ids.push(cluster.voter(name)?);
    }
    ids.push(cluster.client("client")?);
    cluster.wait_connected(&ids, ostrakon_xtask::cluster::log::Mark::START)?;
    let (server, _) = server(&cluster)?;
    let others: Vec<MountId> = ids.iter().copied().filter(|&id| id != server).collect();
    let client = ids[3];
    let pid = |id: MountId| vec![cluster.get(id).pid()];
    let device = (!alive.devices.is_empty()).then_some(0);
    let voters = others
        .iter()
        .filter(|&&id| id != client)
        .map(|&id| pid(id))
        .collect();
    for (label, facts, pids, device) in [
        (
            "ostrakon, serving host",
            ["idle.rss.server", "idle.ops"],
            vec![pid(server)],
            device,
        ),
        ("ostrakon, voter", ["idle.rss.follower", ""], voters, None),
        (
            "ostrakon, plain client",
            ["idle.rss.client", ""],
            vec![pid(client)],
            None,
        ),
    ] {
        watched.push(Watched {
            label: label.to_owned(),
            facts,
            hosts: 1.0,
            pids,
            device,
            sanlock: None,
            ours: true,
        });
    }
    alive.cluster = Some(cluster);
    Ok(Some((server, others)))
}

/// Bytes that hosts which do not serve have read and written: there should be none.
fn quiet_others(
    context: &mut Context,
    cluster: &Cluster,
    server: MountId,
    others: &[MountId],
    watched: &[Watched],
    windows: &[Option<Window>],
) {
    let server_pid = cluster.get(server).pid();
    let mut moved = 0;
    for (one, window) in watched.iter().zip(windows).filter(|(one, _)| one.ours) {
        let Some((before, after)) = window else {
            return;
        };
        let pids = one.pids.concat();
        for ((pid, before), after) in pids.iter().zip(before).zip(after) {
            if *pid != server_pid {
                moved += after.read_bytes.saturating_sub(before.read_bytes);
                moved += after.write_bytes.saturating_sub(before.write_bytes);
            }
        }
    }
    debug_assert_eq!(others.len(), 3);
    context
        .report
        .fact("idle.bytes.others", &Samples::from_iter([moved as f64]));
}

fn start_sanlock(
    context: &Context,
    io_timeout: u32,
    facts: [&'static str; 2],
    alive: &mut Alive,
    watched: &mut Vec<Watched>,
) -> Result<()> {
    let device = LoopDevice::create(&folder(context, &format!("idle-sanlock{io_timeout}.img")), 16)?;
    let home = folder(context, &format!("idle-sanlock{io_timeout}"));
    let mut sanlock = Sanlock::create(&home, device.path(), io_timeout, &context.reaper)?;
    sanlock.join()?;
    sanlock.join()?;
    watched.push(Watched {
        label: format!("sanlock, I/O time-out {io_timeout} s"),
        facts,
        hosts: 2.0,
        // The daemon; its helper, which runs programs for it, is counted with neither.
        pids: (0..2).map(|host| vec![sanlock.host(host).pid()]).collect(),
        device: Some(alive.devices.len()),
        sanlock: Some(alive.sanlocks.len()),
        ours: false,
    });
    alive.devices.push(device);
    alive.sanlocks.push(sanlock);
    Ok(())
}

fn start_sbd(context: &Context, alive: &mut Alive, watched: &mut Vec<Watched>) -> Result<()> {
    let device = LoopDevice::create(&folder(context, "idle-sbd.img"), 16)?;
    let mut sbd = Sbd::create(&folder(context, "idle-sbd"), device.path(), &context.reaper)?;
    sbd.join()?;
    sbd.join()?;
    watched.push(Watched {
        label: "sbd".to_owned(),
        facts: ["idle.rss.sbd", "idle.ops.sbd"],
        hosts: 2.0,
        pids: sbd.pids(),
        device: Some(alive.devices.len()),
        sanlock: None,
        ours: false,
    });
    alive.devices.push(device);
    alive.sbd = Some(sbd);
    Ok(())
}

fn start_etcd(context: &Context, alive: &mut Alive, watched: &mut Vec<Watched>) -> Result<()> {
    let etcd = Etcd::start(
        &folder(context, "idle-etcd"),
        peer_ip(60),
        Times::Default,
        &context.reaper,
    )?;
    watched.push(Watched {
        label: "etcd, member".to_owned(),
        facts: ["idle.rss.etcd", ""],
        hosts: 3.0,
        pids: etcd.pids().into_iter().map(tree).collect(),
        device: None,
        sanlock: None,
        ours: false,
    });
    alive.etcd = Some(etcd);
    Ok(())
}

fn tell(
    context: &mut Context,
    window: Duration,
    watched: &[Watched],
    windows: &[Option<Window>],
    (io_before, io_after): (&[DeviceIo], &[DeviceIo]),
) {
    let seconds = window.as_secs_f64();
    let mut table = Table::new(&[
        "one host",
        "reads/s",
        "kB/s read",
        "writes/s",
        "kB/s written",
        "% of a processor",
        "resident, MiB",
    ]);
    let mut bars = Vec::new();
    for (one, measured) in watched.iter().zip(windows) {
        let mut row = vec![one.label.clone()];
        let Some((before, after)) = measured else {
            row.resize(table.head.len(), "missing".to_owned());
            table.row(row);
            continue;
        };
        if let Some(device) = one.device {
            let (before, after) = (io_before[device], io_after[device]);
            let a_second = |count: u64| count as f64 / seconds / one.hosts;
            let operations = (after.reads - before.reads) + (after.writes - before.writes);
            if !one.facts[1].is_empty() {
                context
                    .report
                    .fact(one.facts[1], &Samples::from_iter([a_second(operations)]));
            }
            row.extend([
                number(a_second(after.reads - before.reads)),
                number(a_second(after.read_bytes - before.read_bytes) / 1e3),
                number(a_second(after.writes - before.writes)),
                number(a_second(after.write_bytes - before.write_bytes) / 1e3),
            ]);
        } else {
            let hosts = one.pids.len() as f64;
            let sum = |pick: fn(&Usage) -> u64| {
                let moved = before
                    .iter()
                    .zip(after)
                    .map(|(before, after)| pick(after).saturating_sub(pick(before)));
                moved.sum::<u64>() as f64 / seconds / hosts / 1e3
            };
            let (read, written) = (sum(|usage| usage.read_bytes), sum(|usage| usage.write_bytes));
            row.extend([String::new(), number(read), String::new(), number(written)]);
        }
        let hosts = one.pids.len() as f64;
        let cpu: f64 = before
            .iter()
            .zip(after)
            .map(|(before, after)| after.cpu_share(before))
            .sum();
        let memory: Vec<f64> = after.iter().map(|usage| usage.resident as f64 / MIB).collect();
        // Of a host with several processes the sum.
        let memory = Samples::from_iter([memory.iter().sum::<f64>() / hosts]);
        context.report.fact(one.facts[0], &memory);
        row.extend([
            format!("{:.3}", cpu / hosts * 100.0),
            memory.median().map_or_else(String::new, number),
        ]);
        table.row(row);
        bars.push(Bar {
            label: one.label.clone(),
            samples: memory,
            ours: one.ours,
        });
    }
    context.report.sections.push(Section {
        title: "Idle hosts".to_owned(),
        text: format!(
            "All in one window of {seconds} s. I/O on the shared device is what the kernel counts of a loop device, divided by the hosts that \
             use it (of ostrakon only the serving one does); where there is no shared device, what the host's processes read from and wrote to storage. \
             A voter's and a plain client's I/O is none."
        ),
        tables: vec![table],
        charts: vec![Chart {
            name: "idle-memory",
            title: "Resident memory of an idle host".to_owned(),
            unit: "MiB",
            logarithmic: false,
            bars,
        }],
    });
}
