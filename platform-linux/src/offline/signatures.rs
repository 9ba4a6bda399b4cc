//! What a device may hold besides a volume of ours: the marks that file systems, volume managers, partition tables
//! and cluster software leave on it.

use std::ops::Range;

use ostrakon_core::bounds::BLOCK_BYTES;
use ostrakon_core::ids::BlockNo;

use crate::disk::{AlignedBuffer, DeviceFile, IoError};

/// Where a mark stands.
#[derive(Clone, Copy, Debug)]
enum At {
    /// Bytes from the start.
    Start(u64),
    /// Bytes from the end.
    End(u64),
    /// Bytes from the start of the last whole chunk of 64 KiB but one chunk: where version 0.90 of mdraid has it.
    MdLast,
}

struct Mark {
    name: &'static str,
    at: At,
    magic: &'static [u8],
}

const fn mark(name: &'static str, at: u64, magic: &'static [u8]) -> Mark {
    Mark {
        name,
        at: At::Start(at),
        magic,
    }
}

const fn last(name: &'static str, before_end: u64, magic: &'static [u8]) -> Mark {
    Mark {
        name,
        at: At::End(before_end),
        magic,
    }
}

const MD_MAGIC: &[u8] = &[0xfc, 0x4e, 0x2b, 0xa9];
const ZFS_MAGIC: &[u8] = &[0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0];

/// The marks, with offsets as the formats' own documents and `libblkid` have them.
const MARKS: &[Mark] = &[
    mark("ext2/3/4 file system", 0x438, b"\x53\xef"),
    mark("XFS file system", 0, b"XFSB"),
    mark("btrfs file system", 0x1_0040, b"_BHRfS_M"),
    mark(
        "bcachefs file system",
        4096 + 24,
        b"\xc6\x85\x73\xf6\x66\xce\x90\xa9",
    ),
    mark("F2FS file system", 0x400, b"\x10\x20\xf5\xf2"),
    mark("EROFS file system", 0x400, b"\xe2\xe1\xf5\xe0"),
    mark("JFS file system", 0x8000, b"JFS1"),
    mark("ReiserFS file system", 0x1_0034, b"ReIsEr"),
    mark("GFS2 file system", 0x1_0000, b"\x01\x16\x19\x70"),
    mark("OCFS2 file system", 0x800, b"OCFSV2"),
    mark("OCFS2 file system", 0x1000, b"OCFSV2"),
    mark("OCFS2 file system", 0x2000, b"OCFSV2"),
    mark("VMFS volume", 0x10_0000, b"\x0d\xd0\x01\xc0"),
    mark("NTFS file system", 3, b"NTFS    "),
    mark("exFAT file system", 3, b"EXFAT   "),
    mark("BitLocker volume", 3, b"-FVE-FS-"),
    mark("FAT file system", 0x36, b"FAT1"),
    mark("FAT file system", 0x52, b"FAT32   "),
    mark("ISO 9660 file system", 0x8001, b"CD001"),
    mark("squashfs file system", 0, b"hsqs"),
    mark("LVM2 physical volume", 0, b"LABELONE"),
    mark("LVM2 physical volume", 0x200, b"LABELONE"),
    mark("LVM2 physical volume", 0x400, b"LABELONE"),
    mark("LVM2 physical volume", 0x600, b"LABELONE"),
    mark("LUKS volume", 0, b"LUKS\xba\xbe"),
    mark("LUKS2 volume (second header)", 0x4000, b"SKUL\xba\xbe"),
    mark(
        "bcache device or older bcachefs file system",
        4096 + 24,
        b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca",
    ),
    mark("Linux swap", 0xff6, b"SWAPSPACE2"),
    mark("Linux swap (8 KiB pages)", 0x1ff6, b"SWAPSPACE2"),
    mark("Linux swap (16 KiB pages)", 0x3ff6, b"SWAPSPACE2"),
    mark("Linux swap (64 KiB pages)", 0xfff6, b"SWAPSPACE2"),
    mark("Linux swap (old)", 0xff6, b"SWAP-SPACE"),
    mark("mdraid member (1.1)", 0, MD_MAGIC),
    mark("mdraid member (1.2)", 0x1000, MD_MAGIC),
    last("mdraid member (1.0)", 0x2000, MD_MAGIC),
    Mark {
        name: "mdraid member (0.90)",
        at: At::MdLast,
        magic: MD_MAGIC,
    },
    mark("GPT partition table", 0x200, b"EFI PART"),
    mark("GPT partition table (4 KiB sectors)", 0x1000, b"EFI PART"),
    last("GPT partition table (backup)", 0x200, b"EFI PART"),
    last("GPT partition table (backup, 4 KiB sectors)", 0x1000, b"EFI PART"),
    mark("MBR partition table or boot sector", 0x1fe, b"\x55\xaa"),
    mark("Oracle ASM disk", 0x20, b"ORCLDISK"),
    mark("sanlock lockspace", 0, b"\x10\x20\x21\x12"),
    mark("sanlock resource", 0, b"\x10\x19\x04\x06"),
    mark("SBD device", 0, b"SBD_SBD_"),
    mark("QCOW2 image", 0, b"QFI\xfb"),
    mark("VMDK image", 0, b"KDMV"),
];

