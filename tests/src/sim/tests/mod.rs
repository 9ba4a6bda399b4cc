//! The checks bite: for each of them a world in which somebody does what must not be done. And the disk is exactly
//! as bad as the atlas says.

mod checks;
mod disk;
mod progress;
mod puppet;
mod votes;
