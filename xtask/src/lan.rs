//! Hosts as network namespaces on one bridge, so that one of them can be cut off, or killed with all that runs there.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::cluster::PATIENCE;
use crate::failure::{During, Failure, Result, ensure};

const PORT: u16 = 7000;

/// A bridge in a namespace of its own, and one namespace for each host. All are gone when this value goes. One
/// at a time in a process: their names are made from its pid.
#[derive(Debug)]
pub struct Lan {
    prefix: String,
    hosts: usize,
}

impl Lan {
    /// Makes the namespaces. Fails where that is not allowed: it takes root and the command `ip` of iproute2.
    pub fn new(hosts: usize) -> Result<Self> {
        let prefix = format!("ostrakon-{}-", std::process::id());
        // Deleted again, whatever of it there is, if the rest fails.
        let lan = Self { prefix, hosts };
        lan.ip(&["netns", "add", &lan.hub()])?;
        lan.in_hub(&["link", "add", "bridge", "type", "bridge"])?;
        lan.in_hub(&["link", "set", "bridge", "up"])?;
        for host in 0..hosts {
            lan.add(host)?;
        }
        Ok(lan)
    }

    fn add(&self, host: usize) -> Result<()> {
        let (name, port) = (self.namespace(host), port_name(host));
        self.ip(&["netns", "add", &name])?;
        let hub = self.hub();
        self.ip(&[
            "link", "add", &port, "netns", &hub, "type", "veth", "peer", "name", "eth0", "netns", &name,
        ])?;
        let address = format!("{}/24", self.addr(host).ip());
        self.ip(&["-n", &name, "address", "add", &address, "dev", "eth0"])?;
        for link in ["lo", "eth0"] {
            self.ip(&["-n", &name, "link", "set", link, "up"])?;
        }
        self.in_hub(&["link", "set", &port, "master", "bridge", "up"])
    }

    /// The namespace of a host.
    fn namespace(&self, host: usize) -> String {
        format!("{}{host}", self.prefix)
    }

    fn hub(&self) -> String {
        format!("{}hub", self.prefix)
    }

    /// Where a host serves.
    pub fn addr(&self, host: usize) -> SocketAddr {
        let last = u8::try_from(host + 1).unwrap_or(u8::MAX);
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 77, 0, last)), PORT)
    }

    /// From now on nothing reaches this host and nothing leaves it.
    pub fn sever(&self, host: usize) -> Result<()> {
        self.in_hub(&["link", "set", &port_name(host), "down"])
    }

    /// The opposite.
    pub fn heal(&self, host: usize) -> Result<()> {
        self.in_hub(&["link", "set", &port_name(host), "up"])
    }

    /// The same command on a host: program, arguments and environment.
    pub fn within(&self, host: usize, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside
            .args(["netns", "exec", &self.namespace(host)])
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                inside.env(name, value);
            }
        }
        inside
    }

    /// From now on the calling thread opens its connections on this host.
    pub fn enter(&self, host: usize) -> Result<()> {
        let path = Path::new("/run/netns").join(self.namespace(host));
        let namespace = File::open(&path).during(format!("opening {}", path.display()))?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .during(format!("entering {}", path.display()))
    }

    /// Kills whatever runs on this host. A thread that entered it is none of these.
    pub fn kill(&self, host: usize) -> Result<()> {
        let begun = Instant::now();
        loop {
            let pids = self.ip(&["netns", "pids", &self.namespace(host)])?;
            let mut pids = pids.split_whitespace().peekable();
            if pids.peek().is_none() {
                return Ok(());
            }
            for pid in pids {
                let pid = pid.parse().ok().and_then(Pid::from_raw);
                let killed = pid.map_or(Ok(()), |pid| kill_process(pid, Signal::KILL));
                // One that ended meanwhile is as dead.
                killed
                    .or_else(|error| if error == Errno::SRCH { Ok(()) } else { Err(error) })
                    .during("killing what runs on a host")?;
            }
            ensure(begun.elapsed() < PATIENCE, || {
                format!("processes of host {host} were killed and do not end")
            })?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn in_hub(&self, arguments: &[&str]) -> Result<()> {
        self.ip(&[&["-n", &self.hub()], arguments].concat()).map(drop)
    }

    /// What it writes to standard output.
    fn ip(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("ip")
            .args(arguments)
            .output()
            .during("running ip, of the package iproute2")?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Failure::new(format!(
            "ip {}: {}",
            arguments.join(" "),
            said.trim()
        )))
    }
}

fn port_name(host: usize) -> String {
    format!("host{host}")
}

impl Drop for Lan {
    fn drop(&mut self) {
        let hosts = (0..self.hosts).map(|host| self.namespace(host));
        for namespace in hosts.chain([self.hub()]) {
            // One that was never made cannot be deleted, which is as well.
            let _ = self.ip(&["netns", "delete", &namespace]);
        }
    }
}
