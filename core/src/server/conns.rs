//! The connections of a server: who has which slot, who has something to say, who is to be closed.

use super::memory::{ConnSlot, Due, NONE, Queue, Role};
use crate::bounds::{STRANGER_GRACE, STRANGER_GRACE_MAX, STRANGERS_MAX};
use crate::net::ConnId;
use crate::noise::Responder;
use crate::time::{Duration, Instant};

/// First and last connection of a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ends {
    head: u32,
    tail: u32,
}

impl Ends {
    const EMPTY: Self = Self {
        head: NONE,
        tail: NONE,
    };
}

/// The queues through the connection slots, and the strangers by age.
#[derive(Clone, Debug)]
pub(super) struct Conns {
    free: Ends,
    /// Those who were welcomed.
    inside: Ends,
    /// Those at the door.
    ready: Ends,
    /// Those whose turn is costly: they have shown the key, and wait for keys of their own.
    keyless: Ends,
    /// Of the turns at the door the next one is one of theirs, if anybody of them waits.
    keyless_next: bool,
    /// The next turn is one at the door, if anybody waits there.
    door_next: bool,
    closing: Ends,
    /// Strangers by age: linked apart from the queues, in which they stand too when they have something to hear.
    strangers: Ends,
    strangers_count: u32,
    strangers_max: u32,
    /// Slots that are not free.
    open: u32,
}

/// The name of a slot's connection: the last slot is kept for the server's own mount.
pub(super) const fn name(slot: u32, slots: usize) -> ConnId {
    if slot as usize + 1 == slots {
        ConnId::LOCAL
    } else {
        ConnId(slot)
    }
}

/// The slot of a connection's name.
pub(super) fn slot(name: ConnId, slots: usize) -> Option<u32> {
    let last = u32::try_from(slots).ok()?.checked_sub(1)?;
    match name {
        ConnId::LOCAL => Some(last),
        ConnId(slot) => (slot < last).then_some(slot),
    }
}

impl Conns {
    /// For a server that was never started: no slots.
    pub(super) const NONE: Self = Self {
        free: Ends::EMPTY,
        inside: Ends::EMPTY,
        ready: Ends::EMPTY,
        keyless: Ends::EMPTY,
        keyless_next: false,
        door_next: false,
        closing: Ends::EMPTY,
        strangers: Ends::EMPTY,
        strangers_count: 0,
        strangers_max: 0,
        open: 0,
    };

    /// No connection anywhere. Slots beyond those that `clients` clients take are for strangers: were there more of them
    /// than that, the oldest would not make room before clients find none.
    pub(super) fn new(slots: &mut [ConnSlot], clients: usize) -> Self {
        let strangers_max = slots.len().saturating_sub(clients).max(1);
        let mut conns = Self {
            strangers_max: u32::try_from(strangers_max).unwrap_or(u32::MAX),
            ..Self::NONE
        };
        assert!(u32::try_from(slots.len()).is_ok_and(|slots| slots < NONE));
        slots.fill(ConnSlot::default());
        for slot in 0..slots.len().saturating_sub(1) {
            conns.push(slots, slot as u32, Queue::Free);
        }
        conns
    }

    const fn ends(&mut self, queue: Queue) -> Option<&mut Ends> {
        match queue {
            Queue::None => None,
            Queue::Free => Some(&mut self.free),
            Queue::Inside => Some(&mut self.inside),
            Queue::Ready => Some(&mut self.ready),
            Queue::Keyless => Some(&mut self.keyless),
            Queue::Closing => Some(&mut self.closing),
        }
    }

    /// Puts a slot that stands in no queue at the end of one.
    fn push(&mut self, slots: &mut [ConnSlot], slot: u32, queue: Queue) {
        let Some(ends) = self.ends(queue) else { return };
        let last = core::mem::replace(&mut ends.tail, slot);
        if last == NONE {
            ends.head = slot;
        } else {
            slots[last as usize].next = slot;
        }
        let conn = &mut slots[slot as usize];
        (conn.previous, conn.next, conn.queue) = (last, NONE, queue);
    }

