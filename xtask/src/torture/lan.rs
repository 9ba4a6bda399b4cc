//! Hosts as network namespaces on one bridge, so that one of them can be cut off.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

use crate::failure::{During, Failure, Result};

const PORT: u16 = 7000;

/// A bridge in a namespace of its own, and one namespace for each host.
pub(super) struct Lan {
    prefix: String,
    hosts: usize,
}

impl Lan {
    /// Makes the namespaces. Fails where that is not allowed: it takes root and the command `ip` of iproute2.
    pub(super) fn new(hosts: usize) -> Result<Self> {
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
    pub(super) fn namespace(&self, host: usize) -> String {
        format!("{}{host}", self.prefix)
    }

    fn hub(&self) -> String {
        format!("{}hub", self.prefix)
    }

    /// Where a host serves.
    pub(super) fn addr(&self, host: usize) -> SocketAddr {
        let last = u8::try_from(host + 1).unwrap_or(u8::MAX);
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 77, 0, last)), PORT)
    }

    /// From now on nothing reaches this host and nothing leaves it.
    pub(super) fn sever(&self, host: usize) -> Result<()> {
        self.in_hub(&["link", "set", &port_name(host), "down"])
    }

    /// The opposite.
    pub(super) fn heal(&self, host: usize) -> Result<()> {
        self.in_hub(&["link", "set", &port_name(host), "up"])
    }

    fn in_hub(&self, arguments: &[&str]) -> Result<()> {
        self.ip(&[&["-n", &self.hub()], arguments].concat())
    }

    fn ip(&self, arguments: &[&str]) -> Result<()> {
        let output = Command::new("ip")
            .args(arguments)
            .output()
            .during("running ip, of the package iproute2")?;
        if output.status.success() {
            return Ok(());
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
