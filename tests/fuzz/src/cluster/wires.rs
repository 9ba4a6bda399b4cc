//! Connections: between mounts, and from strangers that say anything.

use arbitrary::{Result, Unstructured};
use ostrakon_core::bounds::MESSAGE_BYTES_MAX;
use ostrakon_core::net::{CloseReason, ConnId};

use super::Cluster;
use crate::messages::any_frame;
use crate::mutate::damage;

/// Bytes that wait at one end, beyond which a peer stops sending.
const WAITING_MAX: usize = 8 * MESSAGE_BYTES_MAX;
/// Connections beyond which no stranger comes.
const WIRES_MAX: usize = 32;

/// One end of a connection.
#[derive(Clone, Debug, Default)]
struct End {
    /// Whose, and its name there; nobody's is a stranger's, or is closed.
    who: Option<(usize, ConnId)>,
    /// What has come in.
    received: Vec<u8>,
}

/// A connection: who opened it, and who accepted it.
#[derive(Clone, Debug, Default)]
pub(super) struct Wire {
    ends: [End; 2],
    stranger: bool,
}

impl Cluster {
    fn end(&self, host: usize, conn: ConnId) -> Option<(usize, usize)> {
        let mut wires = self.wires.iter().enumerate();
        wires.find_map(|(wire, found)| {
            let end = found.ends.iter().position(|end| end.who == Some((host, conn)))?;
            Some((wire, end))
        })
    }

    /// A mount sends.
    pub(super) fn send(&mut self, host: usize, conn: ConnId, bytes: &[u8]) {
        let Some((wire, end)) = self.end(host, conn) else {
            panic!("host {host} sends on {conn:?}, which is closed");
        };
        let received = &mut self.wires[wire].ends[1 - end].received;
        if received.len() < WAITING_MAX {
            received.extend_from_slice(bytes);
        }
    }

    /// A mount closes its end.
    pub(super) fn close(&mut self, host: usize, conn: ConnId) {
        if let Some((wire, end)) = self.end(host, conn) {
            self.wires[wire].ends[end] = End::default();
        }
    }

    /// The connection that a host waits for comes to be, if its peer listens, or fails as this says.
    pub(super) fn answer_connect(&mut self, index: usize, failure: Option<CloseReason>) {
        let Some((conn, addr)) = self.hosts[index].connecting.take() else {
            return;
        };
        let peer = self
            .hosts
            .iter()
            .position(|host| host.listens && host.addr == addr);
        let accepted = match (failure, peer) {
            (None, Some(peer)) => self.hosts[peer]
                .mount
                .handle_accept(self.now)
                .map(|name| (peer, name)),
            _ => None,
        };
        let mount = &mut self.hosts[index].mount;
        let Some(server) = accepted else {
            mount.handle_closed(self.now, conn, failure.unwrap_or(CloseReason::Refused));
            return;
        };
        mount.handle_connected(self.now, conn);
        let mut wire = Wire::default();
        (wire.ends[0].who, wire.ends[1].who) = (Some((index, conn)), Some(server));
        self.wires.push(wire);
    }

    /// Everything that was sent comes in, and nobody keeps half a connection. False if nothing was under way.
    pub(super) fn carry_all(&mut self) -> bool {
        let mut heard = false;
        for wire in 0..self.wires.len() {
            for end in 0..2 {
                heard |= self.offer(wire, end) | self.hang_up(wire, end);
            }
        }
        let alive = |wire: &Wire| wire.ends.iter().any(|end| end.who.is_some());
        self.wires.retain(alive);
        heard
    }

    /// Offers what has come in at one end. False if nothing of it was taken.
    fn offer(&mut self, wire: usize, end: usize) -> bool {
        let End { who, received } = &mut self.wires[wire].ends[end];
        let Some((host, conn)) = *who else {
            received.clear();
            return false;
        };
        let mut used = 0;
        if !received.is_empty() {
            used = self.hosts[host].mount.handle_bytes(self.now, conn, received);
            assert!(used <= received.len(), "more was taken than had come in");
            received.drain(..used);
        }
        used > 0
    }

    /// Tells this end that the other is gone, if it is.
    fn hang_up(&mut self, wire: usize, end: usize) -> bool {
        let wire = &mut self.wires[wire];
        let alone = wire.ends[1 - end].who.is_none() && !wire.stranger;
        if alone && let Some((host, conn)) = core::mem::take(&mut wire.ends[end]).who {
            self.hosts[host]
                .mount
                .handle_closed(self.now, conn, CloseReason::ByPeer);
            return true;
        }
        false
    }

    /// Somebody in the network does something: a stranger comes, speaks or goes, or bytes change on their way.
    pub(super) fn meddle(&mut self, u: &mut Unstructured<'_>, index: usize) -> Result<()> {
        if self.wires.is_empty() || u.ratio(1, 4)? {
            if self.hosts[index].listens && self.wires.len() < WIRES_MAX {
                self.knock(index);
            }
            return Ok(());
        }
        let wire = u.choose_index(self.wires.len())?;
        let end = u.choose_index(2)?;
        match u.int_in_range(0..=3)? {
            0 => {
                let frame = any_frame(u)?;
                self.wires[wire].ends[end].received.extend(frame);
            }
            1 => {
                let received = &mut self.wires[wire].ends[end].received;
                damage(u, received)?;
            }
            2 => {
                let received = &mut self.wires[wire].ends[end].received;
                let length = u.int_in_range(0..=received.len())?;
                received.truncate(length);
            }
            _ => {
                self.wires[wire].stranger = false;
                let lost = core::mem::take(&mut self.wires[wire].ends[end]);
                if let Some((host, conn)) = lost.who {
                    let reason = *u.choose(&[CloseReason::ByPeer, CloseReason::Failed])?;
                    self.hosts[host].mount.handle_closed(self.now, conn, reason);
                }
            }
        }
        self.offer(wire, end);
        Ok(())
    }

    /// A stranger connects to this host.
    fn knock(&mut self, index: usize) {
        if let Some(name) = self.hosts[index].mount.handle_accept(self.now) {
            let mut wire = Wire {
                stranger: true,
                ..Wire::default()
            };
            wire.ends[1].who = Some((index, name));
            self.wires.push(wire);
        }
    }
}
