//! One guest: an image under a QEMU process of its own.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::reaper::Reaper;
use ostrakon_xtask::failure::{During, Failure, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::fleet::{Guest, Kind};
use super::qmp::Qmp;

/// The program.
pub(super) const QEMU: &str = "qemu-system-x86_64";

/// The program for the firmware.
pub(super) const FIRMWARE_QEMU: &str = "qemu-system-riscv32";

/// MiB of memory of its board: QEMU puts the device tree 16 MiB below the end.
const FIRMWARE_MEMORY: u32 = 64;

/// Names that QEMU gives the shared disk and the network.
const DRIVE: &str = "disk0";
const NETDEV: &str = "net0";

/// How long QEMU may take to open its lines.
const START_MAX: Duration = Duration::from_secs(20);

/// Longest path of a Unix socket.
const SOCKET_PATH_MAX: usize = 107;

/// How often something is looked for that cannot be waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// What all guests have in common.
#[derive(Clone, Debug)]
pub(super) struct Board {
    /// The image.
    pub(super) image: PathBuf,
    /// The firmware of RISC-V boards.
    pub(super) firmware: PathBuf,
    /// The shared disk: a file, a device or a URL that QEMU knows.
    pub(super) disk: String,
    /// Where sockets lie.
    pub(super) folder: PathBuf,
    /// MiB of memory.
    pub(super) memory: u32,
    /// The level of the images' log.
    pub(super) log: String,
    /// Further words of the command line.
    pub(super) words: String,
    /// Further words for a voter.
    pub(super) voter_words: String,
    /// Whether voters have a watchdog.
    pub(super) watchdog: bool,
    /// What decodes the log, if it is not text.
    pub(super) decoder: Option<PathBuf>,
}

/// How a guest is held still.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Freeze {
    /// Its processor is paused (QMP `stop`): its clock stands still too, so that it notices nothing.
    Paused,
    /// The QEMU process is stopped (SIGSTOP): to the guest it is a jump of its clock.
    Stopped,
}

/// A machine that is switched on.
pub(super) struct Machine {
    child: Child,
    /// `None` for a Linux mount, which is told everything by signals.
    lines: Option<Lines>,
    /// How it is held still, if it is.
    pub(super) frozen: Option<Freeze>,
    reaper: Reaper,
}

/// What leads into a guest.
struct Lines {
    qmp: Qmp,
    control: UnixStream,
}

/// A machine that was just switched on, and the lines that come out of it.
pub(super) struct Started {
    pub(super) machine: Machine,
    pub(super) log: LogLines,
    pub(super) control: UnixStream,
}

/// The log of a guest as lines of text.
pub(super) struct LogLines {
    lines: BufReader<ChildStdout>,
    decoder: Option<Child>,
}

impl LogLines {
    pub(super) fn of(output: ChildStdout, image: &Path, decoder: Option<&Path>) -> Result<Self> {
        let Some(program) = decoder else {
            return Ok(Self {
                lines: BufReader::new(output),
                decoder: None,
            });
        };
        // It ends when QEMU closes its output.
        let mut decoder = Command::new(program)
            .arg(image)
            .process_group(0)
            .stdin(output)
            .stdout(Stdio::piped())
            .spawn()
            .during(format!("starting {}", program.display()))?;
        let output = decoder
            .stdout
            .take()
            .ok_or_else(|| Failure::new("the decoder has no output"))?;
        Ok(Self {
            lines: BufReader::new(output),
            decoder: Some(decoder),
        })
    }

    /// Hands over each line until the end.
    pub(super) fn follow(mut self, mut take: impl FnMut(&str)) {
        for line in self.lines.lines() {
            let Ok(line) = line else { break };
            take(&line);
        }
        if let Some(decoder) = &mut self.decoder {
            let _ = decoder.wait();
        }
    }
}

/// What of a guest is taken away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Breakdown {
    /// Its program: it panics.
    Panic,
    /// Its disk: nothing is answered any more.
    Disk,
    /// Its network: the cable is pulled out.
    Network,
    /// Its main loop: it stands still for good.
    Hang,
}

