/* ostrakon: leader election of hosts through one shared block device.
 *
 * Generated from the Rust sources of ostrakon-c and compared with them in a test; do not edit.
 * How to use it: core/PORTING.md. Times are microseconds of one monotonic clock that goes on during suspend.
 *
 * Everything here returns an ostrakon_error: 0 (OSTRAKON_ERROR_NONE) for done, OSTRAKON_ERROR_NOTHING for nothing to
 * give. A mount is used by one thread at a time. Nothing allocates, waits or keeps a global state.
 */

#ifndef OSTRAKON_H
#define OSTRAKON_H

#include <stddef.h>
#include <stdint.h>
#if UINTPTR_MAX > 0xffffffffu
#define OSTRAKON_POINTERS_OF_64_BITS
#endif

/* Bytes of memory, aligned to OSTRAKON_MOUNT_ALIGN, for a mount that has room for this many clients. */
#define OSTRAKON_MOUNT_BYTES(clients) \
    ((size_t)OSTRAKON_MOUNT_BASE_BYTES + (size_t)(clients) * (size_t)OSTRAKON_MOUNT_CLIENT_BYTES)
#define OSTRAKON_MOUNT_BYTES_8 OSTRAKON_MOUNT_BYTES(8)
#define OSTRAKON_MOUNT_BYTES_64 OSTRAKON_MOUNT_BYTES(64)

#ifdef __cplusplus
extern "C" {
#endif
/* Yours to define if the library was built with the feature `panic-handler`: a bug of ostrakon was found, at this line of this
 * file, whose name has `length` bytes and no zero at its end. Reset the machine; it must not return. */
void ostrakon_platform_panic(const uint8_t *file, size_t length, uint32_t line);
/* Yours to define if it was built with the feature `platform-checksum`: the CRC-32C of these bytes. */
uint32_t ostrakon_platform_crc32c(const uint8_t *bytes, size_t length);
#ifdef __cplusplus
}
#endif


// Bytes of a block: the unit of every read and write.
#define OSTRAKON_BLOCK_BYTES 4096

// Bytes of the buffer that `ostrakon_poll_transmit` fills: the longest message.
#define OSTRAKON_MESSAGE_BYTES 1024

// Bytes of the parameter by which others fence a voter.
#define OSTRAKON_FENCE_PARAM_BYTES 40

// Name of the client's connection. The server counts its connections from 0.
#define OSTRAKON_CONN_CLIENT 4294967294

// First command that belongs to services.
#define OSTRAKON_COMMAND_SERVICE 256

// Longest body of a request.
#define OSTRAKON_REQUEST_BYTES 48

// Alignment of a mount's memory.
#define OSTRAKON_MOUNT_ALIGN 8

#if defined(OSTRAKON_POINTERS_OF_64_BITS)
// Bytes of a mount without clients where pointers have 64 bits. See `OSTRAKON_MOUNT_BYTES`.
#define OSTRAKON_MOUNT_BASE_BYTES 15872
#endif

#if !defined(OSTRAKON_POINTERS_OF_64_BITS)
// Bytes of a mount without clients where pointers are shorter. See `OSTRAKON_MOUNT_BYTES`.
#define OSTRAKON_MOUNT_BASE_BYTES 15360
#endif

// Bytes that each client of the volume adds.
#define OSTRAKON_MOUNT_CLIENT_BYTES 512

