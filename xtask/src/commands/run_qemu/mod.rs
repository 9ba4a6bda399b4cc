//! `cargo xtask run-qemu`: a cluster of bare images on one disk.

mod alone;
mod check;
mod figures;
mod firmware;
mod fleet;
mod guest;
mod image;
mod linux;
mod nbd;
mod news;
mod play;
mod qmp;
mod script;
mod terminal;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lexopt::{Arg, ValueExt};
use ostrakon_xtask::cluster::Cluster;
use ostrakon_xtask::failure::{During, Failure, Result, demand, ensure};

use crate::cargo::{is_there, ostrakon_binary, target_folder};
pub(crate) use check::check;
pub(crate) use firmware::{check as check_firmware, run as run_firmware};
use fleet::{Fleet, Guest, Kind};
use guest::{Board, QEMU};
use image::Image;
pub(crate) use linux::{AGENT_COMMAND, agent};
use nbd::NbdServer;
use news::News;
use script::{Acts, Script};

const HELP: &str = "\
cargo xtask run-qemu [OPTIONS]

Builds ostrakon as a bare x86_64 image, formats an image file below the target folder, and boots voters and plain
clients under QEMU (software emulation), each a machine of its own, all on that one disk. What they log is shown with
the time and the name of each.

In a terminal it shows a live table, and keys pull plugs, freeze, thaw and power-cycle nodes; ctrl-c unmounts everybody.
Without a terminal, or with --script, it runs a script: elect, pull the leader's plug, freeze a leader by QMP stop, freeze
the next one by SIGSTOP, let one panic, take the disk and the network away from others, unmount everybody; each step is verified on the device by `ostrakon status` and `ostrakon
dump`, and the exit code is 0 only if every step held.

In both forms the end is a summary: what took how long, and the memory of a node.

  --voters N   voters (3)
  --clients N  plain clients (2)
  --script     runs the script, in a terminal too
  --fence HOW  how voters silence earlier leaders: line, the power switch on their control lines, which is this program and
               resets them by QMP; or lease, the read lease, guarded by QEMU's watchdog (i6300esb) (line). With lease the
               script lets a leader hang until its watchdog bites, and shows what no lease covers: a machine that is paused
  --firmware N RISC-V boards beside them, with the firmware of platform-qemu/firmware, voters too (0)
  --linux N    Linux mounts beside them on the same disk and network, voters too (0)
  --disk DISK  a volume that is formatted already, instead of a new image file: a file, a device, or any disk that QEMU
               can name by a URL (then nothing is verified on it, and --seconds or a terminal is needed)
  --nbd        the new image file is served to all guests by a real NBD server (qemu-nbd or nbdkit)
  --seconds N  instead of the script: leaves everybody alone for N seconds or until ctrl-c, then unmounts them
  --memory M   MiB of memory of each guest (16)
  --log LEVEL  what the images log: error, warn, info, debug or trace (info)
  --freestanding
               builds for the host target, freestanding, even where x86_64-unknown-none is installed
  --text       they log text instead of defmt's frames, which are decoded here against the image's symbols
  --keep       keeps the folder with the image file
  --conformance
               instead of a cluster: one node runs core's conformance test of a platform's disk on an empty image file, and
               is given what cannot work
";

/// Clients that the image has memory for; a volume for more is refused by it.
const CLIENTS_MAX: &str = "64";

/// Clients that the firmware of the RISC-V board has memory for.
const FIRMWARE_CLIENTS_MAX: &str = "8";

/// MiB of memory that the image needs.
const MEMORY_MIN: u32 = 3;

/// Bytes of the image file.
const DISK_BYTES: &str = "16M";

/// Half the defaults: a frozen leader is noticed, and the records of the dead go, while one still likes to watch. A leader whose cable
/// was pulled out ends before it has evicted everybody whom it does not hear.
const TIMES: &str =
    "silence-ms=2000 recovery-ms=4000 fence-timeout-ms=10000 io-timeout-ms=2000 network-cut-ms=3000";

/// What voters are told that promise a lease. The watchdog bites within it.
const LEASE: &str = "fence=lease lease-ms=1500 watchdog-ms=1200";

/// How voters silence earlier leaders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fence {
    /// By the power switch.
    Line,
    /// By waiting a lease out.
    Lease,
}

struct Wishes {
    voters: usize,
    clients: usize,
    linux: usize,
    linux_clients: usize,
    firmware: usize,
    memory: u32,
    log: String,
    keep: bool,
    defmt: bool,
    freestanding: bool,
    fence: Fence,
    acts: Acts,
    conformance: bool,
    /// Keys and a live table, if there is a terminal.
    keys: bool,
    seconds: Option<u64>,
    disk: Option<String>,
    nbd: bool,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            voters: 3,
            clients: 2,
            linux: 0,
            linux_clients: 0,
            firmware: 0,
            memory: 16,
            log: "info".to_owned(),
            keep: false,
            defmt: true,
            freestanding: false,
            fence: Fence::Line,
            acts: Acts::All,
            conformance: false,
            keys: false,
            seconds: None,
            disk: None,
            nbd: false,
        }
    }
}

