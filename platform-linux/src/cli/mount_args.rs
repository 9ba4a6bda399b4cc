//! The arguments of `ostrakon mount`, and what combinations of them make sense.

use std::net::SocketAddr;
use std::path::PathBuf;

use ostrakon_core::config::{Config, VoterConfig};
use ostrakon_core::format::FenceParam;
use ostrakon_core::ids::Rid;
use ostrakon_core::time::Duration;

use crate::fence::coverage::Silencing;
use crate::fence::{FenceAgent, FenceMap, fence_param};
use crate::host::{Guard, HookCommands, Watchdog, WatchdogError};
use crate::{clock, machine, offline};

/// Run one mount of a volume in the foreground.
///
/// With --server-addr it is a voter: when no server can be reached it takes part in the election, and serves at that
/// address if it is elected. Without, it is a plain client. SIGTERM or ctrl-c leaves cleanly; a second one leaves at
/// once, and the volume's server, or the next one, evicts what is left behind. A mount that was evicted begins anew under
/// a new identity.
///
/// FENCING. Before it serves, a new leader makes sure that no write of an earlier one can reach the device any more. A
/// voter must therefore say how, with --fence, which may be given several times:
///
/// agent:PROGRAM[,key=value...] [ARGS]: a ClusterLabs fence agent (fence_ipmilan, fence_scsi, fence_virt, ...). It gets key=value
/// lines on standard input: action=off, and what the victim published with --fence-param (either key=value,key=value or a
/// plain name, passed on as plug, port and nodename; without one its address), and ostrakon_volume, ostrakon_rid,
/// ostrakon_boot and ostrakon_addr. Exit code 0 means that the victim is off; anything else, or no answer in time, and it
/// is tried again. Several agents are tried in order. The pairs after the program's name are handed to it for every victim;
/// --fence-map says what is to be handed to it for each. Both go before what the victim published. agent:'ostrakon fence-kill' kills a process of this host,
/// for demonstrations.
///
/// script:PROGRAM [ARGS]: a program of your own, with the victim in its environment (OSTRAKON_VICTIM_RID, _TERM, _ADDR, _IP,
/// _HOST, _BOOT and _PARAM, and OSTRAKON_MAP_KEY for each pair of --fence-map). Exit code 0 means that the victim is off.
///
/// scsi: SCSI-3 persistent reservations, on a whole SCSI disk that has them and grants this user SCSI commands (root). Each voter
/// registers a key, and whoever succeeds a leader removes the leader's: from then on the device refuses what its host writes. Needs
/// nothing but the disk, and covers a frozen or paused host too. But it bars a host from this disk and from nothing else, so that it is
/// not for `ostrakon run` nor --on-elected; it bars hosts, not processes, so that a host has one mount of the volume; and it
/// stands alone, for another way could confirm where it would not. A device that refuses what is needed is refused at start.
///
/// lease: no fence at all, but time. This mount promises that, when it leads, it stops writing unless it has looked at the
/// device within --lease-ms, and publishes how long others have to wait for it; and it waits that long for others that
/// promise the same. This covers a crash, a severed network and a severed disk. It does NOT cover a process or host that
/// freezes between looking at its clock and writing, for longer than the lease, and then goes on; nor a virtual machine that
/// is paused, migrated or restored from a snapshot, whose clock stops with it. Where these can happen, use an agent. A
/// leader that promises no lease cannot be succeeded by a voter that has only this.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Block device or image file
    pub(super) device: PathBuf,
    /// Take part in elections, and serve here: an address by which all other hosts reach this one
    #[arg(long, value_name = "IP:PORT", value_parser = parse_server_addr)]
    server_addr: Option<SocketAddr>,
    /// How earlier leaders are silenced: agent:PROGRAM, script:PROGRAM, scsi or lease; may be repeated. Required for a voter
    #[arg(long, value_name = "agent:PROGRAM|script:PROGRAM|scsi|lease", value_parser = parse_fence)]
    fence: Vec<Fence>,
    /// What others need to fence this host, at most 40 bytes: key=value,key=value or a name
    #[arg(long, value_name = "STR", value_parser = fence_param)]
    fence_param: Option<FenceParam>,
    /// What agents need to find each victim, kept here rather than published: one victim a line, its server address, rid,
    /// param:TEXT or *, then key=value pairs. The first line that matches counts; a victim without a line is not fenced
    #[arg(long, value_name = "FILE")]
    fence_map: Option<PathBuf>,
    /// How long a fence may take, all agents together, before this leader gives up and lets another try
    #[arg(long, value_name = "MS", default_value_t = 30_000, value_parser = milliseconds(100))]
    fence_timeout_ms: u64,
    /// The lease: how long one look at the device gives the right to act as leader
    #[arg(long, value_name = "MS", default_value_t = 2_500, value_parser = milliseconds(200))]
    lease_ms: u64,
    /// A watchdog device, such as /dev/watchdog0, that resets this host when it freezes while it leads under a lease. It is
    /// fed only within the lease, and others wait for its time-out too. An ostrakon that is killed takes its host with it
    #[arg(long, value_name = "DEVICE")]
    watchdog: Option<PathBuf>,
    /// Pretend that the watchdog is a file, with this time-out
    #[arg(long, value_name = "MS", hide = true, requires = "watchdog")]
    watchdog_pretend_ms: Option<u64>,
    /// The longest time that a write may take: an I/O that takes longer has failed. The same on all hosts
    #[arg(long, value_name = "MS", default_value_t = 4_000, value_parser = milliseconds(50))]
    io_timeout_ms: u64,
    /// A peer that is not heard for this long is taken for disconnected; plain clients among thousands later
    #[arg(long, value_name = "MS", default_value_t = 3_000, value_parser = milliseconds(100))]
    silence_ms: u64,
    /// How long a server waits for clients that are away before it evicts them; 5 ms longer for each client it has
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = milliseconds(100))]
    recovery_ms: u64,
    /// Leave the record behind if leaving takes longer, because too few voters are there to elect a server; the next
    /// server evicts it. One that cannot stop leading in as long again leaves its ballot behind, and may be fenced. Without
    /// this option: wait
    #[arg(long, value_name = "MS", value_parser = milliseconds(1))]
    unmount_timeout_ms: Option<u64>,
    /// Run this with the shell when this mount serves. From then on until --on-deposed has ended, this host counts as leader:
    /// nobody succeeds it without fencing it, or waiting out its lease. OSTRAKON_TERM, OSTRAKON_RID, OSTRAKON_SERVER_RID,
    /// OSTRAKON_SERVER_ADDR, OSTRAKON_VOLUME and OSTRAKON_HOOK are set. Under --fence lease nothing ends what a hook began
    /// in time: use `ostrakon run`
    #[arg(long, value_name = "COMMAND", requires = "server_addr")]
    on_elected: Option<String>,
    /// Run this with the shell when this mount leads no longer
    #[arg(long, value_name = "COMMAND", requires = "server_addr")]
    on_deposed: Option<String>,
    /// Run this with the shell whenever this mount is connected to a server, its own or another
    #[arg(long, value_name = "COMMAND")]
    on_connected: Option<String>,
    /// Keep this file up to date with what happens, as text for Prometheus
    #[arg(long, value_name = "FILE")]
    pub(super) metrics_file: Option<PathBuf>,
    /// One JSON object a line on standard output, each with event, rid, at_ms and, where they apply, term and server_addr
    #[arg(long)]
    pub(super) json: bool,
    /// Make each disk operation take this much longer
    #[arg(long, value_name = "MS", default_value_t = 0, hide = true)]
    pub(super) io_delay_ms: u64,
    /// Make each disk operation hang while this file is there
    #[arg(long, value_name = "FILE", hide = true)]
    pub(super) io_stall_file: Option<PathBuf>,
}