impl Machine {
    /// Takes something away from a guest.
    pub(super) fn break_down(&mut self, what: Breakdown) -> Result<()> {
        match what {
            Breakdown::Panic => self.answer("panic"),
            Breakdown::Hang => self.answer("hang"),
            Breakdown::Disk => self.qmp()?.hang_disk(DRIVE),
            Breakdown::Network => self.qmp()?.unplug(NETDEV),
        }
    }

    /// Switches a machine on. `number` makes host and network card its own.
    pub(super) fn start(board: &Board, guest: &Guest, number: usize, reaper: &Reaper) -> Result<Started> {
        let name = &guest.name;
        let control = Line::listen(&board.folder, name, "control")?;
        let qmp = Line::listen(&board.folder, name, "qmp")?;
        let mut command = command(board, guest, number, &control.path, &qmp.path);
        let program = command.get_program().display().to_string();
        let mut child = command.spawn().during(format!("starting {program}"))?;
        reaper.watch(child.id())?;
        let opened = (|| {
            let control = control.accept(&mut child)?;
            let reading = control.try_clone().during("sharing a control line")?;
            Ok((control, reading, Qmp::greet(qmp.accept(&mut child)?)?))
        })();
        let log = child
            .stdout
            .take()
            .ok_or_else(|| Failure::new("QEMU has no output"));
        // Firmware has no log but its control line.
        let decoder = board.decoder.as_deref().filter(|_| guest.kind == Kind::Image);
        let log = log.and_then(|output| LogLines::of(output, &board.image, decoder));
        let ((control, reading, qmp), log) = match (opened, log) {
            (Ok(opened), Ok(log)) => (opened, log),
            (Err(failure), _) | (_, Err(failure)) => {
                end(&mut child, reaper);
                return Err(failure);
            }
        };
        let machine = Self {
            child,
            lines: Some(Lines { qmp, control }),
            frozen: None,
            reaper: reaper.clone(),
        };
        Ok(Started {
            machine,
            log,
            control: reading,
        })
    }

    /// A Linux mount as a process, which has no lines but its output.
    pub(super) fn of_process(child: Child, reaper: &Reaper) -> Result<Self> {
        reaper.watch(child.id())?;
        Ok(Self {
            child,
            lines: None,
            frozen: None,
            reaper: reaper.clone(),
        })
    }

    /// Tells it to leave cleanly.
    pub(super) fn unmount(&mut self) -> Result<()> {
        match self.lines {
            Some(_) => self.answer("unmount"),
            None => self.signal(Signal::TERM),
        }
    }

    /// Says something on its control line.
    pub(super) fn answer(&mut self, line: &str) -> Result<()> {
        let lines = self
            .lines
            .as_mut()
            .ok_or_else(|| Failure::new("a process has no control line"))?;
        let written = lines.control.write_all(format!("{line}\n").as_bytes());
        written.during("writing to a guest's control line")
    }

    /// Holds it still. A process can only be stopped.
    pub(super) fn freeze(&mut self, how: Freeze) -> Result<()> {
        let how = match (how, &mut self.lines) {
            (Freeze::Paused, Some(lines)) => {
                lines.qmp.pause()?;
                Freeze::Paused
            }
            _ => {
                self.signal(Signal::STOP)?;
                Freeze::Stopped
            }
        };
        self.frozen = Some(how);
        Ok(())
    }

    /// Lets it go on.
    pub(super) fn thaw(&mut self) -> Result<()> {
        match (self.frozen.take(), &mut self.lines) {
            (None, _) => Ok(()),
            (Some(Freeze::Paused), Some(lines)) => lines.qmp.resume(),
            (Some(_), _) => self.signal(Signal::CONT),
        }
    }

    /// Resets it; it begins anew, unless it is paused: then it does when it goes on.
    pub(super) fn reset(&mut self) -> Result<()> {
        match (self.frozen, &mut self.lines) {
            (Some(Freeze::Stopped), _) => Err(Failure::new("a stopped process answers nothing")),
            (_, Some(lines)) => lines.qmp.reset(),
            (_, None) => Err(Failure::new("a process has no reset line")),
        }
    }

    /// Its exit status if it left the volume cleanly.
    pub(super) const fn clean_status(&self) -> i32 {
        if self.lines.is_some() {
            exit_status(EXIT_LEFT)
        } else {
            0
        }
    }

