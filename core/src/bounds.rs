//! Every limit of the crate in one place, with the relations between them asserted.

use crate::time::Duration;

/// Bytes in a block: the unit of every read, write and checksum.
pub const BLOCK_BYTES: usize = 4096;

/// Bytes a device writes whole or not at all (assumption A1 tears a block at this grain).
pub const SECTOR_BYTES: usize = 512;

/// Q: blocks in the quorum region.
pub const REGION_BLOCKS: usize = 64;

/// P: processes that may take part in an election at once, the candidate counted (assumption A5).
pub const VOTERS_MAX: usize = 16;

/// T: torn region writes within one scrub period that the seal survives.
pub const TORN_MAX: usize = 6;

/// D: late region writes of dead processes within one scrub period that the seal survives.
pub const LATE_MAX: usize = 4;

/// K: invalid blocks that one collect may leave out (rule R10).
pub const LEFT_OUT_MAX: usize = 2;

/// N: blocks that must carry a ballot at once before it is sealed (rule R4).
pub const SEAL_BLOCKS: usize = VOTERS_MAX + TORN_MAX + LATE_MAX + LEFT_OUT_MAX;

/// Entries that the election log of one block can hold: as many as fit, with 108 bytes each.
pub const LOG_ENTRIES_MAX: usize = 36;

/// Writers remembered from the region: every block may have another one.
pub const PEERS_MAX: usize = REGION_BLOCKS;

/// Terms above this are absurd: ignored and reported, never adopted.
pub const TERM_MAX: u64 = 1 << 56;

/// Bytes of the fencing parameter that a voter publishes for those who may have to fence it.
pub const FENCE_PARAM_BYTES: usize = 40;

/// Clients of a volume unless `format` says otherwise.
pub const CLIENTS_DEFAULT: u32 = 4096;

/// Clients that a volume can be formatted for.
pub const CLIENTS_LIMIT: u32 = 1 << 20;

/// Blocks of the largest device: byte offsets fit in the signed 64 bits that operating systems use for them.
pub const DEVICE_BLOCKS_LIMIT: u64 = (1 << 63) / BLOCK_BYTES as u64;

/// Longest message on the wire, frame header and authentication included.
pub const MESSAGE_BYTES_MAX: usize = 1024;

/// Requests of one session that may be under way at once.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 4;

/// Bytes of an answer that the server keeps until the client has released it.
/// A longer answer must belong to a request that may simply be executed again.
pub const ANSWER_KEPT_BYTES: usize = 32;

/// Connections that have not greeted yet; the oldest makes room for the next.
pub const STRANGERS_MAX: usize = 16;

/// A connection that has not greeted within this time is closed.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(2);

/// A connect that takes longer has failed.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Blocks that one disk request may span.
pub const TRANSFER_BLOCKS_MAX: u32 = REGION_BLOCKS as u32;

const _: () = assert!(SEAL_BLOCKS <= REGION_BLOCKS, "a seal must fit in the region");
const _: () = assert!(SEAL_BLOCKS > VOTERS_MAX, "R4: N covers all blind writes and more");
const _: () = assert!(
    LOG_ENTRIES_MAX >= 2 * VOTERS_MAX,
    "a new candidate leaves room for P entries"
);
const _: () = assert!(BLOCK_BYTES.is_multiple_of(SECTOR_BYTES));
