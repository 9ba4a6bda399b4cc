//! What a block must not be: every byte changed, every error, every impossible field.

use std::format;
use std::string::ToString;
use std::vec;

use super::*;
use crate::bounds::{LOG_ENTRIES_MAX, TERM_MAX};
use crate::checksum::padded;
use crate::format::{CLIENTS_PER_BLOCK, Kind, PackedEntry, RegionEntries, SUPER_COPIES, VERSION, identify};

#[test]
fn every_changed_byte_is_refused() {
    for sample in samples() {
        let mut bytes = sample.bytes.clone();
        for offset in 0..BLOCK_BYTES {
            for change in [1 << (offset % 8), 0xff] {
                bytes[offset] ^= change;
                let verdict = (sample.judge)(&bytes, sample.at, VOLUME);
                assert!(verdict.is_err(), "{} with byte {offset} changed", sample.name);
                bytes[offset] ^= change;
            }
        }
        assert_eq!((sample.judge)(&bytes, sample.at, VOLUME), Ok(()));
    }
}

#[test]
fn a_torn_block_is_refused() {
    for sample in samples() {
        let mut older = sample.bytes.clone();
        older[200..3000].fill(0x5a);
        for sectors in 1..BLOCK_BYTES / 512 {
            let mut torn = older.clone();
            torn[..sectors * 512].copy_from_slice(&sample.bytes[..sectors * 512]);
            if torn != sample.bytes {
                let verdict = (sample.judge)(&torn, sample.at, VOLUME);
                assert!(
                    matches!(verdict, Err(BlockError::Checksum { .. })),
                    "{}: {verdict:?}",
                    sample.name
                );
            }
        }
    }
}

#[test]
fn headers_are_judged_in_the_stated_order() {
    for sample in samples() {
        let judge = |bytes: &[u8]| (sample.judge)(bytes, sample.at, VOLUME);
        for found in [0, 1, 512, BLOCK_BYTES - 1] {
            assert_eq!(
                judge(&sample.bytes[..found]),
                Err(BlockError::Length { found }),
                "{}",
                sample.name
            );
        }
        let long = vec![0; BLOCK_BYTES + 1];
        assert_eq!(
            judge(&long),
            Err(BlockError::Length {
                found: BLOCK_BYTES + 1
            })
        );

        // From the last thing judged to the first: each new fault hides those already there.
        let mut bytes = sample.bytes.clone();
        bytes[12] = 1;
        correct_checksum(&mut bytes);
        let name = "reserved_12";
        assert_eq!(judge(&bytes), Err(BlockError::Field { name, found: 1 }));

        bytes[32..40].copy_from_slice(&7777_u64.to_le_bytes());
        correct_checksum(&mut bytes);
        let misplaced = BlockError::Misplaced {
            found: BlockNo(7777),
            expected: sample.at,
        };
        assert_eq!(judge(&bytes), Err(misplaced));

        bytes[16] ^= 0xff;
        correct_checksum(&mut bytes);
        let mut found = VOLUME;
        found.0[0] ^= 0xff;
        assert_eq!(judge(&bytes), Err(BlockError::Volume { found }));

        bytes[10..12].copy_from_slice(&9_u16.to_le_bytes());
        correct_checksum(&mut bytes);
        assert!(matches!(judge(&bytes), Err(BlockError::Kind { found: 9, .. })));

        bytes[0] ^= 1;
        assert!(
            matches!(judge(&bytes), Err(BlockError::Checksum { found, computed }) if found ^ computed == 1)
        );

        bytes[8..10].copy_from_slice(&(VERSION + 1).to_le_bytes());
        assert_eq!(judge(&bytes), Err(BlockError::Version { found: VERSION + 1 }));

        bytes[4..8].copy_from_slice(b"XFSB");
        let found = u32::from_le_bytes(*b"XFSB");
        assert_eq!(judge(&bytes), Err(BlockError::Magic { found }));
    }
}

#[test]
fn an_padded_block_is_not_ours() {
    for sample in samples() {
        let verdict = (sample.judge)(&[0; BLOCK_BYTES], sample.at, VOLUME);
        assert_eq!(verdict, Err(BlockError::Magic { found: 0 }), "{}", sample.name);
    }
}

#[test]
fn a_block_of_one_kind_is_never_taken_for_another() {
    let kinds = [
        Kind::Super,
        Kind::Quorum,
        Kind::Quorum,
        Kind::Doorbell,
        Kind::Clients,
    ];
    for (sample, found) in samples().into_iter().zip(kinds) {
        for (judge, expected) in samples().into_iter().zip(kinds) {
            if found != expected {
                let verdict = (judge.judge)(&sample.bytes, sample.at, VOLUME);
                let found = found as u16;
                assert_eq!(verdict, Err(BlockError::Kind { found, expected }));
            }
        }
    }
}

