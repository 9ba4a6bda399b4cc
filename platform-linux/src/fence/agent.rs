//! A ClusterLabs fence agent: `key=value` lines on standard input, exit code 0 when the victim is off. Or a script of
//! the operator's, which finds the victim in its environment and answers in the same way.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ostrakon_core::format::LogEntry;
use ostrakon_core::ids::VolumeId;
use rustix::fs::Access;

use super::child::{self, Ended};
use super::map::Pairs;
use super::params::{agent_input, pair, script_environment};

/// A fence agent: a program, its arguments, and what is said to it about every victim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FenceAgent {
    program: String,
    arguments: Vec<String>,
    parameters: Pairs,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Reads lines.
    Agent,
    /// Reads its environment.
    Script,
}

/// Why an agent did not confirm.
#[derive(Debug)]
pub enum AgentError {
    /// It could not be run.
    Start {
        /// The agent.
        agent: String,
        /// The system's reason.
        error: io::Error,
    },
    /// It said no.
    Refused {
        /// The agent.
        agent: String,
        /// Its exit code or the signal that ended it.
        how: String,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// It took too long and was killed.
    TimedOut {
        /// The agent.
        agent: String,
        /// Its limit.
        limit: Duration,
        /// What it wrote to standard error.
        stderr: String,
    },
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (said, result) = match self {
            Self::Start { agent, error } => ("", write!(f, "{agent}: cannot be run: {error}")),
            Self::Refused { agent, how, stderr } => (
                stderr.as_str(),
                write!(f, "{agent}: not confirmed: {how}, expected exit code 0"),
            ),
            Self::TimedOut { agent, limit, stderr } => (
                stderr.as_str(),
                write!(f, "{agent}: no answer within {} ms, killed", limit.as_millis()),
            ),
        };
        result?;
        if said.is_empty() {
            return Ok(());
        }
        write!(f, "; it says: {said}")
    }
}

impl std::error::Error for AgentError {}

impl FenceAgent {
    /// An agent from a command line, split at white space. `key=value` pairs that follow the program after commas are
    /// handed to it for every victim. The program `ostrakon` is this very program, wherever it was started from.
    pub fn parse(command_line: &str) -> Result<Self, String> {
        let mut words = command_line.split_whitespace().map(str::to_owned);
        let first = words.next().unwrap_or_default();
        let mut parts = first.split(',');
        let program = parts
            .next()
            .filter(|name| !name.is_empty())
            .ok_or("names no program")?;
        Ok(Self {
            program: program.to_owned(),
            parameters: parts.map(pair).collect::<Result<_, _>>()?,
            arguments: words.collect(),
            kind: Kind::Agent,
        })
    }

    /// A script from a command line, split at white space.
    pub fn parse_script(command_line: &str) -> Result<Self, String> {
        let mut words = command_line.split_whitespace().map(str::to_owned);
        Ok(Self {
            program: words.next().ok_or("names no program")?,
            parameters: Pairs::new(),
            arguments: words.collect(),
            kind: Kind::Script,
        })
    }

    /// Turns a victim off, with what the operator's map says of it. `Ok` is the agent's confirmation.
    pub(super) fn fence(
        &self,
        volume: VolumeId,
        victim: &LogEntry,
        mapped: &Pairs,
        limit: Duration,
    ) -> Result<(), String> {
        let mut pairs = mapped.clone();
        let more = self
            .parameters
            .iter()
            .filter(|(key, _)| !mapped.iter().any(|(set, _)| set == key));
        pairs.extend(more.cloned());
        let mut command = self.command();
        let input = match self.kind {
            Kind::Agent => agent_input(volume, victim, &pairs)?,
            Kind::Script => {
                command.envs(script_environment(volume, victim, &pairs));
                String::new()
            }
        };
        self.run_command(command, &input, limit)
            .map_err(|error| error.to_string())
    }

    /// Whether the program is there, so that its absence is found before the first fence.
    pub fn check(&self) -> Result<(), String> {
        if self.is_own() || self.find().is_some() {
            return Ok(());
        }
        Err(format!(
            "fence agent {:?}: no such program, or not executable{}",
            self.program,
            if self.program.contains('/') {
                ""
            } else {
                ", in any folder of PATH"
            }
        ))
    }

    /// Whether this is our own agent, which reaches processes of the same host only.
    pub fn is_kill(&self) -> bool {
        self.is_own() && self.arguments.iter().any(|argument| argument == "fence-kill")
    }

    fn is_own(&self) -> bool {
        self.program == "ostrakon"
    }

    fn find(&self) -> Option<PathBuf> {
        let executable = |path: &Path| path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok();
        if self.program.contains('/') {
            return Some(PathBuf::from(&self.program)).filter(|path| executable(path));
        }
        let folders = std::env::var_os("PATH")?;
        std::env::split_paths(&folders)
            .map(|folder| folder.join(&self.program))
            .find(|path| executable(path))
    }

