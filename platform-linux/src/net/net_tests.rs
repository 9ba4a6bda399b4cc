//! Real sockets on the loopback interface, with a sink that consumes lines.

use std::io::{Read, Write};
use std::net::{TcpListener as StdListener, TcpStream as StdStream};
use std::time::Duration as StdDuration;

use mio::{Events, Poll};
use ostrakon_core::bounds::MESSAGE_BYTES_MAX;

use super::*;
use crate::clock;

/// Consumes whole lines, at most `room` of them until it is given more room.
struct Lines {
    news: Vec<String>,
    accepts: Vec<ConnId>,
    room: usize,
    /// Those who knock have to wait.
    crowded: bool,
}

impl NetSink for Lines {
    fn listening(&mut self, listens: Result<(), CloseReason>) {
        self.news.push(format!("listening {listens:?}"));
    }
    fn may_accept(&mut self) -> bool {
        !self.crowded
    }
    fn accept(&mut self) -> Option<ConnId> {
        let id = self.accepts.pop();
        self.news.push(format!("accept {id:?}"));
        id
    }
    fn connected(&mut self, conn: ConnId) {
        self.news.push(format!("connected {}", conn.0));
    }
    fn closed(&mut self, conn: ConnId, reason: CloseReason) {
        self.news.push(format!("closed {} {reason:?}", conn.0));
    }
    fn bytes(&mut self, conn: ConnId, bytes: &mut [u8]) -> usize {
        let Some(end) = bytes
            .iter()
            .position(|&byte| byte == b'\n')
            .filter(|_| self.room > 0)
        else {
            return 0;
        };
        self.room -= 1;
        let line = String::from_utf8_lossy(&bytes[..end]);
        self.news.push(format!("{}: {line}", conn.0));
        end + 1
    }
}

struct Bench {
    poll: Poll,
    net: Net,
    sink: Lines,
}

impl Bench {
    fn new() -> Self {
        let poll = Poll::new().unwrap();
        let net = Net::new(poll.registry().try_clone().unwrap());
        let sink = Lines {
            news: Vec::new(),
            accepts: vec![ConnId(1)],
            room: usize::MAX,
            crowded: false,
        };
        Self { poll, net, sink }
    }

    fn turn(&mut self, wait: StdDuration) {
        let mut events = Events::with_capacity(64);
        let wait = if self.net.has_work() {
            StdDuration::ZERO
        } else {
            wait
        };
        self.poll.poll(&mut events, Some(wait)).unwrap();
        events.iter().for_each(|event| self.net.ready(event));
        self.net.turn(clock::now(), &mut self.sink);
        self.net.flush();
    }

    /// Turns until this was told.
    fn expect(&mut self, news: &str) {
        for _ in 0..500 {
            if self.sink.news.iter().any(|told| told == news) {
                return;
            }
            self.turn(StdDuration::from_millis(10));
        }
        panic!("expected {news:?}, told: {:?}", self.sink.news);
    }

    fn listen(&mut self) -> SocketAddr {
        let port = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        self.net.request(NetRequest::Listen(port));
        self.expect("listening Ok(())");
        port
    }

    fn accepted(&mut self) -> StdStream {
        let addr = self.listen();
        let peer = StdStream::connect(addr).unwrap();
        peer.set_read_timeout(Some(StdDuration::from_secs(5))).unwrap();
        self.expect("accept Some(ConnId(1))");
        peer
    }
}

#[test]
fn lines_arrive_whole_however_they_were_cut() {
    let mut bench = Bench::new();
    let mut peer = bench.accepted();
    for piece in ["on", "e\ntw", "o\nthree\nfo"] {
        peer.write_all(piece.as_bytes()).unwrap();
        bench.turn(StdDuration::from_millis(20));
    }
    drop(peer);
    bench.expect("closed 1 ByPeer");
    let lines: Vec<_> = bench
        .sink
        .news
        .iter()
        .filter(|told| told.starts_with("1:"))
        .collect();
    assert_eq!(lines, ["1: one", "1: two", "1: three"]);
    assert_eq!(bench.net.connections(), 0);
}

#[test]
fn messages_reach_the_peer_even_when_the_connection_is_closed_behind_them() {
    let mut bench = Bench::new();
    let mut peer = bench.accepted();
    // Unread input at closing time would reset the connection and lose the answer.
    peer.write_all(&[b'x'; 3000]).unwrap();
    bench.net.transmit(ConnId(1), b"the last word");
    bench.net.request(NetRequest::Close(ConnId(1)));
    let mut heard = String::new();
    peer.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "the last word");
}

