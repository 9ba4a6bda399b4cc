//! A Linux guest: QEMU, and a shell on its serial line.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::reaper::Reaper;
use ostrakon_xtask::failure::{During, Failure, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::image::Kernel;
use super::target::Target;

/// How long a step may take in a guest whose every instruction is translated, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(180);

/// One end of the wire between the two guests: frames as datagrams, so that neither has to be there first.
#[derive(Clone, Copy)]
pub(super) struct Wire {
    pub(super) here: SocketAddr,
    pub(super) there: SocketAddr,
}

pub(super) struct Guest {
    number: u32,
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
    reaper: Reaper,
}

impl Guest {
    pub(super) fn boot(
        number: u32,
        wire: Wire,
        kernel: &Kernel,
        initrd: &Path,
        target: &Target,
        reaper: &Reaper,
        verbose: bool,
    ) -> Result<Self> {
        let net = format!("socket,id=net,udp={},localaddr={}", wire.there, wire.here);
        let mut command = Command::new("qemu-system-x86_64");
        command
            .args(["-accel", "tcg", "-cpu", "max", "-m", "512", "-nodefaults"])
            .args(["-display", "none", "-no-reboot", "-serial", "stdio"])
            .arg("-kernel")
            .arg(&kernel.image)
            .arg("-initrd")
            .arg(initrd)
            .args(["-append", "console=ttyS0 quiet panic=-1"])
            .args([
                "-iscsi",
                &format!("initiator-name=iqn.2026-01.ostrakon:host{number}"),
            ])
            .args([
                "-drive",
                &format!("if=none,id=disk,format=raw,cache=none,file={}", target.url()),
            ])
            // Not an emulated disk: every command goes to the target as the guest gave it.
            .args(["-device", "virtio-scsi-pci", "-device", "scsi-block,drive=disk"])
            .args(["-netdev", &net])
            .args([
                "-device",
                &format!("virtio-net-pci,netdev=net,mac=52:54:00:00:00:{number:02}"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut child = command.spawn().during("starting qemu-system-x86_64")?;
        reaper.watch(child.id())?;
        let (send, lines) = mpsc::channel();
        if let Some(out) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(out).split(b'\n').map_while(std::io::Result::ok) {
                    let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                    if verbose {
                        println!("guest {number}: {line}");
                    }
                    if send.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self {
            number,
            child,
            lines,
            said: Vec::new(),
            reaper: reaper.clone(),
        })
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Gives its shell a line.
    pub(super) fn type_in(&mut self, line: &str) -> Result<()> {
        let input = self
            .child
            .stdin
            .as_mut()
            .ok_or_else(|| Failure::new("the guest has no input"))?;
        writeln!(input, "{line}")
            .and_then(|()| input.flush())
            .during("typing")
    }

    /// Waits for a line with these words, which is none that was typed.
    pub(super) fn wait(&mut self, words: &str) -> Result<String> {
        let begun = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let Ok(line) = self.lines.recv_timeout(left) else {
                let from = self.said.len().saturating_sub(30);
                return Err(Failure::new(format!(
                    "guest {} never said {words}; the last it said:\n{}",
                    self.number,
                    self.said[from..].join("\n")
                )));
            };
            self.said.push(line.clone());
            // The serial line shows what is typed; that has the question in it, not the answer.
            if line.contains(words) && !line.contains("=$?") {
                return Ok(line);
            }
        }
    }

    /// The whole machine stands still.
    pub(super) fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    pub(super) fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).during(format!("sending {signal:?} to a guest"))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.reaper.forget(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
