//! The network card as smoltcp sees it: frames in static buffers, lent to the device and taken back.

use log::warn;
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use virtio_drivers::device::net::VirtIONetRaw;

use crate::{IdentityMapped, Link, Plain, TakeOnce};

/// Frames that can be on their way each way.
const FRAMES: usize = 16;

/// Bytes of a frame with virtio's header: what the driver asks for at least.
const FRAME_BYTES: usize = 1536;

/// Longest Ethernet frame.
const MTU: usize = 1514;

struct Frame([u8; FRAME_BYTES]);

static INCOMING: TakeOnce<[Frame; FRAMES]> = TakeOnce::new();
static OUTGOING: TakeOnce<[Frame; FRAMES]> = TakeOnce::new();

type Raw = VirtIONetRaw<IdentityMapped, Plain, FRAMES>;

/// Which frame a token of the device stands for.
type Lent = [Option<u16>; FRAMES];

/// The same for frames of which only the beginning is lent, of this length.
type LentParts = [Option<(u16, usize)>; FRAMES];

/// The network card.
pub struct Card {
    raw: Raw,
    link: Link,
    incoming: &'static mut [Frame; FRAMES],
    incoming_lent: Lent,
    outgoing: &'static mut [Frame; FRAMES],
    outgoing_lent: LentParts,
}

impl Card {
    /// Takes the device; `None` if it does not come up.
    pub fn start(transport: Plain) -> Option<Self> {
        let link = transport.link()?;
        let mut raw = Raw::new(transport).ok()?;
        raw.enable_interrupts();
        let mut card = Self {
            raw,
            link,
            incoming: INCOMING.fill_each(|| Frame([0; FRAME_BYTES])),
            incoming_lent: [None; FRAMES],
            outgoing: OUTGOING.fill_each(|| Frame([0; FRAME_BYTES])),
            outgoing_lent: [None; FRAMES],
        };
        (0..FRAMES).for_each(|index| card.lend(index));
        Some(card)
    }

    /// Its address.
    pub fn address(&self) -> [u8; 6] {
        self.raw.mac_address()
    }

    /// Lets the device's next interrupt come.
    pub fn acknowledge(&mut self) {
        self.raw.ack_interrupt();
    }

    /// Whether the cable is plugged in.
    pub fn is_plugged_in(&self) -> bool {
        self.link.is_up()
    }

    /// Whether the device holds every frame that is to be sent: it takes no more.
    pub fn is_stuck(&mut self) -> bool {
        self.take_back_sent();
        self.outgoing_lent.iter().all(Option::is_some)
    }

    fn lend(&mut self, index: usize) {
        // SAFETY: the frame is static, and nobody touches it before `receive` takes it back.
        match unsafe { self.raw.receive_begin(&mut self.incoming[index].0) } {
            Ok(token) => self.incoming_lent[index] = Some(token),
            Err(error) => warn!("net: the queue takes no frame to receive into: {error:?}"),
        }
    }

    /// A frame that came in, and where its content lies.
    fn next_received(&mut self) -> Option<(usize, core::ops::Range<usize>)> {
        loop {
            let token = self.raw.poll_receive()?;
            let index = self.incoming_lent.iter().position(|&lent| lent == Some(token))?;
            self.incoming_lent[index] = None;
            // SAFETY: the frame that this token was given for.
            match unsafe { self.raw.receive_complete(token, &mut self.incoming[index].0) } {
                Ok((header, length)) if header + length <= FRAME_BYTES => {
                    return Some((index, header..header + length));
                }
                other => warn!("net: a frame that cannot be: {other:?}"),
            }
            self.lend(index);
        }
    }

    fn take_back_sent(&mut self) {
        while let Some(token) = self.raw.poll_transmit() {
            let lent = self.outgoing_lent.iter().enumerate();
            let mut found = lent.filter_map(|(index, lent)| lent.map(|(of, length)| (of, index, length)));
            let Some((_, index, length)) = found.find(|&(of, ..)| of == token) else {
                return;
            };
            self.outgoing_lent[index] = None;
            // SAFETY: the very bytes that this token was given for.
            if let Err(error) = unsafe {
                self.raw
                    .transmit_complete(token, &self.outgoing[index].0[..length])
            } {
                warn!("net: a frame was not sent: {error:?}");
            }
        }
    }

    fn send(&mut self, length: usize, fill: impl FnOnce(&mut [u8])) {
        let Some(index) = self.outgoing_lent.iter().position(Option::is_none) else {
            return;
        };
        let frame = &mut self.outgoing[index].0;
        let Ok(header) = self.raw.fill_buffer_header(frame) else {
            return;
        };
        fill(&mut frame[header..header + length]);
        // SAFETY: the frame is static, and nobody touches it before `take_back_sent` takes it back.
        match unsafe { self.raw.transmit_begin(&frame[..header + length]) } {
            Ok(token) => self.outgoing_lent[index] = Some((token, header + length)),
            Err(error) => warn!("net: the queue takes no frame: {error:?}"),
        }
    }
}

impl Device for Card {
    type RxToken<'a> = Received;
    type TxToken<'a> = ToSend<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received, ToSend<'_>)> {
        self.take_back_sent();
        // A frame may have to be answered at once: none is taken while there is no room for the answer.
        self.outgoing_lent.iter().position(Option::is_none)?;
        let (index, content) = self.next_received()?;
        // Copied, so that the frame can be lent again while the answer borrows the card.
        let mut received = Received {
            bytes: [0; FRAME_BYTES],
            length: content.len(),
        };
        received.bytes[..content.len()].copy_from_slice(&self.incoming[index].0[content]);
        self.lend(index);
        Some((received, ToSend(self)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<ToSend<'_>> {
        self.take_back_sent();
        self.outgoing_lent.iter().position(Option::is_none)?;
        Some(ToSend(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = MTU;
        capabilities.max_burst_size = Some(FRAMES);
        capabilities
    }
}

/// A frame that came in.
pub struct Received {
    bytes: [u8; FRAME_BYTES],
    length: usize,
}

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.bytes[..self.length])
    }
}

/// The right to send one frame.
pub struct ToSend<'a>(&'a mut Card);

impl TxToken for ToSend<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut scratch = [0; MTU];
        let result = f(&mut scratch[..length]);
        self.0
            .send(length, |frame| frame.copy_from_slice(&scratch[..length]));
        result
    }
}
