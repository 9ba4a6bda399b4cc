//! Round trips of arbitrary content, and what garbage may do: nothing but an error.

use arbitrary::{Arbitrary, Result, Unstructured};
use arbtest::arbtest;

use super::any::{
    any_bell, any_fence, any_greeting, any_head, any_log, any_offer, any_ping_ms, any_record, any_super,
    any_welcome, maybe,
};
use super::*;
use crate::bounds::{COUNTER_MAX, MESSAGE_BYTES_MAX, TERM_MAX};
use crate::checksum::portable;
use crate::format::CLIENTS_PER_BLOCK;
use crate::format::hello::{Offer, hello};
use crate::format::wire::{
    BODY_BYTES_MAX, Command, Greeting, Message, RequestId, Status, Welcome, decode_pong, encode_pong,
    frame_length,
};

#[test]
fn super_blocks_come_back() {
    arbtest(|u| {
        let (written, at) = (any_super(u)?, BlockNo(u.arbitrary()?));
        let mut block = [0xa5; BLOCK_BYTES];
        written.encode(at, portable, &mut block);
        for volume in [None, Some(written.volume)] {
            assert_eq!(
                SuperBlock::decode(&block, at, volume, hardware).as_ref(),
                Ok(&written)
            );
        }
        Ok(())
    });
}

#[test]
fn quorum_blocks_come_back() {
    arbtest(|u| {
        let (head, log, at) = (any_head(u)?, any_log(u)?, BlockNo(u.arbitrary()?));
        let mut block = [0xa5; BLOCK_BYTES];
        encode_quorum(&head, &log, at, VOLUME, portable, &mut block);
        match RegionBlock::decode(&block, at, VOLUME, hardware) {
            Ok(RegionBlock::Written(read, entries)) => {
                assert_eq!(read, head);
                assert_eq!(entries.absurd(), 0);
                assert!(entries.eq(log));
            }
            other => panic!("{other:?}"),
        }
        Ok(())
    });
}

#[test]
fn doorbells_come_back() {
    arbtest(|u| {
        let bell = any_bell(u)?;
        let at = BlockNo(u.arbitrary()?);
        let mut block = [0xa5; BLOCK_BYTES];
        bell.encode(at, VOLUME, portable, &mut block);
        assert_eq!(Doorbell::decode(&block, at, VOLUME, hardware), Ok(bell));
        Ok(())
    });
}

#[test]
fn client_tables_come_back() {
    arbtest(|u| {
        let mut records = Vec::new();
        for _ in 0..u.int_in_range(0..=CLIENTS_PER_BLOCK)? {
            records.push(maybe(u, any_record)?);
        }
        let (seq, at) = (u.arbitrary()?, BlockNo(u.arbitrary()?));
        let mut block = [0xa5; BLOCK_BYTES];
        encode_table_block(seq, records.iter().copied(), at, VOLUME, portable, &mut block);
        let table = TableBlock::decode(&block, at, VOLUME, hardware).expect("what was just written");
        assert_eq!(table.seq, seq);
        for index in 0..CLIENTS_PER_BLOCK {
            assert_eq!(
                table.record(index),
                records.get(index).copied().flatten(),
                "place {index}"
            );
        }
        Ok(())
    });
}

#[test]
fn fence_records_come_back() {
    arbtest(|u| {
        let record = any_fence(u)?;
        let (seq, at) = (u.int_in_range(1..=COUNTER_MAX)?, BlockNo(u.arbitrary()?));
        let mut block = [0xa5; BLOCK_BYTES];
        encode_fence(Some((seq, &record)), at, VOLUME, portable, &mut block);
        assert_eq!(
            decode_fence(&block, at, VOLUME, hardware),
            Ok(Some((seq, record)))
        );
        assert_eq!(fence_number(&block, at, VOLUME, hardware), Ok(seq));
        // Whatever stands there, it can be shown.
        assert!(record.method.text().len() <= record.method.0.len());
        Ok(())
    });
}

#[test]
fn messages_come_back() {
    arbtest(|u| {
        let answer = u.arbitrary()?;
        let message = Message {
            command: Command(u.arbitrary()?),
            answer,
            status: if answer { Status::Full } else { Status::Ok },
            id: RequestId(u.arbitrary()?),
            released: RequestId(u.arbitrary()?),
            body: <&[u8]>::arbitrary(u)?,
        };
        let mut out = [0xa5; MESSAGE_BYTES_MAX];
        match message.encode(&mut out) {
            Some(length) => assert_eq!(Message::decode(&out[..length]), Ok(message)),
            None => assert!(message.body.len() > BODY_BYTES_MAX),
        }
        Ok(())
    });
}

#[test]
fn greetings_and_welcomes_come_back() {
    arbtest(|u| {
        let greeting = any_greeting(u)?;
        let mut body = [0xa5; Greeting::BYTES];
        greeting.encode(&mut body);
        assert_eq!(Greeting::decode(&body), Ok(greeting));

        let welcome = any_welcome(u)?;
        let mut body = [0xa5; Welcome::BYTES];
        welcome.encode(&mut body);
        assert_eq!(Welcome::decode(&body), Ok(welcome));
        Ok(())
    });
}

