//! QEMU's own control line: pause, go on, reset, take a device away.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ostrakon_xtask::failure::{During, Failure, Result, ensure};
use serde_json::{Value, json};

/// How long QEMU may take to answer. One that takes longer is frozen itself.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// How long QEMU may take to start.
const GREETING_MAX: Duration = Duration::from_secs(20);

/// A connection to one QEMU.
pub(super) struct Qmp {
    reader: BufReader<UnixStream>,
    /// The part of a line that came in before a time-out.
    partial: String,
    /// Times that the watchdog bit, as far as was read.
    watchdog_bites: u32,
}

impl Qmp {
    /// Takes part in the greeting.
    pub(super) fn greet(stream: UnixStream) -> Result<Self> {
        let mut qmp = Self {
            reader: BufReader::new(stream),
            partial: String::new(),
            watchdog_bites: 0,
        };
        let greeting = qmp.next(Instant::now() + GREETING_MAX)?;
        ensure(greeting.get("QMP").is_some(), || {
            format!("QEMU greets with {greeting}")
        })?;
        qmp.execute("qmp_capabilities", &Value::Null, None)?;
        Ok(qmp)
    }

    /// The processor stops, and with it every clock of the guest; requests in flight are completed first.
    pub(super) fn pause(&mut self) -> Result<()> {
        self.execute("stop", &Value::Null, None)
    }

    /// The processor goes on.
    pub(super) fn resume(&mut self) -> Result<()> {
        self.execute("cont", &Value::Null, None)
    }

    /// Processor and devices are as after power-on: returns when that is done. Requests in flight are completed
    /// first, so that none can reach the disk afterwards. A paused guest stays paused.
    pub(super) fn reset(&mut self) -> Result<()> {
        self.execute("system_reset", &Value::Null, Some("RESET"))
    }

    /// The disk answers nothing any more: it is held to a byte in a second.
    pub(super) fn hang_disk(&mut self, drive: &str) -> Result<()> {
        let limits = json!({
            "device": drive, "bps": 1, "bps_rd": 0, "bps_wr": 0, "iops": 0, "iops_rd": 0, "iops_wr": 0,
        });
        self.execute("block_set_io_throttle", &limits, None)
    }

    /// The network card's cable is pulled out.
    pub(super) fn unplug(&mut self, netdev: &str) -> Result<()> {
        self.execute("set_link", &json!({ "name": netdev, "up": false }), None)
    }

    /// How often QEMU's watchdog has reset the guest.
    pub(super) fn watchdog_bites(&mut self) -> Result<u32> {
        // Events that came before the answer are read with it.
        self.execute("query-status", &Value::Null, None)?;
        Ok(self.watchdog_bites)
    }

    /// Executes a command and waits for its answer, and for an event if one is named.
    fn execute(&mut self, command: &str, arguments: &Value, event: Option<&str>) -> Result<()> {
        let deadline = Instant::now() + ANSWER_MAX;
        let line = match arguments {
            Value::Null => format!("{}\n", json!({ "execute": command })),
            arguments => format!("{}\n", json!({ "execute": command, "arguments": arguments })),
        };
        let stream = self.reader.get_mut();
        stream
            .set_write_timeout(Some(ANSWER_MAX))
            .during("setting up the connection to QEMU")?;
        stream.write_all(line.as_bytes()).during("writing to QEMU")?;
        let (mut answered, mut happened) = (false, event.is_none());
        while !(answered && happened) {
            let message = self.next(deadline)?;
            if let Some(error) = message.get("error") {
                return Err(Failure::new(format!("QEMU refuses {command}: {error}")));
            }
            answered |= message.get("return").is_some();
            happened |= event.is_some_and(|event| message["event"] == event);
            self.watchdog_bites += u32::from(message["event"] == "WATCHDOG");
        }
        Ok(())
    }

    fn next(&mut self, deadline: Instant) -> Result<Value> {
        let left = deadline
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(1));
        self.reader
            .get_ref()
            .set_read_timeout(Some(left))
            .during("setting up the connection to QEMU")?;
        let count = self
            .reader
            .read_line(&mut self.partial)
            .during("waiting for QEMU")?;
        ensure(count > 0, || "QEMU has closed its control line".to_owned())?;
        let line = std::mem::take(&mut self.partial);
        serde_json::from_str(&line).during(format!("reading {line:?} of QEMU"))
    }
}