/// A way to silence earlier leaders.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Fence {
    Agent(FenceAgent),
    Scsi,
    Lease,
}

fn parse_server_addr(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "expected an IP address and a port, as in 10.0.0.1:4790 or [fd00::1]:4790; names are not looked up, for every \
         host must find the same place"
            .to_owned()
    })
}

fn parse_fence(text: &str) -> Result<Fence, String> {
    match text {
        "lease" => Ok(Fence::Lease),
        "scsi" => Ok(Fence::Scsi),
        _ if !text.contains(':') => Err("expected agent:PROGRAM, script:PROGRAM, scsi or lease".to_owned()),
        _ => parse_agent(text).map(Fence::Agent),
    }
}

/// A fence agent or a script.
pub(super) fn parse_agent(text: &str) -> Result<FenceAgent, String> {
    match text.split_once(':') {
        Some(("agent", command_line)) => FenceAgent::parse(command_line),
        Some(("script", command_line)) => FenceAgent::parse_script(command_line),
        _ => Err("expected agent:PROGRAM or script:PROGRAM".to_owned()),
    }
}

fn milliseconds(least: u64) -> clap::builder::RangedU64ValueParser<u64> {
    // A day: longer is a slip of the keyboard, and far from any overflow.
    clap::value_parser!(u64).range(least..=86_400_000)
}