    /// Takes a slot out of whatever queue it stands in.
    fn unlink(&mut self, slots: &mut [ConnSlot], slot: u32) {
        let conn = &mut slots[slot as usize];
        let (previous, next) = (conn.previous, conn.next);
        let Some(ends) = self.ends(core::mem::take(&mut conn.queue)) else {
            return;
        };
        if previous == NONE {
            ends.head = next;
        } else {
            slots[previous as usize].next = next;
        }
        if next == NONE {
            ends.tail = previous;
        } else {
            slots[next as usize].previous = previous;
        }
    }

    /// Takes a free slot for a stranger; the oldest stranger makes room, which can take until it is closed.
    pub(super) fn open(&mut self, now: Instant, slots: &mut [ConnSlot]) -> Option<u32> {
        if self.strangers_count >= self.strangers_max {
            self.close(slots, self.strangers.head);
        }
        let slot = self.free.head;
        if slot == NONE {
            return None;
        }
        self.begin(now, slots, slot);
        self.add_stranger(slots, slot);
        self.mark(slots, slot, |due| due.challenge = true);
        Some(slot)
    }

    /// Whether another connection may come in without pushing out one that had no time to greet yet.
    pub(super) fn has_room(&self, now: Instant, slots: &[ConnSlot]) -> bool {
        let oldest = self.oldest_stranger(slots);
        self.strangers_count < self.strangers_max
            || oldest.is_none_or(|(since, _)| now.since(since) >= self.grace())
    }

    /// How long one that came in is left alone while others wait. With room for many it is longer, and more come in all the
    /// same.
    fn grace(&self) -> Duration {
        let share = STRANGER_GRACE.divided(STRANGERS_MAX as u16);
        let grace = share.times(u64::from(self.strangers_max)).min(STRANGER_GRACE_MAX);
        grace.max(STRANGER_GRACE)
    }

    fn add_stranger(&mut self, slots: &mut [ConnSlot], slot: u32) {
        let last = core::mem::replace(&mut self.strangers.tail, slot);
        if last == NONE {
            self.strangers.head = slot;
        } else {
            slots[last as usize].younger = slot;
        }
        let conn = &mut slots[slot as usize];
        (conn.older, conn.younger) = (last, NONE);
        self.strangers_count += 1;
    }

    /// Takes the slot of the server's own mount. It is no stranger: a flood of those must not push it out.
    pub(super) fn open_local(&mut self, now: Instant, slots: &mut [ConnSlot]) -> Option<u32> {
        let slot = slot(ConnId::LOCAL, slots.len())?;
        if slots[slot as usize].role != Role::Free {
            return None;
        }
        self.begin(now, slots, slot);
        let conn = &mut slots[slot as usize];
        (conn.role, conn.line) = (Role::Guest, Responder::Plain);
        Some(slot)
    }

    fn begin(&mut self, now: Instant, slots: &mut [ConnSlot], slot: u32) {
        self.unlink(slots, slot);
        slots[slot as usize] = ConnSlot {
            heard: now,
            role: Role::Stranger,
            client: NONE,
            ..ConnSlot::default()
        };
        self.open += 1;
    }

    /// A stranger showed that it knows the key, or goes.
    pub(super) fn introduced(&mut self, slots: &mut [ConnSlot], slot: u32) {
        let conn = &mut slots[slot as usize];
        if conn.role != Role::Stranger {
            return;
        }
        conn.role = Role::Guest;
        let (older, younger) = (conn.older, conn.younger);
        if older == NONE {
            self.strangers.head = younger;
        } else {
            slots[older as usize].younger = younger;
        }
        if younger == NONE {
            self.strangers.tail = older;
        } else {
            slots[younger as usize].older = older;
        }
        self.strangers_count -= 1;
    }

    /// Closes a connection as soon as the platform asks what to do.
    pub(super) fn close(&mut self, slots: &mut [ConnSlot], slot: u32) {
        if matches!(slots[slot as usize].role, Role::Free | Role::Closing) {
            return;
        }
        self.introduced(slots, slot);
        self.unlink(slots, slot);
        slots[slot as usize].role = Role::Closing;
        slots[slot as usize].due = Due::default();
        self.push(slots, slot, Queue::Closing);
    }