#[test]
fn pongs_and_offers_come_back() {
    arbtest(|u| {
        let (ping_ms, offer) = (any_ping_ms(u)?, any_offer(u)?);
        assert_eq!(decode_pong(&encode_pong(ping_ms)), Ok(ping_ms));
        assert_eq!(Offer::decode(&offer.encode()), offer);
        Ok(())
    });
}

/// Damages a few bytes among the first `within`, where the fields are.
fn damage(u: &mut Unstructured<'_>, bytes: &mut [u8], within: usize) -> Result<()> {
    for _ in 0..u.int_in_range(1..=4)? {
        let offset = u.int_in_range(0..=within - 1)?;
        bytes[offset] = u.arbitrary()?;
    }
    Ok(())
}

/// Reads a block of any kind and writes what was read; `None` if it was refused. Entries with absurd terms are
/// left out in reading and so cannot be written again.
fn read_and_write_again(sample: &Sample, bytes: &[u8]) -> Option<[u8; BLOCK_BYTES]> {
    let at = sample.at;
    let mut again = [0xa5; BLOCK_BYTES];
    match sample.name {
        "super" => SuperBlock::decode(bytes, at, None, hardware)
            .ok()?
            .encode(at, hardware, &mut again),
        "quorum" | "empty" => match RegionBlock::decode(bytes, at, VOLUME, hardware).ok()? {
            RegionBlock::Empty => encode_empty(at, VOLUME, hardware, &mut again),
            RegionBlock::Written(head, entries) => {
                let absurd = entries.absurd();
                let log: Vec<LogEntry> = entries.collect();
                assert!(log.iter().all(|entry| entry.ballot.term.0 <= TERM_MAX));
                encode_quorum(&head, &log, at, VOLUME, hardware, &mut again);
                if absurd > 0 {
                    return None;
                }
            }
        },
        "doorbell" => Doorbell::decode(bytes, at, VOLUME, hardware)
            .ok()?
            .encode(at, VOLUME, hardware, &mut again),
        "clients" => {
            let table = TableBlock::decode(bytes, at, VOLUME, hardware).ok()?;
            let records = (0..CLIENTS_PER_BLOCK).map(|index| table.record(index));
            encode_table_block(table.seq, records, at, VOLUME, hardware, &mut again);
        }
        "fence" => {
            let record = decode_fence(bytes, at, VOLUME, hardware).ok()?;
            let record = record.as_ref().map(|(seq, record)| (*seq, record));
            encode_fence(record, at, VOLUME, hardware, &mut again);
        }
        other => panic!("no block is called {other}"),
    }
    Some(again)
}

#[test]
fn whatever_is_believed_is_exactly_what_a_writer_writes() {
    let mut believed = 0;
    let samples = samples();
    arbtest(|u| {
        let sample = u.choose(&samples)?;
        let mut bytes = sample.bytes.clone();
        damage(u, &mut bytes, 512)?;
        correct_checksum(&mut bytes);
        if let Some(again) = read_and_write_again(sample, &bytes) {
            assert!(bytes == again, "{} was read as something else", sample.name);
            believed += 1;
        }
        Ok(())
    })
    .budget_ms(500)
    .run();
    assert!(believed > 0, "the damage must leave some blocks believable");
}

#[test]
fn garbage_is_an_error_for_every_decoder() {
    let samples = samples();
    arbtest(|u| {
        let garbage = u.bytes(u.len())?;
        for sample in &samples {
            assert!((sample.judge)(garbage, sample.at, VOLUME).is_err());
        }
        // These have no checksum of their own; they may succeed, but must come back.
        let _ = frame_length(garbage);
        let _ = hello(garbage);
        let _ = Message::decode(garbage);
        let _ = Greeting::decode(garbage);
        let _ = Welcome::decode(garbage);
        Ok(())
    });
}

#[test]
fn damaged_bodies_are_refused_or_mean_what_they_say() {
    arbtest(|u| {
        let mut body = [0; Greeting::BYTES];
        super::wire::sample_greeting().encode(&mut body);
        damage(u, &mut body, Greeting::BYTES)?;
        if let Ok(greeting) = Greeting::decode(&body) {
            let mut again = [0xa5; Greeting::BYTES];
            greeting.encode(&mut again);
            assert_eq!(again, body);
        }
        let mut body = [0; Welcome::BYTES];
        super::wire::sample_welcome().encode(&mut body);
        damage(u, &mut body, Welcome::BYTES)?;
        if let Ok(welcome) = Welcome::decode(&body) {
            let mut again = [0xa5; Welcome::BYTES];
            welcome.encode(&mut again);
            assert_eq!(again, body);
        }
        Ok(())
    });
}