    /// KiB of this host's memory that the process holds; `None` where the system does not tell.
    pub(super) fn resident_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    }

    /// What QEMU can do to the guest that nobody else can.
    pub(super) fn qmp(&mut self) -> Result<&mut Qmp> {
        let lines = self.lines.as_mut();
        lines
            .map(|lines| &mut lines.qmp)
            .ok_or_else(|| Failure::new("a process has no QEMU"))
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        // Not collected yet, so that the pid is its own.
        kill_process(Pid::from_child(&self.child), signal).during(format!("sending {signal:?} to QEMU"))
    }

    /// How its process ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().during("looking for the end of QEMU")
    }

    /// Switches it off: returns when the process is gone, with every request that it had in flight.
    pub(super) fn switch_off(mut self) {
        end(&mut self.child, &self.reaper);
    }
}

/// Exit codes of the image, by which it says why it ended: those of platform-qemu/devices/src/exit.rs, which is no crate of this
/// workspace. A test compares them.
pub(super) const EXIT_LEFT: i32 = 1;
pub(super) const EXIT_COMMAND_LINE: i32 = 3;
pub(super) const EXIT_NO_DEVICE: i32 = 4;
pub(super) const EXIT_DISK_LOST: i32 = 5;
pub(super) const EXIT_NETWORK_LOST: i32 = 6;
pub(super) const EXIT_PANIC: i32 = 7;
pub(super) const EXIT_NOT_CONFORMING: i32 = 9;

/// QEMU's exit status for an exit code of the image, as `isa-debug-exit` passes it on.
pub(super) const fn exit_status(code: i32) -> i32 {
    code << 1 | 1
}

fn end(child: &mut Child, reaper: &Reaper) {
    // Both fail for a process that is gone already, which is what is wanted.
    let _ = child.kill();
    let _ = child.wait();
    reaper.forget(child.id());
}

impl Drop for Machine {
    fn drop(&mut self) {
        end(&mut self.child, &self.reaper);
    }
}

/// A Unix socket that QEMU connects to.
struct Line {
    listener: UnixListener,
    path: PathBuf,
}

impl Line {
    fn listen(folder: &Path, guest: &str, purpose: &str) -> Result<Self> {
        let path = folder.join(format!("{guest}.{purpose}"));
        if path.as_os_str().len() > SOCKET_PATH_MAX {
            return Err(Failure::new(format!(
                "{} is too long for a socket: name a shorter folder in CARGO_TARGET_DIR",
                path.display()
            )));
        }
        // Left by the machine that was switched on before.
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).during(format!("making {}", path.display()))?;
        listener.set_nonblocking(true).during("setting up a socket")?;
        Ok(Self { listener, path })
    }

    fn accept(&self, child: &mut Child) -> Result<UnixStream> {
        let deadline = Instant::now() + START_MAX;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).during("setting up a socket")?;
                    return Ok(stream);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).during(format!("waiting at {}", self.path.display())),
            }
            if let Some(status) = child.try_wait().during("looking for the end of QEMU")? {
                return Err(Failure::new(format!(
                    "{QEMU} ended with {status} (its reason is above)"
                )));
            }
            if Instant::now() > deadline {
                return Err(Failure::new(format!(
                    "{QEMU} does not open {}",
                    self.path.display()
                )));
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }
}

/// A guest's QEMU: its board, its program and its lines, then what both kinds of boards have in common.
fn command(board: &Board, guest: &Guest, number: usize, control: &Path, qmp: &Path) -> Command {
    let mut network = format!("user,id={NETDEV}");
    let mut words = format!("name={} {}", guest.name, board.words);
    if let Some(addr) = guest.addr {
        words += &format!(" server={addr}");
        network += &format!(",hostfwd=tcp:{addr}-:{}", addr.port());
    }
    let mut command = match guest.kind {
        Kind::Firmware => firmware_machine(&board.firmware),
        Kind::Image | Kind::Linux => {
            words += &format!(" host={:x} log={}", host_number(number), board.log);
            image_machine(board, guest.addr.is_some(), &mut words)
        }
    };
    command
        .args(["-append", words.trim_end()])
        .arg("-chardev")
        .arg(format!("socket,id=control,path={}", control.display()))
        .arg("-chardev")
        .arg(format!("socket,id=qmp,path={}", qmp.display()))
        .args(["-mon", "chardev=qmp,mode=control"])
        .arg("-drive")
        .arg(format!(
            "file={},format=raw,if=none,id={DRIVE},cache=none",
            board.disk.replace(',', ",,")
        ))
        .arg("-device")
        .arg(format!("virtio-blk-device,drive={DRIVE},share-rw=on"))
        .arg("-netdev")
        .arg(network)
        .arg("-device")
        .arg(format!(
            "virtio-net-device,netdev={NETDEV},mac=52:54:00:6f:73:{:02x}",
            number & 0xff
        ))
        .args(["-device", "virtio-rng-device"]);
    command
}

