//! Which block to write.

use super::witness::Blocks;

/// A block to write: at random among those that do not carry the highest live ballot known, or any block if all carry it.
/// For N of Q blocks that seals in about N cycles alone, fewer in company. Every other time a damaged one comes first: not
/// always, because one that no write makes valid would then be the only one that is ever written. Those that `refused` a
/// write are left out.
pub fn block(carriers: Blocks, damaged: Blocks, refused: Blocks, random: u32) -> usize {
    let repairs = random >> 31 == 0;
    let candidates = [
        if repairs { damaged } else { Blocks::NONE },
        carriers.complement(),
        Blocks::ALL,
    ];
    let set = candidates
        .into_iter()
        .map(|set| set.and(refused.complement()))
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
    fn those_without_the_ballot_come_first_then_any() {
        for random in 0..1000 {
            let random = random * 4_294_967;
            assert!(block(blocks(0..60), Blocks::NONE, Blocks::NONE, random) >= 60);
            assert!(block(Blocks::ALL, Blocks::NONE, Blocks::NONE, random) < REGION_BLOCKS);
        }
    }

    #[test]
    fn every_other_time_it_is_a_damaged_one() {
        let damaged = |random| block(blocks(0..60), blocks([9]), Blocks::NONE, random) == 9;
        assert!((0..1000).all(damaged));
        assert!(!(0..1000).any(|random| damaged(random | 1 << 31)));
    }

    #[test]
    fn one_that_refused_a_write_is_none_of_them() {
        for random in [0, 1 << 31]
            .into_iter()
            .flat_map(|high| (0..200).map(move |low| high | low))
        {
            let (bad, refused) = (blocks([9, 10]), blocks([9, 61]));
            assert!([10, 60, 62, 63].contains(&block(blocks(0..60), bad, refused, random)));
            assert_ne!(
                block(Blocks::ALL, Blocks::NONE, blocks([random as usize % 64]), random),
                random as usize % 64
            );
            assert!(block(Blocks::NONE, Blocks::NONE, Blocks::ALL, random) < REGION_BLOCKS);
        }
    }
}
