//! One `ostrakon run` as a process, and what it tells.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cluster::PATIENCE;
use crate::cluster::reaper::Reaper;
use crate::failure::{During, Failure, Result};

const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// Killed when this value goes.
pub(super) struct Host {
    child: Child,
    events: Receiver<Value>,
    told: Vec<Value>,
    reaper: Reaper,
    connected: bool,
    ended: bool,
}

impl Host {
    /// Its events are on standard error: standard output is the program's.
    pub(super) fn start(mut command: Command, reaper: &Reaper) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().during(format!("starting {command:?}"))?;
        reaper.watch(child.id())?;
        let (send, events) = mpsc::channel();
        if let Some(stderr) = child.stderr.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(std::io::Result::ok) {
                    let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                    if send.send(event).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self {
            child,
            events,
            told: Vec::new(),
            reaper: reaper.clone(),
            connected: false,
            ended: false,
        })
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).during(format!("sending {signal:?}"))
    }

    /// The next event that has come in, if there is one.
    pub(super) fn next(&mut self) -> Option<Value> {
        let event = self.events.try_recv().ok()?;
        self.connected |= event["event"] == "connected";
        self.told.push(event.clone());
        Some(event)
    }

    /// The next event of this name that has come in, if there is one. Others are passed over.
    pub(super) fn poll(&mut self, name: &str) -> Option<Value> {
        std::iter::from_fn(|| self.next()).find(|event| event["event"] == name)
    }

    /// Waits until it has been connected once.
    pub(super) fn wait_connected(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            while !self.connected && self.next().is_some() {}
            if self.connected {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE || self.has_ended()? {
                return Err(Failure::new(format!(
                    "a host that was started is not connected; it told\n{}",
                    self.last_words()
                )));
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    pub(super) fn has_ended(&mut self) -> Result<bool> {
        if !self.ended && self.child.try_wait().during("looking for its end")?.is_some() {
            self.reaper.forget(self.child.id());
            self.ended = true;
        }
        Ok(self.ended)
    }

    /// Waits for the end of one that was killed.
    pub(super) fn wait_end(&mut self) -> Result<()> {
        let begun = Instant::now();
        while !self.has_ended()? {
            if begun.elapsed() > PATIENCE {
                return Err(Failure::new("it was killed and does not end"));
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// What it told last.
    pub(super) fn last_words(&mut self) -> String {
        self.told.extend(self.events.try_iter());
        let last = self.told.len().saturating_sub(40);
        let lines = self.told[last..].iter().map(|event| format!("  {event}\n"));
        lines.collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
            self.reaper.forget(self.child.id());
        }
    }
}