// Outcome of a call. Everything but NONE and NOTHING is a mistake of the caller; nothing was changed then.
enum ostrakon_error
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Done.
    OSTRAKON_ERROR_NONE = 0,
    // There is nothing more to give; not a mistake.
    OSTRAKON_ERROR_NOTHING = 1,
    // A pointer that must lead somewhere is null.
    OSTRAKON_ERROR_NULL_POINTER = 2,
    // Memory is not aligned as `OSTRAKON_MOUNT_ALIGN` says.
    OSTRAKON_ERROR_MISALIGNED = 3,
    // Less memory than `OSTRAKON_MOUNT_BYTES` of the clients asked for, or more clients than fit anywhere.
    OSTRAKON_ERROR_MEMORY_TOO_SMALL = 4,
    // No mount was started in this memory, or it was moved or released.
    OSTRAKON_ERROR_NOT_A_MOUNT = 5,
    // A mount lives in this memory: release it first.
    OSTRAKON_ERROR_ALREADY_STARTED = 6,
    // Called out of one of the mount's own callbacks.
    OSTRAKON_ERROR_REENTERED = 7,
    // The mount has not ended: unmount or force it, and wait for its last event.
    OSTRAKON_ERROR_NOT_ENDED = 8,
    // `size` of the configuration is not that of this library: header and library are of different versions.
    OSTRAKON_ERROR_CONFIG_SIZE = 9,
    // The rid is 0.
    OSTRAKON_ERROR_CONFIG_RID = 10,
    // The server's address has a family other than 4 and 6, or port 0.
    OSTRAKON_ERROR_CONFIG_ADDRESS = 11,
    // `transfer_blocks` is not from 1 to 64.
    OSTRAKON_ERROR_CONFIG_TRANSFER_BLOCKS = 12,
    // A time that must not be 0 is 0, or `lease_us` and `write_time_max_us` add up to more than 24 days.
    OSTRAKON_ERROR_CONFIG_TIME = 13,
    // A voter that can neither fence nor promises a lease.
    OSTRAKON_ERROR_CONFIG_FENCE = 14,
    // A voter without memory for a single client, or a plain client with some.
    OSTRAKON_ERROR_CONFIG_CLIENTS = 15,
    // A buffer is smaller than the call asks for.
    OSTRAKON_ERROR_BUFFER_TOO_SMALL = 16,
    // A value that none of its enumerators has.
    OSTRAKON_ERROR_UNKNOWN_VALUE = 17,
    // A command that does not belong to services.
    OSTRAKON_ERROR_RESERVED_COMMAND = 18,
    // The body is longer than `OSTRAKON_REQUEST_BYTES`.
    OSTRAKON_ERROR_BODY_TOO_LONG = 19,
    // Too many requests are under way, or the mount is leaving.
    OSTRAKON_ERROR_NOT_NOW = 20,
    // The volume asked for is larger than the device, or a number of it is out of range.
    OSTRAKON_ERROR_VOLUME_GEOMETRY = 21,
    // A service without one of its callbacks.
    OSTRAKON_ERROR_SERVICE_CALLBACK = 22,
    // The seed is all 0: it was not drawn.
    OSTRAKON_ERROR_CONFIG_SEED = 23,
    // The id or the key of a new volume is all 0: it was not drawn.
    OSTRAKON_ERROR_VOLUME_SECRET = 24,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ostrakon_error ostrakon_error;
#else
typedef int32_t ostrakon_error;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What happened. The names in the text are fields of `ostrakon_event`.
enum ostrakon_event_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // The super block was believed; the mount knows its volume.
    OSTRAKON_EVENT_KIND_STARTED = 0,
    // A server answered: `ballot` at `address` (family 0: this mount's own server). The mount is in the table, durably.
    OSTRAKON_EVENT_KIND_CONNECTED = 1,
    // The connection to the server `ballot` is gone.
    OSTRAKON_EVENT_KIND_DISCONNECTED = 2,
    // The server has enough voters already: this mount stays a plain client.
    OSTRAKON_EVENT_KIND_PLAIN_CLIENT = 3,
    // No server can be reached: `count` votes of `needed` are in sight.
    OSTRAKON_EVENT_KIND_ASKING = 4,
    // This mount won the votes for `ballot`.
    OSTRAKON_EVENT_KIND_ELECTED = 5,
    // `ballot` is sealed: every reading of the region shows it from now on.
    OSTRAKON_EVENT_KIND_SEALED = 6,
    // This mount gave `ballot` up before it served; `detail` says why, `other` because of whom.
    OSTRAKON_EVENT_KIND_GAVE_UP = 7,
    // The predecessor `ballot` is being fenced, for the `count`th time.
    OSTRAKON_EVENT_KIND_FENCING = 8,
    // The predecessor `ballot` is silent; `detail` says how that is known.
    OSTRAKON_EVENT_KIND_SILENCED = 9,
    // The fence of the predecessor `ballot` was refused or not confirmed, `count` times so far.
    OSTRAKON_EVENT_KIND_FENCE_FAILED = 10,
    // The server of `ballot` listens at `address`, which is published.
    OSTRAKON_EVENT_KIND_SERVING = 11,
    // Every client known from before has returned or was evicted; `count` are mounted.
    OSTRAKON_EVENT_KIND_RECOVERED = 12,
    // `other` takes over from this mount's `ballot`.
    OSTRAKON_EVENT_KIND_SUPERSEDED = 13,
    // The server of `ballot` stopped; `count` is 1 if that is recorded and nobody needs to fence it.
    OSTRAKON_EVENT_KIND_STOPPED_SERVING = 14,
    // The client `rid` did not return in time.
    OSTRAKON_EVENT_KIND_CLIENT_EVICTED = 15,
    // This mount was evicted and ends; a new one needs a new rid.
    OSTRAKON_EVENT_KIND_EVICTED = 16,
    // This mount begins to leave.
    OSTRAKON_EVENT_KIND_UNMOUNTING = 17,
    // Leaving needs a server, and only `count` votes of `needed` are in sight.
    OSTRAKON_EVENT_KIND_WAITING_FOR_QUORUM = 18,
    // This mount has ended; `detail` says how. The last event.
    OSTRAKON_EVENT_KIND_UNMOUNTED = 19,
    // Request `request` was answered: `count` is 0 for done, else why not; `length` bytes of the answer were kept.
    OSTRAKON_EVENT_KIND_ANSWERED = 20,
    // Something is wrong and goes on being wrong: see `detail`.
    OSTRAKON_EVENT_KIND_FAULT = 21,
    // Something that this version of the header has no name for.
    OSTRAKON_EVENT_KIND_OTHER = 22,
    // A voter's place has become free: this mount, turned down before, is a voter now.
    OSTRAKON_EVENT_KIND_VOTER_AFTER_ALL = 23,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ostrakon_event_kind ostrakon_event_kind;
