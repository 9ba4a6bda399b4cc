//! One file or folder for each command.

pub(crate) mod bench;
pub(crate) mod ci;
pub(crate) mod counts;
pub(crate) mod coverage;
pub(crate) mod demo;
pub(crate) mod fuzz;
pub(crate) mod mutants;
pub(crate) mod package;
pub(crate) mod power_cuts;
pub(crate) mod run_qemu;
pub(crate) mod scsi;
pub(crate) mod sim;
pub(crate) mod size;
pub(crate) mod test;
pub(crate) mod torture;
