//! The mounted-client table as it stands on the device.

use ostrakon_core::format::{BlockError, CLIENTS_PER_BLOCK, ClientRecord, TableBlock};
use ostrakon_core::ids::{BlockNo, VolumeId};

use super::{Damage, Volume, checksum};

/// One copy of a table block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CopyState {
    /// Valid.
    Valid {
        /// Its sequence number.
        seq: u64,
        /// Its places.
        records: Vec<Option<ClientRecord>>,
    },
    /// Says nothing.
    Damaged(Damage),
}

/// One logical block of the table: two copies, and where they stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableState {
    /// Where the copies stand.
    pub at: [BlockNo; 2],
    /// What they are.
    pub copies: [CopyState; 2],
}

/// The whole table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its logical blocks.
    pub blocks: Vec<TableState>,
}

impl TableState {
    /// The copy to believe: the valid one with the higher number.
    fn newest(&self) -> Option<&[Option<ClientRecord>]> {
        let valid = self.copies.iter().filter_map(|copy| match copy {
            CopyState::Valid { seq, records } => Some((seq, records)),
            CopyState::Damaged(_) => None,
        });
        valid
            .max_by_key(|&(seq, _)| seq)
            .map(|(_, records)| records.as_slice())
    }
}

impl Table {
    /// Reads the table. A damaged copy is one of its states, never an error.
    pub fn read(volume: &Volume) -> Self {
        let (first, id) = (volume.state().geometry.clients, volume.state().volume);
        let count = volume.state().geometry.clients_blocks as usize;
        let judged = volume.read_settled(first, 2 * count, |at, bytes| judge(bytes, at, id));
        let copies: Vec<_> = judged
            .into_iter()
            .map(|judged| judged.unwrap_or_else(CopyState::Damaged))
            .collect();
        let (ones, twos) = copies.split_at(count);
        let numbered = (first.0..).zip(ones.iter().zip(twos));
        let blocks = numbered
            .map(|(at, (one, two))| TableState {
                at: [BlockNo(at), BlockNo(at + count as u64)],
                copies: [one.clone(), two.clone()],
            })
            .collect();
        Self { blocks }
    }

    /// Records that count under this barrier: a higher barrier deleted the others.
    pub fn records(&self, unmount_barrier: u64) -> impl Iterator<Item = ClientRecord> {
        self.blocks
            .iter()
            .filter_map(TableState::newest)
            .flatten()
            .flatten()
            .filter(move |record| record.barrier >= unmount_barrier)
            .copied()
    }

    /// Copies that say nothing, with the reason.
    pub fn damaged(&self) -> impl Iterator<Item = (BlockNo, &Damage)> {
        let copies = self
            .blocks
            .iter()
            .flat_map(|block| block.at.iter().zip(&block.copies));
        copies.filter_map(|(&at, copy)| match copy {
            CopyState::Damaged(damage) => Some((at, damage)),
            CopyState::Valid { .. } => None,
        })
    }

    /// Blocks of which neither copy is valid: whoever stood there is unknown.
    pub fn lost(&self) -> impl Iterator<Item = &TableState> {
        self.blocks.iter().filter(|block| block.newest().is_none())
    }
}

fn judge(bytes: &[u8], at: BlockNo, id: VolumeId) -> Result<CopyState, BlockError> {
    let block = TableBlock::decode(bytes, at, id, checksum)?;
    let records = (0..CLIENTS_PER_BLOCK).map(|index| block.record(index)).collect();
    Ok(CopyState::Valid {
        seq: block.seq,
        records,
    })
}
