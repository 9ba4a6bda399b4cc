//! The server: greets, records, recovers, says farewell. Needs nothing from the election but its ballot and
//! the right to act under it, and writes only the super block and the client table.

mod memory;

pub use memory::{ClientSlot, ConnSlot, FixedMemory, Memory};
