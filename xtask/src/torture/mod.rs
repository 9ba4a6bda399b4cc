//! Fail-overs of a program under `ostrakon run`, many in a row, judged by what the program itself wrote.
//!
//! Three hosts with a volume that two votes elect on. Whoever leads is killed, frozen or cut off from the network; another
//! takes over; the old one thaws or is connected again, and a new one takes its place where it died.

mod host;
mod witness;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::cluster::PATIENCE;
use crate::cluster::reaper::Reaper;
use crate::cluster::sandbox::Sandbox;
use crate::cluster::tool::Tool;
use crate::failure::{During, Failure, Result, ensure};
use crate::lan::Lan;
use host::Host;
use witness::Witness;

const HOSTS: usize = 3;
const IMAGE_BYTES: u64 = 8 << 20;

/// Something that happens to the host that leads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGSTOP; SIGCONT soon after its successor began.
    Freeze,
    /// Its network is cut; whole again soon after its successor began.
    Sever,
}

/// How predecessors are silenced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// `ostrakon fence-kill`.
    Agent,
    /// A lease, and no watchdog.
    Lease,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many fail-overs.
    pub failovers: u32,
    /// Decides faults and pauses.
    pub seed: u64,
    /// By what; the dice choose.
    pub faults: Vec<Fault>,
    /// How predecessors are silenced.
    pub method: Method,
    /// Say so after each hundred.
    pub verbose: bool,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Report {
    /// How long after each fault the program ran again.
    took: BTreeMap<Fault, Vec<Duration>>,
    /// Programs that wrote.
    pub writers: u32,
    /// The last term.
    pub term: u64,
    /// Why a fault that was asked for was left out.
    pub skipped: Option<String>,
}

impl Report {
    /// Fail-overs by this fault.
    pub fn count(&self, fault: Fault) -> usize {
        self.took.get(&fault).map_or(0, Vec::len)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: usize = self.took.values().map(Vec::len).sum();
        write!(
            f,
            "{all} fail-overs, {} writers one after the other, last term {}",
            self.writers, self.term
        )?;
        for (fault, took) in &self.took {
            let mut took = took.clone();
            took.sort();
            let at = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64();
            let (median, most, longest) = (at(50), at(95), at(100));
            write!(
                f,
                "\n  {:>4} by {fault:?}: the program ran again after {median:.2} s (median), {most:.2} s (95 %), {longest:.2} s (longest)",
                took.len(),
            )?;
        }
        match &self.skipped {
            Some(reason) => write!(f, "\n  skipped: {reason}"),
            None => Ok(()),
        }
    }
}

/// Three hosts, their volume and their witness.
struct Field {
    options: Options,
    // Dropped in this order: the hosts are ended before the reaper is told that nothing is left.
    hosts: Vec<Host>,
    witness: Witness,
    tool: Tool,
    lan: Option<Lan>,
    addrs: Vec<String>,
    reaper: Reaper,
    _sandbox: Sandbox,
    dice: Dice,
}

/// Does it, with this binary, in a folder of its own under `parent`.
pub fn run(binary: &Path, parent: &Path, options: &Options) -> Result<Report> {
    let mut report = Report::default();
    let mut field = Field::new(binary, parent, options.clone(), &mut report)?;
    let mut leader = field.first_leader()?;
    for round in 1..=options.failovers {
        let fault = field.pick();
        match field.fail_over(leader, fault) {
            Ok((next, took)) => {
                leader = next;
                report.took.entry(fault).or_default().push(took);
            }
            Err(error) => return Err(field.failed(round, fault, &error)),
        }
        if options.verbose && round % 100 == 0 {
            println!("{round} fail-overs, {} writers", field.witness.writers());
        }
    }
    report.term = field.witness.judge()?;
    report.writers = field.witness.writers();
    Ok(report)
}

impl Field {
    fn new(binary: &Path, parent: &Path, mut options: Options, report: &mut Report) -> Result<Self> {
        let sandbox = Sandbox::create(parent, "torture")?;
        let reaper = Reaper::start(sandbox.folder())?;
        // A copy: a build meanwhile must not change what is tested. Made by another process: a child that another thread
        // starts just now would inherit the file, open for writing, and nobody could run it while that child lasts.
        let copy = sandbox.folder().join("ostrakon");
        let copied = std::process::Command::new("cp").arg(binary).arg(&copy).status();
        let copied = copied.during(format!("copying {}", binary.display()))?;
        ensure(copied.success(), || format!("cp {}: {copied}", binary.display()))?;
        let tool = Tool::new(&copy, &sandbox);
        tool.format(2, Some(IMAGE_BYTES))?;
        let lan = options.faults.contains(&Fault::Sever).then(|| Lan::new(HOSTS));
        let lan = match lan.transpose() {
            Ok(lan) => lan,
            Err(error) => {
                options.faults.retain(|&fault| fault != Fault::Sever);
                report.skipped = Some(format!("no network to cut: {error}"));
                None
            }
        };
        ensure(!options.faults.is_empty(), || {
            format!("nothing is left to do: {:?}", report.skipped)
        })?;
        let addrs = match &lan {
            Some(lan) => (0..HOSTS).map(|host| lan.addr(host).to_string()).collect(),
            None => (0..HOSTS)
                .map(|_| sandbox.free_addr().map(|addr| addr.to_string()))
                .collect::<Result<_>>()?,
        };
        let witness = Witness::create(sandbox.folder())?;
        Ok(Self {
            dice: Dice(options.seed | 1),
            options,
            hosts: Vec::new(),
            witness,
            tool,
            lan,
            addrs,
            reaper,
            _sandbox: sandbox,
        })
    }

