//! A cluster of real processes on one image file.
//!
//! A [`Cluster`] owns a folder with everything in it: the image, the runtime folder of the mounts (their lock
//! files, by which `ostrakon fence-kill` finds a victim), and what each mount wrote to stderr. Whatever happens to
//! the process that started it, its mounts end and its folder goes: see [`reaper`].

pub mod device;
pub mod event;
pub mod log;
pub mod mount;
pub mod reaper;
pub mod sandbox;
pub mod tool;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result, ensure};
use device::{Dump, Status};
use event::{Kind, Record};
use log::{Log, Mark};
pub use mount::{Fence, Mount, MountId, Options};
use reaper::Reaper;
use sandbox::Sandbox;
use tool::Tool;

/// How long anything may take that should take milliseconds. Generous: the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of a volume's image unless the test asks for another size.
pub const IMAGE_BYTES: u64 = 64 << 20;

/// How often the device is looked at while something is awaited there.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How often the log is looked at for what no single event says.
const LOG_INTERVAL: Duration = Duration::from_millis(2);

/// A formatted image and the mounts of it.
pub struct Cluster {
    // Dropped in this order: the mounts are ended before the reaper is told that nothing is left.
    mounts: Vec<Mount>,
    log: Log,
    tool: Tool,
    reaper: Reaper,
    sandbox: Sandbox,
}

impl Cluster {
    /// Formats a new image with the `ostrakon` binary given, in a folder of its own under `parent`.
    pub fn format(binary: &Path, parent: &Path, name: &str, quorum_count: u16) -> Result<Self> {
        let cluster = Self::unformatted(binary, parent, name)?;
        cluster.tool.format(quorum_count, Some(IMAGE_BYTES))?;
        Ok(cluster)
    }

    /// A folder, a reaper and no image yet.
    pub fn unformatted(binary: &Path, parent: &Path, name: &str) -> Result<Self> {
        let sandbox = Sandbox::create(parent, name)?;
        let reaper = Reaper::start(sandbox.folder())?;
        let tool = Tool::new(binary, &sandbox);
        Ok(Self {
            mounts: Vec::new(),
            log: Log::start(),
            tool,
            reaper,
            sandbox,
        })
    }

    /// The image file.
    pub fn image(&self) -> &Path {
        self.tool.image()
    }

    /// The commands of the binary that look at the device.
    pub fn tool(&self) -> &Tool {
        &self.tool
    }

    /// The folder of this cluster; it goes when the cluster does.
    pub fn folder(&self) -> &Path {
        self.sandbox.folder()
    }

    /// Who ends this cluster's processes if its owner dies.
    pub fn reaper(&self) -> &Reaper {
        &self.reaper
    }

    /// What all mounts said, in the order in which it arrived.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The folder of this cluster is kept when it ends.
    pub fn keep_folder(&mut self) -> PathBuf {
        self.sandbox.keep();
        self.reaper.keep_folder();
        self.sandbox.folder().to_path_buf()
    }

    /// Starts a mount. A voter gets a free address of this cluster's own loopback network.
    pub fn mount(&mut self, name: &str, options: Options) -> Result<MountId> {
        let id = MountId(self.mounts.len());
        let mount = Mount::start(
            id,
            name,
            options,
            &self.tool,
            &self.sandbox,
            &self.log,
            &self.reaper,
        )?;
        self.mounts.push(mount);
        Ok(id)
    }

    /// Starts a voter that fences by killing.
    pub fn voter(&mut self, name: &str) -> Result<MountId> {
        let addr = self.free_addr()?;
        self.mount(name, Options::voter(addr))
    }

    /// Starts a plain client.
    pub fn client(&mut self, name: &str) -> Result<MountId> {
        self.mount(name, Options::client())
    }

    /// A loopback address where nobody listens. No other cluster uses this network.
    pub fn free_addr(&self) -> Result<SocketAddr> {
        self.sandbox.free_addr()
    }

