//! Fence requests, carried out off the loop and always answered.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use ostrakon_core::fence::{FenceOutcome, FenceRequest};
use ostrakon_core::format::{FenceMethod, LogEntry};
use ostrakon_core::ids::{Ballot, BootId, HostId, VolumeId};

use super::FenceAgent;
use super::known::{Here, Known};
use super::map::{FenceMap, Pairs};
use super::reservation::Reservation;
use crate::runtime::RuntimeDir;

/// How often a victim on this host is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What a host can fence with, and who it is.
#[derive(Clone, Debug)]
pub struct Means {
    /// Tried in this order until one confirms.
    pub agents: Vec<FenceAgent>,
    /// This host's registration at the device, if that bars victims.
    pub reservation: Option<Arc<Reservation>>,
    /// What the operator says of each victim.
    pub map: Option<FenceMap>,
    /// For all agents together.
    pub time_max: Duration,
    /// W: how long a write of a dead process may still be under way below it.
    pub write_time_max: Duration,
    /// This machine.
    pub host: HostId,
    /// This boot of it.
    pub boot: BootId,
    /// Where this voter listens.
    pub ip: IpAddr,
    /// The volume.
    pub volume: VolumeId,
    /// Where the locks of this host's mounts lie.
    pub runtime: RuntimeDir,
}

/// How a victim is known to be silent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum How {
    /// It ran on an earlier boot of this host.
    EarlierBoot,
    /// It was a process of this host and is gone, for longer than W.
    DeadProcess,
    /// This agent confirmed.
    Agent(String),
    /// The device writes for its host no more.
    Barred,
    /// An operator confirmed, with `ostrakon fence`.
    Operator,
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::EarlierBoot => f.write_str("an earlier boot of this host"),
            Self::DeadProcess => f.write_str("a process of this host that is gone"),
            Self::Agent(agent) => write!(f, "confirmed by {agent}"),
            Self::Barred => f.write_str("barred from the device by a reservation"),
            Self::Operator => f.write_str("confirmed by the operator"),
        }
    }
}

/// What became of a fence request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FenceReport {
    /// The victim.
    pub victim: Ballot,
    /// How it is known to be silent; `None` if it is not.
    pub how: Option<How>,
    /// What did not work, in words.
    pub failures: Vec<String>,
}

impl FenceReport {
    /// The answer for core.
    pub const fn outcome(&self) -> FenceOutcome {
        match self.how {
            Some(_) => FenceOutcome::Done,
            None => FenceOutcome::Failed,
        }
    }
}

impl FenceReport {
    /// In a few letters, for the fence record.
    pub fn method(&self) -> FenceMethod {
        FenceMethod::of(match &self.how {
            Some(How::EarlierBoot) => "earlier boot",
            Some(How::DeadProcess) => "dead process",
            Some(How::Barred) => "scsi",
            Some(How::Operator) => "operator",
            Some(How::Agent(line)) => program_name(line),
            None => "",
        })
    }
}

/// The name of the program that an agent's command line runs, without its folder; of this very program, what it does.
fn program_name(line: &str) -> &str {
    let mut words = line.split_whitespace();
    match (words.next(), words.next()) {
        (Some("ostrakon"), Some(command)) => command,
        (program, _) => program.unwrap_or_default().rsplit('/').next().unwrap_or_default(),
    }
}

/// What one of the ways that are tried at once came to.
struct Tried {
    victim: Ballot,
    serial: u64,
    result: Result<How, Vec<String>>,
}

struct Running {
    serial: u64,
    ways: usize,
    failures: Vec<String>,
}

/// Carries out fence requests, each in threads of its own: at most three for each victim, and those are as many as
/// the log has entries.
pub struct Fencer {
    means: Arc<Means>,
    here: Here,
    wake: Arc<dyn Fn() + Send + Sync>,
    tried: mpsc::Receiver<Tried>,
    tried_by_threads: mpsc::Sender<Tried>,
    running: BTreeMap<Ballot, Running>,
    serial: u64,
}

impl Fencer {
    /// `wake` is called, from any thread, when [`next_report`](Self::next_report) may have something.
    pub fn new(means: Means, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        let (tried_by_threads, tried) = mpsc::channel();
        let here = Here {
            host: means.host,
            boot: means.boot,
            ip: means.ip,
            volume: means.volume,
            runtime: means.runtime.clone(),
        };
        Self {
            means: Arc::new(means),
            here,
            wake,
            tried,
            tried_by_threads,
            running: BTreeMap::new(),
            serial: 0,
        }
    }