/// Where ZFS keeps its uberblocks in the first label: 128 KiB of them, each 1 KiB or larger.
const ZFS_UBERBLOCKS: Range<u64> = 0x2_0000..0x4_0000;
const ZFS_STEP: usize = 0x400;

/// Something that a device holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature {
    /// What it is.
    pub name: &'static str,
    /// Where its mark stands, in bytes from the start of the device.
    pub bytes: Range<u64>,
}

/// Everything known that the device bears the mark of.
///
/// # Errors
/// The device's, where it cannot be read: what is there is unknown then.
pub fn find(device: &DeviceFile) -> Result<Vec<Signature>, IoError> {
    let size = device.size()?;
    let mut found: Vec<Signature> = Vec::new();
    for mark in MARKS {
        let Some(start) = place(mark.at, size) else {
            continue;
        };
        let bytes = start..start + mark.magic.len() as u64;
        if bytes.end > size || !bears(device, start, mark.magic)? {
            continue;
        }
        if !found.iter().any(|other| other.bytes.start == start) {
            found.push(Signature {
                name: mark.name,
                bytes,
            });
        }
    }
    found.extend(find_zfs(device, size)?);
    Ok(found)
}

fn place(at: At, size: u64) -> Option<u64> {
    const CHUNK: u64 = 0x1_0000;
    match at {
        At::Start(offset) => Some(offset),
        // Rounded down as the formats do it: to their sector for the partition table, to 4 KiB for mdraid.
        At::End(before) => Some(size.checked_sub(before)? / 512 * 512),
        At::MdLast => (size / CHUNK).checked_sub(1).map(|chunk| chunk * CHUNK),
    }
}

fn bears(device: &DeviceFile, start: u64, magic: &[u8]) -> Result<bool, IoError> {
    let mut buffer = AlignedBuffer::blocks(2);
    let first = start / BLOCK_BYTES as u64;
    let within = (start % BLOCK_BYTES as u64) as usize;
    let blocks = (within + magic.len()).div_ceil(BLOCK_BYTES);
    if (first + blocks as u64) * BLOCK_BYTES as u64 > device.size()? {
        // The last, partial block of an image: no device has one, and nothing of ours goes there.
        return Ok(false);
    }
    device.read_at(BlockNo(first), &mut buffer.bytes_mut()[..blocks * BLOCK_BYTES])?;
    Ok(buffer.bytes()[within..].starts_with(magic))
}

