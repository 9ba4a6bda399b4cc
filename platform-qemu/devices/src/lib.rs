//! What bare programs of ostrakon share: virtio devices in memory-mapped slots, and core's connections over smoltcp.
//!
//! For programs without an operating system whose memory lies below 4 GiB and is mapped one to one; nothing here knows a
//! processor or a board.
//!
//! - [`IdentityMapped`], [`Plain`]: the memory that devices share with the program, and the transport of a slot.
//! - [`fill_random`]: a source of entropy.
//! - [`Card`], [`Net`]: a network card as smoltcp sees it, and core's connections as sockets of smoltcp.
//! - [`Exit`]: why a program ended.
//! - [`TakeOnce`]: statics that are handed out once.

#![no_std]
#![warn(missing_docs, unreachable_pub, rust_2018_idioms)]
#![warn(clippy::undocumented_unsafe_blocks, clippy::missing_safety_doc)]

mod card;
mod entropy;
mod exit;
mod hal;
mod net;
mod once;
mod transport;

pub use card::Card;
pub use entropy::fill_random;
pub use exit::Exit;
pub use hal::IdentityMapped;
pub use net::{Net, NetSink, Place, Room};
pub use once::TakeOnce;
pub use transport::{Link, Plain};