#else
typedef uint32_t ostrakon_event_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How, why or what.
enum ostrakon_detail
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Nothing to add.
    OSTRAKON_DETAIL_NONE = 0,
    // GAVE_UP: not enough votes in time.
    OSTRAKON_DETAIL_TOO_FEW_VOTES = 1,
    // GAVE_UP: the higher ballot `other` is live.
    OSTRAKON_DETAIL_HIGHER = 2,
    // GAVE_UP: the super block had moved past it.
    OSTRAKON_DETAIL_OVERTAKEN = 3,
    // GAVE_UP: the predecessor `other` could not be silenced.
    OSTRAKON_DETAIL_FENCE_REFUSED = 4,
    // GAVE_UP: the predecessor `other` promises no lease and this host cannot fence.
    OSTRAKON_DETAIL_CANNOT_FENCE = 5,
    // GAVE_UP: a server was reached.
    OSTRAKON_DETAIL_SERVER_REACHED = 6,
    // GAVE_UP: told to leave.
    OSTRAKON_DETAIL_TOLD_TO_LEAVE = 7,
    // GAVE_UP: the server could not start.
    OSTRAKON_DETAIL_SERVER_FAILED = 8,
    // SILENCED: its own block says that it gave the ballot up.
    OSTRAKON_DETAIL_VOID = 9,
    // SILENCED: it stopped cleanly.
    OSTRAKON_DETAIL_STOPPED = 10,
    // SILENCED: its fence was confirmed.
    OSTRAKON_DETAIL_FENCED = 11,
    // SILENCED: its promised lease ran out. FAULT: the own right to act ran out.
    OSTRAKON_DETAIL_LEASE_RAN_OUT = 12,
    // UNMOUNTED: the server answered the farewell.
    OSTRAKON_DETAIL_FAREWELL = 13,
    // UNMOUNTED: the super block says that it was released.
    OSTRAKON_DETAIL_BARRIER = 14,
    // UNMOUNTED: it was never admitted by any server.
    OSTRAKON_DETAIL_NEVER_MOUNTED = 15,
    // UNMOUNTED: it gave up waiting; the next server evicts its record, or silences the ballot that it leaves.
    OSTRAKON_DETAIL_LEFT_RECORD = 16,
    // UNMOUNTED: it was told to go at once.
    OSTRAKON_DETAIL_FORCED = 17,
    // UNMOUNTED: it was evicted.
    OSTRAKON_DETAIL_WAS_EVICTED = 18,
    // FAULT: the super block cannot be read or is damaged in both copies.
    OSTRAKON_DETAIL_SUPER_DAMAGED = 19,
    // FAULT: the device does not answer as it should; `block` says where, `count` is 1 for a write.
    OSTRAKON_DETAIL_DISK = 20,
    // FAULT: `block` of the quorum region is damaged; the next write goes there.
    OSTRAKON_DETAIL_DAMAGED_BLOCK = 21,
    // FAULT: an absurd term stands in `block`; it is ignored.
    OSTRAKON_DETAIL_ABSURD_TERM = 22,
    // FAULT: the election log has no room; fences must be confirmed first.
    OSTRAKON_DETAIL_LOG_FULL = 23,
    // FAULT: too many leftover entries to begin another candidacy.
    OSTRAKON_DETAIL_LOG_ALMOST_FULL = 24,
    // FAULT: `count` voters are active, more than the volume admits: this one abstains.
    OSTRAKON_DETAIL_TOO_MANY_VOTERS = 25,
    // FAULT: both copies of `block` of the client table are invalid.
    OSTRAKON_DETAIL_TABLE_DAMAGED = 26,
    // FAULT: the volume has room for `needed` clients, this mount memory for `count`.
    OSTRAKON_DETAIL_TABLE_TOO_LARGE = 27,
    // FAULT: the server cannot listen at `address`.
    OSTRAKON_DETAIL_CANNOT_LISTEN = 28,
    // FAULT: the server refused the greeting; `count` says why.
    OSTRAKON_DETAIL_REFUSED = 29,
    // FAULT: something that this version of the header has no name for.
    OSTRAKON_DETAIL_OTHER_FAULT = 30,
    // UNMOUNTED: it led, and could neither stop cleanly nor take its ballot back; mount anew with a new rid.
    OSTRAKON_DETAIL_WAS_SUPERSEDED = 31,
    // FAULT: the server knows the volume's key and speaks nothing that this build speaks; `count` and `of` are the oldest
    // and the newest wire version that it speaks.
    OSTRAKON_DETAIL_SERVER_SPEAKS = 32,
    // FAULT: the same of a client of this server.
    OSTRAKON_DETAIL_PEER_SPEAKS = 33,
    // FAULT: whoever answers at `address` has not shown that it knows the volume's key.
    OSTRAKON_DETAIL_UNPROVEN = 34,
    // SILENCED: an earlier candidate had its fence confirmed, and says so in the log.
    OSTRAKON_DETAIL_FENCED_BEFORE = 35,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ostrakon_detail ostrakon_detail;
