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

/// Voters' places that a server keeps account of: P for those it admits, and as many again for leaders that were not
/// admitted by anybody before they were elected.
pub const PLACES_MAX: usize = 2 * VOTERS_MAX;

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

/// The longest quiet time that a log entry can promise, in milliseconds: 24 days.
pub const QUIET_MS_MAX: u32 = (1 << 31) - 1;

/// Writers remembered from the region: the active ones, and as many that are gone.
pub const PEERS_MAX: usize = 2 * VOTERS_MAX;

/// Sequence numbers and barriers above this are absurd: no volume lives to see so many updates.
pub const COUNTER_MAX: u64 = 1 << 62;

/// Terms above this are absurd: ignored and reported, never adopted.
pub const TERM_MAX: u64 = 1 << 56;

/// Bytes of the fencing parameter that a voter publishes for those who may have to fence it.
pub const FENCE_PARAM_BYTES: usize = 40;

/// Bytes of the name of what a fence was carried out with.
pub const FENCE_METHOD_BYTES: usize = 16;

/// Blocks of fence records: as many of the newest are kept.
pub const FENCE_BLOCKS: usize = 32;

/// Fence records that wait for their turn to be written; those that find no room are counted. A plain client fences nobody.
pub const FENCES_WAITING_MAX: usize = if cfg!(feature = "voter") { 3 } else { 0 };

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

/// Bytes of a request's body: both sides keep it until it is answered, the client to send it again, the server
/// to execute it when its answer may go out.
pub const REQUEST_KEPT_BYTES: usize = 48;

/// Frames that are sealed with one key; then the connection is made anew, and with it the keys. Of 2^64 that would be
/// allowed: a number has to be kept for each direction, and a new connection costs a few round trips.
pub const SEALED_MAX: u32 = u32::MAX;

/// Connections that have not shown yet that they know the volume's key, for which a platform should have connection slots
/// beyond those of its clients. It may have more, where many come at once, or fewer, where memory is short: the oldest
/// makes room for the next.
pub const STRANGERS_MAX: usize = 16;

/// The most of them that are worth having, however many clients a volume has.
pub const STRANGERS_LIMIT: usize = 1024;

/// Round trip between two hosts up to which nobody is taken for gone because of it: across a continent, or a slow tunnel.
pub const ROUND_TRIP_MAX: Duration = Duration::from_millis(200);

/// A connection has this long to show that it knows the key before the next one may push it out, where connections can
/// wait to be accepted: the challenge has to get there and the hello to come back. No longer than that takes: while a flood
/// of strangers lasts, a client gets in among them at this pace.
pub const STRANGER_GRACE: Duration = Duration::from_millis(250);

/// A connection that has not shown within this time that it knows the key is closed.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest of these times, where memory is for many strangers: nobody fills all of it so soon, and a crowd of clients that
/// share few processors takes longer to answer.
pub const STRANGER_GRACE_MAX: Duration = Duration::from_secs(1);

/// Whoever knows the key, and does not greet or hang up within this time after it was told its keys, is closed.
pub const GUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A connect that takes longer has failed.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Pings of a client within the time after which its silence, or the server's, counts. They are all that a connection
/// costs that is not used, and TCP loses none: more of them would only find out the same more dearly.
pub const PINGS_PER_SILENCE: u16 = 3;

/// By this much each client of a server lengthens the time between two pings of those that take no part in elections, beyond
/// the above: all of them together send it no more than 500 pings a second, however many they are.
pub const PING_SHARE: Duration = Duration::from_millis(2);

/// The longest time between two pings.
pub const PING_INTERVAL_MAX: Duration = Duration::from_secs(60);

/// By this much each client lengthens the time after which those who are away are evicted: the last one notices later that its
/// server is gone, and comes in later.
pub const RETURN_SHARE: Duration = Duration::from_millis(5);

/// Shortest and longest wait between two tries of a client to reach a server.
pub const RECONNECT_WAIT_MIN: Duration = Duration::from_millis(100);
/// See [`RECONNECT_WAIT_MIN`].
pub const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(1);

/// The shortest of these waits after a server was lost: a successor is elected within a tenth of a second.
pub const LOST_WAIT_MIN: Duration = Duration::from_millis(10);
/// The longest of them while [`LOST_TIME`] lasts: a successor that waits for a lease to end is found soon after it serves.
pub const LOST_WAIT_MAX: Duration = Duration::from_millis(250);
/// In between, the wait is this part of the time that has passed since the loss, or since the device showed something new.
pub const LOST_WAIT_PART: u64 = 8;
/// But as many times as long as the newest try took at least: where thousands try, each leaves the others room.
pub const TRY_PAUSES: u64 = 4;
/// A server was lost this recently: a fail-over by lease is over within this time. Whoever waits longer waits for an operator.
pub const LOST_TIME: Duration = Duration::from_secs(20);

