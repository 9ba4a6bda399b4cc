//! The commands of SCSI-3 persistent reservations as bytes (SPC-4, 6.15 and 6.16), and their answers.

/// Only registrants write, and everybody reads. It stands until the registration of the one that holds it is gone; whoever
/// preempts that one holds it from then on.
pub(super) const WRITE_EXCLUSIVE_REGISTRANTS_ONLY: u8 = 5;

const RESERVE_IN: u8 = 0x5e;
const RESERVE_OUT: u8 = 0x5f;

/// Bytes of the parameter list of every PERSISTENT RESERVE OUT here.
pub(super) const LIST_BYTES: usize = 24;

/// Bytes of a command.
pub(super) const COMMAND_BYTES: usize = 10;

/// PERSISTENT RESERVE IN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ask {
    Keys = 0,
    Reservation = 1,
    Capabilities = 2,
}

/// PERSISTENT RESERVE OUT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tell {
    /// Makes this our key, or removes it (0), whatever key this path had. `keep` asks that it outlasts a loss of power.
    RegisterIgnoringExisting { key: u64, keep: bool },
    /// Makes the reservation.
    Reserve { key: u64 },
    /// Removes another's registration.
    Preempt { key: u64, victim: u64 },
    /// The same, and aborts what it has under way.
    PreemptAndAbort { key: u64, victim: u64 },
}

impl Ask {
    /// The command, with room for an answer of so many bytes.
    pub(super) const fn bytes(self, room: u16) -> [u8; COMMAND_BYTES] {
        let [high, low] = room.to_be_bytes();
        [RESERVE_IN, self as u8, 0, 0, 0, 0, 0, high, low, 0]
    }
}

impl Tell {
    /// The command and its parameter list.
    pub(super) fn bytes(self) -> ([u8; COMMAND_BYTES], [u8; LIST_BYTES]) {
        // The scope is the whole logical unit, 0, in the upper half of the third byte.
        let of_type = WRITE_EXCLUSIVE_REGISTRANTS_ONLY;
        let (action, of_type, own, other, keep) = match self {
            Self::RegisterIgnoringExisting { key, keep } => (6, 0, 0, key, keep),
            Self::Reserve { key } => (1, of_type, key, 0, false),
            Self::Preempt { key, victim } => (4, of_type, key, victim, false),
            Self::PreemptAndAbort { key, victim } => (5, of_type, key, victim, false),
        };
        let command = [RESERVE_OUT, action, of_type, 0, 0, 0, 0, 0, LIST_BYTES as u8, 0];
        let mut list = [0; LIST_BYTES];
        list[..8].copy_from_slice(&own.to_be_bytes());
        list[8..16].copy_from_slice(&other.to_be_bytes());
        // APTPL.
        list[20] = u8::from(keep);
        (command, list)
    }
}

/// The keys that are registered, from an answer to READ KEYS; `None` if it is none, or was cut short.
pub(super) fn keys(answer: &[u8]) -> Option<Vec<u64>> {
    let length = u32::from_be_bytes(answer.get(4..8)?.try_into().ok()?) as usize;
    let list = answer.get(8..8usize.checked_add(length)?)?;
    let (keys, rest) = list.as_chunks::<8>();
    rest.is_empty()
        .then(|| keys.iter().map(|&key| u64::from_be_bytes(key)).collect())
}

/// A reservation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Held {
    pub(super) key: u64,
    pub(super) scope_and_type: u8,
}

/// The reservation, from an answer to READ RESERVATION; `None` if it is none, `Some(None)` if nobody holds one.
#[expect(
    clippy::option_option,
    reason = "no answer, and the answer that there is none"
)]
pub(super) fn reservation(answer: &[u8]) -> Option<Option<Held>> {
    let length = u32::from_be_bytes(answer.get(4..8)?.try_into().ok()?);
    if length == 0 {
        return Some(None);
    }
    let list = answer.get(8..24)?;
    Some(Some(Held {
        key: u64::from_be_bytes(list[..8].try_into().ok()?),
        scope_and_type: list[13],
    }))
}

/// What a device says it can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Capabilities {
    /// Reservations can outlast a loss of power.
    pub(super) persists: bool,
    /// Of the type that is wanted here; `None` if the device does not say.
    pub(super) registrants_only: Option<bool>,
}