    /// Begins to fence. A victim that is being fenced already gets one answer for both requests.
    pub fn start(&mut self, request: &FenceRequest) {
        let victim = request.victim;
        if self.running.contains_key(&victim.ballot) {
            return;
        }
        self.serial += 1;
        let known = self.here.look(&victim);
        let watched = matches!(known, Known::Alive | Known::Dead);
        let asked = !self.means.agents.is_empty();
        let barred = self.means.reservation.clone();
        let ways = usize::from(watched) + usize::from(asked) + usize::from(barred.is_some());
        self.running.insert(
            victim.ballot,
            Running {
                serial: self.serial,
                ways: ways.max(1),
                failures: Vec::new(),
            },
        );
        let confirmed = self
            .means
            .runtime
            .is_confirmed(self.means.volume, victim.ballot.rid);
        if known == Known::EarlierBoot || confirmed || ways == 0 {
            let result = if known == Known::EarlierBoot {
                Ok(How::EarlierBoot)
            } else if confirmed {
                Ok(How::Operator)
            } else {
                Err(vec![
                    "this host has no fence agent, and the victim is not a process of its own".to_owned(),
                ])
            };
            return self.report(victim.ballot, result);
        }
        if watched {
            let (here, means) = (self.here.clone(), Arc::clone(&self.means));
            self.spawn(victim.ballot, move || watch(&here, &means, &victim));
        }
        if let Some(reservation) = barred {
            self.bar(reservation, victim);
        }
        if asked {
            let means = Arc::clone(&self.means);
            self.spawn(victim.ballot, move || ask_agents(&means, &victim));
        }
    }

    fn bar(&self, reservation: Arc<Reservation>, victim: LogEntry) {
        let means = Arc::clone(&self.means);
        self.spawn(victim.ballot, move || bar(&reservation, &means, &victim));
    }

    fn report(&self, victim: Ballot, result: Result<How, Vec<String>>) {
        let tried = Tried {
            victim,
            serial: self.serial,
            result,
        };
        self.tried_by_threads.send(tried).expect("we hold the receiver");
        (self.wake)();
    }

    fn spawn(&self, victim: Ballot, way: impl FnOnce() -> Result<How, Vec<String>> + Send + 'static) {
        let (send, wake, serial) = (self.tried_by_threads.clone(), Arc::clone(&self.wake), self.serial);
        let body = move || {
            let result = way();
            let tried = Tried {
                victim,
                serial,
                result,
            };
            // Nobody listens any more once the fencer is gone.
            if send.send(tried).is_ok() {
                wake();
            }
        };
        let thread = std::thread::Builder::new().name("ostrakon-fence".to_owned());
        if let Err(error) = thread.spawn(body) {
            self.report(victim, Err(vec![format!("no thread to fence from: {error}")]));
        }
    }

    /// The next request that was answered.
    pub fn next_report(&mut self) -> Option<FenceReport> {
        while let Ok(tried) = self.tried.try_recv() {
            let Some(running) = self.running.get_mut(&tried.victim) else {
                continue;
            };
            if running.serial != tried.serial {
                continue;
            }
            running.ways -= 1;
            let how = match tried.result {
                Ok(how) => Some(how),
                Err(failures) => {
                    running.failures.extend(failures);
                    None
                }
            };
            if how.is_none() && running.ways > 0 {
                continue;
            }
            let failures = std::mem::take(&mut running.failures);
            self.running.remove(&tried.victim);
            return Some(FenceReport {
                victim: tried.victim,
                how,
                failures,
            });
        }
        None
    }
}

