//! Pure decisions: no I/O, no time but what is passed in, each tested alone.

pub mod keep_alive;
pub mod log;
pub mod pace;
pub mod peers;
pub mod pick;
pub mod prevote;
pub mod safety;
pub mod witness;
