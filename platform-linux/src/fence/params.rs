//! What a fence agent is told of its victim.

use std::fmt::Write;

use ostrakon_core::bounds::FENCE_PARAM_BYTES;
use ostrakon_core::format::{FenceParam, LogEntry};
use ostrakon_core::ids::VolumeId;

use super::map::Pairs;

/// A fencing parameter that cannot be published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotUtf8;

/// The parameter as it is published: at most [`FENCE_PARAM_BYTES`] bytes without control characters.
pub fn fence_param(text: &str) -> Result<FenceParam, String> {
    if text.len() > FENCE_PARAM_BYTES {
        return Err(format!(
            "{} bytes long, expected at most {FENCE_PARAM_BYTES}",
            text.len()
        ));
    }
    if text.chars().any(char::is_control) {
        return Err("contains a control character".to_owned());
    }
    let mut param = FenceParam::default();
    param.0[..text.len()].copy_from_slice(text.as_bytes());
    Ok(param)
}

/// The text of a published parameter; empty if there is none.
pub fn fence_param_text(param: &FenceParam) -> Result<&str, NotUtf8> {
    let end = param
        .0
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    std::str::from_utf8(&param.0[..end]).map_err(|_| NotUtf8)
}

/// A pair for an agent, as an operator gives it.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let found = text
        .split_once('=')
        .filter(|(key, value)| !key.is_empty() && !format!("{key}{value}").chars().any(char::is_control));
    let (key, value) = found.ok_or_else(|| format!("{text:?}: expected key=value"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// The lines that an agent reads from standard input to turn `victim` off. What the operator says goes before what
/// the victim published.
///
/// A published parameter of the form `key=value,key=value` is passed on pair by pair; any other is the victim's
/// name for the agent. Where none was published its address is the name.
pub(super) fn agent_input(volume: VolumeId, victim: &LogEntry, operator: &Pairs) -> Result<String, String> {
    let text = fence_param_text(&victim.fence_param)
        .map_err(|NotUtf8| "the victim's fencing parameter is not UTF-8".to_owned())?;
    let mut lines = String::from("action=off\n");
    let decided = |key: &str| operator.iter().any(|(decided, _)| decided == key);
    for (key, value) in operator {
        push(&mut lines, key, value);
    }
    if text.contains('=') {
        for pair in text.split(',') {
            let (key, value) = passable(pair)?;
            if !decided(key) {
                push(&mut lines, key, value);
            }
        }
    } else {
        let address = victim.addr.ip().to_string();
        let name = if text.is_empty() { &address } else { text };
        let names = ["plug", "port", "nodename"];
        // One name by the operator is enough; another beside it could be taken for it.
        if !names.into_iter().any(decided) {
            names.into_iter().for_each(|key| push(&mut lines, key, name));
        }
    }
    push(&mut lines, "ostrakon_volume", &volume.to_string());
    push(&mut lines, "ostrakon_rid", &victim.ballot.rid.to_string());
    push(&mut lines, "ostrakon_boot", &victim.boot.to_string());
    push(&mut lines, "ostrakon_addr", &victim.addr.to_string());
    Ok(lines)
}

/// What a script finds in its environment. The operator's pairs come as `OSTRAKON_MAP_KEY`.
pub(super) fn script_environment(volume: VolumeId, victim: &LogEntry, operator: &Pairs) -> Pairs {
    let param = fence_param_text(&victim.fence_param).unwrap_or_default();
    let known = [
        ("OSTRAKON_VOLUME", volume.to_string()),
        ("OSTRAKON_VICTIM_RID", victim.ballot.rid.to_string()),
        ("OSTRAKON_VICTIM_TERM", victim.ballot.term.0.to_string()),
        ("OSTRAKON_VICTIM_ADDR", victim.addr.to_string()),
        ("OSTRAKON_VICTIM_IP", victim.addr.ip().to_string()),
        ("OSTRAKON_VICTIM_HOST", victim.host.to_string()),
        ("OSTRAKON_VICTIM_BOOT", victim.boot.to_string()),
        ("OSTRAKON_VICTIM_PARAM", param.to_owned()),
    ];
    let known = known.into_iter().map(|(key, value)| (key.to_owned(), value));
    let mapped = operator.iter().map(|(key, value)| {
        let key = key.to_ascii_uppercase().replace('-', "_");
        (format!("OSTRAKON_MAP_{key}"), value.clone())
    });
    known.chain(mapped).collect()
}

fn push(lines: &mut String, key: &str, value: &str) {
    writeln!(lines, "{key}={value}").expect("a String takes everything");
}

/// A pair that a victim may set. It names itself to the agent; what the agent does, and what it executes on this
/// host, is not the victim's to say.
fn passable(pair: &str) -> Result<(&str, &str), String> {
    let refused = |why: &str| Err(format!("the victim's fencing parameter has {pair:?}: {why}"));
    if pair.chars().any(char::is_control) {
        return refused("control characters");
    }
    let Some((key, value)) = pair.split_once('=') else {
        return refused("expected key=value");
    };
    let key = key.trim();
    if key.is_empty()
        || !key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    {
        return refused("not the name of a parameter");
    }
    let lower = key.to_ascii_lowercase().replace('-', "_");
    let decides = ["action", "option", "o"].contains(&lower.as_str()) || lower.starts_with("ostrakon_");
    let executes = ["script", "path", "options", "command", "exec", "identity_file"]
        .iter()
        .any(|part| lower.contains(part));
    if decides || executes {
        return refused("not for the victim to say");
    }
    Ok((key, value))
}

#[cfg(test)]
mod tests {
    use ostrakon_core::ids::{Ballot, BootId, HostId, Rid, Term};

    use super::*;

    fn input(param: &str) -> Result<String, String> {
        input_with(param, &[])
    }

    fn input_with(param: &str, operator: &[(String, String)]) -> Result<String, String> {
        let victim = LogEntry {
            ballot: Ballot {
                term: Term(3),
                rid: Rid::new(0x1f).unwrap(),
            },
            host: HostId(1),
            boot: BootId([2; 16]),
            addr: "10.0.0.9:7000".parse().unwrap(),
            quiet_ms: 0,
            fenced: false,
            fence_param: fence_param(param).unwrap(),
        };
        agent_input(VolumeId([5; 16]), &victim, &operator.to_vec())
    }

    const TAIL: &str = "ostrakon_volume=05050505050505050505050505050505\n\
        ostrakon_rid=000000000000001f\n\
        ostrakon_boot=02020202020202020202020202020202\n\
        ostrakon_addr=10.0.0.9:7000\n";

    #[test]
    fn the_victim_is_named_as_it_asked_to_be() {
        let cases = [
            ("", "plug=10.0.0.9\nport=10.0.0.9\nnodename=10.0.0.9\n"),
            ("node-7", "plug=node-7\nport=node-7\nnodename=node-7\n"),
            ("plug=3,ip=10.1.1.1", "plug=3\nip=10.1.1.1\n"),
            ("ip=a=b", "ip=a=b\n"),
        ];
        for (param, lines) in cases {
            assert_eq!(
                input(param).unwrap(),
                format!("action=off\n{lines}{TAIL}"),
                "{param:?}"
            );
        }
    }

    #[test]
    fn what_the_operator_says_goes_before_what_the_victim_published() {
        let operator = ["ip=10.1.1.9", "plug=7"].map(|text| pair(text).unwrap());
        let lines = format!("action=off\nip=10.1.1.9\nplug=7\n{TAIL}");
        for param in ["", "node-7", "plug=3,ip=10.6.6.6"] {
            assert_eq!(input_with(param, &operator).unwrap(), lines, "{param}");
        }
        assert_eq!(
            input_with("a=b", &operator).unwrap(),
            format!("action=off\nip=10.1.1.9\nplug=7\na=b\n{TAIL}")
        );
        for text in ["", "a", "=b", "a=b\nc=d"] {
            assert!(pair(text).unwrap_err().contains("expected key=value"));
        }
    }

    #[test]
    fn a_victim_cannot_choose_the_action_or_what_is_executed() {
        for param in [
            "action=on",
            "plug=1,Action=status",
            "password_script=/tmp/x",
            "ssh-path=/tmp/x",
            "ostrakon_rid=5",
            "plug=1,,x=2",
            "=3,a=b",
            "a b=3",
        ] {
            let error = input(param).unwrap_err();
            assert!(error.contains("victim's fencing parameter"), "{param:?}: {error}");
        }
    }

    #[test]
    fn a_parameter_comes_back_as_it_was_published() {
        for text in ["", "node-7", "größe", &"x".repeat(FENCE_PARAM_BYTES)] {
            assert_eq!(fence_param_text(&fence_param(text).unwrap()), Ok(text));
        }
        assert!(
            fence_param(&"x".repeat(FENCE_PARAM_BYTES + 1))
                .unwrap_err()
                .contains("at most 40")
        );
        assert!(fence_param("a\nb").is_err());
        assert_eq!(
            fence_param_text(&FenceParam([0xff; FENCE_PARAM_BYTES])),
            Err(NotUtf8)
        );
    }
}
