//! Golden bytes: made from the tables of `core/FORMAT.md` by other means than this crate, and fixed for good.
//! A block's checksum stands among them, so the bytes behind those listed (all zero) are fixed as well.

use std::string::ToString;

use super::wire::{sample_answer, sample_greeting, sample_welcome};
use super::*;
use crate::format::SUPER_COPIES;
use crate::format::wire::{Greeting, Message, Welcome};

/// Offset, name and bytes of each field; `00*24` stands for 24 zeros.
type Fields = &'static [(usize, &'static str, &'static str)];

fn bytes_of(fields: Fields) -> Vec<u8> {
    let mut bytes = Vec::new();
    for &(offset, name, text) in fields {
        assert_eq!(bytes.len(), offset, "offset of {name}");
        match text.strip_prefix("00*") {
            Some(count) => {
                let count = count.parse::<usize>().expect("a count of zeros");
                bytes.resize(offset + count, 0);
            }
            None => bytes.extend((0..text.len()).step_by(2).map(|digit| {
                let pair = &text[digit..digit + 2];
                u8::from_str_radix(pair, 16).expect("two hexadecimal digits")
            })),
        }
    }
    bytes
}

fn block_of(fields: Fields) -> Vec<u8> {
    let mut bytes = bytes_of(fields);
    bytes.resize(BLOCK_BYTES, 0);
    bytes
}

/// Names the first field that differs, instead of printing two whole blocks.
fn same_bytes(fields: Fields, golden: &[u8], written: &[u8]) {
    if let Some(offset) = (0..golden.len()).find(|&offset| golden[offset] != written[offset]) {
        let field = fields.iter().rfind(|field| field.0 <= offset);
        panic!("byte {offset} differs, in {field:?}");
    }
    assert_eq!(golden.len(), written.len());
}

#[test]
fn super_block() {
    let golden = block_of(SUPER);
    same_bytes(SUPER, &golden, &super_sample().bytes);
    let read = SuperBlock::decode(&golden, SUPER_COPIES[1], None, hardware);
    assert_eq!(read, Ok(sample_super()));
}

#[test]
fn empty_quorum_block() {
    let golden = block_of(EMPTY);
    same_bytes(EMPTY, &golden, &empty_sample().bytes);
    let read = RegionBlock::decode(&golden, BlockNo(64), VOLUME, hardware);
    assert!(matches!(read, Ok(RegionBlock::Empty)));
}

