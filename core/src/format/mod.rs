//! Bytes: every block of the device and every message on the wire. Judges bytes, decides nothing.
//!
//! `core/FORMAT.md` is the specification; this folder is its implementation.
//! Content of the device or of a peer is never asserted on: it is answered with an error that names the reason.

mod clients;
mod doorbell;
mod error;
mod fences;
mod field;
mod geometry;
mod header;
pub mod hello;
mod layout;
mod quorum;
mod superblock;
#[cfg(test)]
mod tests;
pub mod wire;

pub use clients::{CLIENTS_PER_BLOCK, ClientRecord, TableBlock, encode_table_block};
pub use doorbell::Doorbell;
pub use error::BlockError;
pub use fences::{
    FenceMethod, FenceReason, FenceRecord, FenceResult, FenceWay, decode_fence, encode_fence, fence_number,
};
pub use geometry::{Geometry, SUPER_COPIES};
pub use header::{Kind, VERSION, identify};
pub use layout::NewVolume;
pub use quorum::{
    Answer, FenceParam, LogEntry, PackedEntry, QuorumHead, RegionBlock, RegionEntries, VoteKind,
    encode_empty, encode_quorum,
};
pub use superblock::SuperBlock;
