//! Which block to write.

use super::witness::Blocks;

/// A block to write: at random among those that do not carry the highest live ballot known, damaged ones first,
/// or any block if all carry it. For N of Q blocks that seals in about N cycles alone, fewer in company.
pub fn block(carriers: Blocks, damaged: Blocks, random: u32) -> usize {
    let candidates = [damaged, carriers.complement(), Blocks::ALL];
    let set = candidates
        .into_iter()
        .find(|set| set.count() > 0)
        .unwrap_or(Blocks::ALL);
    set.nth(random as usize % set.count()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::REGION_BLOCKS;

    fn blocks(indices: impl IntoIterator<Item = usize>) -> Blocks {
        let mut set = Blocks::NONE;
        indices.into_iter().for_each(|index| set.set(index, true));
        set
    }

    #[test]
    fn damaged_blocks_come_first_then_those_without_the_ballot_then_any() {
        for random in 0..1000 {
            assert_eq!(block(Blocks::NONE, blocks([9]), random), 9);
            assert!(block(blocks(0..60), Blocks::NONE, random) >= 60);
            assert!(block(Blocks::ALL, Blocks::NONE, random) < REGION_BLOCKS);
        }
    }
}