#[test]
fn quorum_block() {
    let golden = block_of(QUORUM);
    same_bytes(QUORUM, &golden, &quorum_sample().bytes);
    match RegionBlock::decode(&golden, BlockNo(70), VOLUME, hardware) {
        Ok(RegionBlock::Written(head, log)) => {
            assert_eq!(head, sample_head());
            assert!(log.eq(sample_log()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn doorbell() {
    let golden = block_of(DOORBELL);
    same_bytes(DOORBELL, &golden, &bell_sample().bytes);
    let read = Doorbell::decode(&golden, BlockNo(128), VOLUME, hardware);
    assert_eq!(read, Ok(sample_bell()));
}

#[test]
fn client_table() {
    let golden = block_of(CLIENTS);
    same_bytes(CLIENTS, &golden, &clients_sample().bytes);
    let table = TableBlock::decode(&golden, BlockNo(129), VOLUME, hardware).expect("the golden table");
    assert_eq!(table.seq, 0x99);
    assert_eq!([0, 1, 2].map(|index| table.record(index)), sample_records());
    assert!((3..100).all(|index| table.record(index).is_none()));
}

#[test]
fn fence_record() {
    let golden = block_of(FENCE);
    same_bytes(FENCE, &golden, &fence_sample().bytes);
    let read = decode_fence(&golden, BlockNo(135), VOLUME, hardware);
    assert_eq!(read, Ok(Some((0x21, sample_fence()))));
}

#[test]
fn frame() {
    let golden = bytes_of(ANSWER);
    let mut written = [0xa5; 64];
    let length = sample_answer().encode(&mut written).expect("room enough");
    same_bytes(ANSWER, &golden, &written[..length]);
    assert_eq!(Message::decode(&golden), Ok(sample_answer()));
}

#[test]
fn greeting() {
    let golden = bytes_of(GREETING);
    let mut written = [0xa5; Greeting::BYTES];
    sample_greeting().encode(&mut written);
    same_bytes(GREETING, &golden, &written);
    assert_eq!(Greeting::decode(&golden), Ok(sample_greeting()));
}

#[test]
fn welcome() {
    let golden = bytes_of(WELCOME);
    let mut written = [0xa5; Welcome::BYTES];
    sample_welcome().encode(&mut written);
    same_bytes(WELCOME, &golden, &written);
    assert_eq!(Welcome::decode(&golden), Ok(sample_welcome()));
}

/// The section of the specification under a heading, up to the next heading of any level.
fn section(heading: &str) -> &'static str {
    let text = include_str!("../../../FORMAT.md");
    let (_, rest) = text.split_once(heading).expect("the heading of a section");
    rest.split("\n#").next().unwrap_or(rest)
}

/// Whether the section has a table row with this offset and name.
fn is_specified(section: &str, offset: usize, name: &str) -> bool {
    section.lines().any(|line| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        cells.next() == Some(offset.to_string().as_str())
            && cells.nth(1).map(|cell| cell.trim_matches('`')) == Some(name)
    })
}

#[test]
fn the_specification_lists_the_golden_fields_where_they_are() {
    let header_bytes = 64;
    for (heading, fields, starts_with_header) in [
        ("\n## Super block\n", SUPER, true),
        ("\n## Quorum block\n", QUORUM, true),
        ("\n## Doorbell\n", DOORBELL, true),
        ("\n## Client table\n", CLIENTS, true),
        ("\n## Fence records\n", FENCE, true),
        ("\n## Frame\n", ANSWER, false),
        ("\n### Greeting\n", GREETING, false),
        ("\n### Welcome\n", WELCOME, false),
    ] {
        // Parts that stand in several places (addresses, ballots, entries, records) have tables of their own.
        let repeated_from = match heading {
            "\n## Quorum block\n" => 208,
            "\n## Client table\n" => 100,
            _ => usize::MAX,
        };
        for &(offset, name, _) in fields {
            if name.contains('.') || name == "body" || offset >= repeated_from {
                continue;
            }
            let place = if starts_with_header && offset < header_bytes {
                section("\n## Header of a block\n")
            } else {
                section(heading)
            };
            assert!(is_specified(place, offset, name), "{heading} {offset} {name}");
        }
    }
    let first_entry = QUORUM.iter().filter(|field| (208..316).contains(&field.0));
    for &(offset, name, _) in first_entry.filter(|field| field.1.starts_with("log.")) {
        let place = section("\n## Quorum block\n");
        assert!(is_specified(place, offset - 208, name), "{name}");
    }
    let first_record = CLIENTS.iter().filter(|field| (100..208).contains(&field.0));
    for &(offset, name, _) in first_record {
        match name.starts_with("addr.") {
            true => assert!(
                is_specified(section("\n## Address\n"), offset - 140, name),
                "{name}"
            ),
            false => assert!(
                is_specified(section("\n## Client table\n"), offset - 100, name),
                "{name}"
            ),
        }
    }
}

const SUPER: &[(usize, &str, &str)] = &[
    (0, "crc", "74a313d4"),
    (4, "magic", "4f535452"),
    (8, "version", "0100"),
    (10, "kind", "0100"),
    (12, "reserved_12", "00000000"),
    (16, "volume", "101112131415161718191a1b1c1d1e1f"),
    (32, "block", "2000000000000000"),
    (40, "reserved_40", "00*24"),
    (64, "seq", "0807060504030201"),
    (72, "fenced_term", "0600000000000000"),
    (80, "fenced_rid", "edfe000000000000"),
    (88, "server.term", "0700000000000000"),
    (96, "server.rid", "a8a7a6a5a4a3a2a1"),
    (104, "unmount_barrier", "0300000000000000"),
    (112, "addr.family", "04"),
    (113, "addr.reserved", "00"),
    (114, "addr.port", "581b"),
    (116, "addr.scope", "00000000"),
    (120, "addr.ip", "c0000201000000000000000000000000"),
    (136, "quorum_count", "0200"),
    (138, "reserved_138", "000000000000"),
    (144, "region", "4000000000000000"),
    (152, "doorbell", "8000000000000000"),
    (160, "clients", "8100000000000000"),
    (168, "clients_blocks", "03000000"),
    (172, "clients_max", "64000000"),
    (176, "fences", "8700000000000000"),
    (184, "reserved", "a700000000000000"),
    (192, "reserved_blocks", "5900000000000000"),
    (
        200,
        "key",
        "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
    ),
];

const EMPTY: &[(usize, &str, &str)] = &[
    (0, "crc", "9b246c54"),
    (4, "magic", "4f535452"),
    (8, "version", "0100"),
    (10, "kind", "0200"),
    (12, "reserved_12", "00000000"),
    (16, "volume", "101112131415161718191a1b1c1d1e1f"),
    (32, "block", "4000000000000000"),
    (40, "reserved_40", "00*24"),
];

const QUORUM: &[(usize, &str, &str)] = &[
    (0, "crc", "47505955"),
    (4, "magic", "4f535452"),
    (8, "version", "0100"),
    (10, "kind", "0200"),
    (12, "reserved_12", "00000000"),
    (16, "volume", "101112131415161718191a1b1c1d1e1f"),
    (32, "block", "4600000000000000"),
    (40, "reserved_40", "00*24"),
    (64, "writer", "a8a7a6a5a4a3a2a1"),
    (72, "host", "7700000000000000"),
    (80, "boot", "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"),
    (96, "write_nr", "3412000000000000"),
    (104, "term", "0900000000000000"),
    (112, "vote_for", "a8a7a6a5a4a3a2a1"),
    (120, "own_term", "0900000000000000"),
    (128, "void_term", "0500000000000000"),
    (136, "cycle_us", "d430000000000000"),
    (144, "answer_interval_us", "40420f0000000000"),
    (152, "round", "0d0c0b0a"),
    (156, "answer_voters", "0300"),
    (158, "kind", "04"),
    (159, "flags", "0b"),
    (160, "log_count", "0200"),
    (162, "reserved_162", "00*46"),
    (208, "log.term", "0800000000000000"),
    (216, "log.rid", "0505000000000000"),
    (224, "log.host", "7700000000000000"),
    (232, "log.boot", "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"),
    (248, "addr.family", "04"),
    (249, "addr.reserved", "00"),
    (250, "addr.port", "581b"),
    (252, "addr.scope", "00000000"),
    (256, "addr.ip", "0a000005000000000000000000000000"),
    (272, "log.quiet", "00000000"),
    (
        276,
        "log.fence_param",
        "706c75673d3700000000000000000000000000000000000000000000000000000000000000000000",
    ),
    (316, "log.term", "0900000000000000"),
    (324, "log.rid", "a8a7a6a5a4a3a2a1"),
    (332, "log.host", "7700000000000000"),
    (340, "log.boot", "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"),
    (356, "addr.family", "06"),
    (357, "addr.reserved", "00"),
    (358, "addr.port", "591b"),
    (360, "addr.scope", "04000000"),
    (364, "addr.ip", "fe80000000000000000000000000000a"),
    (380, "log.quiet", "c4090080"),
    (
        384,
        "log.fence_param",
        "706c75673d3700000000000000000000000000000000000000000000000000000000000000000000",
    ),
];

const DOORBELL: &[(usize, &str, &str)] = &[
    (0, "crc", "0cbd0be1"),
    (4, "magic", "4f535452"),
    (8, "version", "0100"),
    (10, "kind", "0300"),
    (12, "reserved_12", "00000000"),
    (16, "volume", "101112131415161718191a1b1c1d1e1f"),
    (32, "block", "8000000000000000"),
    (40, "reserved_40", "00*24"),
    (64, "rid", "0505000000000000"),
    (72, "ring", "2100000000000000"),
    (80, "term", "0900000000000000"),
];

const CLIENTS: &[(usize, &str, &str)] = &[
    (0, "crc", "7566732e"),
    (4, "magic", "4f535452"),
    (8, "version", "0100"),
    (10, "kind", "0400"),
    (12, "reserved_12", "00000000"),
    (16, "volume", "101112131415161718191a1b1c1d1e1f"),
    (32, "block", "8100000000000000"),
    (40, "reserved_40", "00*24"),
    (64, "seq", "9900000000000000"),
    (72, "reserved_72", "00*28"),
    (100, "rid", "0505000000000000"),
    (108, "barrier", "0300000000000000"),
    (116, "host", "7700000000000000"),
    (124, "boot", "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"),
    (140, "addr.family", "04"),
    (141, "addr.reserved", "00"),
    (142, "addr.port", "581b"),
    (144, "addr.scope", "00000000"),
    (148, "addr.ip", "0a000005000000000000000000000000"),
    (164, "record.flags", "01000000"),
    (
        168,
        "fence_param",
        "706c75673d3700000000000000000000000000000000000000000000000000000000000000000000",
    ),
    (208, "free", "00*108"),
    (316, "rid", "0606000000000000"),
    (324, "barrier", "0200000000000000"),
    (332, "host", "7700000000000000"),
    (340, "boot", "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"),
    (356, "addr.family", "00"),
    (357, "addr.reserved", "00"),
    (358, "addr.port", "0000"),
    (360, "addr.scope", "00000000"),
    (364, "addr.ip", "00*16"),
    (380, "record.flags", "02000000"),
    (
        384,
        "fence_param",
        "706c75673d3700000000000000000000000000000000000000000000000000000000000000000000",
    ),
];

const FENCE: &[(usize, &str, &str)] = &[
    (0, "crc", "cf258f00"),
    (4, "magic", "4f535452"),
    (8, "version", "0100"),
    (10, "kind", "0500"),
    (12, "reserved_12", "00000000"),
    (16, "volume", "101112131415161718191a1b1c1d1e1f"),
    (32, "block", "8700000000000000"),
    (40, "reserved_40", "00*24"),
    (64, "seq", "2100000000000000"),
    (72, "term", "0600000000000000"),
    (80, "rid", "0505000000000000"),
    (88, "host", "7700000000000000"),
    (96, "addr.family", "04"),
    (97, "addr.reserved", "00"),
    (98, "addr.port", "581b"),
    (100, "addr.scope", "00000000"),
    (104, "addr.ip", "0a000005000000000000000000000000"),
    (120, "by.term", "0700000000000000"),
    (128, "by.rid", "a8a7a6a5a4a3a2a1"),
    (136, "unix_s", "00f1536500000000"),
    (144, "attempts", "03000000"),
    (148, "others", "02000000"),
    (152, "why", "01"),
    (153, "how", "01"),
    (154, "result", "02"),
    (155, "reserved_155", "0000000000"),
    (160, "method", "66656e63655f69706d696c616e000000"),
];

const ANSWER: &[(usize, &str, &str)] = &[
    (0, "length", "1d00"),
    (2, "command", "0200"),
    (4, "status", "0400"),
    (6, "flags", "0100"),
    (8, "id", "0807060504030201"),
    (16, "released", "0707060504030201"),
    (24, "body", "0102030405"),
];

const GREETING: &[(usize, &str, &str)] = &[
    (0, "volume", "101112131415161718191a1b1c1d1e1f"),
    (16, "format", "0100"),
    (18, "flags", "0100"),
    (20, "reserved_20", "00000000"),
    (24, "rid", "0505000000000000"),
    (32, "server.term", "0700000000000000"),
    (40, "server.rid", "a8a7a6a5a4a3a2a1"),
    (48, "host", "7700000000000000"),
    (56, "boot", "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"),
    (72, "addr.family", "04"),
    (73, "addr.reserved", "00"),
    (74, "addr.port", "581b"),
    (76, "addr.scope", "00000000"),
    (80, "addr.ip", "0a000005000000000000000000000000"),
    (
        96,
        "fence_param",
        "706c75673d3700000000000000000000000000000000000000000000000000000000000000000000",
    ),
];

const WELCOME: &[(usize, &str, &str)] = &[
    (0, "server.term", "0700000000000000"),
    (8, "server.rid", "a8a7a6a5a4a3a2a1"),
    (16, "barrier", "0300000000000000"),
    (24, "flags", "0300"),
    (26, "ping_ms", "e803"),
    (28, "reserved_28", "00000000"),
];
