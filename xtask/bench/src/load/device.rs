//! The readings of the super block that clients ask for while they look for a server.

use ostrakon_core::bounds::BLOCK_BYTES;
use ostrakon_core::disk::{DiskError, DiskRequest, IoId};
use ostrakon_core::ids::BlockNo;
use ostrakon_linux::disk::{AlignedBuffer, DeviceFile};
use ostrakon_xtask::failure::{Failure, Result};

/// Which client asked, under which name, and for what.
#[derive(Clone, Copy)]
struct Wish {
    unit: usize,
    id: IoId,
    first: BlockNo,
    count: u32,
}

/// The device, and what is to be read from it.
pub(super) struct Device {
    file: DeviceFile,
    wishes: Vec<Wish>,
}

/// An answer: for whom, under which name, and the bytes or an error.
pub(super) type Answer<'a> = (usize, IoId, std::result::Result<&'a [u8], DiskError>);

impl Device {
    pub(super) const fn new(file: DeviceFile) -> Self {
        Self {
            file,
            wishes: Vec::new(),
        }
    }

    /// Notes what a client asks for. A plain client only reads.
    pub(super) fn ask(&mut self, unit: usize, request: DiskRequest) -> Result<()> {
        match request {
            DiskRequest::Read { id, first, count, .. } => {
                self.wishes.push(Wish {
                    unit,
                    id,
                    first,
                    count,
                });
                Ok(())
            }
            _ => Err(Failure::new(format!("a plain client asked for {request:?}"))),
        }
    }

    /// Reads whatever is wanted once, and hands it to all who asked for it before.
    pub(super) fn serve(&mut self, mut answer: impl FnMut(Answer<'_>)) {
        let mut wishes = std::mem::take(&mut self.wishes);
        wishes.sort_by_key(|wish| (wish.first, wish.count));
        for group in wishes.chunk_by(|one, other| (one.first, one.count) == (other.first, other.count)) {
            let (first, count) = (group[0].first, group[0].count as usize);
            let mut buffer = AlignedBuffer::blocks(count);
            let read = self.file.read_at(first, buffer.bytes_mut());
            for wish in group {
                let bytes = &buffer.bytes()[..count * BLOCK_BYTES];
                answer((
                    wish.unit,
                    wish.id,
                    read.map(|()| bytes).map_err(|error| error.class()),
                ));
            }
        }
    }
}
