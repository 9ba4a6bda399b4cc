//! A client beside a server whose part the test plays: what one of ours says rarely, late, or never.

extern crate std;

use std::vec::Vec;

use super::ballot;
use crate::bounds::{
    CONNECT_TIMEOUT, EVENTS_MAX, EVICTED_FAREWELL_TIME, MESSAGE_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX,
    WELCOME_TIMEOUT,
};
use crate::client::{Client, Link};
use crate::config::{Config, VoterConfig};
use crate::disk::IoId;
use crate::event::{Event, Fault, Unmounted};
use crate::format::FenceParam;
use crate::format::wire::{Command, Greeting, Message, RequestId, Status, Welcome, encode_pong};
use crate::ids::{Ballot, Mark};
use crate::net::{CloseReason, ConnId, NetRequest};
use crate::noise::Entropy;
use crate::session::world::{ADD, World, addr, rid};
use crate::superio::SuperView;
use crate::time::{Duration, Instant};

/// A voter that has read the super block, and its own server, which the test plays: between the two nothing is sealed.
struct Pair {
    client: Client,
    now: Instant,
}

impl Pair {
    fn new() -> Self {
        let mut config = Config::client(rid(0));
        config.voter = Some(VoterConfig::fencing(addr(0), FenceParam::default()));
        let now = Instant(1_000_000);
        let mut client = Client::new(now, config, Entropy::new([3; 32]));
        client.see_super(now, &World::new(1).view());
        Self { client, now }
    }

    /// The server of this term begins, and the client greets it.
    fn begin(&mut self, term: u64) -> Greeting {
        self.client.set_local_server(self.now, Some(ballot(term)));
        self.come()
    }

    /// The client connects, and greets.
    fn come(&mut self) -> Greeting {
        self.client.poll(self.now);
        let asked = core::iter::from_fn(|| self.client.poll_net(self.now)).last();
        assert_eq!(asked, Some(NetRequest::Connect(ConnId::LOCAL, addr(0))));
        self.client.handle_connected(self.now, ConnId::LOCAL);
        let (command, _, body) = self.hear().expect("it greets");
        assert_eq!(command, Command::GREETING);
        Greeting::decode(&body).unwrap()
    }

    /// What the client says next.
    fn hear(&mut self) -> Option<(Command, RequestId, Vec<u8>)> {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let (conn, length) = self.client.poll_transmit(self.now, &mut buffer)?;
        assert_eq!(conn, ConnId::LOCAL);
        let message = Message::decode(&buffer[..length]).unwrap();
        Some((message.command, message.id, message.body.to_vec()))
    }

    fn say(&mut self, conn: ConnId, message: &Message<'_>) {
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        let length = message.encode(&mut bytes).unwrap();
        let used = self.client.handle_bytes(self.now, conn, &mut bytes[..length]);
        assert_eq!(used, length);
    }

    fn answer(&mut self, command: Command, status: Status, id: u64, body: &[u8]) {
        self.say(
            ConnId::LOCAL,
            &Message {
                command,
                answer: true,
                status,
                id: RequestId(id),
                released: RequestId(0),
                body,
            },
        );
    }

    fn welcome(&mut self, server: Ballot, voter: bool) {
        let mut body = [0; Welcome::BYTES];
        let welcome = Welcome {
            server,
            barrier: 0,
            voter,
            known: true,
            ping_ms: 1_000,
        };
        welcome.encode(&mut body);
        self.answer(Command::GREETING, Status::Ok, 0, &body);
    }

    /// A client that was welcomed as a voter, and whose news were fetched.
    fn welcomed() -> Self {
        let mut pair = Self::new();
        pair.begin(1);
        pair.welcome(ballot(1), true);
        assert_eq!(pair.news().len(), 1);
        pair
    }

    fn news(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.client.poll_event()).collect()
    }

    /// Servers begin and end, one after the other, from this term on: twice as much news as a client holds.
    fn servers_come_and_go(&mut self, from: u64) {
        for term in from..from + EVENTS_MAX as u64 {
            self.begin(term);
            self.welcome(ballot(term), true);
            self.client.set_local_server(self.now, None);
        }
    }
}

/// A super block that names a server.
fn names(server: Ballot) -> SuperView {
    let mut view = World::new(1).view();
    view.state.server = Some(server);
    view.state.fenced = Mark::below(server);
    view.state.server_addr = Some(addr(7));
    view
}

fn answered(id: u64) -> Event {
    Event::Answered {
        id: RequestId(id),
        status: Status::Ok,
        length: 1,
    }
}

#[test]
fn whoever_fetches_too_late_misses_the_oldest_news_and_not_the_newest() {
    let mut pair = Pair::new();
    pair.servers_come_and_go(1);
    let news = pair.news();
    assert_eq!(news.len(), EVENTS_MAX);
    let server = ballot(EVENTS_MAX as u64);
    assert_eq!(news.last(), Some(&Event::Disconnected { server }));
}

