//! The two copies on a device that tears, rots and stops between any two writes.

extern crate std;

use std::vec::Vec;

use super::{Copies, SuperError, SuperReader, SuperView, SuperWriter};
use crate::bounds::BLOCK_BYTES;
use crate::checksum::portable;
use crate::disk::{DiskError, DiskOutcome, DiskRequest, IoId};
use crate::format::{Geometry, SUPER_COPIES, SuperBlock};
use crate::ids::{Ballot, Mark, Rid, Term, VolumeId, VolumeKey};
use crate::time::Duration;

const LIMIT: Duration = Duration::from_secs(1);

fn ballot(term: u64) -> Ballot {
    Ballot {
        term: Term(term),
        rid: Rid::new(5).unwrap(),
    }
}

fn state(seq: u64) -> SuperBlock {
    SuperBlock {
        volume: VolumeId([3; 16]),
        seq,
        quorum_count: 2,
        fenced: Mark::NONE,
        server: None,
        server_addr: None,
        unmount_barrier: 0,
        geometry: Geometry::plan(4096, 64).unwrap(),
        key: VolumeKey([9; 32]),
    }
}

fn encoded(state: &SuperBlock, copy: usize) -> Vec<u8> {
    let mut block = std::vec![0; BLOCK_BYTES];
    state.encode(SUPER_COPIES[copy], portable, &mut block);
    block
}

/// Two copies on a device, each valid, torn, or unreadable.
struct Device([Result<Vec<u8>, DiskError>; 2]);

impl Device {
    fn holding(first: &SuperBlock, second: &SuperBlock) -> Self {
        Self([Ok(encoded(first, 0)), Ok(encoded(second, 1))])
    }

    fn tear(mut self, copy: usize) -> Self {
        self.0[copy].as_mut().unwrap()[600] ^= 1;
        self
    }

    /// Reads until the reader has a result; `change` runs before each read.
    fn read(&mut self, mut change: impl FnMut(&mut Self, u32)) -> Result<SuperView, SuperError> {
        let mut reader = SuperReader::new(None);
        reader.start();
        for nr in 0..200 {
            let Some(DiskRequest::Read { id, first, .. }) = reader.poll_disk(IoId(nr), LIMIT) else {
                panic!("the reader wants nothing and has no result");
            };
            change(self, nr);
            let copy = SUPER_COPIES.iter().position(|&at| at == first).unwrap();
            let outcome = match &self.0[copy] {
                Ok(bytes) => DiskOutcome::Read(bytes),
                Err(error) => DiskOutcome::Failed(*error),
            };
            if let Some(result) = reader.handle_disk(id, outcome, portable) {
                return result;
            }
        }
        panic!("the reader never ends");
    }

    fn look(&mut self) -> Result<SuperView, SuperError> {
        self.read(|_, _| {})
    }
}

#[test]
fn r10_two_valid_copies_are_believed_and_the_newer_one_counts() {
    for (seqs, copies, seq) in [
        ((4, 4), Copies::Equal, 4),
        ((5, 4), Copies::Newer(0), 5),
        ((4, 5), Copies::Newer(1), 5),
    ] {
        let view = Device::holding(&state(seqs.0), &state(seqs.1)).look().unwrap();
        assert_eq!((view.copies, view.state.seq), (copies, seq));
    }
}

#[test]
fn hole_10_a_torn_copy_is_never_believed_and_the_other_one_only_twice_in_a_row() {
    let view = Device::holding(&state(5), &state(4)).tear(0).look().unwrap();
    assert_eq!((view.copies, view.state.seq), (Copies::Only(1), 4));

    // One pass that finds one valid copy is not enough: this one is being overwritten while it is read.
    let mut device = Device::holding(&state(5), &state(4)).tear(0);
    let view = device.read(|device, nr| {
        if nr == 2 {
            *device = Device::holding(&state(5), &state(5));
        }
    });
    assert_eq!(
        view.map(|view| (view.copies, view.state.seq)),
        Ok((Copies::Equal, 5))
    );
}

/// A reading in which both copies are asked for at once, and come in this order; each pass finds what the next of `passes`
/// holds. Says how many passes it took.
fn read_passes(order: [usize; 2], passes: &[Device]) -> (u32, Result<SuperView, SuperError>) {
    let mut reader = SuperReader::new(None);
    reader.start();
    for (nr, device) in (0..).zip(passes.iter().chain(core::iter::repeat(passes.last().unwrap()))) {
        let ids = [0, 1].map(|copy| {
            let request = reader
                .poll_disk(IoId(2 * nr + copy), LIMIT)
                .expect("one read for each copy");
            let DiskRequest::Read { id, first, .. } = request else {
                panic!("{request:?}");
            };
            assert_eq!(first, SUPER_COPIES[copy as usize]);
            id
        });
        assert_eq!(reader.poll_disk(IoId(99), LIMIT), None, "one for each");
        for copy in order {
            let bytes = device.0[copy].as_ref().unwrap();
            if let Some(result) = reader.handle_disk(ids[copy], DiskOutcome::Read(bytes), portable) {
                return (nr + 1, result);
            }
        }
    }
    unreachable!("the passes are endless");
}

