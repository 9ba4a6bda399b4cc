//! Many real clients in one thread: each is core's own plain mount, with a TCP connection of its own to a real server.
//!
//! - `unit`: one client, its socket, and what it asks of them.
//! - `driver`: the loop that serves all of them.
//! - `device`: their readings of the super block.
//!
//! It takes the place of thousands of hosts: so the reads of the shared device that were asked for at one moment are
//! made once and answered to all who asked, and connections come from several loopback addresses.

mod device;
mod driver;
mod unit;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ostrakon_xtask::failure::{During, Failure, Result};

/// What all threads know of the clients.
#[derive(Default)]
struct Shared {
    news: Mutex<News>,
    changed: Condvar,
    leave: AtomicBool,
    stop: AtomicBool,
}

/// What has happened to the clients.
#[derive(Default)]
struct News {
    /// Each welcome by a server: when, and the server's term.
    welcomes: Vec<(Instant, u64)>,
    /// Connections lost.
    losses: usize,
    /// Clients that have ended, and those of them that a server had thrown out.
    ended: usize,
    evicted: usize,
    failed: Option<String>,
}

impl Shared {
    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut News)) {
        change(&mut self.news());
        self.changed.notify_all();
    }
}

/// How a crowd of clients came in: since the moment that was asked about.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The first client was welcomed.
    pub first: Duration,
    /// Half of them were.
    pub half: Duration,
    /// All of them were.
    pub all: Duration,
}

/// What the clients are like.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The image or device.
    pub image: PathBuf,
    /// How many.
    pub clients: usize,
    /// Addresses that they connect from, in turn; with none the system chooses.
    pub sources: Vec<Ipv4Addr>,
}

/// A crowd of clients. They vanish without a word when this value goes.
pub struct Load {
    shared: Arc<Shared>,
    clients: usize,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Starts the thread; the clients look for a server from now on.
    pub fn start(options: LoadOptions) -> Result<Self> {
        raise_file_limit(options.clients)?;
        let shared = Arc::new(Shared::default());
        let clients = options.clients;
        let mut driver = driver::Driver::new(&options, Arc::clone(&shared))?;
        let told = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || {
                if let Err(failure) = driver.run() {
                    told.tell(|news| news.failed = Some(failure.to_string()));
                }
            })
            .during("starting a thread for the clients")?;
        Ok(Self {
            shared,
            clients,
            thread: Some(thread),
        })
    }

    /// Waits until every client was welcomed by a server of a term above this one, and says how long after `since`.
    pub fn wait_welcomed(&self, above: u64, since: Instant, limit: Duration) -> Result<Arrival> {
        let clients = self.clients;
        self.wait(limit, "the welcome of all clients", |news| {
            let mut times: Vec<Duration> = news
                .welcomes
                .iter()
                .filter(|&&(_, term)| term > above)
                .map(|&(at, _)| at.saturating_duration_since(since))
                .collect();
            if times.len() < clients {
                return None;
            }
            times.sort_unstable();
            Some(Arrival {
                first: times[0],
                half: times[clients / 2],
                all: times[clients - 1],
            })
        })
    }

    /// Welcomes so far.
    pub fn welcomes(&self) -> usize {
        self.shared.news().welcomes.len()
    }

    /// Connections lost so far, for whatever reason.
    pub fn losses(&self) -> usize {
        self.shared.news().losses
    }

    /// Clients that servers have thrown out so far.
    pub fn evicted(&self) -> usize {
        self.shared.news().evicted
    }

    /// Has all of them leave cleanly, and waits until they have; says how long that took.
    pub fn leave(&self, limit: Duration) -> Result<Duration> {
        let started = Instant::now();
        self.shared.leave.store(true, Ordering::Relaxed);
        let clients = self.clients;
        self.wait(limit, "the end of all clients", |news| {
            (news.ended >= clients).then(|| started.elapsed())
        })
    }

    fn wait<T>(&self, limit: Duration, what: &str, mut pick: impl FnMut(&News) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + limit;
        let mut news = self.shared.news();
        loop {
            if let Some(words) = &news.failed {
                return Err(Failure::new(format!("the clients' thread failed: {words}")));
            }
            if let Some(found) = pick(&news) {
                return Ok(found);
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return Err(Failure::new(format!(
                    "waited {} s for {what}, in vain: {} welcomes, {} losses, {} ended, {} evicted of {}",
                    limit.as_secs(),
                    news.welcomes.len(),
                    news.losses,
                    news.ended,
                    news.evicted,
                    self.clients
                )));
            };
            // News come by the thousand: looking at all of them for each one would take longer than they do.
            let nap = left.min(Duration::from_millis(5));
            drop(news);
            std::thread::sleep(nap);
            news = self.shared.news();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so on stderr.
            let _ = thread.join();
        }
    }
}

/// Loopback addresses of one network, to connect from: one address has some 28,000 ports for one destination, and those
/// of closed connections come back after a minute only.
pub fn sources(network: Ipv4Addr, count: u8) -> Vec<Ipv4Addr> {
    let [a, b, c, _] = network.octets();
    (0..count)
        .map(|number| Ipv4Addr::new(a, b, c, 200_u8.saturating_add(number % 50)))
        .collect()
}

/// Descriptors that the process may have open: one for each client, and some more.
fn raise_file_limit(clients: usize) -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let wanted = clients as u64 + 256;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).during("raising the limit of open files")?;
    match limit.maximum {
        Some(most) if most < wanted => Err(Failure::new(format!(
            "{clients} clients need {wanted} open files, and this process may have {most}: ulimit -Hn {wanted}"
        ))),
        _ => Ok(()),
    }
}

/// Whether this machine lets a process hold that many clients, and another one their server.
pub fn fits(clients: usize) -> std::result::Result<(), String> {
    raise_file_limit(clients).map_err(|failure| failure.to_string())
}

/// The image or device as a path.
fn open(path: &Path) -> Result<ostrakon_linux::disk::DeviceFile> {
    use ostrakon_linux::disk::{Access, DeviceFile};
    DeviceFile::open(path, Access::Read).during("opening the volume for the clients")
}