    /// A connection is closed: its name is free again.
    pub(super) fn closed(&mut self, slots: &mut [ConnSlot], slot: u32) {
        if slots[slot as usize].role == Role::Free {
            return;
        }
        self.introduced(slots, slot);
        self.unlink(slots, slot);
        slots[slot as usize] = ConnSlot::default();
        self.open -= 1;
        if name(slot, slots.len()) != ConnId::LOCAL {
            self.push(slots, slot, Queue::Free);
        }
    }

    /// The next connection to close; its name is free from now on.
    pub(super) fn next_to_close(&mut self, slots: &mut [ConnSlot]) -> Option<ConnId> {
        let slot = self.closing.head;
        if slot == NONE {
            return None;
        }
        self.closed(slots, slot);
        Some(name(slot, slots.len()))
    }

    /// Something is due on a connection.
    pub(super) fn mark(&mut self, slots: &mut [ConnSlot], slot: u32, change: impl FnOnce(&mut Due)) {
        let conn = &mut slots[slot as usize];
        if matches!(conn.role, Role::Free | Role::Closing) {
            return;
        }
        change(&mut conn.due);
        if conn.queue == Queue::None {
            self.enqueue(slots, slot);
        }
    }

    fn enqueue(&mut self, slots: &mut [ConnSlot], slot: u32) {
        let conn = &slots[slot as usize];
        let queue = match (conn.role, conn.due) {
            (_, Due { reply: true, .. }) => Queue::Keyless,
            (Role::Client, Due { welcome: false, .. }) => Queue::Inside,
            _ => Queue::Ready,
        };
        self.push(slots, slot, queue);
    }

    /// The connection whose turn it is to send. Those inside and those at the door take turns, and so do, there, those who have
    /// keys and those who wait for them: the answer to a ping waits neither for the keys nor for the challenges and welcomes
    /// of a crowd of thousands, which would lose those who are inside, and have them join it.
    pub(super) const fn first_ready(&self) -> Option<u32> {
        let door = in_turn(self.ready.head, self.keyless.head, self.keyless_next);
        match in_turn(self.inside.head, door, self.door_next) {
            NONE => None,
            slot => Some(slot),
        }
    }

    /// It sent one message: the others have their turn before it sends another.
    pub(super) fn had_its_turn(&mut self, slots: &mut [ConnSlot], slot: u32, more: bool) {
        let queue = slots[slot as usize].queue;
        self.door_next = queue == Queue::Inside;
        if queue != Queue::Inside {
            self.keyless_next = queue != Queue::Keyless;
        }
        self.unlink(slots, slot);
        if more {
            self.enqueue(slots, slot);
        }
    }

    /// Since when the oldest stranger is there, and its slot.
    pub(super) fn oldest_stranger(&self, slots: &[ConnSlot]) -> Option<(Instant, u32)> {
        match self.strangers.head {
            NONE => None,
            slot => Some((slots[slot as usize].heard, slot)),
        }
    }

    /// Connections that the platform may still know.
    pub(super) const fn open_count(&self) -> u32 {
        self.open
    }
}