/// What a mount is made of, checked.
#[derive(Clone)]
pub(super) struct Plan {
    /// For a mount with this rid; each mount instance replaces it.
    pub(super) config: Config,
    /// Fence agents, in order.
    pub(super) agents: Vec<FenceAgent>,
    /// Victims are barred from the device by its reservation.
    pub(super) scsi: bool,
    /// What the operator says of each victim.
    pub(super) map: Option<FenceMap>,
    /// How a leader of this mount's making is silenced, if it is a voter.
    pub(super) silencing: Option<Silencing>,
    /// What guards its lease, once it was started.
    pub(super) guard: Option<Guard>,
    watchdog: Option<(PathBuf, Option<u64>)>,
}

impl Plan {
    /// The configuration of a mount instance.
    pub(super) const fn config_for(&self, rid: Rid) -> Config {
        Config { rid, ..self.config }
    }

    /// Starts the watchdog, if there is to be one, and promises its time-out on top of the lease.
    pub(super) fn start_watchdog(&mut self) -> Result<Option<Watchdog>, WatchdogError> {
        let (Some((path, pretend)), Some(voter)) = (&self.watchdog, &mut self.config.voter) else {
            return Ok(None);
        };
        let (now, lease) = (clock::now(), voter.lease.unwrap_or_default());
        let watchdog = match pretend {
            None => Watchdog::start(path, lease, now),
            Some(ms) => Watchdog::pretend(path, Duration::from_millis(*ms), lease, now),
        }?;
        voter.linger = watchdog.timeout();
        Ok(Some(watchdog))
    }

    pub(super) fn server_addr(&self) -> Option<SocketAddr> {
        self.config.voter.map(|voter| voter.server_addr)
    }
}

impl Args {
    pub(super) fn hooks(&self) -> HookCommands {
        HookCommands {
            elected: self.on_elected.clone(),
            deposed: self.on_deposed.clone(),
            connected: self.on_connected.clone(),
        }
    }

    pub(super) const fn is_voter(&self) -> bool {
        self.server_addr.is_some()
    }