#else
typedef uint32_t ostrakon_detail;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What to do with the network.
enum ostrakon_net_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Accept connections at `address`. Answered by `ostrakon_handle_listening`.
    OSTRAKON_NET_KIND_LISTEN = 0,
    // Close the listener.
    OSTRAKON_NET_KIND_UNLISTEN = 1,
    // Open connection `conn` to `address`. Answered by `ostrakon_handle_connected` or `ostrakon_handle_closed`.
    OSTRAKON_NET_KIND_CONNECT = 2,
    // Close connection `conn` at once, without an answer. What was transmitted on it before should still go out.
    OSTRAKON_NET_KIND_CLOSE = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ostrakon_net_kind ostrakon_net_kind;
#else
typedef uint32_t ostrakon_net_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What to do with the disk.
enum ostrakon_disk_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Read `count` blocks from `first_block`.
    OSTRAKON_DISK_KIND_READ = 0,
    // Write them, from the buffer given to `ostrakon_poll_disk`.
    OSTRAKON_DISK_KIND_WRITE = 1,
    // Make every completed write durable.
    OSTRAKON_DISK_KIND_FLUSH = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ostrakon_disk_kind ostrakon_disk_kind;
#else
typedef uint32_t ostrakon_disk_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How a disk request ended.
enum ostrakon_disk_outcome
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // It worked.
    OSTRAKON_DISK_OUTCOME_DONE = 0,
    // The device itself says that the medium is bad there.
    OSTRAKON_DISK_OUTCOME_MEDIUM = 1,
    // No answer within the limit. A write may still land, up to `write_time_max_us` after it was given out.
    OSTRAKON_DISK_OUTCOME_TIMED_OUT = 2,
    // Anything else.
    OSTRAKON_DISK_OUTCOME_FAILED = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ostrakon_disk_outcome ostrakon_disk_outcome;
#else
typedef uint32_t ostrakon_disk_outcome;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Why a connection is gone or never came to be.
enum ostrakon_close
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // The peer's host answered that nobody listens there.
    OSTRAKON_CLOSE_REFUSED = 0,
    // The peer closed or reset it.
    OSTRAKON_CLOSE_BY_PEER = 1,
    // No route, time-out, a local error.
    OSTRAKON_CLOSE_FAILED = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ostrakon_close ostrakon_close;