/// Time that an evicted client takes at most to give its voter's place back before it ends.
pub const EVICTED_FAREWELL_TIME: Duration = Duration::from_secs(5);

/// Time that a server which stops on purpose gives its clients to hear of it and to close their connections.
pub const RESIGNING_TIME: Duration = Duration::from_millis(250);

/// Time that clients released by the unmount barrier get to fetch their answer; later ones read the super block.
pub const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Tries to listen before a server gives up, and the wait between them.
pub const LISTEN_TRIES_MAX: u32 = 5;
/// See [`LISTEN_TRIES_MAX`].
pub const LISTEN_RETRY_WAIT: Duration = Duration::from_millis(200);

/// Blocks of the client table that a server which starts reads at once: their sequence numbers are kept meanwhile.
pub const LOAD_BLOCKS_MAX: u32 = 16;

/// Tries to read one part of the client table before a server gives up, and the wait between them.
pub const LOAD_TRIES_MAX: u32 = 5;
/// See [`LOAD_TRIES_MAX`].
pub const LOAD_RETRY_WAIT: Duration = Duration::from_millis(100);

/// Wait before another ghost is fenced for its voter's place after a fence failed.
pub const GHOST_FENCE_WAIT: Duration = Duration::from_secs(30);

/// Where nobody can be fenced, a ghost gives its place back when it was neither heard nor seen to write for this long.
/// A voter that lives and reaches no server writes more often than that.
pub const GHOST_SILENT_TIME: Duration = Duration::from_secs(120);

/// Events that a machine holds until they are fetched.
pub const EVENTS_MAX: usize = 8;

/// A client whose greeting is not answered for this long looks whether another server is named meanwhile. It keeps its place:
/// of a crowd that comes at once each that began anew would stand behind all the others, and make the crowd larger.
pub const WELCOME_TIMEOUT: Duration = Duration::from_secs(2);

/// Times that it looks before it tries another connection.
pub const WELCOME_LOOKS_MAX: u8 = 8;

/// Blocks that one disk request may span.
pub const TRANSFER_BLOCKS_MAX: u32 = REGION_BLOCKS as u32;

/// Shortest election time-out; a slow disk makes it longer. Each is drawn between this and twice this.
pub const ELECTION_TIMEOUT_MIN: Duration = Duration::from_millis(60);

/// Cycles that an election time-out spans at least: a vote needs two or three, and they are not in step.
pub const ELECTION_TIMEOUT_CYCLES: u64 = 6;

/// Pause between two cycles of a voter, drawn between this and twice this. None while sealing.
pub const CYCLE_PAUSE: Duration = Duration::from_millis(5);

/// Voters, the candidate counted, up to which those that follow make no pauses while its ballot is sealed.
pub const HELPERS_MAX: usize = 4;

/// Longest pause between two cycles of a voter that waits for others to come.
pub const LONELY_PAUSE_MAX: Duration = Duration::from_millis(200);

/// Pause after a failed I/O.
pub const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// A mount that no server has admitted waits at random up to this long before its first region write (A5).
pub const GATE_WAIT_MAX: Duration = Duration::from_millis(250);

/// The same, when more than half the volume's voters show in the region.
pub const CROWDED_GATE_WAIT_MAX: Duration = Duration::from_secs(1);

/// A quiet leader looks at the doorbell this often: all the I/O of an idle volume.
pub const BELL_INTERVAL: Duration = Duration::from_millis(1_800);

/// The same, while it has lost a voter or awaits recorded ones.
pub const URGENT_BELL_INTERVAL: Duration = Duration::from_millis(20);

/// How long after the last ring a leader goes on answering.
pub const RINGING_TIME: Duration = Duration::from_secs(3);

/// A leader's first answer waits this long for its voters' pongs.
pub const PONG_TIME: Duration = Duration::from_millis(150);

/// Shortest interval that a leader publishes with its answers.
pub const ANSWER_INTERVAL_MIN: Duration = Duration::from_millis(250);

/// A leader that does not answer the doorbell for this long, and [`DEAD_CYCLES`] on top of it, is taken for dead: it looks at
/// the bell within [`BELL_INTERVAL`], and may be late.
pub const DEAD_AFTER_MIN: Duration = Duration::from_millis(2_800);

/// Cycles on top of [`DEAD_AFTER_MIN`] or [`DEAD_REFUSED_MIN`]: a leader that lives needs its pace at the doorbell and some
/// cycles of both, the one on top of the other.
pub const DEAD_CYCLES: u64 = 4;

/// The same, of a leader whose connection broke and that refuses another: if it lives it has just lost the same connection,
/// and looks at the doorbell twice in this time.
pub const DEAD_REFUSED_MIN: Duration = URGENT_BELL_INTERVAL.times(2);

/// First pause of an asker that an answering leader outvotes; doubles each time.
pub const BACKOFF_MIN: Duration = Duration::from_secs(1);

