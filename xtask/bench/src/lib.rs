//! `cargo xtask bench`: what ostrakon costs, beside what a user would pick instead, in one run on one machine.
//!
//! - [`load`]: real clients by the thousand in one thread; tests of scale use it too.
//! - [`volume`]: a volume in memory and elections in simulated time; [`micro`]: small things that are done often.
//! - [`peers`]: other systems as processes. [`measure`]: samples and what the kernel counts.
//! - [`parts`]: the parts of the run. [`report`]: tables, pictures, ratios. [`machine`]: what kind of machine it is.

#![forbid(unsafe_code)]

pub mod load;
pub mod machine;
pub mod measure;
pub mod micro;
pub mod parts;
pub mod peers;
pub mod report;
pub mod volume;