#else
typedef uint32_t ostrakon_close;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What became of a fence request.
enum ostrakon_fence_outcome
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // The victim is silent for good.
    OSTRAKON_FENCE_OUTCOME_DONE = 0,
    // Refused, unanswered or unsure.
    OSTRAKON_FENCE_OUTCOME_FAILED = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ostrakon_fence_outcome ostrakon_fence_outcome;
#else
typedef uint32_t ostrakon_fence_outcome;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A mount in the caller's memory. Its inside is nobody's business.
typedef struct ostrakon_mount ostrakon_mount;

// One candidacy: ordered by term, then rid. Both 0 where there is none. The term is the fencing token.
typedef struct ostrakon_ballot {
    // Number of the election.
    uint64_t term;
    // The mount that was elected.
    uint64_t rid;
} ostrakon_ballot;

// An IP address and a port.
typedef struct ostrakon_address {
    // In network order; the first four bytes for IPv4.
    uint8_t ip[16];
    // Scope of an IPv6 address, else 0.
    uint32_t scope;
    // Port, in the order of this host.
    uint16_t port;
    // 4, 6, or 0 for none.
    uint8_t family;
    // 0.
    uint8_t reserved;
} ostrakon_address;

// What a mount has to tell. Fields that a kind does not name are 0.
typedef struct ostrakon_event {
    // What happened.
    ostrakon_event_kind kind;
    // How, why or what.
    ostrakon_detail detail;
    // Whose candidacy.
    struct ostrakon_ballot ballot;
    // Who else's.
    struct ostrakon_ballot other;
    // Where.
    struct ostrakon_address address;
    // Who.
    uint64_t rid;
    // Where on the device.
    uint64_t block;
    // Which request.
    uint64_t request;
    // How many, or how often.
    uint32_t count;
    // Of how many.
    uint32_t needed;
    // Bytes.
    uint32_t length;
    // 0.
    uint32_t reserved;
} ostrakon_event;

// A request that reached the server.
typedef struct ostrakon_request {
    // The client that asks.
    uint64_t client;
    // Number of the request in its session.
    uint64_t id;
    // The ballot under which this server acts: its term is the fencing token.
    struct ostrakon_ballot server;
    // The rest of the request, only during the callback.
    const uint8_t *body;
    // Bytes of it.
    size_t length;
    // What it asks, from `OSTRAKON_COMMAND_SERVICE`.
    uint16_t command;
    // 0.
    uint8_t reserved[6];
} ostrakon_request;

// A service. All callbacks must be there; none may call the mount back (REENTERED).
typedef struct ostrakon_service {
    // Handed to every callback.
    void *context;
    // This mount leads and has recovered its table; the service may begin.
    void (*started)(void *context, struct ostrakon_ballot server);
    // This mount leads no longer; nothing of the service may go on.
    void (*stopped)(void *context);
    // Executes a request: writes up to `room` bytes of the answer and says how many in `*length`. Returns 0 for done,
    // 1 for an error of the service (in the body), 2 for an unknown command.
    uint32_t (*handle)(void *context,
                       const struct ostrakon_request *request,
                       uint8_t *answer,
                       size_t room,
                       size_t *length);
    // A client left or was evicted: what it held is free.
    void (*client_gone)(void *context, uint64_t client);
} ostrakon_service;

// What a platform decides when it mounts. Fill it with `ostrakon_config_default` first. Times are microseconds.
typedef struct ostrakon_config {
    // `sizeof(ostrakon_config)`.
    uint32_t size;
    // Blocks that one disk request may span, 1 to 64. The buffers of `ostrakon_poll_disk` are that large.
    uint32_t transfer_blocks;
    // Identity of this mount: random, not 0, never used before.
    uint64_t rid;
    // 32 bytes of the platform's entropy, not all 0, never used before: the keys of every connection come from them.
    uint8_t seed[32];
    // This machine; 0 if it has no identity.
    uint64_t host;
    // This boot of it; all 0 if it has no identity.
    uint8_t boot[16];
    // W: the longest time that a write of a living process may take.
    uint64_t write_time_max_us;
    // A peer that was not heard for this long is taken for disconnected.
    uint64_t silence_max_us;
    // A client that is known and does not return within this time is evicted.
    uint64_t recovery_time_us;
    // An unmount that waits longer for its answer leaves its record behind, one that cannot stop leading in as long again its ballot; 0
    // waits for ever.
    uint64_t unmount_time_max_us;
    // A voter: how long one look gives the right to act; 0 promises no lease.
    uint64_t lease_us;
    // A voter: how long a predecessor's fence may take before another voter is let try.
    uint64_t fence_time_max_us;
    // A voter: largest rate error of two hosts' clocks, in parts per million.
    uint32_t clock_error_ppm;
    // 1 for a voter, 0 for a plain client.
    uint8_t voter;
    // A voter: 1 if this platform can fence others.
    uint8_t can_fence;
    // 0.
    uint8_t reserved[2];
    // A voter: where it listens when it serves.
    struct ostrakon_address server_addr;
    // A voter: what others need to fence it.
    uint8_t fence_param[OSTRAKON_FENCE_PARAM_BYTES];
    // What the server does for its clients beyond electing; null for nothing. Copied, its context is not.
    const struct ostrakon_service *service;
} ostrakon_config;

