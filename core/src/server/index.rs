//! Clients by rid: a hash table with chains, linked through the slots themselves, so that it takes no memory that
//! depends on anything but their number. A greeting storm of ten thousand would otherwise look at ten thousand slots for
//! each of ten thousand greetings.

use super::memory::{ClientSlot, Links, NONE, Standing};
use crate::ids::Rid;

/// The slot on which a rid falls. Rids are random, and only those who hold the volume's secret choose them.
fn bucket(rid: Rid, slots: usize) -> Option<usize> {
    let folded = rid.value() ^ (rid.value() >> 32);
    usize::try_from(folded % slots as u64).ok()
}

/// Builds the index of all clients that are there.
pub(super) fn build(clients: &mut [ClientSlot]) {
    clients
        .iter_mut()
        .for_each(|client| client.links = Links::default());
    for slot in 0..clients.len() as u32 {
        insert(clients, slot);
    }
}

/// Adds the client in `slot`, if there is one.
pub(super) fn insert(clients: &mut [ClientSlot], slot: u32) {
    let client = &clients[slot as usize];
    let Some(record) = client.record.filter(|_| client.standing != Standing::Free) else {
        return;
    };
    let Some(bucket) = bucket(record.rid, clients.len()) else {
        return;
    };
    let first = core::mem::replace(&mut clients[bucket].links.bucket, slot);
    clients[slot as usize].links.next = first;
}

/// Takes the client in `slot` out, before its record is forgotten.
pub(super) fn remove(clients: &mut [ClientSlot], slot: u32) {
    let Some(record) = clients[slot as usize].record else {
        return;
    };
    let Some(bucket) = bucket(record.rid, clients.len()) else {
        return;
    };
    let next = core::mem::replace(&mut clients[slot as usize].links.next, NONE);
    let mut at = clients[bucket].links.bucket;
    if at == slot {
        clients[bucket].links.bucket = next;
        return;
    }
    while at != NONE {
        let links = &mut clients[at as usize].links;
        if links.next == slot {
            links.next = next;
            return;
        }
        at = links.next;
    }
}

/// The slot of a client.
pub(super) fn find(clients: &[ClientSlot], rid: Rid) -> Option<u32> {
    let mut at = clients.get(bucket(rid, clients.len().max(1))?)?.links.bucket;
    while at != NONE {
        let client = &clients[at as usize];
        if client.record.is_some_and(|record| record.rid == rid) {
            return Some(at);
        }
        at = client.links.next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{ClientRecord, FenceParam};
    use crate::ids::{BootId, HostId};

    const SLOTS: usize = 7;

    fn arrive(clients: &mut [ClientSlot], slot: u32, rid: u64) {
        let record = ClientRecord {
            rid: Rid::new(rid).unwrap(),
            barrier: 0,
            voter: false,
            evicted: false,
            host: HostId(0),
            boot: BootId::default(),
            addr: None,
            fence_param: FenceParam::default(),
        };
        clients[slot as usize].fill(Some(record), Standing::Mounted);
        insert(clients, slot);
    }

    fn leave(clients: &mut [ClientSlot], slot: u32) {
        remove(clients, slot);
        clients[slot as usize].clear();
    }

    fn found(clients: &[ClientSlot], rid: u64) -> Option<u32> {
        find(clients, Rid::new(rid).unwrap())
    }

    #[test]
    fn clients_that_fall_on_one_slot_are_told_apart_in_whatever_order_they_go() {
        for gone in 0..3 {
            let mut clients: [ClientSlot; SLOTS] = core::array::from_fn(|_| ClientSlot::default());
            // All on slot 3; the one in it is none of them.
            let rids = [3, 3 + SLOTS as u64, 3 + 2 * SLOTS as u64];
            rids.iter()
                .enumerate()
                .for_each(|(slot, &rid)| arrive(&mut clients, slot as u32, rid));
            arrive(&mut clients, 3, 5);
            leave(&mut clients, gone);
            for (slot, &rid) in rids.iter().enumerate() {
                let expected = (slot as u32 != gone).then_some(slot as u32);
                assert_eq!(found(&clients, rid), expected);
            }
            arrive(&mut clients, gone, 5 + SLOTS as u64);
            assert_eq!(found(&clients, 5), Some(3));
            assert_eq!(found(&clients, 5 + SLOTS as u64), Some(gone));
            assert_eq!(found(&clients, 99), None);
        }
    }

    #[test]
    fn the_index_is_built_of_whoever_is_there() {
        let mut clients: [ClientSlot; SLOTS] = core::array::from_fn(|_| ClientSlot::default());
        arrive(&mut clients, 2, 30);
        arrive(&mut clients, 6, 31);
        // What stood there before the table was read again means nothing.
        clients[2].links.next = 2;
        build(&mut clients);
        assert_eq!(found(&clients, 30), Some(2));
        assert_eq!(found(&clients, 31), Some(6));
        assert_eq!(found(&[], 31), None);
    }
}