    fn command(&self) -> Command {
        // Resolved in the child between fork and exec: this program, even if its file was replaced meanwhile.
        let program = if self.is_own() {
            "/proc/self/exe"
        } else {
            &self.program
        };
        let mut command = Command::new(program);
        command.args(&self.arguments);
        command
    }

    /// Runs the agent with these lines for `limit` at most. `Ok` is its confirmation.
    pub fn run(&self, input: &str, limit: Duration) -> Result<(), AgentError> {
        self.run_command(self.command(), input, limit)
    }

    fn run_command(&self, command: Command, input: &str, limit: Duration) -> Result<(), AgentError> {
        let agent = self.to_string();
        match child::run(command, input, limit) {
            Err(error) => Err(AgentError::Start { agent, error }),
            Ok(Ended::Exited { status, .. }) if status.success() => Ok(()),
            Ok(Ended::Exited { status, stderr }) => Err(AgentError::Refused {
                agent,
                how: child::describe(status),
                stderr,
            }),
            Ok(Ended::TimedOut { stderr }) => Err(AgentError::TimedOut { agent, limit, stderr }),
        }
    }
}

impl fmt::Display for FenceAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        self.arguments
            .iter()
            .try_for_each(|argument| write!(f, " {argument}"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    use super::*;

    struct Script(tempfile::TempDir);

    impl Script {
        fn new(body: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("agent");
            fs::write(
                &path,
                format!("#!/bin/sh\ncd {}\n{body}\n", folder.path().display()),
            )
            .unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            Self(folder)
        }

        fn agent(&self) -> FenceAgent {
            // Through the shell: a script that another thread's child still holds open for writing could not be
            // executed itself.
            FenceAgent::parse(&format!("/bin/sh {}", self.0.path().join("agent").display())).unwrap()
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.0.path().join(name)).unwrap()
        }
    }

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn an_agent_reads_its_lines_and_confirms_by_exit_code_0() {
        let script = Script::new("cat > input");
        script.agent().run("action=off\nplug=3\n", LIMIT).unwrap();
        assert_eq!(script.read("input"), "action=off\nplug=3\n");
    }

    #[test]
    fn an_agent_that_never_reads_its_input_may_still_confirm() {
        Script::new("exec <&-; exit 0")
            .agent()
            .run("action=off\n", LIMIT)
            .unwrap();
    }

    #[test]
    fn a_refusal_says_the_exit_code_and_what_the_agent_wrote() {
        let error = Script::new("echo no power switch >&2; exit 3")
            .agent()
            .run("", LIMIT)
            .unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, AgentError::Refused { .. }));
        assert!(
            text.contains("exit code 3") && text.contains("no power switch"),
            "{text}"
        );
        let text = Script::new("kill -9 $$")
            .agent()
            .run("", LIMIT)
            .unwrap_err()
            .to_string();
        assert!(text.contains("signal 9"), "{text}");
    }

    #[test]
    fn a_slow_agent_is_killed_with_all_it_started() {
        let script = Script::new("sleep 100 & echo $! > grandchild; echo working >&2; wait");
        let begun = Instant::now();
        let error = script.agent().run("", Duration::from_millis(300)).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(matches!(error, AgentError::TimedOut { .. }), "{error}");
        assert!(error.to_string().contains("working"), "{error}");
        let pid = script.read("grandchild").trim().to_owned();
        for _ in 0..500 {
            // A zombie that nobody has waited for yet is as dead.
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if stat.is_empty() || stat.contains(") Z ") {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the agent's child {pid} is still alive");
    }

    #[test]
    fn an_absent_agent_is_found_out_beforehand_and_fails_when_run() {
        for line in ["/nonexistent/fence_x", "fence_that_nobody_has --arg"] {
            let agent = FenceAgent::parse(line).unwrap();
            assert!(agent.check().unwrap_err().contains("no such program"));
            assert!(matches!(agent.run("", LIMIT), Err(AgentError::Start { .. })));
        }
        for line in ["/bin/sh", "sh -c true", "ostrakon fence-kill"] {
            FenceAgent::parse(line).unwrap().check().unwrap();
        }
        assert!(FenceAgent::parse("  ").is_err());
    }

    #[test]
    fn an_agent_that_floods_standard_error_is_not_held_up() {
        let script = Script::new("head -c 3000000 /dev/zero | tr '\\0' 'x' >&2; exit 1");
        let error = script.agent().run("", LIMIT).unwrap_err();
        let AgentError::Refused { stderr, .. } = error else {
            panic!("{error}");
        };
        assert!(stderr.len() <= 1024);
    }
}