#[test]
fn r10_the_only_valid_copy_is_believed_when_two_passes_in_a_row_find_the_same() {
    for order in [[0, 1], [1, 0]] {
        for torn in [0, 1] {
            let only = |seq| Device::holding(&state(seq), &state(seq)).tear(torn);
            let other = |seq| Device::holding(&state(seq), &state(seq)).tear(1 - torn);
            let neither = || only(4).tear(1 - torn);
            for (passes, expected) in [
                (&[only(4)][..], 2),
                (&[only(4), only(5)], 3),
                (&[only(4), other(4), only(4)], 4),
                (&[only(4), neither(), only(4)], 4),
                (&[neither(), only(4)], 3),
                (&[only(4), only(5), only(4)], 4),
            ] {
                let (took, view) = read_passes(order, passes);
                let copies = view.map(|view| view.copies);
                assert_eq!(
                    (took, copies),
                    (expected, Ok(Copies::Only(1 - torn))),
                    "copy {torn} is torn, in the order {order:?}"
                );
            }
        }
    }
}

#[test]
fn what_is_wrong_is_said_of_each_copy_in_whichever_order_they_come() {
    let mut device = Device::holding(&state(5), &state(5)).tear(0);
    device.0[1].as_mut().unwrap().fill(0);
    let results = [[0, 1], [1, 0]].map(|order| read_passes(order, core::slice::from_ref(&device)));
    let (passes, Err(SuperError::Invalid(found))) = results[0] else {
        panic!("{results:?}");
    };
    assert_eq!(passes, super::reader::PASSES_MAX, "then it gives up");
    assert_eq!(results[0], results[1]);
    assert_ne!(found[0], found[1]);
    let of_each = [0, 1].map(|copy| {
        let bytes = device.0[copy].as_ref().unwrap();
        SuperBlock::decode(bytes, SUPER_COPIES[copy], None, portable).unwrap_err()
    });
    assert_eq!(found, of_each);
}

#[test]
fn damage_and_failures_are_told_apart() {
    let torn = Device::holding(&state(5), &state(5)).tear(0).tear(1).look();
    assert!(matches!(torn, Err(SuperError::Invalid(_))), "{torn:?}");
    let mut device = Device::holding(&state(5), &state(5));
    device.0[1] = Err(DiskError::TimedOut);
    assert_eq!(device.look(), Err(SuperError::Io(DiskError::TimedOut)));
    device.0[1] = Err(DiskError::Medium);
    assert_eq!(
        device.look().map(|view| view.copies),
        Ok(Copies::Only(0)),
        "bad medium under one copy"
    );
    device.0[0] = Err(DiskError::Medium);
    assert_eq!(device.look(), Err(SuperError::Medium));
}

#[test]
fn a_reader_that_knows_its_volume_believes_no_other() {
    let blocks = [encoded(&state(5), 0), encoded(&state(5), 1)];
    for (volume, found) in [(state(5).volume, true), (VolumeId([4; 16]), false)] {
        let mut reader = SuperReader::new(None);
        reader.pin(volume);
        assert!(!reader.is_running(), "nobody started it");
        assert_eq!(reader.poll_disk(IoId(0), LIMIT), None);
        reader.start();
        let result = (0..200).find_map(|nr| {
            assert!(reader.is_running());
            reader.poll_disk(IoId(nr), LIMIT)?;
            reader.handle_disk(IoId(nr), DiskOutcome::Read(&blocks[nr as usize % 2]), portable)
        });
        assert_eq!(result.expect("an end").is_ok(), found, "{volume:?}");
        assert!(!reader.is_running(), "it has its result");
    }
}

#[test]
fn a_server_that_is_named_lives_until_it_is_fenced_or_has_stopped() {
    let live = |server, fenced| {
        let state = SuperBlock {
            server,
            fenced,
            ..state(8)
        };
        SuperView {
            state,
            copies: Copies::Equal,
        }
        .live_server()
    };
    let (server, own) = (Some(ballot(3)), ballot(3));
    assert_eq!(live(None, Mark::NONE), None);
    assert_eq!(live(server, Mark::below(own)), server);
    assert_eq!(live(server, Mark::at(own)), None);
    assert_eq!(live(server, Mark::at(ballot(4))), None);
}

#[test]
fn two_states_with_one_number_are_both_disbelieved() {
    let other = SuperBlock {
        quorum_count: 3,
        ..state(5)
    };
    assert_eq!(
        Device::holding(&state(5), &other).look(),
        Err(SuperError::Unsettled)
    );
}