/// From an answer to REPORT CAPABILITIES.
pub(super) fn capabilities(answer: &[u8]) -> Option<Capabilities> {
    let answer = answer.get(..8)?;
    let says = answer[3] & 0x80 != 0;
    Some(Capabilities {
        persists: answer[2] & 1 != 0,
        registrants_only: says.then_some(answer[4] & 0x20 != 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `sg_persist` of sg3_utils 1.46 sends for the same. It prints each before the device refuses it:
    /// `sg_persist -n -vv --out --preempt --prout-type=5 --param-rk=102030405060708 --param-sark=a1a2a3a4a5a6a7a8 /dev/null`.
    #[test]
    fn commands_are_those_of_sg_persist() {
        let hex = |text: &str| -> Vec<u8> {
            text.split_whitespace()
                .map(|byte| u8::from_str_radix(byte, 16).unwrap())
                .collect()
        };
        for (ask, text) in [
            (Ask::Keys, "5e 00 00 00 00 00 00 20 00 00"),
            (Ask::Reservation, "5e 01 00 00 00 00 00 20 00 00"),
            (Ask::Capabilities, "5e 02 00 00 00 00 00 20 00 00"),
        ] {
            assert_eq!(ask.bytes(0x2000).to_vec(), hex(text));
        }
        let (key, victim) = (0x0102_0304_0506_0708, 0xa1a2_a3a4_a5a6_a7a8);
        for (tell, command, list) in [
            (
                Tell::RegisterIgnoringExisting { key, keep: true },
                "5f 06 00 00 00 00 00 00 18 00",
                "00 00 00 00 00 00 00 00 01 02 03 04 05 06 07 08 00 00 00 00 01 00 00 00",
            ),
            (
                Tell::RegisterIgnoringExisting { key: 0, keep: false },
                "5f 06 00 00 00 00 00 00 18 00",
                "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
            ),
            (
                Tell::Reserve { key },
                "5f 01 05 00 00 00 00 00 18 00",
                "01 02 03 04 05 06 07 08 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
            ),
            (
                Tell::Preempt { key, victim },
                "5f 04 05 00 00 00 00 00 18 00",
                "01 02 03 04 05 06 07 08 a1 a2 a3 a4 a5 a6 a7 a8 00 00 00 00 00 00 00 00",
            ),
            (
                Tell::PreemptAndAbort { key, victim },
                "5f 05 05 00 00 00 00 00 18 00",
                "01 02 03 04 05 06 07 08 a1 a2 a3 a4 a5 a6 a7 a8 00 00 00 00 00 00 00 00",
            ),
        ] {
            assert_eq!(tell.bytes().0.to_vec(), hex(command), "{tell:?}");
            assert_eq!(tell.bytes().1.to_vec(), hex(list), "{tell:?}");
        }
    }

    #[test]
    fn answers_are_believed_only_whole() {
        let two = [
            0, 0, 0, 9, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4, 5, 6, 7, 8, 0xff,
        ];
        assert_eq!(keys(&two), Some(vec![5, 0x0102_0304_0506_0708]));
        assert_eq!(keys(&two[..23]), None, "cut short");
        assert_eq!(keys(&[0; 8]), Some(vec![]));
        assert_eq!(keys(&[0; 7]), None);
        assert_eq!(keys(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]), None);
        let mut held = vec![
            0, 0, 0, 9, 0, 0, 0, 16, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 5, 0, 0,
        ];
        let expected = Held {
            key: 0x0102_0304_0506_0708,
            scope_and_type: 5,
        };
        assert_eq!(reservation(&held), Some(Some(expected)));
        held.truncate(20);
        assert_eq!(reservation(&held), None);
        assert_eq!(reservation(&[0; 8]), Some(None));
        let able = |answer: [u8; 8]| capabilities(&answer).unwrap();
        let known = able([0, 8, 0x11, 0x80, 0xea, 1, 0, 0]);
        assert_eq!((known.persists, known.registrants_only), (true, Some(true)));
        let without = able([0, 8, 0, 0x80, 0xca, 1, 0, 0]);
        assert_eq!((without.persists, without.registrants_only), (false, Some(false)));
        assert_eq!(able([0, 8, 0, 0, 0, 0, 0, 0]).registrants_only, None);
        assert_eq!(capabilities(&[0; 4]), None);
    }
}
