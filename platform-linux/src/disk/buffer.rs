//! Memory that O_DIRECT accepts.

use memmap2::MmapMut;
use ostrakon_core::bounds::BLOCK_BYTES;

/// Bytes at an address that is a multiple of the block size, as O_DIRECT asks for.
///
/// They are pages of their own: the system has them only once they are used, and has them back when the buffer goes, which
/// an allocator would put off.
pub struct AlignedBuffer(MmapMut);

impl AlignedBuffer {
    /// A buffer of this many blocks, all zero.
    ///
    /// # Panics
    /// If there is no memory left, as any allocation ends the process.
    pub fn blocks(count: usize) -> Self {
        let memory = MmapMut::map_anon(count * BLOCK_BYTES).expect("memory for a buffer");
        assert!(
            memory.as_ptr().align_offset(BLOCK_BYTES) == 0,
            "a page is a block or several"
        );
        Self(memory)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl std::fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlignedBuffer({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_buffer_is_aligned_and_as_long_as_asked() {
        for count in [1, 2, 3, 64] {
            let mut buffer = AlignedBuffer::blocks(count);
            assert_eq!(buffer.bytes().as_ptr().align_offset(BLOCK_BYTES), 0);
            assert_eq!(buffer.bytes().len(), count * BLOCK_BYTES);
            buffer.bytes_mut().fill(7);
            assert!(buffer.bytes().iter().all(|&byte| byte == 7));
        }
    }
}