/// Waits until the victim, a process of this host, is gone, and then W for what lies below it.
fn watch(here: &Here, means: &Means, victim: &LogEntry) -> Result<How, Vec<String>> {
    let deadline = Instant::now() + means.time_max;
    while here.look(victim) != Known::Dead {
        if Instant::now() >= deadline {
            return Err(vec![
                "the victim's process on this host is still there".to_owned(),
            ]);
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    if Instant::now() + means.write_time_max > deadline {
        return Err(vec![
            "the victim's process is gone, but not yet for as long as its writes may take".to_owned(),
        ]);
    }
    std::thread::sleep(means.write_time_max);
    Ok(How::DeadProcess)
}

/// Removes the victim's registration, and waits W for what it has under way, unless that was aborted.
fn bar(reservation: &Reservation, means: &Means, victim: &LogEntry) -> Result<How, Vec<String>> {
    if victim.host == means.host {
        // The device knows this host, not its processes.
        return Err(vec![
            "the victim ran on this very host, which a reservation cannot bar, or on one with the same machine id: give each host an \
             /etc/machine-id of its own".to_owned(),
        ]);
    }
    let barred = reservation.bar(victim.ballot.rid);
    let aborted = barred.map_err(|why| vec![format!("scsi: {why}")])?;
    if !aborted {
        std::thread::sleep(means.write_time_max);
    }
    Ok(How::Barred)
}

/// Asks one agent after the other; each gets its share of the time that is left.
fn ask_agents(means: &Means, victim: &LogEntry) -> Result<How, Vec<String>> {
    let mapped = means
        .map
        .as_ref()
        .map_or(Ok(Pairs::new()), |map| map.find(victim));
    let mapped = mapped.map_err(|error| vec![error])?;
    let deadline = Instant::now() + means.time_max;
    let mut failures = Vec::new();
    for (index, agent) in means.agents.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / (means.agents.len() - index) as u32;
        match agent.fence(means.volume, victim, &mapped, share) {
            Ok(()) => return Ok(How::Agent(agent.to_string())),
            Err(error) => failures.push(error),
        }
    }
    Err(failures)
}

#[cfg(test)]
mod tests {
    use ostrakon_core::format::FenceParam;
    use ostrakon_core::ids::{Rid, Term};

    use super::*;

    fn means(agents: &[&str], runtime: &std::path::Path) -> Means {
        Means {
            agents: agents
                .iter()
                .map(|line| FenceAgent::parse(line).unwrap())
                .collect(),
            reservation: None,
            map: None,
            time_max: Duration::from_secs(10),
            write_time_max: Duration::from_millis(150),
            host: HostId(3),
            boot: BootId([3; 16]),
            ip: "10.0.0.1".parse().unwrap(),
            volume: VolumeId([1; 16]),
            runtime: RuntimeDir::at(runtime),
        }
    }

    fn request(boot: u8) -> FenceRequest {
        FenceRequest {
            victim: LogEntry {
                ballot: Ballot {
                    term: Term(2),
                    rid: Rid::new(8).unwrap(),
                },
                host: HostId(3),
                boot: BootId([boot; 16]),
                addr: "10.0.0.1:70".parse().unwrap(),
                quiet_ms: 0,
                fenced: false,
                fence_param: FenceParam::default(),
            },
            attempt: 1,
        }
    }

    fn answer(fencer: &mut Fencer) -> FenceReport {
        for _ in 0..1_000 {
            if let Some(report) = fencer.next_report() {
                return report;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no answer in ten seconds");
    }

    fn fence(means: Means, request: &FenceRequest) -> FenceReport {
        let mut fencer = Fencer::new(means, Arc::new(|| {}));
        fencer.start(request);
        answer(&mut fencer)
    }

    #[test]
    fn an_earlier_boot_of_this_host_needs_no_agent() {
        let folder = tempfile::tempdir().unwrap();
        let report = fence(means(&["/bin/false"], folder.path()), &request(2));
        assert_eq!(report.how, Some(How::EarlierBoot));
        assert_eq!(report.outcome(), FenceOutcome::Done);
    }

    #[test]
    fn agents_are_tried_in_order_until_one_confirms() {
        let folder = tempfile::tempdir().unwrap();
        let report = fence(
            means(&["false", "true", "/nonexistent"], folder.path()),
            &request(3),
        );
        assert_eq!(report.how, Some(How::Agent("true".to_owned())));
        assert_eq!(
            report.failures,
            Vec::<String>::new(),
            "those of the same way are not kept"
        );
    }

    #[test]
    fn when_all_refuse_the_answer_is_no_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let report = fence(means(&["false", "/nonexistent"], folder.path()), &request(3));
        assert_eq!(report.outcome(), FenceOutcome::Failed);
        assert_eq!(report.failures.len(), 2, "{:?}", report.failures);
    }

    #[test]
    fn without_agents_only_what_is_known_counts() {
        let folder = tempfile::tempdir().unwrap();
        let report = fence(means(&[], folder.path()), &request(3));
        assert_eq!(report.outcome(), FenceOutcome::Failed);
        assert!(report.failures[0].contains("no fence agent"));
    }

    #[test]
    fn a_dead_process_of_this_boot_is_silent_after_w_even_if_no_agent_confirms() {
        let folder = tempfile::tempdir().unwrap();
        let means = means(&["false"], folder.path());
        let lock = means.runtime.lock(means.volume, Rid::new(8).unwrap()).unwrap();
        let mut fencer = Fencer::new(means, Arc::new(|| {}));
        fencer.start(&request(3));
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(fencer.next_report(), None, "it lives");
        drop(lock);
        let died = Instant::now();
        let report = answer(&mut fencer);
        assert_eq!(report.how, Some(How::DeadProcess));
        assert!(died.elapsed() >= Duration::from_millis(150));
        assert_eq!(
            report.failures.len(),
            1,
            "the agent's refusal is told: {:?}",
            report.failures
        );
    }

    #[test]
    fn requests_for_one_victim_are_answered_once_and_may_be_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let mut fencer = Fencer::new(means(&["sleep 0.2"], folder.path()), Arc::new(|| {}));
        fencer.start(&request(3));
        fencer.start(&request(3));
        assert_eq!(answer(&mut fencer).outcome(), FenceOutcome::Done);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(fencer.next_report(), None);
        fencer.start(&request(3));
        assert_eq!(answer(&mut fencer).outcome(), FenceOutcome::Done);
    }
}
