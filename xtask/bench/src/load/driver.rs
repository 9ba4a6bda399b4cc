//! The loop that serves all clients.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::{Events, Poll, Token};
use ostrakon_core::bounds::{BLOCK_BYTES, MESSAGE_BYTES_MAX};
use ostrakon_core::config::Config;
use ostrakon_core::disk::DiskOutcome;
use ostrakon_core::event::{Event, Unmounted};
use ostrakon_core::mount::Mount;
use ostrakon_core::service::NoService;
use ostrakon_core::time::Instant;
use ostrakon_linux::{clock, entropy, machine, offline};
use ostrakon_xtask::failure::{During, Result};

use super::device::Device;
use super::unit::{Unit, scratch};
use super::{LoadOptions, Shared, open};

/// Socket events taken from the system at once.
const EVENTS_MAX: usize = 1024;

/// The longest wait, after which the orders are looked at.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// All clients of one thread.
pub(super) struct Driver {
    poll: Poll,
    units: Vec<Unit>,
    device: Device,
    /// When which client is due; a client may stand here more often than it needs to.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    /// The earliest moment at which a client stands in `due`.
    planned: Vec<Instant>,
    /// Clients with something to do now.
    touched: Vec<usize>,
    is_touched: Vec<bool>,
    left: bool,
    shared: Arc<Shared>,
}

impl Driver {
    pub(super) fn new(options: &LoadOptions, shared: Arc<Shared>) -> Result<Self> {
        let now = clock::now();
        let (host, boot) = (machine::host_id(), machine::boot_id());
        let units: Vec<Unit> = (0..options.clients)
            .map(|number| {
                let config = Config {
                    host,
                    boot,
                    checksum: offline::checksum,
                    transfer_blocks: 1,
                    ..Config::client(entropy::rid())
                };
                let source = options
                    .sources
                    .get(number % options.sources.len().max(1))
                    .copied();
                Unit::new(Mount::new(now, config, entropy::bytes(), (), NoService), source)
            })
            .collect();
        let count = units.len();
        Ok(Self {
            poll: Poll::new().during("asking for an event queue")?,
            units,
            device: Device::new(open(&options.image)?),
            due: BinaryHeap::new(),
            planned: vec![Instant::NEVER; count],
            touched: (0..count).collect(),
            is_touched: vec![true; count],
            left: false,
            shared,
        })
    }

    pub(super) fn run(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut bytes = scratch();
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.take_events(&mut events, &mut bytes)?;
            self.touch_due();
            if !self.left && self.shared.leave.load(Ordering::Relaxed) {
                self.left = true;
                let now = clock::now();
                for index in 0..self.units.len() {
                    self.units[index].mount.unmount(now);
                    self.touch(index);
                }
            }
            self.drive_touched()?;
        }
        Ok(())
    }

    /// Everything that has come in, before anybody judges that a time has passed.
    fn take_events(&mut self, events: &mut Events, bytes: &mut [u8]) -> Result<()> {
        let mut wait = self.next_wait();
        for _ in 0..=self.units.len() / EVENTS_MAX {
            match self.poll.poll(events, Some(wait)) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                    return Err(error).during("waiting for events");
                }
                _ => {}
            }
            for event in &*events {
                let Token(index) = event.token();
                self.units[index].ready(bytes);
                self.touch(index);
            }
            if events.iter().count() < EVENTS_MAX {
                break;
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    fn next_wait(&self) -> Duration {
        if !self.touched.is_empty() {
            return Duration::ZERO;
        }
        let due = self.due.peek().map(|&Reverse((at, _))| at.since(clock::now()));
        due.map_or(WAIT_MAX, clock::std_duration).min(WAIT_MAX)
    }

    fn touch(&mut self, index: usize) {
        if !std::mem::replace(&mut self.is_touched[index], true) {
            self.touched.push(index);
        }
    }

    fn touch_due(&mut self) {
        let now = clock::now();
        while let Some(&Reverse((at, index))) = self.due.peek() {
            if at > now {
                return;
            }
            self.due.pop();
            if self.planned[index] == at {
                self.planned[index] = Instant::NEVER;
                self.touch(index);
            }
        }
    }

    /// Polls everybody who has something to do, then reads what they want to read, and again until nobody wants more.
    fn drive_touched(&mut self) -> Result<()> {
        for index in std::mem::take(&mut self.touched) {
            self.is_touched[index] = false;
            self.drive(index)?;
        }
        let (device, units) = (&mut self.device, &mut self.units);
        let mut answered = Vec::new();
        device.serve(|(unit, id, read)| {
            let outcome = read.map_or_else(DiskOutcome::Failed, DiskOutcome::Read);
            units[unit].mount.handle_disk(clock::now(), id, outcome);
            answered.push(unit);
        });
        answered.into_iter().for_each(|index| self.touch(index));
        Ok(())
    }

    fn drive(&mut self, index: usize) -> Result<()> {
        let unit = &mut self.units[index];
        let now = clock::now();
        unit.tell_news(now);
        unit.mount.poll(now);
        while let Some(event) = unit.mount.poll_event() {
            tell(&self.shared, &event);
        }
        while let Some(request) = unit.mount.poll_net(now) {
            unit.request(request, self.poll.registry(), Token(index));
        }
        let mut message = [0; MESSAGE_BYTES_MAX];
        while let Some((_, length)) = unit.mount.poll_transmit(now, &mut message) {
            unit.transmit(&message[..length]);
        }
        unit.flush();
        let mut block = [0; BLOCK_BYTES];
        while let Some(request) = unit.mount.poll_disk(now, &mut block) {
            self.device.ask(index, request)?;
        }
        let (again, deadline) = (unit.has_news(), unit.mount.next_deadline());
        if again || deadline.is_some_and(|at| at <= now) {
            self.touch(index);
        } else if let Some(at) = deadline
            && at < self.planned[index]
        {
            self.planned[index] = at;
            self.due.push(Reverse((at, index)));
        }
        Ok(())
    }
}

fn tell(shared: &Shared, event: &Event) {
    match event {
        Event::Connected { server, .. } => {
            let term = server.term.0;
            shared.tell(|news| news.welcomes.push((std::time::Instant::now(), term)));
        }
        Event::Disconnected { .. } => shared.tell(|news| news.losses += 1),
        Event::Unmounted(how) => {
            let evicted = matches!(how, Unmounted::Evicted | Unmounted::Superseded);
            shared.tell(|news| {
                news.ended += 1;
                news.evicted += usize::from(evicted);
            });
        }
        _ => {}
    }
}
