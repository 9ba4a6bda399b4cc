//! What the benchmarks and the tests of scale share.
//!
//! - [`load`]: real clients by the thousand in one thread.

#![forbid(unsafe_code)]

pub mod load;