fn find_zfs(device: &DeviceFile, size: u64) -> Result<Option<Signature>, IoError> {
    if size < ZFS_UBERBLOCKS.end {
        return Ok(None);
    }
    let length = (ZFS_UBERBLOCKS.end - ZFS_UBERBLOCKS.start) as usize;
    let mut buffer = AlignedBuffer::blocks(length / BLOCK_BYTES);
    let first = BlockNo(ZFS_UBERBLOCKS.start / BLOCK_BYTES as u64);
    device.read_at(first, buffer.bytes_mut())?;
    let place = buffer
        .bytes()
        .chunks(ZFS_STEP)
        .position(|uberblock| uberblock.starts_with(ZFS_MAGIC));
    Ok(place.map(|index| {
        let start = ZFS_UBERBLOCKS.start + (index * ZFS_STEP) as u64;
        Signature {
            name: "ZFS pool member",
            bytes: start..start + ZFS_MAGIC.len() as u64,
        }
    }))
}

/// Overwrites the mark, so that nobody takes the device for what it was.
pub fn erase(device: &DeviceFile, signature: &Signature) -> Result<(), IoError> {
    let first = BlockNo(signature.bytes.start / BLOCK_BYTES as u64);
    let within = (signature.bytes.start % BLOCK_BYTES as u64) as usize;
    let length = (signature.bytes.end - signature.bytes.start) as usize;
    let blocks = (within + length).div_ceil(BLOCK_BYTES);
    let mut buffer = AlignedBuffer::blocks(blocks);
    device.read_at(first, buffer.bytes_mut())?;
    buffer.bytes_mut()[within..within + length].fill(0);
    device.write_at(first, buffer.bytes(), true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::disk::Access;

    const SIZE: u64 = 4 << 20;

    fn image() -> (tempfile::NamedTempFile, DeviceFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(SIZE).unwrap();
        let device = DeviceFile::open(file.path(), Access::ReadWrite).unwrap();
        (file, device)
    }

    #[test]
    fn every_mark_is_found_where_it_stands_and_gone_when_erased() {
        for mark in MARKS {
            let (file, device) = image();
            let start = place(mark.at, SIZE).unwrap();
            file.as_file().write_all_at(mark.magic, start).unwrap();
            file.as_file().sync_data().unwrap();
            let found = find(&device).unwrap();
            assert_eq!(found.len(), 1, "{}: {found:?}", mark.name);
            assert_eq!(found[0].bytes.start, start);
            erase(&device, &found[0]).unwrap();
            assert_eq!(find(&device).unwrap(), [], "{}", mark.name);
        }
    }

    #[test]
    fn a_zfs_pool_member_is_known_by_any_of_its_uberblocks() {
        let (file, device) = image();
        file.as_file()
            .write_all_at(ZFS_MAGIC, 0x2_0000 + 37 * 1024)
            .unwrap();
        file.as_file().sync_data().unwrap();
        assert_eq!(find(&device).unwrap()[0].name, "ZFS pool member");
    }

    #[test]
    fn an_empty_or_tiny_device_holds_nothing() {
        let (file, device) = image();
        assert_eq!(find(&device).unwrap(), []);
        for size in [0, 512, 4096, 5000] {
            file.as_file().set_len(size).unwrap();
            assert_eq!(find(&device).unwrap(), [], "{size} bytes");
        }
    }

    #[test]
    fn marks_erased_leave_their_neighbours_alone() {
        let (file, device) = image();
        file.as_file().write_all_at(&[7; 4096], 0).unwrap();
        file.as_file().write_all_at(b"\x55\xaa", 0x1fe).unwrap();
        file.as_file().sync_data().unwrap();
        erase(&device, &find(&device).unwrap()[0]).unwrap();
        let mut block = [0; 4096];
        file.as_file().read_exact_at(&mut block, 0).unwrap();
        assert_eq!(block.iter().filter(|&&byte| byte == 7).count(), 4094);
    }
}