impl Wishes {
    const fn all_voters(&self) -> usize {
        self.voters + self.firmware + self.linux
    }
}

pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let mut wishes = Wishes {
        keys: true,
        ..Wishes::default()
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Long("voters") => wishes.voters = parser.value()?.parse()?,
            Arg::Long("clients") => wishes.clients = parser.value()?.parse()?,
            Arg::Long("firmware") => wishes.firmware = parser.value()?.parse()?,
            Arg::Long("linux") => wishes.linux = parser.value()?.parse()?,
            Arg::Long("memory") => wishes.memory = parser.value()?.parse()?,
            Arg::Long("log") => wishes.log = parser.value()?.string()?,
            Arg::Long("freestanding") => wishes.freestanding = true,
            Arg::Long("text") => wishes.defmt = false,
            Arg::Long("fence") => wishes.fence = fence(&parser.value()?.string()?)?,
            Arg::Long("conformance") => wishes.conformance = true,
            Arg::Long("keep") => wishes.keep = true,
            Arg::Long("disk") => wishes.disk = Some(parser.value()?.string()?),
            Arg::Long("nbd") => wishes.nbd = true,
            Arg::Long("script") => wishes.keys = false,
            Arg::Long("seconds") => wishes.seconds = Some(parser.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    demand((1..=16).contains(&wishes.all_voters()), || {
        "expected 1 to 16 voters, boards and Linux mounts counted".to_owned()
    })?;
    demand(wishes.firmware == 0 || wishes.fence == Fence::Line, || {
        "--firmware with --fence lease: the firmware fences by its line only".to_owned()
    })?;
    demand(wishes.memory >= MEMORY_MIN, || {
        format!("expected at least {MEMORY_MIN} MiB of memory: the image lies at 1 MiB")
    })?;
    demand(wishes.clients <= 32, || "expected at most 32 clients".to_owned())?;
    if wishes.voters + wishes.clients > 0 {
        look_for_qemu()?;
    }
    if wishes.firmware > 0 {
        firmware::look_for_qemu()?;
    }
    show(&wishes).map(|()| ExitCode::SUCCESS)
}

fn fence(how: &str) -> Result<Fence> {
    match how {
        "line" => Ok(Fence::Line),
        "lease" => Ok(Fence::Lease),
        other => Err(Failure::usage(format!("--fence {other}: expected line or lease"))),
    }
}

/// Fails with the command that installs QEMU if it is not there.
fn look_for_qemu() -> Result<()> {
    if is_there(QEMU) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{QEMU} is not installed, or does not run. To install it:\n\n    {}\n",
        install_command()
    )))
}

fn install_command() -> &'static str {
    let managers = [
        (
            "apt-get",
            "sudo apt-get install --no-install-recommends qemu-system-x86 qemu-utils",
        ),
        ("dnf", "sudo dnf install qemu-system-x86-core"),
        ("pacman", "sudo pacman -S qemu-system-x86"),
        ("zypper", "sudo zypper install qemu-x86"),
        ("apk", "sudo apk add qemu-system-x86_64"),
        ("brew", "brew install qemu"),
    ];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).exists());
    let found = managers.iter().find(|(manager, _)| is_there(manager));
    found.map_or("see https://www.qemu.org/download/", |(_, command)| command)
}

fn show(wishes: &Wishes) -> Result<()> {
    let binary = ostrakon_binary(false)?;
    let (image, size) = programs(wishes)?;
    let mut cluster = Cluster::unformatted(&binary, &target_folder(), "run-qemu")?;
    if wishes.keep {
        println!("everything is kept in {}", cluster.keep_folder().display());
    }
    if let (true, Some(image)) = (wishes.conformance, &image) {
        return alone::passes(image, cluster.folder());
    }
    let keys = wishes.keys && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let plays = keys || wishes.seconds.is_some();
    let disk = disk_of(wishes, &cluster, plays)?;
    let fleet = Arc::new(fleet_of(wishes, &cluster, image, disk.name.clone(), !keys)?);
    fleet.answer_agents()?;
    if plays {
        return play::play(
            &fleet,
            disk.is_local.then_some(&cluster),
            wishes.seconds,
            keys,
            size,
        );
    }
    run_script(
        &fleet,
        Script::new(&fleet, &cluster, wishes.fence, wishes.acts),
        size,
    )
}

/// Builds what is wanted. Its size is that of the image, or of the firmware if there is no image.
fn programs(wishes: &Wishes) -> Result<(Option<Image>, figures::ImageSize)> {
    let mut built = None;
    if wishes.firmware > 0 {
        firmware::build()?;
        let size = figures::ImageSize::of(&firmware::path())?;
        println!("firmware built for {}: {size}", firmware::TARGET);
        built = Some((None, size));
    }
    if wishes.voters + wishes.clients > 0 {
        let image = image::build(wishes.defmt, wishes.freestanding)?;
        let size = figures::ImageSize::of(&image.path)?;
        println!("image built {}: {size}", image.how);
        built = Some((Some(image), size));
    }
    built.ok_or_else(|| Failure::new("expected an image or a board among the guests"))
}