#[test]
fn identify_tells_the_volume_of_a_super_copy_alone() {
    let at = SUPER_COPIES[1];
    let sample = super_sample();
    assert_eq!(identify(&sample.bytes, at, hardware), Ok(VOLUME));
    assert!(matches!(
        identify(&sample.bytes, SUPER_COPIES[0], hardware),
        Err(BlockError::Misplaced { .. })
    ));
    assert!(matches!(
        identify(&bell_sample().bytes, BlockNo(128), hardware),
        Err(BlockError::Kind { found: 3, .. })
    ));
    let stranger = VolumeId([9; 16]);
    assert_eq!(
        SuperBlock::decode(&sample.bytes, at, Some(stranger), hardware),
        Err(BlockError::Volume { found: VOLUME })
    );
    assert_eq!(
        SuperBlock::decode(&sample.bytes, at, None, hardware),
        Ok(sample_super())
    );
}

/// Offset, what is written there, and the field and value that the error names.
type Impossible<'a> = (usize, &'a [u8], &'a str, u64);

fn each_is_refused(sample: &Sample, table: &[Impossible<'_>]) {
    for &(offset, replacement, field, value) in table {
        let verdict = sample.tampered(offset, replacement);
        let Err(BlockError::Field { name, found }) = verdict else {
            panic!("{} with {replacement:02x?} at {offset}: {verdict:?}", sample.name);
        };
        assert_eq!((name, found), (field, value), "{} at {offset}", sample.name);
    }
}

const ABSURD: [u8; 8] = (TERM_MAX + 1).to_le_bytes();
const ZERO: [u8; 8] = [0; 8];

#[test]
fn impossible_super_blocks() {
    let absurd = TERM_MAX + 1;
    each_is_refused(
        &super_sample(),
        &[
            (63, &[3], "reserved_40", 3),
            (72, &ABSURD, "fenced_term", absurd),
            (72, &ZERO, "fenced_rid", 0xfeed),
            (88, &ABSURD, "server", absurd),
            (88, &ZERO, "server", 0),
            (96, &ZERO, "server", 7),
            (88, &[0; 16], "server_addr", 0),
            (112, &[5], "addr.family", 5),
            (112, &[0], "addr.port", 0x58),
            (112, &[0; 4], "addr.ip", 192),
            (113, &[1], "addr.reserved", 1),
            (116, &[8], "addr.scope", 8),
            (124, &[1], "addr.ip", 1),
            (136, &[0, 0], "quorum_count", 0),
            (143, &[1], "reserved_138", 1),
            (232, &[2], "reserved_232", 2),
            (BLOCK_BYTES - 1, &[4], "reserved_232", 4),
        ],
    );
    assert_eq!(super_sample().tampered(72, &TERM_MAX.to_le_bytes()), Ok(()));
}

#[test]
fn impossible_quorum_blocks() {
    let absurd = TERM_MAX + 1;
    let full = LOG_ENTRIES_MAX as u64 + 1;
    each_is_refused(
        &quorum_sample(),
        &[
            (64, &ZERO, "head", 0x77),
            (104, &ABSURD, "term", absurd),
            (120, &ABSURD, "own_term", absurd),
            (128, &ABSURD, "void_term", absurd),
            (156, &[0, 0], "answer_voters", 0),
            (158, &[0], "kind", 0),
            (158, &[5], "kind", 5),
            (159, &[0x10], "flags", 0x10),
            (159, &[3], "answer_voters", 3),
            (156, &[0, 0, 4, 3], "answer_interval_us", 0x40),
            (160, &[LOG_ENTRIES_MAX as u8 + 1, 0], "log_count", full),
            (160, &[0xff, 0xff], "log_count", 0xffff),
            (160, &[1, 0], "log", 9),
            (160, &[3, 0], "log.term", 0),
            (162, &[1], "reserved_162", 1),
            (207, &[1], "reserved_162", 1),
            (208, &ZERO, "log.term", 0),
            (216, &ZERO, "log.rid", 0),
            // The first entry gets the second's rid (a duplicate), then a higher one.
            (216, &LEADER.to_le_bytes(), "log.rid", LEADER),
            (216, &(LEADER + 1).to_le_bytes(), "log.rid", LEADER),
            (248, &[0; 24], "addr.family", 0),
            (BLOCK_BYTES - 1, &[1], "log", 1),
        ],
    );
    each_is_refused(
        &empty_sample(),
        &[
            (160, &[1], "head", 1),
            (208, &[2], "log", 2),
            (BLOCK_BYTES - 1, &[3], "log", 3),
        ],
    );
}

#[test]
fn impossible_doorbells() {
    each_is_refused(
        &bell_sample(),
        &[
            (64, &ZERO, "ring", 0x21),
            (64, &[0; 16], "term", 9),
            (80, &ABSURD, "term", TERM_MAX + 1),
            (88, &[1], "reserved_88", 1),
            (BLOCK_BYTES - 1, &[1], "reserved_88", 1),
        ],
    );
}

#[test]
fn impossible_client_tables() {
    each_is_refused(
        &clients_sample(),
        &[
            (72, &[1], "reserved_72", 1),
            (99, &[1], "reserved_72", 1),
            (100, &ZERO, "record", 3),
            (140, &[1], "addr.family", 1),
            (164, &[4], "record.flags", 4),
            (164, &[1, 0, 0, 0x80], "record.flags", 0x8000_0001),
            // The free place, and the last place of the block.
            (100 + 108 + 8, &[1], "record", 1),
            (BLOCK_BYTES - 1, &[1], "record", 1),
        ],
    );
}

#[test]
fn impossible_fence_records() {
    each_is_refused(
        &fence_sample(),
        &[
            // Nothing may stand in a block that nobody has written.
            (64, &[0; 8], "unwritten", 6),
            (71, &[0xff], "seq", 0xff00_0000_0000_0021),
            (72, &ABSURD, "term", TERM_MAX + 1),
            (80, &ZERO, "rid", 0),
            (96, &[5], "addr.family", 5),
            (120, &[0; 16], "by", 0),
            (152, &[0], "why", 0),
            (152, &[4], "why", 4),
            (153, &[9], "how", 9),
            (154, &[3], "result", 3),
            (155, &[1], "reserved_155", 1),
            (176, &[1], "reserved_176", 1),
            (BLOCK_BYTES - 1, &[1], "reserved_176", 1),
        ],
    );
}

#[test]
fn names_of_methods_are_cut_at_a_letter() {
    for (name, kept) in [
        ("", ""),
        ("kill", "kill"),
        ("fence_ipmilan", "fence_ipmilan"),
        ("sixteen letters!", "sixteen letters!"),
        ("seventeen letters", "seventeen letter"),
        ("fifteen lettersé", "fifteen letters"),
    ] {
        assert_eq!(FenceMethod::of(name).text(), kept);
    }
    assert_eq!(FenceMethod([b'a'; 16]).text(), "a".repeat(16));
    assert_eq!(FenceMethod(*b"ab\xff\0..........!!").text(), "ab");
}

#[test]
fn absurd_terms_in_the_log_are_skipped_and_counted() {
    let mut log = sample_log();
    log[0].ballot.term = Term(TERM_MAX + 1);
    let mut block = [0; BLOCK_BYTES];
    let at = BlockNo(70);
    encode_quorum(&sample_head(), &log, at, VOLUME, hardware, &mut block);
    let Ok(RegionBlock::Written(head, mut entries)) = RegionBlock::decode(&block, at, VOLUME, hardware)
    else {
        panic!("one absurd entry must not hide the rest of the block");
    };
    assert_eq!(head, sample_head());
    assert_eq!(entries.absurd(), 1);
    assert_eq!(entries.next(), Some(log[1]));
    assert_eq!(entries.next(), None);
    assert_eq!(
        entries.absurd(),
        1,
        "a property of the block, not of what is left"
    );
}

#[test]
fn a_log_like_the_one_before_is_told_and_any_other_is_judged_by_itself() {
    let at = BlockNo(70);
    let encode = |log: &[LogEntry]| {
        let mut block = [0; BLOCK_BYTES];
        encode_quorum(&sample_head(), log, at, VOLUME, hardware, &mut block);
        block
    };
    fn entries<'a>(block: &'a [u8], before: Option<&RegionEntries<'a>>) -> RegionEntries<'a> {
        match RegionBlock::decode_after(block, BlockNo(70), VOLUME, hardware, padded, before) {
            Ok(RegionBlock::Written(_, entries)) => entries,
            other => panic!("expected a vote, found {other:?}"),
        }
    }
    let (first, same) = (encode(&sample_log()), encode(&sample_log()));
    let before = entries(&first, None);
    assert!(!before.repeats());
    let again = entries(&same, Some(&before));
    assert!(again.repeats() && again.eq(sample_log()));
    // However much of the one before was read meanwhile.
    let mut half_read = before;
    assert!(half_read.next().is_some() && sample_log().len() > 1);
    let again = entries(&same, Some(&half_read));
    assert!(again.repeats() && again.eq(sample_log()));
    let mut other_log = sample_log();
    other_log[1].quiet_ms += 1;
    for log in [&other_log[..], &sample_log()[..1], &[]] {
        let block = encode(log);
        let found = entries(&block, Some(&before));
        assert!(!found.repeats() && found.eq(log.iter().copied()));
    }
    let mut damaged = encode(&sample_log());
    damaged[300] ^= 1;
    let judged = RegionBlock::decode_after(&damaged, at, VOLUME, hardware, padded, Some(&before));
    assert!(matches!(judged, Err(BlockError::Checksum { .. })));
}

#[test]
fn a_full_log_and_a_full_table_come_back() {
    let log: vec::Vec<LogEntry> = (1..=LOG_ENTRIES_MAX as u64)
        .map(|value| LogEntry {
            ballot: ballot(value, value),
            ..sample_log()[0]
        })
        .collect();
    let mut block = [0; BLOCK_BYTES];
    let at = BlockNo(64);
    encode_quorum(&sample_head(), &log, at, VOLUME, hardware, &mut block);
    let Ok(RegionBlock::Written(_, entries)) = RegionBlock::decode(&block, at, VOLUME, hardware) else {
        panic!("a full log is a good log");
    };
    assert!(entries.eq(log));

    let record = |index| {
        sample_records()[0].map(|record| ClientRecord {
            rid: rid(index as u64 + 1),
            ..record
        })
    };
    let records = (0..CLIENTS_PER_BLOCK).map(record);
    encode_table_block(u64::MAX, records, at, VOLUME, hardware, &mut block);
    let table = TableBlock::decode(&block, at, VOLUME, hardware).expect("a full table is a good table");
    assert_eq!(table.seq, u64::MAX);
    for index in 0..CLIENTS_PER_BLOCK {
        assert_eq!(table.record(index), record(index));
    }
    assert_eq!(table.record(CLIENTS_PER_BLOCK), None);
    assert_eq!(table.record(usize::MAX), None);
}

#[test]
fn an_entry_that_is_marked_more_than_once_stays_marked_and_is_the_same_otherwise() {
    for entry in sample_log() {
        let mut packed = PackedEntry::from(&entry);
        for _ in 0..2 {
            packed.mark_fenced();
            assert_eq!(
                packed.unpack(),
                LogEntry {
                    fenced: true,
                    ..entry
                }
            );
        }
    }
}

#[test]
#[should_panic(expected = "a log sorted by rid")]
fn two_entries_of_one_rid_are_never_written() {
    let log = [sample_log()[0]; 2];
    encode_quorum(
        &sample_head(),
        &log,
        BlockNo(70),
        VOLUME,
        hardware,
        &mut [0; BLOCK_BYTES],
    );
}

#[test]
#[should_panic(expected = "a log longer than a block can hold")]
fn a_log_is_never_cut_to_fit() {
    let log = [sample_log()[0]; LOG_ENTRIES_MAX + 1];
    let mut block = [0; BLOCK_BYTES];
    encode_quorum(&sample_head(), &log, BlockNo(70), VOLUME, hardware, &mut block);
}

#[test]
#[should_panic(expected = "an own ballot of another rid")]
fn nobody_calls_anothers_ballot_its_own() {
    let head = QuorumHead {
        own: Some(ballot(9, 1)),
        ..sample_head()
    };
    encode_quorum::<LogEntry>(&head, &[], BlockNo(70), VOLUME, hardware, &mut [0; BLOCK_BYTES]);
}

#[test]
#[should_panic(expected = "more records than places")]
fn a_table_block_never_drops_a_record() {
    let records = core::iter::repeat_n(None, CLIENTS_PER_BLOCK + 1);
    encode_table_block(1, records, BlockNo(129), VOLUME, hardware, &mut [0; BLOCK_BYTES]);
}

#[test]
#[should_panic(expected = "4095 bytes is no block")]
fn a_short_buffer_is_never_written_to() {
    encode_empty(BlockNo(64), VOLUME, hardware, &mut [0; BLOCK_BYTES - 1]);
}

#[test]
fn errors_say_what_was_found_and_what_was_expected() {
    let table = [
        (BlockError::Length { found: 7 }, "7 bytes, expected 4096"),
        (
            BlockError::Magic { found: 0 },
            "not an ostrakon block (magic 00000000)",
        ),
        (
            BlockError::Version { found: 2 },
            "format version 2, this build reads 1",
        ),
        (
            BlockError::Kind {
                found: 4,
                expected: Kind::Super,
            },
            "block of kind 4, expected Super",
        ),
        (
            BlockError::Misplaced {
                found: BlockNo(3),
                expected: BlockNo(4),
            },
            "block 3 stands at block 4: misdirected write",
        ),
        (
            BlockError::Field {
                name: "kind",
                found: 9,
            },
            "field kind has the impossible value 9",
        ),
    ];
    for (error, text) in table {
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(
        BlockError::Volume { found: VOLUME }.to_string(),
        format!("block of volume {VOLUME}")
    );
    let torn = BlockError::Checksum {
        found: 1,
        computed: 0xab,
    };
    assert_eq!(
        torn.to_string(),
        "checksum 00000001, but its bytes give 000000ab: torn or damaged"
    );
}
