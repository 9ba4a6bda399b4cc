//! What a greeting means. A pure decision; what follows from it is done in `arrivals.rs`.

use super::memory::Standing;
use crate::ids::Ballot;

/// What a greeting means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// First contact: make a record, then welcome it.
    Admit,
    /// It was here before: welcome it, and its session goes on.
    Resume,
    /// It comes from another server: welcome it with a session of its own here.
    Renew,
    /// It wants to leave, and there is nothing to take back: welcome it without a record.
    Forgotten,
    /// It was evicted.
    Evicted,
    /// Its old record is just being deleted: let it come again.
    Later,
}

/// Judges a greeting by where its rid stands here, the server that answered it last (`met`), this server, and
/// whether it wants to leave. A repeated greeting is success.
pub(super) fn decide(standing: Standing, met: Option<Ballot>, this: Ballot, farewell: bool) -> Verdict {
    let known = match met {
        Some(server) if server != this => Verdict::Renew,
        _ => Verdict::Resume,
    };
    match (standing, farewell, met.is_some()) {
        (Standing::Arriving | Standing::Mounted, _, _) => known,
        (Standing::Ghost | Standing::Leaving, true, _) => known,
        (Standing::Free, true, _) => Verdict::Forgotten,
        (Standing::Free, false, false) => Verdict::Admit,
        (Standing::Leaving, false, false) => Verdict::Later,
        (Standing::Ghost, false, _) | (Standing::Free | Standing::Leaving, false, true) => Verdict::Evicted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Rid, Term};

    #[test]
    fn every_greeting_has_its_answer() {
        use Standing::{Arriving, Free, Ghost, Leaving, Mounted};
        use Verdict::{Admit, Evicted, Forgotten, Later, Renew, Resume};
        let ballot = |term| Ballot {
            term: Term(term),
            rid: Rid::new(7).unwrap(),
        };
        let (this, other) = (Some(ballot(5)), Some(ballot(4)));
        // standing, server met last, wants to leave => verdict
        let table = [
            (Free, None, false, Admit),
            (Free, None, true, Forgotten),
            (Free, this, false, Evicted),
            (Free, other, false, Evicted),
            (Free, this, true, Forgotten),
            (Free, other, true, Forgotten),
            (Arriving, None, false, Resume),
            (Arriving, None, true, Resume),
            (Mounted, None, false, Resume),
            (Mounted, this, false, Resume),
            (Mounted, other, false, Renew),
            (Mounted, other, true, Renew),
            (Ghost, None, false, Evicted),
            (Ghost, this, false, Evicted),
            (Ghost, other, false, Evicted),
            (Ghost, this, true, Resume),
            (Ghost, other, true, Renew),
            (Leaving, None, false, Later),
            (Leaving, this, false, Evicted),
            (Leaving, this, true, Resume),
            (Leaving, other, true, Renew),
        ];
        for (standing, met, farewell, expected) in table {
            let verdict = decide(standing, met, ballot(5), farewell);
            assert_eq!(verdict, expected, "{standing:?}, met {met:?}, leaving {farewell}");
        }
    }
}