    /// An IP address of this cluster's own loopback network.
    pub fn ip(&self) -> IpAddr {
        self.sandbox.ip()
    }

    /// A mount by its number.
    pub fn get(&self, id: MountId) -> &Mount {
        &self.mounts[id.0]
    }

    /// Sends signals, waits for its end.
    pub fn get_mut(&mut self, id: MountId) -> &mut Mount {
        &mut self.mounts[id.0]
    }

    /// All mounts, ended ones too.
    pub fn mounts(&self) -> &[Mount] {
        &self.mounts
    }

    /// The name a mount was started with.
    pub fn name(&self, id: MountId) -> &str {
        self.get(id).name()
    }

    /// The mount's rid, as its first event tells it.
    pub fn rid(&self, id: MountId) -> Result<String> {
        self.wait(
            Mark::START,
            PATIENCE,
            &format!("{} to tell its rid", self.name(id)),
            |record| (record.mount == id).then(|| record.event.rid.clone()).flatten(),
        )
    }

    /// The mount with this rid.
    pub fn by_rid(&self, rid: &str) -> Option<MountId> {
        self.log.find(Mark::START, |record| {
            (record.event.rid.as_deref() == Some(rid)).then_some(record.mount)
        })
    }

    /// Waits until a record after `from` yields something; fails with the last words of every mount.
    pub fn wait<T>(
        &self,
        from: Mark,
        limit: Duration,
        what: &str,
        pick: impl FnMut(&Record) -> Option<T>,
    ) -> Result<T> {
        self.log
            .wait(from, limit, pick)
            .ok_or_else(|| self.failed(&format!("waited {} s for {what}, in vain", limit.as_secs_f32())))
    }

    /// Waits for an event of one mount.
    pub fn wait_event(&self, id: MountId, kind: Kind, from: Mark) -> Result<Record> {
        self.wait(
            from,
            PATIENCE,
            &format!("{} to be {kind:?}", self.name(id)),
            |record| (record.mount == id && record.event.kind == kind).then(|| record.clone()),
        )
    }

