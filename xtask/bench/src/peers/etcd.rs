//! Three members of etcd on loopback addresses, each with a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ostrakon_xtask::cluster::reaper::Reaper;
use ostrakon_xtask::failure::{Failure, Result};
use rustix::process::Signal;

use super::{Daemon, http, until};

const MEMBERS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two writes that are tried while nobody may lead.
const PUT_INTERVAL: Duration = Duration::from_millis(15);
/// `bench` and `1` in base 64.
const PUT: &str = r#"{"key":"YmVuY2g=","value":"MQ=="}"#;

/// Times of a cluster: milliseconds of heartbeat and election, or etcd's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Times {
    /// As it comes: 100 ms and 1 s.
    Default,
    /// The shortest that it recommends nobody, and accepts: 10 ms and 100 ms.
    Tight,
}

/// A cluster.
pub struct Etcd {
    members: Vec<Option<Daemon>>,
    addrs: Vec<SocketAddr>,
    folder: PathBuf,
    times: Times,
    reaper: Reaper,
}

impl Etcd {
    /// Starts three members, and waits until they accept a write.
    pub fn start(folder: &Path, ip: std::net::Ipv4Addr, times: Times, reaper: &Reaper) -> Result<Self> {
        // Its folders stay apart from those of an earlier cluster on the same address.
        let mut etcd = Self {
            members: Vec::new(),
            addrs: (0..MEMBERS as u16)
                .map(|n| SocketAddr::from((ip, 2379 + 10 * n)))
                .collect(),
            folder: folder.to_owned(),
            times,
            reaper: reaper.clone(),
        };
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::new(format!("a folder for etcd: {error}")))?;
        for number in 0..MEMBERS {
            let member = etcd.launch(number)?;
            etcd.members.push(Some(member));
        }
        until(PATIENCE, "etcd to accept a write", || {
            etcd.put(Duration::from_secs(5))
        })?;
        Ok(etcd)
    }

    fn launch(&self, number: usize) -> Result<Daemon> {
        let peer = |n: usize| format!("http://{}:{}", self.addrs[n].ip(), self.addrs[n].port() + 1);
        let name = |n: usize| format!("m{n}");
        let members: Vec<String> = (0..MEMBERS).map(|n| format!("{}={}", name(n), peer(n))).collect();
        let client = format!("http://{}", self.addrs[number]);
        let mut command = Command::new("etcd");
        command
            .args(["--name", &name(number), "--log-level", "error"])
            .arg("--data-dir")
            .arg(self.folder.join(name(number)))
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer(number),
                "--initial-advertise-peer-urls",
                &peer(number),
            ])
            .args([
                "--initial-cluster",
                &members.join(","),
                "--initial-cluster-token",
                "bench",
            ]);
        if self.times == Times::Tight {
            command.args(["--heartbeat-interval", "10", "--election-timeout", "100"]);
        }
        Daemon::start(
            &mut command,
            &self.folder.join(format!("{}.log", name(number))),
            &self.reaper,
        )
    }

    /// Processes that run.
    pub fn pids(&self) -> Vec<u32> {
        self.members.iter().flatten().map(Daemon::pid).collect()
    }

    fn running(&self) -> Vec<SocketAddr> {
        let running = self
            .members
            .iter()
            .zip(&self.addrs)
            .filter(|(member, _)| member.is_some());
        running.map(|(_, &addr)| addr).collect()
    }

    /// Writes through any member.
    fn put(&self, limit: Duration) -> Option<()> {
        first_put(&self.running(), limit)
    }

    /// The member that leads.
    pub fn leader(&self) -> Result<usize> {
        until(PATIENCE, "etcd to have a leader", || {
            self.addrs.iter().enumerate().find_map(|(number, &addr)| {
                let status = http::post(addr, "/v3/maintenance/status", "{}", Duration::from_secs(2))?;
                let is_leader = status["leader"] == status["header"]["member_id"];
                (is_leader && status["leader"].is_string()).then_some(number)
            })
        })
    }

    /// Ends the leader with a signal, and says how long it takes until one of the others accepts a write.
    pub fn fail_over(&mut self, how: Signal) -> Result<Duration> {
        let leader = self.leader()?;
        let others: Vec<SocketAddr> = (0..MEMBERS)
            .filter(|&n| n != leader)
            .map(|n| self.addrs[n])
            .collect();
        let member = self.members[leader]
            .as_ref()
            .ok_or_else(|| Failure::new("a leader that does not run"))?;
        let started = Instant::now();
        member.signal(how);
        first_of_many_puts(&others)?;
        let took = started.elapsed();
        if how == Signal::STOP {
            member.signal(Signal::CONT);
        } else {
            self.members[leader] = None;
        }
        Ok(took)
    }

    /// Starts whoever does not run, and says how long it takes until it answers a read that a quorum confirms.
    pub fn rejoin(&mut self) -> Result<Duration> {
        let started = Instant::now();
        for number in 0..MEMBERS {
            if self.members[number].is_none() {
                self.members[number] = Some(self.launch(number)?);
                let read = || {
                    let body = r#"{"key":"YmVuY2g="}"#;
                    http::post(self.addrs[number], "/v3/kv/range", body, Duration::from_secs(5)).map(drop)
                };
                until(PATIENCE, "a member to return", read)?;
            }
        }
        Ok(started.elapsed())
    }
}

/// A write through whichever of these members accepts it first.
fn first_put(addrs: &[SocketAddr], limit: Duration) -> Option<()> {
    let (send, done) = mpsc::channel();
    for &addr in addrs {
        let send = send.clone();
        std::thread::spawn(move || {
            // Nobody listens any more once another one was quicker.
            let _ = send.send(http::post(addr, "/v3/kv/put", PUT, limit).map(drop));
        });
    }
    drop(send);
    done.into_iter().flatten().next()
}

/// Writes again and again, without waiting for the answer to the one before, until one is accepted: a write that reached a member
/// while it still counted on the dead leader is answered late.
fn first_of_many_puts(addrs: &[SocketAddr]) -> Result<()> {
    let (send, done) = mpsc::channel();
    until(PATIENCE, "a write after the leader's end", || {
        for &addr in addrs {
            let send = send.clone();
            std::thread::spawn(move || {
                let accepted = http::post(addr, "/v3/kv/put", PUT, Duration::from_secs(5));
                // Nobody listens any more once another one was quicker.
                accepted.map(|_| send.send(()))
            });
        }
        done.recv_timeout(PUT_INTERVAL).ok()
    })
}