#[test]
fn connecting_is_told_once_and_refusal_is_told_apart() {
    let mut bench = Bench::new();
    let there = StdListener::bind("127.0.0.1:0").unwrap();
    bench
        .net
        .request(NetRequest::Connect(ConnId(4), there.local_addr().unwrap()));
    bench.net.transmit(ConnId(4), b"hello");
    bench.expect("connected 4");
    let (mut peer, _) = there.accept().unwrap();
    bench.turn(StdDuration::ZERO);
    let mut heard = [0; 5];
    peer.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");

    let nobody = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bench.net.request(NetRequest::Connect(ConnId(5), nobody));
    bench.expect("closed 5 Refused");
    assert_eq!(
        bench
            .sink
            .news
            .iter()
            .filter(|told| told.starts_with("connected"))
            .count(),
        1
    );
}

#[test]
fn a_port_that_is_taken_is_told_with_its_reason() {
    let mut bench = Bench::new();
    let taken = StdListener::bind("127.0.0.1:0").unwrap();
    bench.net.request(NetRequest::Listen(taken.local_addr().unwrap()));
    bench.expect("listening Err(Failed)");
    let words = bench.net.take_listen_error().unwrap();
    assert!(words.contains("in use"), "{words}");
}

#[test]
fn who_gets_no_name_is_closed_and_the_next_is_served() {
    let mut bench = Bench::new();
    let first = bench.accepted();
    let mut stranger = StdStream::connect(first.peer_addr().unwrap()).unwrap();
    bench.expect("accept None");
    assert_eq!(stranger.read(&mut [0; 1]).unwrap(), 0);
    bench.sink.accepts.push(ConnId(2));
    let mut second = StdStream::connect(first.peer_addr().unwrap()).unwrap();
    second.write_all(b"hello\n").unwrap();
    bench.expect("2: hello");
}

#[test]
fn what_core_leaves_is_offered_again_and_reading_stops_meanwhile() {
    let mut bench = Bench::new();
    bench.sink.room = 1;
    let mut peer = bench.accepted();
    let line = [&[b'x'; 1000][..], b"\n"].concat();
    for _ in 0..20 {
        peer.write_all(&line).unwrap();
    }
    let consumed = |bench: &Bench| {
        bench
            .sink
            .news
            .iter()
            .filter(|told| told.starts_with("1:"))
            .count()
    };
    for _ in 0..5 {
        bench.turn(StdDuration::from_millis(5));
    }
    assert_eq!(consumed(&bench), 1);
    bench.sink.room = usize::MAX;
    for _ in 0..50 {
        bench.turn(StdDuration::from_millis(5));
    }
    assert_eq!(consumed(&bench), 20);
}

#[test]
fn a_peer_that_takes_nothing_is_not_listened_to_and_lost_at_the_bound() {
    let mut bench = Bench::new();
    let mut peer = bench.accepted();
    let message = [b'm'; MESSAGE_BYTES_MAX];
    // The kernel takes some; once it takes no more, our own bound counts.
    for _ in 0..100_000 {
        bench.net.transmit(ConnId(1), &message);
        bench.net.flush();
        if bench.net.connections() == 0 {
            break;
        }
        if bench.net.conns[&ConnId(1)].has_work() {
            continue;
        }
        peer.write_all(b"ignored\n").unwrap();
        bench.turn(StdDuration::ZERO);
    }
    bench.expect("closed 1 Failed");
    assert!(bench.sink.news.iter().all(|told| !told.contains("ignored")));
}

#[test]
fn closing_frees_the_name_and_silences_its_news() {
    let mut bench = Bench::new();
    let peer = bench.accepted();
    drop(peer);
    std::thread::sleep(StdDuration::from_millis(20));
    bench.net.request(NetRequest::Close(ConnId(1)));
    for _ in 0..3 {
        bench.turn(StdDuration::from_millis(5));
    }
    assert!(bench.sink.news.iter().all(|told| !told.starts_with("closed")));
    bench.net.request(NetRequest::Unlisten);
    assert!(!bench.net.has_work());
}

#[test]
fn who_knocks_at_a_crowded_house_waits_outside_and_comes_in_when_there_is_room() {
    let mut bench = Bench::new();
    let addr = bench.listen();
    bench.sink.crowded = true;
    let _peer = StdStream::connect(addr).unwrap();
    for _ in 0..20 {
        bench.turn(StdDuration::from_millis(5));
    }
    assert!(!bench.net.has_work(), "a turn of its own would change nothing");
    assert!(bench.net.next_deadline().is_some(), "it is looked at again");
    assert!(!bench.sink.news.iter().any(|told| told.starts_with("accept")));
    bench.sink.crowded = false;
    bench.expect("accept Some(ConnId(1))");
    assert_eq!(bench.net.next_deadline(), None);
}