// A network request.
typedef struct ostrakon_net_request {
    // What to do.
    ostrakon_net_kind kind;
    // The connection, for CONNECT and CLOSE.
    uint32_t conn;
    // The address, for LISTEN and CONNECT.
    struct ostrakon_address address;
} ostrakon_net_request;

// A mount to be fenced: no write of it may reach the device any more, and those in flight must be done or dropped.
// It must be answered by `ostrakon_handle_fence` with this `victim`.
typedef struct ostrakon_fence_request {
    // Whom.
    struct ostrakon_ballot victim;
    // The machine it runs on.
    uint64_t host;
    // The boot of that machine.
    uint8_t boot[16];
    // Where it listens, or would.
    struct ostrakon_address address;
    // What it published for those who may have to fence it.
    uint8_t fence_param[OSTRAKON_FENCE_PARAM_BYTES];
    // 1 for the first try.
    uint32_t attempt;
    // 0.
    uint32_t reserved;
} ostrakon_fence_request;

// A disk request. It must be answered by `ostrakon_handle_disk` within `limit_us`.
typedef struct ostrakon_disk_request {
    // What to do.
    ostrakon_disk_kind kind;
    // Names the request until it is answered.
    uint32_t id;
    // First block.
    uint64_t first_block;
    // Microseconds within which it must be answered.
    uint64_t limit_us;
    // Blocks, 1 to `transfer_blocks`.
    uint32_t count;
    // Of a write: 1 if completion must mean durable by itself; 0 may wait for the next flush.
    uint32_t durable;
} ostrakon_disk_request;

// A volume to be laid out.
typedef struct ostrakon_new_volume {
    // Its identity: random.
    uint8_t id[16];
    // Its secret: random.
    uint8_t key[32];
    // Blocks of the device.
    uint64_t device_blocks;
    // Clients to make room for, from 1.
    uint32_t clients_max;
    // Votes that elect a leader, from 1 to 16.
    uint16_t quorum_count;
    // 0.
    uint16_t reserved;
} ostrakon_new_volume;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Text of an `ostrakon_error`, for any value: a constant that ends with a zero.
const char *ostrakon_error_text(int32_t error);

// Text of an event's kind and of its detail, for any values: constants that end with a zero. Null is allowed.
//
// `kind_text` and `detail_text` are null or lead to a `const char *`.
void ostrakon_event_text(uint32_t kind,
                         uint32_t detail,
                         const char **kind_text,
                         const char **detail_text);

// The next thing to tell. UNMOUNTED is the last.
//
// `mount` is null or was given by `ostrakon_start`; `event` is null or leads to an `ostrakon_event`.
ostrakon_error ostrakon_poll_event(struct ostrakon_mount *mount,
                                   struct ostrakon_event *event);

// A disk request ended with `outcome`, an `ostrakon_disk_outcome`. `bytes` are those of a read that worked, the
// whole range; null otherwise.
//
// `mount` is null or was given by `ostrakon_start`; `bytes` is null or leads to `length` bytes.
ostrakon_error ostrakon_handle_disk(struct ostrakon_mount *mount,
                                    uint64_t now_us,
                                    uint32_t id,
                                    uint32_t outcome,
                                    const uint8_t *bytes,
                                    size_t length);

// The listener asked for stands (`listens` is 1), or could not be made (0).
//
// `mount` is null or was given by `ostrakon_start`.
ostrakon_error ostrakon_handle_listening(struct ostrakon_mount *mount,
                                         uint64_t now_us,
                                         uint32_t listens);

// A connection came in; its name is put into `*conn`. NOTHING: no room, close it.
//
// `mount` is null or was given by `ostrakon_start`; `conn` is null or leads to a `uint32_t`.
ostrakon_error ostrakon_handle_accept(struct ostrakon_mount *mount,
                                      uint64_t now_us,
                                      uint32_t *conn);

