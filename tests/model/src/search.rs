//! Breadth-first search: the first violation found is one of the shortest.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;
use zerocopy::IntoBytes;

use crate::action::{Action, Violation};
use crate::config::Config;
use crate::state::State;
use crate::world::World;

/// What a search found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Different states seen.
    pub states: u64,
    /// Steps to the last of them, or to the violation.
    pub depth: u32,
    /// All states within reach were seen.
    pub complete: bool,
    /// How long it took.
    pub took: Duration,
    /// The violation, and the steps that lead to it.
    pub violation: Option<(Violation, Vec<Action>)>,
}

/// Keys are hashes already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers");
    }
    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// The hash of each state seen, and of the one that led to it. States themselves are kept for one level only.
type Seen = HashMap<u64, u64, BuildHasherDefault<Hashed>>;

fn hash(state: &State) -> u64 {
    xxh3_64(state.as_bytes())
}

/// Explores `config` until a violation, the end, or as many states as it allows.
pub fn search(config: &Config) -> Report {
    let began = Instant::now();
    let first = State::new(
        config.torn,
        config.late,
        config.torn_updates,
        config.failing_updates,
    );
    let first = World::canonical(config, &first);
    let mut seen = Seen::default();
    seen.insert(hash(&first), 0);
    let (mut level, mut following, mut successors) = (vec![first], Vec::new(), Vec::new());
    let report = |seen: &Seen, depth, complete, violation| Report {
        states: seen.len() as u64,
        depth,
        complete,
        took: began.elapsed(),
        violation,
    };
    for depth in 0.. {
        for state in &level {
            let from = hash(state);
            World::successors(config, state, &mut successors);
            for (action, next, violation) in successors.drain(..) {
                if let Some(violation) = violation {
                    let (mut steps, state) = trace(config, &seen, &first, from);
                    steps.push(last_step(config, &state, violation).unwrap_or(action));
                    return report(&seen, depth + 1, false, Some((violation, steps)));
                }
                let next = World::canonical(config, &next);
                if let Entry::Vacant(entry) = seen.entry(hash(&next)) {
                    entry.insert(from);
                    following.push(next);
                }
            }
            if seen.len() as u64 >= config.states_max {
                return report(&seen, depth, false, None);
            }
        }
        if following.is_empty() {
            return report(&seen, depth, true, None);
        }
        std::mem::swap(&mut level, &mut following);
        following.clear();
    }
    unreachable!("a search ends")
}

/// The steps from the first state to a look-alike of the one with this hash.
fn trace(config: &Config, seen: &Seen, first: &State, last: u64) -> (Vec<Action>, State) {
    let mut path = vec![last];
    while let Some(&before) = path
        .last()
        .and_then(|at| seen.get(at))
        .filter(|&&before| before != 0)
    {
        path.push(before);
    }
    path.reverse();
    let (mut state, mut steps, mut successors) = (*first, Vec::new(), Vec::new());
    for &next in &path[1..] {
        World::successors(config, &state, &mut successors);
        let step = successors
            .drain(..)
            .find(|(_, successor, _)| hash(&World::canonical(config, successor)) == next);
        let (action, successor, _) = step.expect("a state leads to what it led to before");
        steps.push(action);
        state = successor;
    }
    (steps, state)
}

/// The step that violates, with the names that the trace has given.
fn last_step(config: &Config, state: &State, violation: Violation) -> Option<Action> {
    let mut successors = Vec::new();
    World::successors(config, state, &mut successors);
    let found = successors.iter().find(|(.., found)| *found == Some(violation));
    found.map(|(action, ..)| *action)
}