    /// What is to be mounted, or why the combination cannot work.
    pub(super) fn plan(&self) -> Result<Plan, String> {
        let agents = self.agents()?;
        let lease = self.fence.contains(&Fence::Lease);
        let scsi = self.fence.contains(&Fence::Scsi);
        self.check_scsi(scsi)?;
        let voter = self.voter(&agents, lease)?;
        if self.watchdog.is_some() && !lease {
            return Err(
                "--watchdog guards a lease: give --fence lease too, or leave it out, for behind a fence agent \
                 alone nobody waits until it has reset a host"
                    .to_owned(),
            );
        }
        let ms = Duration::from_millis;
        let any = Rid::new(1).expect("1 is not 0");
        let config = Config {
            host: machine::host_id(),
            boot: machine::boot_id(),
            voter,
            write_time_max: ms(self.io_timeout_ms),
            silence_max: ms(self.silence_ms),
            recovery_time: ms(self.recovery_ms),
            unmount_time_max: self.unmount_timeout_ms.map(ms),
            checksum: offline::checksum,
            ..Config::client(any)
        };
        let map = self.fence_map.as_deref().map(FenceMap::open).transpose();
        let map = map.map_err(|error| format!("--fence-map {error}"))?;
        if map.is_some() && agents.is_empty() {
            return Err(
                "--fence-map is for agents: give --fence agent:PROGRAM or script:PROGRAM too".to_owned(),
            );
        }
        let silencing = voter.map(|_| Silencing {
            agent: !agents.is_empty(),
            kill: agents.iter().any(FenceAgent::is_kill),
            scsi,
            lease,
            watchdog: self.watchdog.is_some(),
        });
        let watchdog = self.watchdog.clone().map(|path| (path, self.watchdog_pretend_ms));
        Ok(Plan {
            config,
            agents,
            scsi,
            map,
            silencing,
            guard: None,
            watchdog,
        })
    }

