//! One client: core's mount, its socket, and the bytes between them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use ostrakon_core::bounds::MESSAGE_BYTES_MAX;
use ostrakon_core::mount::Mount;
use ostrakon_core::net::{CloseReason, ConnId, NetRequest};
use ostrakon_core::service::NoService;
use ostrakon_core::time::Instant;
use ostrakon_linux::clock;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, socket_with};

/// Bytes of one read.
const READ_BYTES: usize = 4 * MESSAGE_BYTES_MAX;

/// A client.
pub(super) struct Unit {
    pub(super) mount: Mount<(), NoService>,
    source: Option<Ipv4Addr>,
    stream: Option<TcpStream>,
    connecting: bool,
    input: Vec<u8>,
    output: Vec<u8>,
    /// What is to be told to core at the next turn.
    closed: Option<CloseReason>,
    connected: bool,
}

impl Unit {
    pub(super) fn new(mount: Mount<(), NoService>, source: Option<Ipv4Addr>) -> Self {
        Self {
            mount,
            source,
            stream: None,
            connecting: false,
            input: Vec::new(),
            output: Vec::new(),
            closed: None,
            connected: false,
        }
    }

    /// Whether core has to hear of something at once.
    pub(super) const fn has_news(&self) -> bool {
        self.closed.is_some() || self.connected
    }

    /// Hands core what came of its requests.
    pub(super) fn tell_news(&mut self, now: Instant) {
        if let Some(reason) = self.closed.take() {
            self.mount.handle_closed(now, ConnId::CLIENT, reason);
        }
        if std::mem::take(&mut self.connected) {
            self.mount.handle_connected(now, ConnId::CLIENT);
        }
    }

    /// Carries out what core asks of the network.
    pub(super) fn request(&mut self, request: NetRequest, registry: &Registry, token: Token) {
        match request {
            NetRequest::Connect(_, addr) => match self.connect(addr, registry, token) {
                Ok(()) => {}
                Err(error) => self.closed = Some(reason(error.kind())),
            },
            NetRequest::Close(_) => self.drop_stream(),
            // Servers listen.
            NetRequest::Listen(_) | NetRequest::Unlisten => {}
        }
    }

    fn connect(&mut self, addr: SocketAddr, registry: &Registry, token: Token) -> std::io::Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let family = match addr {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
        if let (Some(source), true) = (self.source, addr.is_ipv4()) {
            bind(&socket, &SocketAddrV4::new(source, 0))?;
        }
        match connect(&socket, &addr) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut stream = TcpStream::from_std(std::net::TcpStream::from(socket));
        // Slower without, and otherwise the same.
        let _ = stream.set_nodelay(true);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        self.stream = Some(stream);
        self.connecting = true;
        Ok(())
    }

    fn drop_stream(&mut self) {
        self.flush();
        self.stream = None;
        self.connecting = false;
        self.input.clear();
        self.output.clear();
    }

    fn lose(&mut self, reason: CloseReason) {
        if self.stream.take().is_some() {
            self.drop_stream();
            self.closed = Some(reason);
        }
    }

    /// The socket is ready for something.
    pub(super) fn ready(&mut self, scratch: &mut [u8]) {
        if self.connecting {
            let Some(stream) = &self.stream else { return };
            match (stream.take_error(), stream.peer_addr()) {
                (Ok(Some(error)) | Err(error), _) => return self.lose(reason(error.kind())),
                (Ok(None), Ok(_)) => {
                    self.connecting = false;
                    self.connected = true;
                }
                (Ok(None), Err(error)) if error.kind() == ErrorKind::NotConnected => return,
                (Ok(None), Err(error)) => return self.lose(reason(error.kind())),
            }
        }
        // Core hears of the connection before it hears from it.
        self.tell_news(clock::now());
        self.flush();
        self.read(scratch);
    }

    fn read(&mut self, scratch: &mut [u8]) {
        while let Some(stream) = &mut self.stream {
            match stream.read(scratch) {
                Ok(0) => self.lose(CloseReason::ByPeer),
                Ok(count) => {
                    self.input.extend_from_slice(&scratch[..count]);
                    let used = self
                        .mount
                        .handle_bytes(clock::now(), ConnId::CLIENT, &mut self.input);
                    self.input.drain(..used);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.lose(reason(error.kind())),
            }
        }
    }

    /// Takes a message to be sent.
    pub(super) fn transmit(&mut self, message: &[u8]) {
        if self.stream.is_some() {
            self.output.extend_from_slice(message);
        }
    }

    /// Sends what the socket takes.
    pub(super) fn flush(&mut self) {
        if self.connecting {
            return;
        }
        while let (Some(stream), false) = (&mut self.stream, self.output.is_empty()) {
            match stream.write(&self.output) {
                Ok(count) if count > 0 => drop(self.output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Reading tells how it ended.
                Ok(_) | Err(_) => self.output.clear(),
            }
        }
        if self.output.is_empty() {
            // Idle clients by the thousand keep no memory for this.
            self.output = Vec::new();
        }
    }
}

/// Room for one read, shared by all clients.
pub(super) fn scratch() -> Vec<u8> {
    vec![0; READ_BYTES]
}

fn reason(kind: ErrorKind) -> CloseReason {
    match kind {
        ErrorKind::ConnectionRefused => CloseReason::Refused,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => CloseReason::ByPeer,
        _ => CloseReason::Failed,
    }
}