/// Longest pause between two rings.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Pause between two rings of one asker.
pub const RING_PAUSE: Duration = Duration::from_millis(500);

/// How long a mount that yielded for want of remote clients leaves the next election to others: those that wait
/// between two rings look at the super block only every [`BELL_INTERVAL`].
pub const BARREN_TIME: Duration = Duration::from_secs(4);

/// After this time a mount that yielded, and reaches no server still, is no longer marked as one that nobody reaches.
pub const BARREN_FORGOTTEN: Duration = Duration::from_secs(60);

/// How long an asker that is outvoted goes on asking: others may join it.
pub const OUTVOTED_TIME: Duration = Duration::from_secs(2);

/// Who asked within this time, or eight cycles of the slowest voter if that is longer, is still asking.
pub const ASKING_TIME: Duration = Duration::from_secs(1);

/// How long a live predecessor is given to stop cleanly before it is fenced.
pub const ASK_TIME: Duration = Duration::from_millis(2_800);

/// Pause between two tries to fence one predecessor.
pub const FENCE_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Writes that a voter spends at most on overwriting the blocks that carry a ballot it gave up.
pub const VOID_WRITES_MAX: u32 = 2 * REGION_BLOCKS as u32;

/// A leader that no remote client has reached yields to an asker only after this time: clients that still wait for an
/// answer of the one before it need a while to find it.
pub const BARREN_AFTER: Duration = Duration::from_secs(5);

/// A serving leader makes its seal whole again this often, so that T and D start afresh.
pub const SCRUB_INTERVAL: Duration = Duration::from_secs(600);

/// Readings of both super copies in a row that must not name a ballot whose claim failed before it may be void (R3).
pub const READINGS_TO_VOID: u8 = 2;

/// Failed reads in a row after which a leader stops serving.
pub const LEADER_READS_FAILED_MAX: u32 = 3;

/// Times an invalid block is read again at once before a collect may leave it out.
pub const REREADS: u32 = 3;

const _: () = assert!(SEAL_BLOCKS <= REGION_BLOCKS, "a seal must fit in the region");
const _: () = assert!(SEAL_BLOCKS > VOTERS_MAX, "R4: N covers all blind writes and more");
const _: () = assert!(
    LOG_ENTRIES_MAX >= 2 * VOTERS_MAX,
    "a new candidate leaves room for P entries"
);
const _: () = assert!(
    ANSWER_KEPT_BYTES <= REQUEST_KEPT_BYTES,
    "an answer is kept where its request was"
);
const _: () = assert!(
    REQUEST_KEPT_BYTES <= u8::MAX as usize,
    "lengths are kept in a byte"
);
const _: () = assert!(BLOCK_BYTES.is_multiple_of(SECTOR_BYTES));
const _: () = assert!(REGION_BLOCKS <= 64, "sets of region blocks are kept in 64 bits");
const _: () = assert!(
    ASK_TIME.0 > BELL_INTERVAL.0,
    "a live predecessor looks at the doorbell while it is asked"
);
const _: () = assert!(
    BARREN_FORGOTTEN.0 > BACKOFF_MAX.0 + BARREN_TIME.0,
    "hosts that cannot reach one another take turns slowly, and every other asker rings in between"
);
const _: () = assert!(
    BARREN_TIME.0 > 2 * BELL_INTERVAL.0,
    "whoever asked a barren leader to go finds out in time that it went"
);
const _: () = assert!(
    DEAD_AFTER_MIN.0 > BELL_INTERVAL.0 + PONG_TIME.0,
    "a live leader answers before it is taken for dead"
);
const _: () = assert!(LOST_WAIT_MIN.0 <= LOST_WAIT_MAX.0 && LOST_WAIT_MAX.0 <= RECONNECT_WAIT_MAX.0);
const _: () = assert!(STRANGER_GRACE.0 <= STRANGER_GRACE_MAX.0 && STRANGER_GRACE_MAX.0 < GREETING_TIMEOUT.0);
const _: () = assert!(
    PING_INTERVAL_MAX.0 <= u16::MAX as u64 * 1_000,
    "it is told in 16 bits of milliseconds"
);
const _: () = assert!(
    RETURN_SHARE.0 >= 2 * PING_SHARE.0,
    "who notices late still has the time to come in"
);
const _: () = assert!(
    STRANGER_GRACE.0 >= ROUND_TRIP_MAX.0 + ROUND_TRIP_MAX.0 / 4,
    "a client that is far away, and a little late, is not pushed out before its hello can have come"
);
const _: () = assert!(
    CONNECT_TIMEOUT.0 > 2 * ROUND_TRIP_MAX.0,
    "the farthest host is connected in time"
);
const _: () = assert!(
    GHOST_SILENT_TIME.0 > 3 * BACKOFF_MAX.0,
    "an asker rings several times before its silence counts"
);
