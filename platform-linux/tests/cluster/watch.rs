//! A watch that looks for two servers while a test does its worst.
//!
//! It knows nothing of what mounts say: it reads the super block, and it knocks on the door of every voter. A server
//! listens from before it is published until it stopped or was fenced, so two doors that open at once are two servers.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ostrakon_xtask::cluster::device::{Ballot, Status};
use ostrakon_xtask::cluster::tool::Tool;
use ostrakon_xtask::failure::{Failure, Result, ensure};

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// A door on the loopback network opens or refuses at once.
const KNOCK: Duration = Duration::from_millis(200);

/// What was seen.
#[derive(Default, Debug)]
pub(crate) struct Seen {
    /// Looks taken.
    pub(crate) looks: u32,
    /// Servers, in the order in which the device named them.
    pub(crate) servers: Vec<Ballot>,
}

/// Watches until told to finish.
pub(crate) struct Watch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Seen>>,
}

impl Watch {
    /// Watches a device and the doors of its voters.
    pub(crate) fn start(tool: &Tool, doors: Vec<SocketAddr>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (tool, stop) = (tool.clone(), Arc::clone(&over));
        let thread = thread::spawn(move || watch(&tool, &doors, &stop));
        Self { over, thread }
    }

    /// What was seen; fails if it was ever two servers, or anything that went back.
    pub(crate) fn finish(self) -> Result<Seen> {
        self.over.store(true, Ordering::Relaxed);
        let seen = self
            .thread
            .join()
            .map_err(|_| Failure::new("the watch panicked"))??;
        ensure(seen.looks > 10, || format!("the watch hardly looked: {seen:?}"))?;
        println!("{} looks, servers {:?}", seen.looks, seen.servers);
        Ok(seen)
    }
}

fn watch(tool: &Tool, doors: &[SocketAddr], over: &AtomicBool) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut before: Option<Status> = None;
    loop {
        // What came before the end is looked at once more.
        let last = over.load(Ordering::Relaxed);
        let now = tool.status()?;
        if let Some(before) = &before {
            nothing_went_back(before, &now)?;
        }
        if let Some(server) = &now.server
            && seen.servers.last() != Some(server)
        {
            seen.servers.push(server.clone());
        }
        one_door_at_most(doors)?;
        seen.looks += 1;
        before = Some(now);
        if last {
            return Ok(seen);
        }
        thread::sleep(INTERVAL);
    }
}

fn nothing_went_back(before: &Status, now: &Status) -> Result<()> {
    let holds = before.seq <= now.seq
        && before.fenced <= now.fenced
        && before.unmount_barrier <= now.unmount_barrier
        && (before.seq < now.seq || (before.server == now.server && before.server_addr == now.server_addr))
        && match (&before.server, &now.server) {
            (Some(before), Some(now)) => before <= now,
            _ => true,
        };
    ensure(holds, || {
        format!("the super block went back:\n{before:?}\n{now:?}")
    })
}

/// The first of two open doors is tried again after the second: else a hand-over in between would look like two.
fn one_door_at_most(doors: &[SocketAddr]) -> Result<()> {
    let open: Vec<SocketAddr> = doors.iter().copied().filter(opens).collect();
    let again = open.len() > 1 && opens(&open[0]);
    ensure(!again, || format!("servers listen at {open:?} at once"))
}

fn opens(door: &SocketAddr) -> bool {
    TcpStream::connect_timeout(door, KNOCK).is_ok()
}

#[test]
fn two_open_doors_are_noticed() -> Result<()> {
    use ostrakon_xtask::failure::During;

    let open = |_| std::net::TcpListener::bind("127.0.0.1:0").during("opening a door");
    let doors = (0..2).map(open).collect::<Result<Vec<_>>>()?;
    let addrs = doors
        .iter()
        .map(|door| door.local_addr().during("asking for its address"));
    let addrs = addrs.collect::<Result<Vec<_>>>()?;
    ensure(one_door_at_most(&addrs).is_err(), || {
        "two open doors went unnoticed".to_owned()
    })?;
    drop(doors);
    one_door_at_most(&addrs)
}

#[test]
fn a_super_block_that_goes_back_is_noticed() -> Result<()> {
    let ballot = |term, rid: &str| Ballot {
        term,
        rid: rid.to_owned(),
    };
    let before = Status {
        quorum_count: 1,
        seq: 5,
        fenced: ballot(2, "a"),
        server: Some(ballot(3, "b")),
        server_addr: None,
        unmount_barrier: 1,
        clients: Vec::new(),
    };
    let worse = |change: fn(&mut Status)| {
        let mut now = before.clone();
        now.seq += 1;
        change(&mut now);
        now
    };
    nothing_went_back(&before, &worse(|_| {}))?;
    let changes: [fn(&mut Status); 5] = [
        |now| now.seq = 4,
        |now| now.fenced.term = 1,
        |now| {
            now.server = Some(Ballot {
                term: 3,
                rid: "a".to_owned(),
            })
        },
        |now| now.unmount_barrier = 0,
        |now| (now.seq, now.server_addr) = (5, Some(SocketAddr::from(([127, 0, 0, 1], 1)))),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let noticed = nothing_went_back(&before, &worse(change)).is_err();
        ensure(noticed, || format!("change {number} went unnoticed"))?;
    }
    Ok(())
}