#[test]
fn an_answer_whose_news_was_missed_holds_up_no_later_request_and_no_farewell() {
    let mut pair = Pair::welcomed();
    assert_eq!(pair.client.submit(ADD, &[]), Some(RequestId(1)));
    pair.answer(ADD, Status::Ok, 1, &[7]);
    pair.servers_come_and_go(2);
    assert!(!pair.news().contains(&answered(1)), "the case is made");
    pair.begin(20);
    pair.welcome(ballot(20), true);
    for id in 2..2 + REQUESTS_IN_FLIGHT_MAX as u64 {
        assert_eq!(pair.client.submit(ADD, &[]), Some(RequestId(id)));
        pair.answer(ADD, Status::Ok, id, &[7]);
        pair.news();
    }
    pair.client.unmount(pair.now);
    pair.client.poll(pair.now);
    assert_eq!(pair.hear().map(|said| said.0), Some(Command::FAREWELL));
}

#[test]
fn an_answer_that_comes_twice_is_told_once() {
    let mut pair = Pair::welcomed();
    assert_eq!(pair.client.submit(ADD, &[]), Some(RequestId(1)));
    pair.answer(ADD, Status::Ok, 1, &[7]);
    pair.answer(ADD, Status::Ok, 1, &[8]);
    assert_eq!(pair.news(), [answered(1)]);
    assert_eq!(pair.client.answer(RequestId(1)), [7]);
}

#[test]
fn an_answer_is_gone_with_the_session_though_its_news_is_fetched_after_it() {
    let mut pair = Pair::welcomed();
    assert_eq!(pair.client.submit(ADD, &[]), Some(RequestId(1)));
    pair.answer(ADD, Status::Ok, 1, &[7]);
    pair.begin(2);
    pair.answer(Command::GREETING, Status::Evicted, 0, &[]);
    let disconnected = Event::Disconnected { server: ballot(1) };
    assert_eq!(pair.news(), [answered(1), disconnected, Event::Evicted]);
    assert!(pair.client.answer(RequestId(1)).is_empty());
}

#[test]
fn a_repeated_welcome_is_news_only_for_one_who_was_turned_down_and_has_a_place_now() {
    let mut pair = Pair::new();
    pair.begin(1);
    pair.welcome(ballot(1), false);
    let turned_down = [
        Event::Connected {
            server: ballot(1),
            addr: None,
        },
        Event::PlainClient,
    ];
    assert_eq!(pair.news(), turned_down);
    for (server, voter, news) in [
        (1, false, None),
        (2, true, None),
        (1, true, Some(Event::VoterAfterAll)),
        (1, true, None),
        (1, false, None),
    ] {
        pair.welcome(ballot(server), voter);
        assert_eq!(pair.news(), Vec::from_iter(news), "{server} {voter}");
    }
    assert_eq!(
        pair.client.connected_to(),
        Some((ballot(1), None)),
        "and it stays connected"
    );
}

#[test]
fn one_who_was_turned_down_hears_of_its_place_from_the_next_welcome_too() {
    let mut pair = Pair::new();
    pair.begin(1);
    pair.welcome(ballot(1), false);
    assert!(pair.news().contains(&Event::PlainClient));
    // The place was given to it while it was away.
    pair.client
        .handle_closed(pair.now, ConnId::LOCAL, CloseReason::Failed);
    pair.come();
    pair.welcome(ballot(1), true);
    assert!(pair.news().contains(&Event::VoterAfterAll));
}

#[test]
fn leaving_again_changes_nothing_about_how_a_mount_leaves() {
    let mut pair = Pair::new();
    pair.begin(1);
    pair.answer(Command::GREETING, Status::Evicted, 0, &[]);
    let deadline = pair.client.leaving_deadline();
    pair.now += Duration::from_secs(2);
    pair.client.unmount(pair.now);
    assert_eq!(pair.client.leaving_deadline(), deadline);
    pair.client.poll(deadline.unwrap());
    assert_eq!(pair.client.ended(), Some(Unmounted::Evicted));
    pair.client.unmount(deadline.unwrap());
    pair.client.force(deadline.unwrap());
    assert_eq!(pair.client.ended(), Some(Unmounted::Evicted));
}

#[test]
fn nobody_gives_up_a_record_that_it_has_and_one_that_may_have_none_waits_for_a_recovery() {
    let (serves, gone) = (names(ballot(2)), {
        let mut view = names(ballot(2));
        view.state.fenced = Mark::at(ballot(2));
        view
    });
    let patience = Config::client(rid(0)).recovery_time;
    // Was welcomed, what the super block says => how long it waits.
    for (welcomed, view, waits) in [
        (true, serves, None),
        (true, gone, None),
        (false, serves, None),
        (false, gone, Some(patience)),
    ] {
        let mut pair = Pair::new();
        pair.begin(1);
        if welcomed {
            pair.welcome(ballot(1), true);
        }
        pair.client.set_local_server(pair.now, None);
        pair.client.see_super(pair.now, &view);
        pair.client.unmount(pair.now);
        let waited = pair.client.leaving_deadline();
        assert_eq!(waited, waits.map(|time| pair.now + time), "{welcomed}");
    }
}

