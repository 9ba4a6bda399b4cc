//! One who knows the volume's key and is no mount of ours: it greets like a client, and can be made to say anything.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use ostrakon_core::bounds::MESSAGE_BYTES_MAX;
use ostrakon_core::format::hello::{CHALLENGE_BYTES, HELLO_BYTES, Offer, REPLY_BYTES};
use ostrakon_core::format::wire::{Command, Greeting, Message, RequestId, Status, frame_length};
use ostrakon_core::format::{FenceParam, SuperBlock, VERSION};
use ostrakon_core::ids::{BootId, HostId, Rid};
use ostrakon_core::noise::{Entropy, Heard, Initiator, Secret};
use ostrakon_linux::disk::Access;
use ostrakon_linux::entropy;
use ostrakon_linux::offline::Volume;
use ostrakon_xtask::failure::{Failure, Result, ensure};

/// The server closes what it does not like at once; this is for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the server listens, and what everybody knows who can read the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) port: SocketAddr,
    state: SuperBlock,
}

impl Target {
    pub(crate) fn read(port: SocketAddr, image: &Path) -> Result<Self> {
        let volume = Volume::open(image, Access::Read).map_err(|error| Failure::new(error.to_string()))?;
        Ok(Self {
            port,
            state: *volume.state(),
        })
    }

    fn secret(&self) -> Secret<'_> {
        Secret {
            volume: self.state.volume,
            key: &self.state.key,
        }
    }

    /// A connection, and nothing said on it.
    pub(crate) fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.port, PATIENCE)
            .map_err(|error| Failure::new(error.to_string()))?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(|error| Failure::new(error.to_string()))?;
        Ok(stream)
    }

    /// The hello of one who knows the key, to a challenge.
    pub(crate) fn hello(&self, challenge: &mut [u8; CHALLENGE_BYTES]) -> Result<(Initiator, Vec<u8>)> {
        self.hello_of(Offer::OURS, challenge)
    }

    /// The same, of one who speaks what it offers.
    fn hello_of(&self, offer: Offer, challenge: &mut [u8; CHALLENGE_BYTES]) -> Result<(Initiator, Vec<u8>)> {
        let mut line = Initiator::new(offer);
        let taken = line.take(&self.secret(), challenge);
        ensure(taken.is_ok(), || "no challenge".to_owned())?;
        let mut hello = vec![0; HELLO_BYTES];
        line.hello(&self.secret(), &mut Entropy::new(entropy::bytes()), &mut hello)
            .ok_or_else(|| Failure::new("no hello"))?;
        Ok((line, hello))
    }
}

/// What the server sent until it closed.
pub(crate) fn until_closed(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Err(Failure::new(format!("still open after {PATIENCE:?}")))
        }
        // A reset closes just as well.
        Ok(_) | Err(_) => Ok(heard),
    }
}

/// A client that has greeted.
pub(crate) struct Insider {
    pub(crate) stream: TcpStream,
    line: Initiator,
    /// Everything it said, as it went over the wire.
    pub(crate) said: Vec<Vec<u8>>,
}

impl Insider {
    pub(crate) fn greet(target: &Target) -> Result<Self> {
        let mut insider = Self::knock(target, Offer::OURS)?;
        insider.say(Command::GREETING, false, 0, &greeting(target))?;
        let mut welcome = insider.hear()?;
        let heard = insider.line.take(&target.secret(), &mut welcome);
        let Ok((Heard::Frame(frame), _)) = heard else {
            return Err(Failure::new(format!("expected a welcome, heard {heard:?}")));
        };
        let status = Message::decode(frame).map(|message| message.status);
        ensure(status == Ok(Status::Ok), || {
            format!("expected a welcome, heard {status:?}")
        })?;
        Ok(insider)
    }

    /// One who speaks what it offers, and was told what the server speaks; both have shown that they know the key.
    pub(crate) fn knock(target: &Target, offer: Offer) -> Result<Self> {
        let broken = |error: std::io::Error| Failure::new(format!("greeting: {error}"));
        let mut stream = target.connect()?;
        let mut challenge = [0; CHALLENGE_BYTES];
        stream.read_exact(&mut challenge).map_err(broken)?;
        let (mut line, hello) = target.hello_of(offer, &mut challenge)?;
        stream.write_all(&hello).map_err(broken)?;
        let mut reply = [0; REPLY_BYTES];
        stream.read_exact(&mut reply).map_err(broken)?;
        let heard = line.take(&target.secret(), &mut reply);
        ensure(matches!(heard, Ok((Heard::Reply(Offer::OURS), _))), || {
            format!("expected a reply, heard {heard:?}")
        })?;
        Ok(Self {
            stream,
            line,
            said: vec![hello],
        })
    }

    /// A message as it would go over the wire.
    pub(crate) fn sealed(&mut self, command: Command, answer: bool, id: u64, body: &[u8]) -> Vec<u8> {
        let message = Message {
            command,
            answer,
            status: Status::Ok,
            id: RequestId(id),
            released: RequestId(1),
            body,
        };
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let length = message.encode(&mut bytes).expect("a short body");
        let length = self.line.seal(&mut bytes, length).expect("an open session");
        bytes.truncate(length);
        bytes
    }

    pub(crate) fn say(&mut self, command: Command, answer: bool, id: u64, body: &[u8]) -> Result<()> {
        let bytes = self.sealed(command, answer, id, body);
        self.say_raw(&bytes)?;
        self.said.push(bytes);
        Ok(())
    }

    pub(crate) fn say_raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream
            .write_all(bytes)
            .map_err(|error| Failure::new(format!("an insider that speaks: {error}")))
    }

    /// One whole frame.
    fn hear(&mut self) -> Result<Vec<u8>> {
        let mut frame = Vec::new();
        while frame_length(&frame).ok().flatten().is_none() {
            let mut byte = [0];
            self.stream
                .read_exact(&mut byte)
                .map_err(|error| Failure::new(format!("an insider that listens: {error}")))?;
            frame.push(byte[0]);
        }
        Ok(frame)
    }
}

fn greeting(target: &Target) -> [u8; Greeting::BYTES] {
    let greeting = Greeting {
        volume: target.state.volume,
        format: VERSION,
        rid: Rid::new(u64::from_le_bytes(entropy::bytes()) | 1).expect("not 0"),
        voter: false,
        farewell: false,
        server: None,
        host: HostId(0),
        boot: BootId([0; 16]),
        addr: None,
        fence_param: FenceParam::default(),
    };
    let mut body = [0; Greeting::BYTES];
    greeting.encode(&mut body);
    body
}