    fn start(&self, host: usize) -> Result<Host> {
        let fence: &[&str] = match self.options.method {
            Method::Agent => &["--fence", "agent:ostrakon fence-kill"],
            Method::Lease => &["--fence", "lease", "--lease-ms", "600", "--io-timeout-ms", "500"],
        };
        let own = [
            "run",
            "--json",
            "--silence-ms",
            "500",
            "--server-addr",
            &self.addrs[host],
        ];
        let mut command = self.tool.command(&[&own, fence].concat());
        command
            .arg(self.tool.image())
            .args(["--", "sh", "-c", witness::SCRIPT]);
        let mut command = match &self.lan {
            None => command,
            Some(lan) => lan.within(host, &command),
        };
        command.env("W", self.witness.path());
        Host::start(command, &self.reaper)
    }

    fn first_leader(&mut self) -> Result<usize> {
        for host in 0..HOSTS {
            let started = self.start(host)?;
            self.hosts.push(started);
        }
        let (leader, _) = self.wait_started(None)?;
        for host in &mut self.hosts {
            host.wait_connected()?;
        }
        Ok(leader)
    }

    /// Waits until the program runs on any host but this one.
    fn wait_started(&mut self, but: Option<usize>) -> Result<(usize, Instant)> {
        let begun = Instant::now();
        loop {
            for (index, host) in self.hosts.iter_mut().enumerate() {
                let started = (but != Some(index))
                    .then(|| host.poll("program_started"))
                    .flatten();
                if let Some(event) = started {
                    let now = Instant::now();
                    let term = event["term"].as_u64().unwrap_or_default();
                    self.witness.wait_for(term)?;
                    return Ok((index, now));
                }
            }
            ensure(begun.elapsed() < PATIENCE * 2, || "nobody takes over".to_owned())?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn pick(&mut self) -> Fault {
        let index = self.dice.below(self.options.faults.len() as u64);
        self.options.faults[usize::try_from(index).unwrap_or(0)]
    }

    fn pause(&mut self, ms_max: u64) {
        std::thread::sleep(Duration::from_micros(self.dice.below(ms_max * 1_000)));
    }

    fn fail_over(&mut self, leader: usize, fault: Fault) -> Result<(usize, Duration)> {
        self.pause(60);
        let begun = Instant::now();
        match (fault, &self.lan) {
            (Fault::Kill, _) => self.hosts[leader].signal(Signal::KILL)?,
            (Fault::Freeze, _) => self.hosts[leader].signal(Signal::STOP)?,
            (Fault::Sever, Some(lan)) => lan.sever(leader)?,
            (Fault::Sever, None) => return Err(Failure::new("there is no network to cut")),
        }
        let (next, served) = self.wait_started(Some(leader))?;
        self.pause(20);
        match (fault, &self.lan) {
            (Fault::Sever, Some(lan)) => {
                lan.heal(leader)?;
                self.wait_back(leader)?;
            }
            _ => {
                // It may be dead: it was not collected, so its pid is still its own.
                self.hosts[leader].signal(Signal::CONT)?;
                self.pause(40);
                self.hosts[leader].signal(Signal::KILL)?;
                self.hosts[leader].wait_end()?;
            }
        }
        if self.hosts[leader].has_ended()? {
            self.hosts[leader] = self.start(leader)?;
            self.hosts[leader].wait_connected()?;
        }
        self.witness.judge()?;
        Ok((next, served.duration_since(begun)))
    }

    /// Waits until one that was cut off is a client of its successor, or has been fenced.
    fn wait_back(&mut self, host: usize) -> Result<()> {
        let begun = Instant::now();
        let host = &mut self.hosts[host];
        let mut idle = false;
        loop {
            while let Some(event) = host.next() {
                idle |= event["event"] == "program_gone";
                if idle && event["event"] == "connected" {
                    return Ok(());
                }
            }
            if host.has_ended()? {
                return Ok(());
            }
            ensure(begun.elapsed() < PATIENCE, || {
                "the one that was cut off does not come back".to_owned()
            })?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn failed(&mut self, round: u32, fault: Fault, error: &Failure) -> Failure {
        let mut text = format!(
            "fail-over {round}, by {fault:?}: {error}\nseed {}\n",
            self.options.seed
        );
        for (index, host) in self.hosts.iter_mut().enumerate() {
            text += &format!("host {index}:\n{}", host.last_words());
        }
        Failure::new(text)
    }
}

/// xorshift64*: enough for pauses.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}
