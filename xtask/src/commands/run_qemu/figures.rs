//! What a node needs of memory.

use std::fmt;
use std::path::Path;

use ostrakon_xtask::failure::{During, Result};

use super::fleet::Fleet;

/// Bytes of the image, by its ELF headers: the file also holds symbols and defmt's messages, which are never loaded.
#[derive(Clone, Copy, Debug)]
pub(super) struct ImageSize {
    loaded: u64,
    in_memory: u64,
}

/// The class of an ELF file of 32 bits.
const ELF32: u64 = 1;

impl ImageSize {
    /// Of the image in this file.
    pub(super) fn of(image: &Path) -> Result<Self> {
        let file = std::fs::read(image).during(format!("reading {}", image.display()))?;
        Ok(Self::of_elf(&file))
    }

    fn of_elf(file: &[u8]) -> Self {
        let field = |at: usize, length: usize| {
            let bytes = file.get(at..).and_then(|rest| rest.get(..length));
            let bytes = bytes.unwrap_or_default();
            bytes
                .iter()
                .rev()
                .fold(0_u64, |value, &byte| value << 8 | u64::from(byte))
        };
        // ELF64 and ELF32: where the program headers are, how long each and how many; type 1 is loaded.
        let is_64 = field(4, 1) != ELF32;
        let (first, size, count) = match is_64 {
            true => (field(32, 8), field(54, 2), field(56, 2)),
            false => (field(28, 4), field(42, 2), field(44, 2)),
        };
        let headers = (0..count).map(|index| first.saturating_add(index * size) as usize);
        // Within the file, so that no field of it lies beyond what can be counted.
        let headers = headers.filter(|&at| at < file.len());
        let loads: Vec<usize> = headers.filter(|&at| field(at, 4) == 1).collect();
        // In the file, and right after it in memory.
        let length = |at: usize, which: usize| match is_64 {
            true => field(at + 32 + 8 * which, 8),
            false => field(at + 16 + 4 * which, 4),
        };
        Self {
            loaded: loads.iter().map(|&at| length(at, 0)).sum(),
            in_memory: loads.iter().map(|&at| length(at, 1)).sum(),
        }
    }
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} KiB to load, {} KiB",
            self.loaded / 1024,
            self.in_memory / 1024
        )?;
        f.write_str(" in memory with its stack and every buffer")
    }
}

/// The memory of a node, in words; `resident_kib` is what QEMU processes held.
pub(super) fn memory(fleet: &Fleet, size: ImageSize, resident_kib: &[u64]) -> String {
    let stack = fleet.news.look(|items| {
        let exits = items.iter().filter(|item| item.name() == "exit");
        exits.filter_map(|item| item.word(1).parse::<u64>().ok()).max()
    });
    let mut text = format!("Memory of a node: {size}");
    if let Some(stack) = stack {
        text += &format!(
            "; {:.0} KiB of the stack were used at most",
            stack as f64 / 1024.0
        );
    }
    if let Some(largest) = resident_kib.iter().max() {
        text += &format!(
            ". Its QEMU process holds {:.0} MiB of this host at most",
            *largest as f64 / 1024.0
        );
    }
    text + "."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_loaded_counts() {
        let mut file = vec![0; 64 + 2 * 56];
        file[32] = 64;
        file[54] = 56;
        file[56] = 2;
        let mut header = |at: usize, kind: u8, in_file: u8, in_memory: u8| {
            file[at] = kind;
            file[at + 32] = in_file;
            file[at + 40] = in_memory;
        };
        header(64, 1, 100, 200);
        header(64 + 56, 4, 50, 50);
        let size = ImageSize::of_elf(&file);
        assert_eq!((size.loaded, size.in_memory), (100, 200));
        let mut file = vec![0; 52 + 32];
        file[4] = 1;
        file[28] = 52;
        file[42] = 32;
        file[44] = 1;
        (file[52], file[52 + 16], file[52 + 20]) = (1, 100, 200);
        let size = ImageSize::of_elf(&file);
        assert_eq!((size.loaded, size.in_memory), (100, 200), "of 32 bits");
        let garbage = ImageSize::of_elf(&[0xff; 70]);
        assert_eq!(garbage.loaded, 0, "nothing to be found, and no panic");
    }
}