    fn check_scsi(&self, scsi: bool) -> Result<(), String> {
        if scsi && self.fence.len() > 1 {
            return Err(
                "--fence scsi stands alone: another way could confirm where a reservation would not. Leave out the others"
                    .to_owned(),
            );
        }
        if scsi && self.on_elected.is_some() {
            return Err(
                "--fence scsi bars a host from this disk, and ends nothing that --on-elected began there: give --fence \
                 agent:PROGRAM instead, or leave out --on-elected"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Whether victims are barred by a reservation.
    pub(super) fn is_scsi(&self) -> bool {
        self.fence.contains(&Fence::Scsi)
    }

    fn agents(&self) -> Result<Vec<FenceAgent>, String> {
        let agents = self.fence.iter().filter_map(|fence| match fence {
            Fence::Agent(agent) => Some(agent.clone()),
            Fence::Scsi | Fence::Lease => None,
        });
        let agents: Vec<_> = agents.collect();
        agents.iter().try_for_each(FenceAgent::check)?;
        Ok(agents)
    }

    fn voter(&self, agents: &[FenceAgent], lease: bool) -> Result<Option<VoterConfig>, String> {
        let Some(server_addr) = self.server_addr else {
            return match (self.fence.is_empty(), self.fence_param) {
                (true, None) => Ok(None),
                _ => Err(
                    "--fence and --fence-param are for voters: give --server-addr too, or leave them out, \
                          for a plain client never leads and is never fenced"
                        .to_owned(),
                ),
            };
        };
        if self.fence.is_empty() {
            return Err("a voter needs --fence: before it may serve it has to make sure that no write of an earlier \
                        leader can reach the device any more. Give --fence agent:PROGRAM for a fence agent, --fence scsi for a disk with \
                        reservations, or --fence lease for hosts without either (see `ostrakon mount --help` for what that does not cover), or \
                        leave out --server-addr for a plain client"
                .to_owned());
        }
        let ip = server_addr.ip();
        if ip.is_unspecified() || ip.is_multicast() || server_addr.port() == 0 {
            return Err(format!(
                "--server-addr {server_addr}: expected the address and port by which all other hosts reach this one"
            ));
        }
        if agents.len() as u64 * 100 > self.fence_timeout_ms {
            return Err(
                "--fence-timeout-ms is too short for so many agents: expected 100 for each".to_owned(),
            );
        }
        let param = self.fence_param.unwrap_or_default();
        Ok(Some(VoterConfig {
            can_fence: !agents.is_empty() || self.fence.contains(&Fence::Scsi),
            lease: lease.then_some(Duration::from_millis(self.lease_ms)),
            fence_time_max: Duration::from_millis(self.fence_timeout_ms),
            ..VoterConfig::fencing(server_addr, param)
        }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Bench {
        #[command(flatten)]
        args: Args,
    }

    fn plan(line: &str) -> Result<Plan, String> {
        let words = ["mount", "/dev/x"].into_iter().chain(line.split_whitespace());
        Bench::try_parse_from(words)
            .map_err(|error| error.to_string())?
            .args
            .plan()
    }

    fn refusal(line: &str) -> String {
        plan(line).err().expect("a refusal")
    }

    #[test]
    fn a_voter_without_a_fence_is_refused_with_an_explanation() {
        let error = refusal("--server-addr 10.0.0.1:7");
        for word in ["agent:PROGRAM", "--fence lease", "plain client", "--help"] {
            assert!(error.contains(word), "{word}: {error}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (line, word) in [
            ("--fence lease", "for voters"),
            ("--fence-param x", "for voters"),
            ("--server-addr 0.0.0.0:7 --fence lease", "other hosts reach"),
            ("--server-addr [::]:7 --fence lease", "other hosts reach"),
            ("--server-addr 10.0.0.1:0 --fence lease", "other hosts reach"),
            (
                "--server-addr 10.0.0.1:7 --fence agent:/nonexistent/x",
                "no such program",
            ),
            ("--server-addr 10.0.0.1:7 --fence agent:", "names no program"),
            (
                "--server-addr 10.0.0.1:7 --fence none",
                "expected agent:PROGRAM, script:PROGRAM, scsi or lease",
            ),
            (
                "--server-addr 10.0.0.1:7 --fence script:/nonexistent/x",
                "no such program",
            ),
            (
                "--server-addr 10.0.0.1:7 --fence agent:true,ip",
                "expected key=value",
            ),
            (
                "--server-addr 10.0.0.1:7 --fence agent:true --fence-map /nonexistent",
                "--fence-map /nonexistent",
            ),
            (
                "--server-addr 10.0.0.1:7 --fence lease --fence-map /etc/hostname",
                "--fence-map",
            ),
            ("--server-addr host:7 --fence lease", "expected an IP address"),
            ("--server-addr 10.0.0.1:7 --fence lease --lease-ms 0", "not in"),
            (
                "--server-addr 10.0.0.1:7 --fence agent:true --watchdog /dev/watchdog0",
                "guards a lease",
            ),
            ("--watchdog /dev/watchdog0", "guards a lease"),
            ("--fence scsi", "for voters"),
            (
                "--server-addr 10.0.0.1:7 --fence scsi --fence lease",
                "stands alone",
            ),
            (
                "--server-addr 10.0.0.1:7 --fence scsi --on-elected true",
                "ends nothing",
            ),
            (
                "--server-addr 10.0.0.1:7 --fence lease --fence-param xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                "at most 40",
            ),
        ] {
            let error = refusal(line);
            assert!(error.contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn a_plain_client_needs_nothing_and_says_so() {
        let plan = plan("--io-timeout-ms 700").unwrap();
        assert!(plan.config.voter.is_none() && plan.agents.is_empty());
        assert_eq!(plan.config.write_time_max, Duration::from_millis(700));
        assert_eq!(plan.config.unmount_time_max, None);
    }

    #[test]
    fn agents_and_lease_may_be_given_together() {
        let addr = "--server-addr [fe80::1]:7";
        let lease = plan(&format!("{addr} --fence lease --lease-ms 900"))
            .unwrap()
            .config
            .voter
            .unwrap();
        assert_eq!(lease.lease, Some(Duration::from_millis(900)));
        assert!(!lease.can_fence);
        let agent = plan(&format!("{addr} --fence agent:true"))
            .unwrap()
            .config
            .voter
            .unwrap();
        assert_eq!((agent.lease, agent.can_fence), (None, true));
        let both = plan(&format!(
            "{addr} --fence agent:true --fence lease --fence agent:sh"
        ))
        .unwrap();
        assert_eq!(both.agents.len(), 2);
        let voter = both.config.voter.unwrap();
        assert!(voter.can_fence && voter.lease.is_some());
    }
}