#[test]
fn nobody_is_told_that_it_is_a_plain_client_who_wants_to_be_nothing_else_or_to_leave() {
    let mut pair = Pair::new();
    pair.begin(1);
    pair.client.unmount(pair.now);
    pair.welcome(ballot(1), false);
    let connected = |addr| Event::Connected {
        server: ballot(1),
        addr,
    };
    assert_eq!(pair.news(), [connected(None)]);
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    assert_eq!(world.nodes[plain].events, [connected(Some(addr(0)))]);
}

#[test]
fn an_eviction_that_is_said_twice_is_told_once_and_lengthens_nothing() {
    let mut pair = Pair::new();
    pair.begin(1);
    pair.answer(Command::GREETING, Status::Evicted, 0, &[]);
    assert_eq!(pair.news(), [Event::Evicted]);
    let evicted_at = pair.now;
    pair.now += Duration::from_secs(2);
    assert!(pair.come().farewell, "all that is left is to leave");
    pair.answer(Command::GREETING, Status::Evicted, 0, &[]);
    assert_eq!(pair.news(), []);
    pair.client
        .poll(evicted_at + (EVICTED_FAREWELL_TIME - Duration::from_millis(1)));
    assert_eq!(pair.client.ended(), None);
    pair.client.poll(evicted_at + EVICTED_FAREWELL_TIME);
    assert_eq!(pair.client.ended(), Some(Unmounted::Evicted));
}

#[test]
fn whoever_was_refused_for_want_of_room_has_no_record_to_take_back() {
    for (status, ended) in [
        (Status::Full, Some(Unmounted::NeverMounted)),
        (Status::Malformed, None),
    ] {
        let mut pair = Pair::new();
        pair.begin(1);
        pair.answer(Command::GREETING, status, 0, &[]);
        assert_eq!(pair.news(), [Event::Fault(Fault::Refused(status))]);
        pair.client.unmount(pair.now);
        pair.client.poll(pair.now);
        assert_eq!(pair.client.ended(), ended, "{status:?}");
    }
}

#[test]
fn a_client_asks_as_often_as_its_server_wants_and_answers_when_it_is_asked() {
    let mut pair = Pair::welcomed();
    let from = pair.now;
    assert_eq!(
        pair.client.next_deadline(),
        Some(from + Duration::from_millis(1_000))
    );
    pair.answer(Command::PING, Status::Ok, 0, &encode_pong(300));
    let due = from + Duration::from_millis(300);
    assert_eq!(pair.client.next_deadline(), Some(due));
    pair.now = due;
    pair.client.poll(due);
    assert_eq!(pair.hear().map(|said| said.0), Some(Command::PING));
    assert_eq!(pair.hear(), None);
    pair.say(
        ConnId::LOCAL,
        &Message {
            command: Command::PING,
            answer: false,
            status: Status::Ok,
            id: RequestId(0),
            released: RequestId(0),
            body: &[],
        },
    );
    assert_eq!(pair.hear().map(|said| said.0), Some(Command::PING));
    assert_eq!(pair.news(), []);
    // One that does not say how often is none of ours.
    pair.answer(Command::PING, Status::Ok, 0, &[]);
    assert_eq!(pair.news(), [Event::Disconnected { server: ballot(1) }]);
}

#[test]
fn nothing_but_the_answer_to_its_farewell_ends_a_mount_that_leaves() {
    let mut pair = Pair::welcomed();
    pair.answer(Command::FAREWELL, Status::Ok, 1, &[]);
    assert_eq!(pair.client.ended(), None, "it has not asked to leave");
    pair.client.unmount(pair.now);
    pair.client.poll(pair.now);
    let (command, id, _) = pair.hear().unwrap();
    assert_eq!((command, id), (Command::FAREWELL, RequestId(1)));
    assert_eq!(
        pair.client.submit(ADD, &[]),
        None,
        "a farewell is the last request"
    );
    for id in [0, 2, 5] {
        pair.answer(Command::FAREWELL, Status::Ok, id, &[]);
        assert_eq!(pair.client.ended(), None, "{id}");
    }
    pair.answer(Command::FAREWELL, Status::Ok, 1, &[]);
    assert_eq!(pair.client.ended(), Some(Unmounted::Farewell));
    assert_eq!(pair.client.submit(ADD, &[]), None);
}