/// The x86_64 image on its board, with its control line.
fn image_machine(board: &Board, votes: bool, words: &mut String) -> Command {
    let watchdog = board.watchdog && votes;
    let mut command = bare_machine(board.memory, watchdog);
    if votes {
        words.push(' ');
        words.push_str(&board.voter_words);
    }
    if watchdog {
        command.args(["-device", "i6300esb", "-action", "watchdog=reset"]);
    }
    command
        .args(["-device", "isa-serial,chardev=control,iobase=0x2f8,irq=3"])
        .arg("-kernel")
        .arg(&board.image);
    command
}

/// The firmware on its board, whose one serial port is the control line.
fn firmware_machine(firmware: &Path) -> Command {
    let mut command = Command::new(FIRMWARE_QEMU);
    command
        .args(["-M", "virt", "-bios", "none", "-accel", "tcg"])
        .args(["-m", &FIRMWARE_MEMORY.to_string()])
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-global", "virtio-mmio.force-legacy=false"])
        .args(["-serial", "chardev:control", "-kernel"])
        .arg(firmware);
    detached(&mut command);
    command
}

/// Out of reach of the terminal's Ctrl-C: the reaper ends it, or whoever started it.
fn detached(command: &mut Command) {
    command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
}

/// QEMU with the board that the image knows, its log on standard output, and no devices yet. Its bus for a watchdog takes ACPI.
pub(super) fn bare_machine(memory: u32, pci: bool) -> Command {
    let bus = if pci {
        "acpi=on,pcie=on,ioapic2=off"
    } else {
        "acpi=off"
    };
    let mut command = Command::new(QEMU);
    command
        .arg("-M")
        .arg(format!("microvm,{bus},isa-serial=on,rtc=on,pit=on,pic=on"))
        // Emulated everywhere, so that what holds here holds on a machine without virtualization.
        .args(["-accel", "tcg", "-cpu", "max", "-m", &memory.to_string()])
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-global", "virtio-mmio.force-legacy=false"])
        .args(["-device", "isa-debug-exit,iobase=0x501,iosize=4"])
        .args(["-chardev", "stdio,id=log,signal=off"])
        .args(["-device", "isa-debugcon,iobase=0xe9,chardev=log"]);
    detached(&mut command);
    command
}

/// The identity of a guest's machine: the same each time it is switched on, and nobody else's on this disk.
fn host_number(number: usize) -> u64 {
    (u64::from(std::process::id()) << 16) | (number as u64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_codes_are_those_of_the_image() {
        let text = include_str!("../../../../platform-qemu/devices/src/exit.rs");
        let code = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.trim().split_once(" = "));
            let (_, code) = lines.find(|(found, _)| *found == name)?;
            code.trim_end_matches(',').parse::<i32>().ok()
        };
        for (name, ours) in [
            ("Left", EXIT_LEFT),
            ("CommandLine", EXIT_COMMAND_LINE),
            ("NoDevice", EXIT_NO_DEVICE),
            ("DiskLost", EXIT_DISK_LOST),
            ("NetworkLost", EXIT_NETWORK_LOST),
            ("Panic", EXIT_PANIC),
            ("NotConforming", EXIT_NOT_CONFORMING),
        ] {
            assert_eq!(code(name), Some(ours), "{name}");
        }
        assert!(
            text.contains("(self as u32) << 1 | 1"),
            "the status is made in another way"
        );
        assert_eq!(exit_status(EXIT_LEFT), 3);
    }
}