    /// Waits until each of these mounts has connected after `from`, and all are connected to the newest server: the first one
    /// to serve may have yielded to another. Returns what that server said when it began to serve, and when the last of
    /// these connected.
    pub fn wait_settled(&self, ids: &[MountId], from: Mark) -> Result<(Record, Instant)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = settled(&self.log.since(Mark::START), &self.log.since(from), ids) {
                return Ok(found);
            }
            if Instant::now() > deadline {
                let names: Vec<&str> = ids.iter().map(|&id| self.name(id)).collect();
                return Err(self.failed(&format!(
                    "waited {} s for {} to be connected to one server, in vain",
                    PATIENCE.as_secs_f32(),
                    names.join(", ")
                )));
            }
            std::thread::sleep(LOG_INTERVAL);
        }
    }

    /// As [`wait_settled`](Self::wait_settled); returns when the last of these mounts connected.
    pub fn wait_connected(&self, ids: &[MountId], from: Mark) -> Result<Instant> {
        self.wait_settled(ids, from).map(|(_, connected)| connected)
    }

    /// What `ostrakon status` reads from the device.
    pub fn status(&self) -> Result<Status> {
        self.tool.status()
    }

    /// What `ostrakon dump` reads from the device.
    pub fn dump(&self) -> Result<Dump> {
        self.tool.dump()
    }

    /// Looks at the device until it shows what is expected.
    pub fn wait_status(
        &self,
        limit: Duration,
        what: &str,
        mut expected: impl FnMut(&Status) -> bool,
    ) -> Result<Status> {
        let started = Instant::now();
        loop {
            let status = self.status()?;
            if expected(&status) {
                return Ok(status);
            }
            if started.elapsed() > limit {
                return Err(self.failed(&format!(
                    "waited for the device to show {what}; it shows {status:?}"
                )));
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Waits for a mount's end and for a clean exit.
    pub fn wait_clean_exit(&mut self, id: MountId) -> Result<()> {
        let name = self.name(id).to_owned();
        let status = self.get_mut(id).wait_exit(PATIENCE);
        match status {
            Ok(status) => ensure(status.success(), || {
                self.failed(&format!("{name} ended with {status}")).to_string()
            }),
            Err(error) => Err(self.failed(&error.to_string())),
        }
    }

    /// Ends a mount at once and collects it.
    pub fn kill(&mut self, id: MountId) -> Result<()> {
        self.get_mut(id).kill()?;
        self.get_mut(id).wait_exit(PATIENCE).map(drop)
    }

    /// Fails if since then anybody was elected, lost its server or stopped serving.
    pub fn expect_undisturbed(&self, from: Mark) -> Result<()> {
        let disturbances = [Kind::Disconnected, Kind::Elected, Kind::StoppedServing];
        let disturbed = self.log.find(from, |record| {
            disturbances.contains(&record.event.kind).then(|| record.clone())
        });
        ensure(disturbed.is_none(), || {
            self.failed(&format!("disturbed: {disturbed:?}")).to_string()
        })
    }

    /// A failure with the last words of every mount beneath it.
    pub fn failed(&self, sentence: &str) -> Failure {
        let names: Vec<&str> = self.mounts.iter().map(Mount::name).collect();
        let mut text = format!("{sentence}\n{}", self.log.tail(&names, 60));
        for mount in &self.mounts {
            text.push_str(&mount.stderr_tail(12));
        }
        Failure::new(text)
    }
}

/// The newest server of `all`, if each of these mounts is connected to it and has connected after the mark that `since`
/// begins at; and when the last of them did.
fn settled(all: &[Record], since: &[Record], ids: &[MountId]) -> Option<(Record, Instant)> {
    let servers = all.iter().filter(|record| record.event.kind == Kind::Serving);
    let server = servers.max_by_key(|record| (record.event.term, record.event.rid.clone()))?;
    let mut last = server.seen;
    for &id in ids {
        let state = since.iter().rev().find(|record| {
            record.mount == id && [Kind::Connected, Kind::Disconnected].contains(&record.event.kind)
        })?;
        let to_server = state.event.text("server_rid") == server.event.rid.as_deref();
        if state.event.kind != Kind::Connected || !to_server {
            return None;
        }
        last = last.max(state.seen);
    }
    Some((server.clone(), last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(mount: usize, line: &str) -> Record {
        Record {
            mount: MountId(mount),
            seen: Instant::now(),
            event: event::Event::parse(line).expect("an event"),
        }
    }

    #[test]
    fn a_cluster_is_settled_when_all_are_connected_to_the_newest_server() {
        let serving = |mount, term, rid| {
            record(
                mount,
                &format!(r#"{{"event":"serving","rid":"{rid}","at_ms":1,"term":{term}}}"#),
            )
        };
        let connection = |mount, event: &str, rid| {
            record(
                mount,
                &format!(r#"{{"event":"{event}","rid":"r{mount}","at_ms":1,"term":1,"server_rid":"{rid}"}}"#),
            )
        };
        let ids = [MountId(0), MountId(1)];
        let mut log = vec![serving(0, 1, "r0"), connection(0, "connected", "r0")];
        assert!(settled(&log, &log, &ids).is_none(), "one has not connected");
        log.push(connection(1, "connected", "r0"));
        let (server, _) = settled(&log, &log, &ids).expect("both have");
        assert_eq!(server.mount, MountId(0));
        assert!(
            settled(&log, &log[3..], &ids).is_none(),
            "they had before the mark"
        );
        log.push(serving(1, 2, "r1"));
        assert!(settled(&log, &log, &ids).is_none(), "to its predecessor");
        log.push(connection(0, "disconnected", "r0"));
        log.push(connection(1, "connected", "r1"));
        assert!(settled(&log, &log, &ids).is_none(), "one of them has not again");
        log.push(connection(0, "connected", "r1"));
        let (server, _) = settled(&log, &log, &ids).expect("both have");
        assert_eq!(server.event.term, Some(2));
    }
}
