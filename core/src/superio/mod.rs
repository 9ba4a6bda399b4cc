//! Reading and writing the super block in its two copies, exactly as rules R8 and R10 say.

mod reader;
mod view;
mod writer;

#[cfg(test)]
mod tests;

pub use reader::{Belief, OnlyCopy, SuperError, SuperReader, belief};
pub use view::{Copies, SuperView};
pub use writer::SuperWriter;
