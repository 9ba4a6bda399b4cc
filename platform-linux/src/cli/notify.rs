//! What systemd is told (`sd_notify`): a datagram to the socket that the environment names. Written here because it is
//! shorter than what a dependency would have to be looked after for.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Tells the service manager how this service is. Does nothing where there is none.
#[derive(Debug)]
pub(super) struct Notify(Option<UnixDatagram>);

impl Notify {
    /// To the manager that the environment names.
    pub(super) fn from_environment() -> Self {
        Self(std::env::var_os("NOTIFY_SOCKET").and_then(connect))
    }

    /// Never waits: a manager that takes nothing is not waited for.
    pub(super) fn tell(&self, text: &str) {
        if let Some(socket) = &self.0 {
            let _ = socket.send(text.as_bytes());
        }
    }

    /// What to tell of an event.
    pub(super) fn event(&self, event: &str, text: &str) {
        if self.0.is_none() {
            return;
        }
        let status = format!("STATUS={} {text}", event.replace('_', " "));
        match event {
            "connected" => self.tell(&format!("READY=1\n{status}")),
            "unmounting" => self.tell(&format!("STOPPING=1\n{status}")),
            "silencing" => {}
            _ => self.tell(&status),
        }
    }
}

/// How often the manager wants to hear that this process lives: twice in the time after which it takes it for dead.
pub(super) fn heartbeat_interval() -> Option<Duration> {
    let pid = std::env::var("WATCHDOG_PID").ok();
    if pid.is_some_and(|pid| pid != std::process::id().to_string()) {
        return None;
    }
    let us: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    Some(Duration::from_micros(us / 2)).filter(|interval| !interval.is_zero())
}

fn connect(name: OsString) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&name),
    };
    socket.connect_addr(&address.ok()?).ok()?;
    Some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_sockets_are_reached() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("ostrakon-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        for (named, socket) in [
            (path.into_os_string(), by_path),
            (format!("@{name}").into(), by_name),
        ] {
            let notify = Notify(connect(named));
            let heard = |event: &str| {
                notify.event(event, "server 1");
                let mut bytes = [0; 100];
                let length = socket.recv(&mut bytes).unwrap();
                String::from_utf8(bytes[..length].to_vec()).unwrap()
            };
            assert_eq!(heard("connected"), "READY=1\nSTATUS=connected server 1");
            assert_eq!(heard("unmounting"), "STOPPING=1\nSTATUS=unmounting server 1");
            assert_eq!(heard("stopped_serving"), "STATUS=stopped serving server 1");
        }
        assert!(connect("/nonexistent/notify".into()).is_none());
        Notify(None).event("connected", "nobody listens");
    }
}