#[test]
fn r7_a_clean_stop_counts_when_both_copies_say_so() {
    let stopped = SuperBlock {
        server: Some(ballot(3)),
        fenced: Mark::at(ballot(3)),
        ..state(8)
    };
    let serving = SuperBlock {
        server: Some(ballot(3)),
        fenced: Mark::below(ballot(3)),
        ..state(7)
    };
    let trimmed = |mut device: Device| device.look().unwrap().trimmed();
    assert_eq!(trimmed(Device::holding(&stopped, &stopped)), Mark::at(ballot(3)));
    for half_way in [
        Device::holding(&stopped, &serving),
        Device::holding(&serving, &stopped),
        Device::holding(&stopped, &serving).tear(1),
        Device::holding(&serving, &stopped).tear(0),
    ] {
        assert_eq!(
            trimmed(half_way),
            Mark::below(ballot(3)),
            "one write of the stopping leader may be outstanding"
        );
    }
}

/// Writes of one update in order: copy and state.
fn writes(writer: &mut SuperWriter, change: impl FnOnce(&mut SuperBlock)) -> Vec<(usize, SuperBlock)> {
    writer.start(change);
    let mut done = Vec::new();
    let mut block = std::vec![0; BLOCK_BYTES];
    while let Some(DiskRequest::Write {
        id, first, durable, ..
    }) = writer.poll_disk(IoId(done.len() as u32), LIMIT, portable, &mut block)
    {
        assert!(durable, "each copy is durable before the next one is touched");
        assert!(
            writer
                .poll_disk(IoId(99), LIMIT, portable, &mut std::vec![0; BLOCK_BYTES])
                .is_none(),
            "one at a time"
        );
        let copy = SUPER_COPIES.iter().position(|&at| at == first).unwrap();
        done.push((copy, SuperBlock::decode(&block, first, None, portable).unwrap()));
        writer.handle_disk(id, DiskOutcome::Done);
    }
    done
}

#[test]
fn r8_an_update_goes_first_to_the_copy_that_does_not_hold_the_newest_state() {
    for (device, order) in [
        (Device::holding(&state(5), &state(4)), [1, 0]),
        (Device::holding(&state(4), &state(5)), [0, 1]),
        (Device::holding(&state(4), &state(5)).tear(0), [0, 1]),
        (Device::holding(&state(5), &state(4)).tear(1), [1, 0]),
    ] {
        let mut device = device;
        let view = device.look().unwrap();
        let mut writer = SuperWriter::new(&view);
        let done = writes(&mut writer, |state| state.unmount_barrier += 1);
        assert_eq!(done.iter().map(|(copy, _)| *copy).collect::<Vec<_>>(), order);
        assert!(
            done.iter()
                .all(|(_, state)| state.seq == view.state.seq + 1 && state.unmount_barrier == 1)
        );
        assert_eq!(writer.current().seq, view.state.seq + 1);
    }
}

#[test]
fn a_crash_at_any_write_of_an_update_leaves_the_old_state_or_the_new_one() {
    for torn in [false, true] {
        for writes_done in 0..=2 {
            let mut device = Device::holding(&state(5), &state(5));
            let view = device.look().unwrap();
            let done = writes(&mut SuperWriter::new(&view), |state| state.unmount_barrier = 9);
            for (index, (copy, state)) in done.into_iter().enumerate().take(writes_done + usize::from(torn)) {
                let mut bytes = encoded(&state, copy);
                if index == writes_done {
                    bytes[600] ^= 1;
                }
                device.0[copy] = Ok(bytes);
            }
            let seen = device.look().unwrap();
            let expected = if writes_done == 0 { 5 } else { 6 };
            assert_eq!(
                seen.state.seq, expected,
                "after {writes_done} writes, next one torn: {torn}"
            );
        }
    }
}

#[test]
fn a_failed_write_ends_the_update_and_says_so() {
    let view = Device::holding(&state(5), &state(5)).look().unwrap();
    let mut writer = SuperWriter::new(&view);
    assert!(!writer.is_busy() && !writer.is_due());
    writer.start(|state| state.unmount_barrier = 1);
    assert!(writer.is_busy() && writer.is_due());
    let mut block = std::vec![0; BLOCK_BYTES];
    let id = writer
        .poll_disk(IoId(1), LIMIT, portable, &mut block)
        .unwrap()
        .id();
    assert!(writer.is_busy() && !writer.is_due(), "issued");
    assert_eq!(
        writer.handle_disk(IoId(7), DiskOutcome::Done),
        None,
        "somebody else's completion"
    );
    assert_eq!(
        writer.handle_disk(id, DiskOutcome::Failed(DiskError::Failed)),
        Some(Err(DiskError::Failed))
    );
    assert!(!writer.is_busy());
    assert!(!writer.is_due(), "a failed update is not tried again");
}
