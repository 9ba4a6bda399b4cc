//! The map from a victim to what an agent needs to find it, kept by the operator.
//!
//! One victim a line: who, then `key=value` pairs, separated by white space. Who is a server address (`10.0.0.7` or
//! `10.0.0.7:7000`), a rid, `param:` and what the victim published with `--fence-param`, or `*` for anybody. The first
//! line that matches counts. Empty lines, and what follows `#` at the beginning of a line, are skipped.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use ostrakon_core::format::LogEntry;
use ostrakon_core::ids::Rid;

use super::params::{fence_param_text, pair};

/// Largest map that is read.
const MAP_BYTES_MAX: u64 = 1 << 20;

/// A map, read anew for each fence, so that an operator can mend it while a fence is tried again and again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FenceMap(PathBuf);

/// Keys and values for an agent.
pub(super) type Pairs = Vec<(String, String)>;

#[derive(Clone, PartialEq, Eq, Debug)]
enum Who {
    Anybody,
    Rid(Rid),
    Ip(IpAddr),
    Addr(SocketAddr),
    Param(String),
}

impl FenceMap {
    /// A map in this file, which is read to see that it can be.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub fn open(path: &Path) -> Result<Self, String> {
        let map = Self(path.to_owned());
        map.lines().map(|_| map)
    }

    /// What the map says of this victim.
    ///
    /// # Errors
    /// If it cannot be read, or no line matches: an agent that is told nothing would shoot somebody else, or nobody.
    pub(super) fn find(&self, victim: &LogEntry) -> Result<Pairs, String> {
        let lines = self.lines()?;
        let found = lines.into_iter().find(|(who, _)| who.matches(victim));
        found.map(|(_, pairs)| pairs).ok_or_else(|| {
            let param = fence_param_text(&victim.fence_param).unwrap_or("not UTF-8");
            format!(
                "{}: no line for the victim: rid {}, address {}, fence parameter {param:?}",
                self.0.display(),
                victim.ballot.rid,
                victim.addr
            )
        })
    }

    fn lines(&self) -> Result<Vec<(Who, Pairs)>, String> {
        let named = |what: &dyn std::fmt::Display| format!("{}: {what}", self.0.display());
        let length = fs::metadata(&self.0).map_err(|error| named(&error))?.len();
        if length > MAP_BYTES_MAX {
            return Err(named(&format_args!(
                "{length} bytes, expected at most {MAP_BYTES_MAX}"
            )));
        }
        let text = fs::read_to_string(&self.0).map_err(|error| named(&error))?;
        let lines = text.lines().enumerate();
        let filled = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        filled
            .map(|(number, line)| {
                parse(line).map_err(|why| named(&format_args!("line {}: {why}", number + 1)))
            })
            .collect()
    }
}

fn parse(line: &str) -> Result<(Who, Pairs), String> {
    let mut words = line.split_whitespace();
    let who = words.next().unwrap_or_default();
    let pairs = words.map(pair).collect::<Result<_, _>>()?;
    Ok((Who::parse(who)?, pairs))
}

impl Who {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Anybody);
        }
        if let Some(param) = text.strip_prefix("param:") {
            return Ok(Self::Param(param.to_owned()));
        }
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ip(ip));
        }
        if let Ok(addr) = text.parse() {
            return Ok(Self::Addr(addr));
        }
        let rid = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
        rid.and_then(Rid::new).map(Self::Rid).ok_or_else(|| {
            format!("{text:?}: expected an address, a rid of 16 hexadecimal digits, param:TEXT or *")
        })
    }

    fn matches(&self, victim: &LogEntry) -> bool {
        match self {
            Self::Anybody => true,
            Self::Rid(rid) => *rid == victim.ballot.rid,
            Self::Ip(ip) => *ip == victim.addr.ip(),
            Self::Addr(addr) => *addr == victim.addr,
            Self::Param(param) => fence_param_text(&victim.fence_param) == Ok(param),
        }
    }
}

#[cfg(test)]
mod tests {
    use ostrakon_core::ids::{Ballot, BootId, HostId, Term};

    use super::super::fence_param;
    use super::*;

    fn victim(addr: &str, param: &str) -> LogEntry {
        LogEntry {
            ballot: Ballot {
                term: Term(3),
                rid: Rid::new(0x1f).unwrap(),
            },
            host: HostId(1),
            boot: BootId([2; 16]),
            addr: addr.parse().unwrap(),
            quiet_ms: 0,
            fenced: false,
            fence_param: fence_param(param).unwrap(),
        }
    }

    fn map(text: &str) -> (tempfile::NamedTempFile, Result<FenceMap, String>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let map = FenceMap::open(file.path());
        (file, map)
    }

    const MAP: &str = "# rack 7\n\
        000000000000001f\tplug=1 ip=a=b\n\n\
        10.0.0.7:7000 plug=2\n\
        10.0.0.7 plug=3\n\
        fe80::1 plug=4\n\
        param:node-9 plug=5\n";

    #[test]
    fn the_first_line_that_matches_counts() {
        let (file, map) = map(MAP);
        let map = map.unwrap();
        let plug = |addr: &str, param: &str| map.find(&victim(addr, param)).unwrap()[0].1.clone();
        assert_eq!(plug("10.0.0.7:7000", ""), "1", "a rid of its own comes first");
        assert_eq!(
            map.find(&victim("10.9.9.9:1", "")).unwrap()[1],
            ("ip".into(), "a=b".into())
        );
        fs::write(file.path(), MAP.replace("001f", "002f")).unwrap();
        assert_eq!(plug("10.0.0.7:7000", ""), "2", "the map is read anew");
        assert_eq!(plug("10.0.0.7:7001", ""), "3");
        assert_eq!(plug("[fe80::1]:9", ""), "4");
        assert_eq!(plug("10.0.0.8:9", "node-9"), "5");
        let error = map.find(&victim("10.0.0.8:9", "node-8")).unwrap_err();
        for word in ["no line", "10.0.0.8:9", "node-8", "000000000000001f"] {
            assert!(error.contains(word), "{error}");
        }
        fs::write(file.path(), "10.0.0.9 plug=5\n* plug=6").unwrap();
        assert_eq!(plug("10.0.0.8:9", "node-8"), "6");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, why) in [
            ("10.0.0.1 plug=1\nhost-7 plug=2", "line 2: \"host-7\""),
            ("10.0.0.1 plug", "line 1: \"plug\""),
            ("1f plug=1", "16 hexadecimal"),
        ] {
            let error = map(text).1.unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(
            FenceMap::open(Path::new("/nonexistent"))
                .unwrap_err()
                .contains("/nonexistent")
        );
    }
}