/// The shared disk.
struct Disk {
    /// As QEMU names it.
    name: String,
    /// Whether the Linux code can look at it, as the cluster's image.
    is_local: bool,
    /// Serves it while the guests run.
    _server: Option<NbdServer>,
}

fn disk_of(wishes: &Wishes, cluster: &Cluster, plays: bool) -> Result<Disk> {
    let image = cluster.image();
    match &wishes.disk {
        Some(url) if url.contains(':') && !Path::new(url).exists() => {
            ensure(plays && wishes.linux == 0, || {
                format!(
                    "{url}: neither the script nor a Linux mount can look at a disk named by a URL; expected --seconds N or \
                     a terminal with it, and no --linux"
                )
            })?;
            return Ok(Disk {
                name: url.clone(),
                is_local: false,
                _server: None,
            });
        }
        Some(path) => {
            let path = std::fs::canonicalize(path).during(format!("looking for {path}"))?;
            std::os::unix::fs::symlink(&path, image).during("linking the disk into the cluster's folder")?;
            // Before anybody boots: whether it holds a volume at all.
            cluster.status()?;
        }
        None => {
            let quorum = quorum_of(wishes.all_voters()).to_string();
            let arguments = [
                "--quorum-count",
                &quorum,
                "--clients-max",
                if wishes.firmware > 0 {
                    FIRMWARE_CLIENTS_MAX
                } else {
                    CLIENTS_MAX
                },
                "--size",
                DISK_BYTES,
            ];
            let formatted = cluster.tool().run("format", &arguments)?;
            ensure(formatted.status.success(), || {
                String::from_utf8_lossy(&formatted.stderr).into_owned()
            })?;
        }
    }
    let clients = wishes.voters + wishes.clients + wishes.firmware;
    let server = wishes
        .nbd
        .then(|| NbdServer::start(image, cluster.folder(), clients, cluster.reaper()))
        .transpose()?;
    let name = server
        .as_ref()
        .map_or_else(|| image.display().to_string(), |server| server.url().to_owned());
    Ok(Disk {
        name,
        is_local: true,
        _server: server,
    })
}

/// More than half; but either one of a pair may serve alone.
const fn quorum_of(voters: usize) -> usize {
    if voters == 2 { 1 } else { voters / 2 + 1 }
}

fn run_script(fleet: &Fleet, mut script: Script<'_>, size: figures::ImageSize) -> Result<()> {
    let begun = Instant::now();
    script.play()?;
    println!("\nWhat took how long:");
    for (what, took) in script.timings() {
        println!("  {what:56} {:>8.1} ms", took.as_secs_f64() * 1e3);
    }
    println!("{}", figures::memory(fleet, size, script.resident_kib()));
    println!(
        "Every step was verified on the device. {} s in all.",
        rounded(begun.elapsed())
    );
    Ok(())
}

fn rounded(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}

fn fleet_of(
    wishes: &Wishes,
    cluster: &Cluster,
    image: Option<Image>,
    disk: String,
    prints: bool,
) -> Result<Fleet> {
    let mut guests = Vec::new();
    let kinds = [
        ("n", wishes.voters, Kind::Image, true),
        ("fw", wishes.firmware, Kind::Firmware, true),
        ("lx", wishes.linux, Kind::Linux, true),
        ("c", wishes.clients, Kind::Image, false),
        ("lc", wishes.linux_clients, Kind::Linux, false),
    ];
    for (name, count, kind, votes) in kinds {
        for number in 1..=count {
            let addr = votes.then(|| cluster.free_addr()).transpose()?;
            guests.push(Guest::new(format!("{name}{number}"), addr, kind));
        }
    }
    let board = Board {
        decoder: image.as_ref().and_then(|image| image.decoder.clone()),
        image: image.map(|image| image.path).unwrap_or_default(),
        firmware: firmware::path(),
        disk,
        folder: cluster.folder().to_path_buf(),
        memory: wishes.memory,
        log: wishes.log.clone(),
        words: TIMES.to_owned(),
        voter_words: match wishes.fence {
            Fence::Line => "fence=line".to_owned(),
            Fence::Lease => LEASE.to_owned(),
        },
        watchdog: wishes.fence == Fence::Lease,
    };
    let linux_fence = match wishes.fence {
        Fence::Line => linux::Fence::Switch,
        Fence::Lease => linux::Fence::Lease,
    };
    Ok(Fleet::new(
        guests,
        News::new(prints),
        board,
        linux_fence,
        cluster.reaper().clone(),
        cluster.tool().clone(),
    ))
}
