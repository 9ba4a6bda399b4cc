//! What the project's commands and its end-to-end tests share: clusters of real processes on one image file.
//!
//! - [`bare`]: compilers for bare targets.
//! - [`cluster`]: formats an image, runs mounts of it as processes, follows their events, and looks at the
//!   device through `ostrakon status` and `ostrakon dump`.
//! - [`failure`]: one error for all of it, a sentence for a human.
//! - [`lan`]: hosts as network namespaces.
//! - [`skipped`]: how a test says that it could not run here.
//! - [`torture`]: fail-overs of a program under `ostrakon run`, many in a row.

#![forbid(unsafe_code)]

pub mod bare;
pub mod cluster;
pub mod failure;
pub mod lan;
pub mod skipped;
pub mod torture;
