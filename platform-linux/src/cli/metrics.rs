//! What a mount does, as numbers for Prometheus: a text file that a collector reads (`node_exporter` and its
//! `--collector.textfile.directory`, or any other).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

use ostrakon_core::ids::{Rid, VolumeId};

use super::Description;

/// Counts what happens, and has it written by a thread of its own: a file system that hangs must not stop a leader.
pub(super) struct Metrics {
    /// The newest state, which alone is of interest, and a sign that there is one.
    newest: Arc<Mutex<String>>,
    changed: SyncSender<()>,
    labels: String,
    events: BTreeMap<&'static str, u64>,
    errors: BTreeMap<String, u64>,
    fences: [u64; 2],
    connected: bool,
    leads: bool,
    program: bool,
    term: u64,
    clients: u64,
}

impl Metrics {
    /// Writes to this file from now on, replacing it each time.
    pub(super) fn start(path: &Path) -> std::io::Result<Self> {
        let (changed, changes) = mpsc::sync_channel(1);
        let newest = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&newest);
        let path = path.to_owned();
        write(&path, "")?;
        std::thread::Builder::new()
            .name("ostrakon-metrics".to_owned())
            .spawn(move || {
                for () in changes {
                    let state = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    if let Err(error) = write(&path, &state) {
                        eprintln!("ostrakon: {}: {error}", path.display());
                    }
                }
            })?;
        Ok(Self {
            newest,
            changed,
            labels: String::new(),
            events: BTreeMap::new(),
            errors: BTreeMap::new(),
            fences: [0; 2],
            connected: false,
            leads: false,
            program: false,
            term: 0,
            clients: 0,
        })
    }

    /// A new mount begins, under this identity.
    pub(super) fn begin(&mut self, rid: Rid, volume: VolumeId) {
        self.labels = format!("rid=\"{rid}\",volume=\"{volume}\"");
        (self.connected, self.leads, self.program) = (false, false, false);
    }

    /// Counts an event.
    pub(super) fn count(&mut self, event: &Description) {
        *self.events.entry(event.event).or_default() += 1;
        let number = |name: &str| event.fields.get(name).and_then(serde_json::Value::as_u64);
        match event.event {
            "connected" => self.connected = true,
            "disconnected" | "unmounted" => self.connected = false,
            "serving" => self.leads = true,
            "recovered" => self.clients = number("clients").unwrap_or(0),
            "stopped_serving" => self.leads = false,
            "program_started" => self.program = true,
            "program_gone" => self.program = false,
            "fence_report" => {
                let done = event.fields.get("done") == Some(&serde_json::Value::Bool(true));
                self.fences[usize::from(done)] += 1;
            }
            "error" => {
                let kind = event.fields.get("kind").and_then(serde_json::Value::as_str);
                *self.errors.entry(kind.unwrap_or("other").to_owned()).or_default() += 1;
            }
            _ => {}
        }
        if ["connected", "serving", "elected"].contains(&event.event) {
            self.term = number("term").unwrap_or(self.term);
        }
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = self.text();
        // If one sign is waiting already, the writer will find this state when it comes to it.
        let _ = self.changed.try_send(());
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let labels = &self.labels;
        let gauges = [
            (
                "connected",
                "Whether this mount is connected to a server.",
                u64::from(self.connected),
            ),
            (
                "leads",
                "Whether this mount is the server.",
                u64::from(self.leads),
            ),
            (
                "program_runs",
                "Whether the program of `ostrakon run` runs here.",
                u64::from(self.program),
            ),
            ("term", "Term of the server that this mount knew last.", self.term),
            (
                "clients_at_recovery",
                "Clients mounted when this mount last began to serve.",
                self.clients,
            ),
        ];
        for (name, help, value) in gauges {
            line(
                &mut text,
                format_args!("# HELP ostrakon_{name} {help}\n# TYPE ostrakon_{name} gauge"),
            );
            line(&mut text, format_args!("ostrakon_{name}{{{labels}}} {value}"));
        }
        line(
            &mut text,
            format_args!(
                "# HELP ostrakon_events_total Events told, by name.\n# TYPE ostrakon_events_total counter"
            ),
        );
        for (event, count) in &self.events {
            line(
                &mut text,
                format_args!("ostrakon_events_total{{{labels},event=\"{event}\"}} {count}"),
            );
        }
        line(
            &mut text,
            format_args!(
                "# HELP ostrakon_errors_total Things that went wrong, by kind.\n# TYPE ostrakon_errors_total counter"
            ),
        );
        for (kind, count) in &self.errors {
            line(
                &mut text,
                format_args!("ostrakon_errors_total{{{labels},kind=\"{kind}\"}} {count}"),
            );
        }
        line(
            &mut text,
            format_args!(
                "# HELP ostrakon_fences_total Fence requests answered, by result.\n# TYPE ostrakon_fences_total counter"
            ),
        );
        for (result, count) in ["failed", "done"].iter().zip(self.fences) {
            line(
                &mut text,
                format_args!("ostrakon_fences_total{{{labels},result=\"{result}\"}} {count}"),
            );
        }
        text
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes everything");
}

/// Whoever reads finds the old state or the new one, never half of one.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn event(name: &'static str, fields: serde_json::Value) -> Description {
        let fields = fields.as_object().cloned().unwrap_or_else(Map::new);
        Description {
            event: name,
            fields,
            text: String::new(),
        }
    }

    #[test]
    fn events_become_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ostrakon.prom");
        let mut metrics = Metrics::start(&path).unwrap();
        metrics.begin(Rid::new(7).unwrap(), VolumeId([1; 16]));
        metrics.count(&event("serving", json!({ "term": 4 })));
        metrics.count(&event("error", json!({ "kind": "disk" })));
        metrics.count(&event("fence_report", json!({ "done": true })));
        metrics.count(&event("fence_report", json!({ "done": false })));
        let text = metrics.text();
        for line in [
            "ostrakon_leads{rid=\"0000000000000007\",volume=\"01010101010101010101010101010101\"} 1\n",
            "event=\"serving\"} 1\n",
            "ostrakon_term{",
            "kind=\"disk\"} 1\n",
            "result=\"done\"} 1\n",
            "result=\"failed\"} 1\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        metrics.count(&event("stopped_serving", json!({})));
        assert!(metrics.text().contains("01010101\"} 0\n"));
        let begun = std::time::Instant::now();
        while std::fs::read_to_string(&path).unwrap() != metrics.text() {
            assert!(begun.elapsed().as_secs() < 10);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}
