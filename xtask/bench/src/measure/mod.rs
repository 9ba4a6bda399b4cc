//! What is measured with: samples, processes, block devices.

pub mod device;
pub mod process;
mod samples;

pub use samples::Samples;