// The connection asked for stands.
//
// `mount` is null or was given by `ostrakon_start`.
ostrakon_error ostrakon_handle_connected(struct ostrakon_mount *mount,
                                         uint64_t now_us,
                                         uint32_t conn);

// A connection is gone, or could not be made, for `reason`, an `ostrakon_close`; its name is free again.
//
// `mount` is null or was given by `ostrakon_start`.
ostrakon_error ostrakon_handle_closed(struct ostrakon_mount *mount,
                                      uint64_t now_us,
                                      uint32_t conn,
                                      uint32_t reason);

// Bytes that came in on a connection, from the first one not yet consumed; `*consumed` of them are done with, and were
// changed where they lie; the others are as they were. Offer
// at least `OSTRAKON_MESSAGE_BYTES` if that much has come in, and none while more than that much of this
// connection's output waits to be sent.
//
// `mount` is null or was given by `ostrakon_start`; `bytes` is null or leads to `length` bytes; `consumed` is null or
// leads to a `size_t`.
ostrakon_error ostrakon_handle_bytes(struct ostrakon_mount *mount,
                                     uint64_t now_us,
                                     uint32_t conn,
                                     uint8_t *bytes,
                                     size_t length,
                                     size_t *consumed);

// What became of the fence request for `victim`: `outcome` is an `ostrakon_fence_outcome`.
//
// `mount` is null or was given by `ostrakon_start`.
ostrakon_error ostrakon_handle_fence(struct ostrakon_mount *mount,
                                     uint64_t now_us,
                                     struct ostrakon_ballot victim,
                                     uint32_t outcome);

// The same, and says in `length` bytes of UTF-8 what it was fenced with, or how you know: for the fence record, which has
// room for a few letters and takes as many.
//
// `mount` is null or was given by `ostrakon_start`; `method` is null or leads to `length` bytes.
ostrakon_error ostrakon_handle_fence_by(struct ostrakon_mount *mount,
                                        uint64_t now_us,
                                        struct ostrakon_ballot victim,
                                        uint32_t outcome,
                                        const uint8_t *method,
                                        size_t length);

// The time of day, in seconds since 1970, if you know it: fence records say when. Nothing else depends on it.
//
// `mount` is null or was given by `ostrakon_start`.
ostrakon_error ostrakon_set_unix_time(struct ostrakon_mount *mount,
                                      uint64_t unix_s);

// Sends a request to the server's service; the event ANSWERED with `*request` follows, across any number of
// fail-overs. NOT_NOW while too many are under way or when the mount is leaving.
//
// `mount` is null or was given by `ostrakon_start`; `body` is null or leads to `length` bytes; `request` is null or
// leads to a `uint64_t`.
ostrakon_error ostrakon_submit(struct ostrakon_mount *mount,
                               uint16_t command,
                               const uint8_t *body,
                               size_t length,
                               uint64_t *request);

// Copies the body of the answer that the event ANSWERED announced; `*copied` bytes of it.
//
// `mount` is null or was given by `ostrakon_start`; `body` is null or leads to `length` bytes; `copied` is null or
// leads to a `size_t`.
ostrakon_error ostrakon_answer(struct ostrakon_mount *mount,
                               uint64_t request,
                               uint8_t *body,
                               size_t length,
                               size_t *copied);

// Fills `config` with sensible times, as a plain client without a rid.
//
// `config` is null or leads to an `ostrakon_config`.
ostrakon_error ostrakon_config_default(struct ostrakon_config *config);

// Begins to mount in `bytes` bytes of `memory`, aligned to `OSTRAKON_MOUNT_ALIGN` and never moved until
// `ostrakon_release`. A voter has room for `clients` clients, at least as many as the volume was formatted for; a
// plain client has 0. `*mount` is `memory` under its new type.
//
// `memory` is null or leads to `bytes` bytes; `config` and `mount` are null or lead to what their types say.
ostrakon_error ostrakon_start(void *memory,
                              size_t bytes,
                              uint32_t clients,
                              uint64_t now_us,
                              const struct ostrakon_config *config,
                              struct ostrakon_mount **mount);

// Leaves cleanly: the event UNMOUNTED ends the mount. Can be called at any time.
//
// `mount` is null or was given by `ostrakon_start`.
ostrakon_error ostrakon_unmount(struct ostrakon_mount *mount, uint64_t now_us);

