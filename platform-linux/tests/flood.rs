//! Thousands of strangers who come again as soon as they are shown out: whoever knows the key gets in among them.

mod common;

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::Bench;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use ostrakon_bench::load::{Load, LoadOptions, fits};
use ostrakon_xtask::skipped;

/// More than all that may wait before the listener and among the strangers of the server: the queue is full all the time.
const STRANGERS: usize = 4_500;

/// Clients that are there before.
const CLIENTS: usize = 40;

/// How long a client may take to get in. It gives its place in the queue up and begins anew long before: in a queue that moves
/// too slowly for its patience it never gets in at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connections of strangers, each of which is opened again when the server has closed it.
struct Flood {
    port: SocketAddr,
    poll: Poll,
    streams: Vec<Option<TcpStream>>,
}

impl Flood {
    fn new(port: SocketAddr) -> Self {
        Self {
            port,
            poll: Poll::new().expect("an epoll"),
            streams: (0..STRANGERS).map(|_| None).collect(),
        }
    }

    /// Counts those that were opened, until it is over.
    fn run(mut self, over: &AtomicBool, opened: &AtomicUsize) {
        let mut events = Events::with_capacity(1024);
        while !over.load(Ordering::Relaxed) {
            for index in 0..STRANGERS {
                if self.streams[index].is_none() && self.open(index) {
                    opened.fetch_add(1, Ordering::Relaxed);
                }
            }
            let waited = self.poll.poll(&mut events, Some(Duration::from_millis(5)));
            if waited.is_err_and(|error| error.kind() != ErrorKind::Interrupted) {
                return;
            }
            for event in &events {
                self.hear(event.token().0);
            }
        }
    }

    /// `false` if the system has no port for it just now.
    fn open(&mut self, index: usize) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.port) else {
            return false;
        };
        let registry = self.poll.registry();
        let registered = registry.register(&mut stream, Token(index), Interest::READABLE);
        registered.expect("it can be waited for");
        self.streams[index] = Some(stream);
        true
    }

    /// It says nothing to the challenge, and waits until it is closed.
    fn hear(&mut self, index: usize) {
        let Some(stream) = &mut self.streams[index] else {
            return;
        };
        let mut bytes = [0; 64];
        let closed = loop {
            match stream.read(&mut bytes) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
                Err(_) => break true,
            }
        };
        if closed {
            self.streams[index] = None;
        }
    }
}

/// Tells the flood that it is over, also when the test has failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn clients(bench: &Bench, clients: usize) -> Load {
    let options = LoadOptions {
        image: bench.image(),
        clients,
        sources: Vec::new(),
    };
    Load::start(options).expect("clients start")
}

#[test]
fn a_client_gets_in_among_thousands_of_strangers_who_come_again_and_again() {
    if let Err(why) = fits(STRANGERS + CLIENTS) {
        skipped::note("a flood of strangers", &why);
        return;
    }
    // For a hundred clients.
    let bench = Bench::formatted("1");
    let mut voter = bench.voter(&[]);
    let port = voter.wait("serving")["server_addr"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let crowd = clients(&bench, CLIENTS);
    crowd
        .wait_welcomed(0, Instant::now(), PATIENCE)
        .expect("nobody else is there");

    let (over, opened) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let ends = Over(&over);
        scope.spawn(|| Flood::new(port).run(&over, &opened));
        // From then on strangers are shown out, and come again.
        let since = Instant::now();
        while opened.load(Ordering::Relaxed) < STRANGERS + 300 {
            assert!(since.elapsed() < PATIENCE, "no flood: {opened:?} connections");
            thread::sleep(Duration::from_millis(10));
        }
        let late = clients(&bench, 1);
        let arrival = late.wait_welcomed(0, Instant::now(), PATIENCE);
        let arrival = arrival.unwrap_or_else(|failure| panic!("{failure}, among {opened:?} strangers"));
        println!("in after {:?}, among {opened:?} strangers", arrival.all);
        late.leave(PATIENCE).expect("it is served");
        drop(ends);
    });
    assert_eq!(crowd.losses(), 0, "those who were there heard nothing of it");
    crowd.leave(PATIENCE).expect("they are served");
    voter.expect_unchallenged_end();
}
