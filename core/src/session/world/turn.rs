//! One turn of a node: its machines do what is due, and what they ask for is carried out.

use super::*;

impl World {
    pub(super) fn turn(&mut self, node: usize) -> bool {
        let now = self.now;
        let this = &mut self.nodes[node];
        if this.asleep {
            return false;
        }
        let ballot = this.server.as_ref().and_then(|server| server.serving());
        this.client.set_local_server(now, ballot);
        this.client.poll(now);
        if let Some(server) = &mut this.server {
            server.poll(now, this.may_act);
            this.events.extend(core::iter::from_fn(|| server.poll_event()));
            this.fences
                .extend(core::iter::from_fn(|| server.poll_fence(now, this.may_act)));
        }
        let told = this.events.len();
        this.events
            .extend(core::iter::from_fn(|| this.client.poll_event()));
        let news = this.events.len() > told;
        let mut busy = news || this.server.as_ref().and_then(|server| server.serving()) != ballot;
        while let Some(request) = self.nodes[node].client.poll_net(now) {
            busy = true;
            self.client_net(node, request);
        }
        while let Some(request) = self.nodes[node]
            .server
            .as_mut()
            .and_then(|server| server.poll_net(now))
        {
            busy = true;
            self.server_net(node, request);
        }
        busy |= self.transmit(node);
        busy | self.io(node)
    }

    fn client_net(&mut self, node: usize, request: NetRequest) {
        match request {
            NetRequest::Connect(conn, to) => {
                let local = conn == ConnId::LOCAL;
                let host = (0..self.nodes.len()).find(|&host| {
                    let wanted = if local { host == node } else { addr(host) == to };
                    wanted && self.nodes[host].server.is_some() && (local || self.nodes[host].listening)
                });
                if host.is_some_and(|host| self.nodes[host].asleep) {
                    // Nobody answers.
                    return;
                }
                let now = self.now;
                let accepted = host.and_then(|host| {
                    let server = self.server(host);
                    let conn = if local {
                        server.handle_accept_local(now)
                    } else {
                        server.handle_accept(now)
                    };
                    Some((host, conn?))
                });
                match accepted {
                    Some((host, server_conn)) => {
                        self.wire(End::Mount(node), host, server_conn);
                        self.nodes[node].client.handle_connected(now, conn);
                    }
                    None => self.nodes[node]
                        .client
                        .handle_closed(now, conn, CloseReason::Refused),
                }
            }
            NetRequest::Close(conn) => {
                let local = conn == ConnId::LOCAL;
                let mine = |wire: &Wire| wire.end == End::Mount(node) && (wire.host == node) == local;
                for wire in self.take_wires(mine) {
                    let now = self.now;
                    self.server(wire.host).handle_closed(now, wire.conn);
                }
            }
            other => panic!("a client does not ask for {other:?}"),
        }
    }

    fn server_net(&mut self, node: usize, request: NetRequest) {
        let now = self.now;
        match request {
            NetRequest::Listen(_) => {
                let can = self.nodes[node].can_listen;
                self.nodes[node].listening = can;
                let outcome = if can { Ok(()) } else { Err(CloseReason::Failed) };
                self.server(node).handle_listening(now, outcome);
            }
            NetRequest::Unlisten => self.nodes[node].listening = false,
            NetRequest::Close(conn) => {
                let index = self
                    .wires
                    .iter()
                    .position(|wire| wire.host == node && wire.conn == conn && !wire.closed)
                    .expect("it closes what is open");
                if self.wires[index].end == End::Raw {
                    self.wires[index].closed = true;
                } else {
                    let wire = self.wires.remove(index);
                    self.closed_for_client(&wire, CloseReason::ByPeer);
                }
            }
            other => panic!("a server does not ask for {other:?}"),
        }
    }

    fn transmit(&mut self, node: usize) -> bool {
        let now = self.now;
        let mut busy = false;
        let mut buffer = [0; crate::bounds::MESSAGE_BYTES_MAX];
        while let Some((conn, length)) = self.nodes[node].client.poll_transmit(now, &mut buffer) {
            busy = true;
            let local = conn == ConnId::LOCAL;
            let wire = self
                .wires
                .iter_mut()
                .find(|wire| wire.end == End::Mount(node) && (wire.host == node) == local);
            wire.expect("it is connected")
                .up
                .extend_from_slice(&buffer[..length]);
        }
        loop {
            let this = &mut self.nodes[node];
            let may_act = this.may_act;
            let message = this
                .server
                .as_mut()
                .and_then(|server| server.poll_transmit(now, may_act, &mut buffer));
            let Some((conn, length)) = message else { break };
            busy = true;
            let wire = self
                .wires
                .iter_mut()
                .find(|wire| wire.host == node && wire.conn == conn && !wire.closed)
                .expect("it is connected");
            if !wire.mute {
                wire.down.extend_from_slice(&buffer[..length]);
            }
        }
        busy
    }

    pub(super) fn move_bytes(&mut self) -> bool {
        let now = self.now;
        let mut busy = false;
        for index in 0..self.wires.len() {
            let Wire {
                end,
                host,
                conn,
                closed,
                ..
            } = self.wires[index];
            let mut up = core::mem::take(&mut self.wires[index].up);
            if !up.is_empty() && !closed {
                let used = self.server(host).handle_bytes(now, conn, &mut up);
                busy |= used > 0;
                self.wires[index].up = up[used..].to_vec();
            }
            let End::Mount(node) = end else {
                let state = self.disk.super_block();
                busy |= self.wires[index].hear(&state);
                continue;
            };
            if self.nodes[node].asleep {
                continue;
            }
            let mut down = core::mem::take(&mut self.wires[index].down);
            if !down.is_empty() {
                let conn = if node == host {
                    ConnId::LOCAL
                } else {
                    ConnId::CLIENT
                };
                let used = self.nodes[node].client.handle_bytes(now, conn, &mut down);
                busy |= used > 0;
                self.wires[index].down = down[used..].to_vec();
            }
        }
        busy
    }

    fn io(&mut self, node: usize) -> bool {
        let now = self.now;
        let mut busy = false;
        let mut buffer = std::vec![0; crate::bounds::BLOCK_BYTES * 8];
        loop {
            let this = &mut self.nodes[node];
            let id = IoId(this.next_io);
            let may_act = this.may_act;
            let request = this.client.poll_disk(now, id).or_else(|| {
                let server = this.server.as_mut()?;
                server.poll_disk(now, may_act, id, &mut buffer)
            });
            let Some(request) = request else { break };
            busy = true;
            self.nodes[node].next_io += 1;
            self.disk.issue(node, request, &buffer);
        }
        while let Some(done) = self.disk.complete(node) {
            busy = true;
            let this = &mut self.nodes[node];
            this.client.handle_disk(now, done.id, done.outcome());
            if let Some(server) = &mut this.server {
                server.handle_disk(now, done.id, done.outcome());
            }
        }
        busy
    }

    // What scenarios ask.
}