// Leaves at once: every connection is closed and the device dropped. A leader is fenced by the next one.
//
// As for `ostrakon_unmount`.
ostrakon_error ostrakon_force(struct ostrakon_mount *mount,
                              uint64_t now_us);

// Makes the memory of a mount that has ended the caller's again. NOT_ENDED before.
//
// As for `ostrakon_unmount`.
ostrakon_error ostrakon_release(struct ostrakon_mount *mount);

// The ballot under which this mount has the right to act as leader at this moment; NOTHING if it has none.
//
// As for `ostrakon_unmount`; `ballot` is null or leads to an `ostrakon_ballot`.
ostrakon_error ostrakon_right(struct ostrakon_mount *mount,
                              uint64_t now_us,
                              struct ostrakon_ballot *ballot);

// Whom this mount is connected to; NOTHING if to nobody. The address has family 0 for the mount's own server.
//
// As for `ostrakon_right`; `address` is null or leads to an `ostrakon_address`.
ostrakon_error ostrakon_connected_to(struct ostrakon_mount *mount,
                                     struct ostrakon_ballot *server,
                                     struct ostrakon_address *address);

// Lets time pass: once after any input, and whenever the deadline has come. Then `ostrakon_poll_event`,
// `ostrakon_poll_net`, `ostrakon_poll_transmit`, `ostrakon_poll_fence` and `ostrakon_poll_disk`, each until it gives
// NOTHING; then `ostrakon_next_deadline`. Does a bounded amount of work.
//
// `mount` is null or was given by `ostrakon_start`.
ostrakon_error ostrakon_poll(struct ostrakon_mount *mount,
                             uint64_t now_us);

// The next thing to do with the network.
//
// `mount` is null or was given by `ostrakon_start`; `request` is null or leads to an `ostrakon_net_request`.
ostrakon_error ostrakon_poll_net(struct ostrakon_mount *mount,
                                 uint64_t now_us,
                                 struct ostrakon_net_request *request);

// The next message to send: `*message` bytes of `buffer`, which holds at least `OSTRAKON_MESSAGE_BYTES`, on `*conn`.
//
// `mount` is null or was given by `ostrakon_start`; `buffer` is null or leads to `length` bytes; `conn` and `message`
// are null or lead to what their types say.
ostrakon_error ostrakon_poll_transmit(struct ostrakon_mount *mount,
                                      uint64_t now_us,
                                      uint8_t *buffer,
                                      size_t length,
                                      uint32_t *conn,
                                      size_t *message);

// The next mount to fence.
//
// `mount` is null or was given by `ostrakon_start`; `request` is null or leads to an `ostrakon_fence_request`.
ostrakon_error ostrakon_poll_fence(struct ostrakon_mount *mount,
                                   uint64_t now_us,
                                   struct ostrakon_fence_request *request);

// The next disk request. The bytes of a write are put into `buffer`, which holds at least `transfer_blocks` blocks and
// stays untouched until that write is answered. A platform with one buffer calls this only while no request is
// under way.
//
// `mount` is null or was given by `ostrakon_start`; `buffer` is null or leads to `length` bytes; `request` is null or
// leads to an `ostrakon_disk_request`.
ostrakon_error ostrakon_poll_disk(struct ostrakon_mount *mount,
                                  uint64_t now_us,
                                  uint8_t *buffer,
                                  size_t length,
                                  struct ostrakon_disk_request *request);

// When `ostrakon_poll` has to be called at the latest, if nothing else happens; NOTHING if it need not be.
//
// `mount` is null or was given by `ostrakon_start`; `deadline_us` is null or leads to a `uint64_t`.
ostrakon_error ostrakon_next_deadline(struct ostrakon_mount *mount,
                                      uint64_t *deadline_us);

// One write of laying a volume out: for each `step` from 0 until NOTHING, write `buffer` (one block) to block
// `*first_block`, durable before the next step. Whatever was on the device is lost; whether anybody still wants it is
// the caller's question.
//
// `volume` is null or leads to an `ostrakon_new_volume`; `buffer` is null or leads to `length` bytes; `first_block` is
// null or leads to a `uint64_t`.
ostrakon_error ostrakon_format_block(const struct ostrakon_new_volume *volume,
                                     uint64_t step,
                                     uint8_t *buffer,
                                     size_t length,
                                     uint64_t *first_block);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* OSTRAKON_H */