#[test]
fn a_mount_stays_with_its_own_server_until_that_one_ends() {
    let mut pair = Pair::new();
    pair.begin(1);
    pair.client.see_super(pair.now, &names(ballot(9)));
    pair.client.poll(pair.now);
    assert_eq!(
        pair.client.poll_net(pair.now),
        None,
        "it is told when its server stops"
    );
    pair.client.set_local_server(pair.now, None);
    pair.client.poll(pair.now);
    assert_eq!(
        pair.client.poll_net(pair.now),
        Some(NetRequest::Close(ConnId::LOCAL))
    );
}

#[test]
fn a_mount_that_waits_for_its_own_server_reads_nothing() {
    let mut pair = Pair::new();
    pair.begin(1);
    pair.now += WELCOME_TIMEOUT.times(2);
    pair.client.poll(pair.now);
    assert_eq!(pair.client.poll_disk(pair.now, IoId(1)), None);
    assert!(matches!(
        pair.client.link(),
        Link::Seeking {
            lost: None,
            failures: 1,
            ..
        }
    ));
}

#[test]
fn a_connection_that_stands_too_late_is_not_used() {
    let mut pair = Pair::new();
    let mut config = *pair.client.config();
    config.rid = rid(3);
    pair.client = Client::new(pair.now, config, Entropy::new([3; 32]));
    let connect = Some(NetRequest::Connect(ConnId::CLIENT, addr(7)));
    pair.client.see_super(pair.now, &names(ballot(1)));
    pair.client.poll(pair.now);
    assert_eq!(pair.client.poll_net(pair.now), connect);
    pair.now += CONNECT_TIMEOUT;
    pair.client.poll(pair.now);
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    pair.client.handle_connected(pair.now, ConnId::CLIENT);
    assert_eq!(pair.client.poll_transmit(pair.now, &mut buffer), None);
    assert_eq!(
        pair.client.poll_net(pair.now),
        Some(NetRequest::Close(ConnId::CLIENT))
    );
    // The next one, too, stands only when the mount has become the server itself.
    pair.client.see_super(pair.now, &names(ballot(2)));
    pair.client.poll(pair.now);
    assert_eq!(pair.client.poll_net(pair.now), connect);
    pair.client.set_local_server(pair.now, Some(ballot(9)));
    pair.client.poll(pair.now);
    pair.client.handle_connected(pair.now, ConnId::CLIENT);
    assert_eq!(pair.client.poll_transmit(pair.now, &mut buffer), None);
    pair.client.handle_connected(pair.now, ConnId::LOCAL);
    // And what still comes in on it goes nowhere.
    let noise = &mut [0xff; 40];
    assert_eq!(pair.client.handle_bytes(pair.now, ConnId::CLIENT, noise), 40);
    let greeting = pair.client.poll_transmit(pair.now, &mut buffer);
    assert_eq!(greeting.map(|(conn, _)| conn), Some(ConnId::LOCAL));
}

#[test]
fn the_end_of_a_connection_that_was_given_up_is_not_that_of_the_next_one() {
    let mut world = World::with_voters(1, 1);
    let plain = world.plain();
    world.settle();
    let later = world.now + world.nodes[plain].config.silence_max;
    let client = &mut world.nodes[plain].client;
    client.poll(later);
    assert_eq!(client.poll_net(later), Some(NetRequest::Close(ConnId::CLIENT)));
    client.poll(later);
    // The other side had closed it too.
    client.handle_closed(later, ConnId::CLIENT, CloseReason::ByPeer);
    assert!(matches!(client.link(), Link::Seeking { failures: 0, .. }));
    assert_eq!(
        client.poll_net(later),
        Some(NetRequest::Connect(ConnId::CLIENT, addr(0)))
    );
}

#[test]
fn what_was_never_opened_is_not_closed() {
    let mut pair = Pair::new();
    pair.client.set_local_server(pair.now, Some(ballot(1)));
    pair.client.poll(pair.now);
    pair.client.force(pair.now);
    assert_eq!(pair.client.poll_net(pair.now), None);
    // Nor is anything read any more.
    let mut world = World::new(1);
    let plain = world.plain();
    let client = &mut world.nodes[plain].client;
    client.poll(world.now);
    client.force(world.now);
    assert_eq!(client.poll_disk(world.now, IoId(1)), None);
}

#[test]
fn what_ended_by_itself_is_not_closed_and_the_end_of_another_connection_is_no_matter() {
    let mut pair = Pair::welcomed();
    pair.client
        .handle_closed(pair.now, ConnId::CLIENT, CloseReason::Failed);
    assert_eq!(pair.client.connected_to(), Some((ballot(1), None)));
    pair.client.set_local_server(pair.now, None);
    pair.client
        .handle_closed(pair.now, ConnId::LOCAL, CloseReason::ByPeer);
    assert_eq!(pair.client.poll_net(pair.now), None);
}
