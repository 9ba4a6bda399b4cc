//! Scenarios with real clients. Those that begin with `hole_` keep a hole of the 2019 system closed.

extern crate std;

mod attacks;
mod crowd;
mod durable;
mod fences;
mod ghosts;
mod hostile;
mod inputs;
mod leaving;
mod life;
mod recovery;
mod sessions;
