//! Each kind of block: any content, damaged, its checksum made right again.

use arbitrary::{Result, Unstructured};
use ostrakon_core::bounds::{BLOCK_BYTES, COUNTER_MAX, TERM_MAX};
use ostrakon_core::checksum::padded;
use ostrakon_core::format::{
    BlockError, CLIENTS_PER_BLOCK, Doorbell, LogEntry, QuorumHead, RegionBlock, SuperBlock, TableBlock,
    decode_fence, encode_empty, encode_fence, encode_quorum, encode_table_block, fence_number, identify,
};
use ostrakon_core::ids::{BlockNo, VolumeId};

use crate::any::{any_bell, any_fence, any_head, any_log, any_record, any_super, maybe};
use crate::mutate::{checksum, damage, repair};

type Block = [u8; BLOCK_BYTES];

/// Makes a block, damages it, reads it as whatever it may be taken for.
pub fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let (at, volume) = (BlockNo(u.arbitrary()?), VolumeId(u.arbitrary()?));
    let mut bytes = any_block(u, at, volume)?;
    if u.ratio(7, 8)? {
        damage(u, &mut bytes)?;
    }
    if u.ratio(15, 16)? {
        repair(&mut bytes);
    }
    let length = if u.ratio(1, 32)? {
        u.int_in_range(0..=BLOCK_BYTES)?
    } else {
        BLOCK_BYTES
    };
    judge(&bytes[..length], at, volume);
    judge_after(u, &bytes, at, volume)
}

/// A block of the region that was read after another one, much like it, says what it says alone.
fn judge_after(u: &mut Unstructured<'_>, before: &Block, at: BlockNo, volume: VolumeId) -> Result<()> {
    let Ok(RegionBlock::Written(_, entries)) = RegionBlock::decode(before, at, volume, checksum) else {
        return Ok(());
    };
    let mut bytes = *before;
    damage(u, &mut bytes)?;
    repair(&mut bytes);
    let after = RegionBlock::decode_after(&bytes, at, volume, checksum, padded, Some(&entries));
    let alone = RegionBlock::decode(&bytes, at, volume, checksum);
    assert_eq!(
        told(after),
        told(alone),
        "what was read before changed what was read"
    );
    Ok(())
}

/// What a block says.
fn told(
    read: core::result::Result<RegionBlock<'_>, BlockError>,
) -> core::result::Result<Option<(QuorumHead, Vec<LogEntry>)>, BlockError> {
    Ok(match read? {
        RegionBlock::Empty => None,
        RegionBlock::Written(head, entries) => Some((head, entries.collect())),
    })
}

/// Any content of any kind, or any bytes.
fn any_block(u: &mut Unstructured<'_>, at: BlockNo, volume: VolumeId) -> Result<Block> {
    let mut block = [0xa5; BLOCK_BYTES];
    match u.int_in_range(0..=6)? {
        0 => SuperBlock {
            volume,
            ..any_super(u)?
        }
        .encode(at, checksum, &mut block),
        1 => encode_quorum(&any_head(u)?, &any_log(u)?, at, volume, checksum, &mut block),
        2 => encode_empty(at, volume, checksum, &mut block),
        3 => any_bell(u)?.encode(at, volume, checksum, &mut block),
        4 => {
            let mut records = Vec::new();
            for _ in 0..u.int_in_range(0..=CLIENTS_PER_BLOCK)? {
                records.push(maybe(u, any_record)?);
            }
            let seq = u.arbitrary()?;
            encode_table_block(seq, records.into_iter(), at, volume, checksum, &mut block);
        }
        5 => {
            let record = maybe(u, |u| Ok((u.int_in_range(1..=COUNTER_MAX)?, any_fence(u)?)))?;
            encode_fence(
                record.as_ref().map(|(seq, record)| (*seq, record)),
                at,
                volume,
                checksum,
                &mut block,
            );
        }
        _ => u.fill_buffer(&mut block)?,
    }
    Ok(block)
}

/// Every decoder looks at it. At most one believes it, and that one reads what a writer would have written.
fn judge(bytes: &[u8], at: BlockNo, volume: VolumeId) {
    let mut believed = 0;
    let mut same = |again: Block| {
        believed += 1;
        assert!(
            bytes == again,
            "a block was read as something else than what it says"
        );
    };
    let mut again = [0xa5; BLOCK_BYTES];
    if let Ok(state) = SuperBlock::decode(bytes, at, Some(volume), checksum) {
        assert_eq!(identify(bytes, at, checksum), Ok(volume));
        state.encode(at, checksum, &mut again);
        same(again);
    }
    match RegionBlock::decode(bytes, at, volume, checksum) {
        Ok(RegionBlock::Empty) => {
            encode_empty(at, volume, checksum, &mut again);
            same(again);
        }
        Ok(RegionBlock::Written(head, entries)) => {
            let absurd = entries.absurd();
            let log: Vec<LogEntry> = entries.collect();
            assert!(log.iter().all(|entry| entry.ballot.term.0 <= TERM_MAX));
            encode_quorum(&head, &log, at, volume, checksum, &mut again);
            // Entries with absurd terms are left out in reading, and so cannot be written again.
            if absurd == 0 {
                same(again);
            }
        }
        Err(error) => drop(error.to_string()),
    }
    if let Ok(bell) = Doorbell::decode(bytes, at, volume, checksum) {
        bell.encode(at, volume, checksum, &mut again);
        same(again);
    }
    if let Ok(table) = TableBlock::decode(bytes, at, volume, checksum) {
        let records = (0..CLIENTS_PER_BLOCK).map(|index| table.record(index));
        encode_table_block(table.seq, records, at, volume, checksum, &mut again);
        same(again);
    }
    let number = fence_number(bytes, at, volume, checksum);
    if let Ok(record) = decode_fence(bytes, at, volume, checksum) {
        assert_eq!(number, Ok(record.map_or(0, |(seq, _)| seq)));
        let record = record.as_ref().map(|(seq, record)| (*seq, record));
        encode_fence(record, at, volume, checksum, &mut again);
        same(again);
    }
    assert!(believed <= 1, "a block was taken for two kinds at once");
}
