//! `ostrakon fence-kill`: our own fence agent.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;
use std::time::Duration;

use ostrakon_core::ids::Rid;

use super::metadata::METADATA;
use super::show;
use crate::fence::kill::{Killed, kill, look};
use crate::runtime::{Found, RuntimeDir};

/// Exit code of `status` for a victim that is off, as fence agents have it.
const OFF: u8 = 2;

/// Longest input that is read.
const INPUT_BYTES_MAX: u64 = 64 * 1024;

/// A fence agent that kills the process of a mount on this host.
///
/// Speaks the protocol of ClusterLabs fence agents: key=value lines on standard input (action, ostrakon_rid or plug,
/// timeout_ms), or the same as options. It finds the mount by the lock it holds under the runtime directory
/// ($OSTRAKON_RUNTIME_DIR, $XDG_RUNTIME_DIR, /run, /tmp/ostrakon-UID), sends SIGKILL, and confirms when its last thread,
/// and with it its last I/O, is gone. For demonstrations, tests, and several mounts on one machine: it cannot reach
/// another machine, and refuses a mount it knows nothing of.
///
/// Use it as --fence agent:'ostrakon fence-kill'.
///
/// Exit codes: 0 done (status: on), 1 not confirmed, 2 status: off.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes:\n  0  done, and for status: on\n  1  not confirmed: take the victim for alive\n  2  for status: off"
)]
pub(super) struct Args {
    /// The mount, by its rid in hexadecimal. Without it standard input is read
    #[arg(long)]
    rid: Option<String>,
    /// off (or reboot, the same), status, monitor, metadata, validate-all
    #[arg(short = 'o', long)]
    action: Option<String>,
    /// How long to wait for the process to be gone, 10000 if not given
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match act(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ostrakon fence-kill: {error}");
            ExitCode::FAILURE
        }
    }
}

fn act(args: &Args) -> Result<ExitCode, String> {
    let told = if args.rid.is_none() {
        read_input()?
    } else {
        BTreeMap::new()
    };
    let named = |key: &str| told.get(key).map(String::as_str);
    let action = args
        .action
        .as_deref()
        .or_else(|| named("action"))
        .unwrap_or("off");
    match action {
        "metadata" => {
            show::print_line(METADATA);
            return Ok(ExitCode::SUCCESS);
        }
        "monitor" | "validate-all" => return Ok(ExitCode::SUCCESS),
        "off" | "reboot" | "status" => {}
        other => {
            return Err(format!(
                "action {other:?}: expected off, reboot, status, monitor or metadata"
            ));
        }
    }
    let victim = ["ostrakon_rid", "plug", "port", "nodename"]
        .into_iter()
        .find_map(named);
    let victim = args
        .rid
        .as_deref()
        .or(victim)
        .ok_or("no victim: expected ostrakon_rid= or --rid")?;
    let rid = parse_rid(victim)?;
    let dirs = RuntimeDir::candidates();
    if action == "status" {
        return match look(&dirs, rid) {
            Found::Alive(_) => Ok(ExitCode::SUCCESS),
            Found::Dead => Ok(ExitCode::from(OFF)),
            Found::Unknown => Err(format!("mount {rid} has no lock file on this host")),
        };
    }
    let limit = timeout(args, named("timeout_ms"))?;
    match kill(&dirs, rid, limit).map_err(|error| error.to_string())? {
        Killed::Before => println!("mount {rid} was gone already"),
        Killed::Now(pid) => println!("mount {rid}: process {pid} killed and gone"),
    }
    Ok(ExitCode::SUCCESS)
}

fn timeout(args: &Args, named: Option<&str>) -> Result<Duration, String> {
    let named = named.map(|text| {
        text.parse()
            .map_err(|_| format!("timeout_ms={text}: expected milliseconds"))
    });
    let ms = match (args.timeout_ms, named) {
        (Some(ms), _) => ms,
        (None, Some(named)) => named?,
        (None, None) => 10_000,
    };
    Ok(Duration::from_millis(ms))
}

pub(super) fn parse_rid(text: &str) -> Result<Rid, String> {
    u64::from_str_radix(text, 16)
        .ok()
        .and_then(Rid::new)
        .ok_or_else(|| format!("{text:?} is no rid: expected up to 16 hexadecimal digits, not all 0"))
}

fn read_input() -> Result<BTreeMap<String, String>, String> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Ok(BTreeMap::new());
    }
    let mut text = String::new();
    stdin
        .take(INPUT_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot read standard input: {error}"))?;
    Ok(parse_lines(&text))
}

/// Lines without `=`, empty ones and comments are skipped, as other agents do.
fn parse_lines(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_read_as_other_agents_read_it() {
        let told = parse_lines("# comment=1\n\naction=off\nplug = 3\nnonsense\nkey=a=b\n");
        let expected = [("action", "off"), ("key", "a=b"), ("plug", "3")];
        assert_eq!(
            told,
            expected
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into()
        );
    }

    #[test]
    fn a_rid_is_hexadecimal_and_not_zero() {
        assert_eq!(parse_rid("00000000000000ff").unwrap().value(), 255);
        for text in ["", "0", "10.0.0.1", "1ffffffffffffffff", "-1"] {
            assert!(parse_rid(text).is_err(), "{text}");
        }
    }
}