/// The first of two that are there: the one or, if it has the turn, the other.
const fn in_turn(one: u32, other: u32, others_turn: bool) -> u32 {
    if one == NONE || (others_turn && other != NONE) {
        other
    } else {
        one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots<const N: usize>() -> [ConnSlot; N] {
        core::array::from_fn(|_| ConnSlot::default())
    }

    #[test]
    fn names_and_slots_belong_together() {
        assert_eq!(slot(ConnId::LOCAL, 0), None);
        assert_eq!(slot(ConnId::LOCAL, 3), Some(2));
        assert_eq!(slot(ConnId(1), 3), Some(1));
        assert_eq!(slot(ConnId(2), 3), None, "the last slot has another name");
        assert_eq!(slot(ConnId::CLIENT, 3), None);
        assert_eq!(name(2, 3), ConnId::LOCAL);
        assert_eq!(name(1, 3), ConnId(1));
    }

    #[test]
    fn the_oldest_stranger_makes_room() {
        let mut slots = slots::<{ STRANGERS_MAX + 4 }>();
        let mut conns = Conns::new(&mut slots, 4);
        let mut first = None;
        for second in 0..STRANGERS_MAX as u64 + 1 {
            let slot = conns.open(Instant(second), &mut slots).unwrap();
            first = first.or(Some(slot));
        }
        assert_eq!(conns.oldest_stranger(&slots), Some((Instant(1), 1)));
        assert_eq!(conns.next_to_close(&mut slots), first.map(ConnId));
        assert_eq!(conns.next_to_close(&mut slots), None);
        assert_eq!(conns.open_count(), STRANGERS_MAX as u32);
    }

    #[test]
    fn memory_for_fewer_strangers_than_usual_lets_clients_in_all_the_same() {
        const CLIENTS: usize = 8;
        const STRANGERS: u64 = 4;
        let mut slots = slots::<{ CLIENTS + STRANGERS as usize }>();
        let mut conns = Conns::new(&mut slots, CLIENTS);
        conns.open_local(Instant(0), &mut slots).unwrap();
        // One after the other comes in among strangers, of whom there are never more than the memory is meant for.
        for client in 1..CLIENTS as u64 {
            for _ in 0..STRANGERS {
                let _ = conns.open(Instant(client), &mut slots);
                while conns.next_to_close(&mut slots).is_some() {}
            }
            let later = Instant(client) + STRANGER_GRACE;
            assert!(conns.has_room(later, &slots));
            let slot = conns.open(later, &mut slots).unwrap();
            while conns.next_to_close(&mut slots).is_some() {}
            conns.introduced(&mut slots, slot);
            slots[slot as usize].role = Role::Client;
        }
        for second in 10..100 {
            let _ = conns.open(Instant(second), &mut slots);
            while conns.next_to_close(&mut slots).is_some() {}
        }
        let strangers = slots.iter().filter(|slot| slot.role == Role::Stranger);
        assert_eq!(
            strangers.count() as u64,
            STRANGERS - 1,
            "the oldest made room each time"
        );
        let clients = slots.iter().filter(|slot| slot.role == Role::Client);
        assert_eq!(clients.count(), CLIENTS - 1, "no client did");
    }

    #[test]
    fn memory_for_more_strangers_holds_more_and_a_young_one_is_not_pushed_out() {
        const CLIENTS: usize = 4;
        const MAX: usize = 3 * STRANGERS_MAX;
        let mut slots = slots::<{ CLIENTS + MAX }>();
        let mut conns = Conns::new(&mut slots, CLIENTS);
        for second in 0..MAX as u64 {
            assert!(conns.has_room(Instant(second), &slots));
            conns.open(Instant(second), &mut slots).unwrap();
        }
        assert_eq!(conns.next_to_close(&mut slots), None);
        let grown_old = Instant(0) + STRANGER_GRACE.times(3);
        assert!(!conns.has_room(Instant(grown_old.0 - 1), &slots));
        assert!(conns.has_room(grown_old, &slots), "it had its time");
        // One in the middle is known now: its neighbours go on standing next to one another.
        conns.introduced(&mut slots, 1);
        assert!(conns.has_room(Instant(MAX as u64), &slots));
        conns.closed(&mut slots, 0);
        assert_eq!(conns.oldest_stranger(&slots), Some((Instant(2), 2)));
        let next = |&slot: &u32| Some(slots[slot as usize].younger).filter(|&younger| younger != NONE);
        assert_eq!(core::iter::successors(Some(2), next).count(), MAX - 2);
    }

    #[test]
    fn however_many_strangers_there_is_room_for_none_keeps_the_door_shut_for_longer_than_the_bound() {
        const MAX: usize = 16 * STRANGERS_MAX;
        let mut slots = slots::<{ 4 + MAX }>();
        let mut conns = Conns::new(&mut slots, 4);
        (0..MAX).for_each(|_| assert!(conns.open(Instant(0), &mut slots).is_some()));
        let bound = Instant(0) + STRANGER_GRACE_MAX;
        assert!(!conns.has_room(Instant(bound.0 - 1), &slots));
        assert!(conns.has_room(bound, &slots));
    }

    #[test]
    fn turns_go_round() {
        let mut slots = slots::<8>();
        let mut conns = Conns::new(&mut slots, 3);
        for _ in 0..3 {
            let slot = conns.open(Instant(0), &mut slots).unwrap();
            conns.mark(&mut slots, slot, |due| due.ping = true);
            conns.mark(&mut slots, slot, |due| due.pong = true);
        }
        conns.had_its_turn(&mut slots, 0, true);
        assert_eq!(conns.first_ready(), Some(1));
        conns.close(&mut slots, 1);
        assert_eq!(conns.first_ready(), Some(2));
        conns.had_its_turn(&mut slots, 2, false);
        assert_eq!(conns.first_ready(), Some(0));
        conns.closed(&mut slots, 0);
        assert_eq!(conns.first_ready(), None);
        assert_eq!(conns.next_to_close(&mut slots), Some(ConnId(1)));
        assert_eq!(conns.open_count(), 1);
    }

    #[test]
    fn a_crowd_that_waits_for_keys_holds_up_nobody_who_has_them() {
        let mut slots = slots::<10>();
        let mut conns = Conns::new(&mut slots, 3);
        for slot in 0..7 {
            assert_eq!(conns.open(Instant(0), &mut slots), Some(slot));
            conns.had_its_turn(&mut slots, slot, false);
            slots[slot as usize].due = Due::default();
        }
        (0..5).for_each(|slot| conns.mark(&mut slots, slot, |due| due.reply = true));
        (5..7).for_each(|slot| conns.mark(&mut slots, slot, |due| due.pong = true));
        let mut turns = heapless::Vec::<u32, 8>::new();
        while let Some(slot) = conns.first_ready() {
            turns.push(slot).unwrap();
            conns.had_its_turn(&mut slots, slot, false);
        }
        // In the order of arrival on either side.
        assert_eq!(turns, [0, 5, 1, 6, 2, 3, 4]);
    }

    #[test]
    fn a_crowd_at_the_door_holds_up_nobody_inside_and_those_inside_do_not_close_the_door() {
        let mut slots = slots::<12>();
        let mut conns = Conns::new(&mut slots, 4);
        for slot in 0..9 {
            assert_eq!(conns.open(Instant(0), &mut slots), Some(slot));
            if slot < 3 {
                // It has its welcome before it.
                conns.had_its_turn(&mut slots, slot, false);
                conns.introduced(&mut slots, slot);
                (slots[slot as usize].role, slots[slot as usize].due) = (Role::Client, Due::default());
            }
        }
        conns.mark(&mut slots, 0, |due| due.welcome = true);
        conns.mark(&mut slots, 1, |due| due.pong = true);
        conns.mark(&mut slots, 2, |due| due.answers = true);
        let mut turns = heapless::Vec::<u32, 12>::new();
        while let Some(slot) = conns.first_ready() {
            turns.push(slot).unwrap();
            // Who is answered asks again.
            conns.had_its_turn(&mut slots, slot, slot == 2 && turns.len() < 8);
        }
        assert_eq!(turns, [1, 3, 2, 4, 2, 5, 2, 6, 2, 7, 8, 0]);
    }

    #[test]
    fn a_full_house_takes_nobody_and_keeps_the_place_of_the_own_mount() {
        let mut slots = slots::<3>();
        let mut conns = Conns::new(&mut slots, 3);
        for _ in 0..2 {
            let slot = conns.open(Instant(0), &mut slots).unwrap();
            conns.introduced(&mut slots, slot);
        }
        assert_eq!(conns.open(Instant(0), &mut slots), None);
        assert_eq!(conns.open_local(Instant(0), &mut slots), Some(2));
        assert_eq!(conns.open_local(Instant(0), &mut slots), None);
        conns.closed(&mut slots, 2);
        assert_eq!(conns.open(Instant(0), &mut slots), None, "it is nobody else's");
        assert_eq!(conns.open_local(Instant(0), &mut slots), Some(2));
    }
}
