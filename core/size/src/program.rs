//! What of a static library the probe's entry points reach, as a linker that drops unused sections would keep it.

use std::collections::{HashMap, HashSet};

use object::read::archive::ArchiveFile;
use object::read::elf::{ElfFile32, ElfFile64};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionIndex, SectionKind};

use crate::Result;

/// Entry points of the probe.
const ENTRIES: [&str; 2] = [START, LOOP];
/// Functions and constants that are listed.
const PARTS_SHOWN: usize = 80;
const START: &str = "ostrakon_probe_start";
const LOOP: &str = "ostrakon_probe_loop";

/// What was measured, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Size {
    /// Code.
    pub(crate) text: u64,
    /// Constants beside the code.
    pub(crate) constants: u64,
    /// The mount in RAM.
    pub(crate) mount: u64,
    /// The mount and its two buffers in RAM.
    pub(crate) ram: u64,
    /// The deepest chain of calls of the loop: the frames of all functions on it.
    pub(crate) stack: u64,
    /// The same for starting the mount, once.
    pub(crate) start_stack: u64,
}

/// A section of a member of the archive.
type Place = (usize, SectionIndex);

/// What one section holds and refers to.
#[derive(Default)]
struct Section {
    name: String,
    bytes: u64,
    is_code: bool,
    is_constant: bool,
    frame: u64,
    /// Sections it refers to, by place or by the name of a symbol elsewhere.
    places: Vec<Place>,
    names: Vec<String>,
}

#[derive(Default)]
struct Program {
    sections: HashMap<Place, Section>,
    names: HashMap<String, Place>,
    sizes: HashMap<String, u64>,
}

/// Measures a static library of the probe.
pub(crate) fn measure(library: &[u8]) -> Result<Size> {
    Program::read(library)?.size()
}

/// Lists what takes most of a static library of the probe: the largest functions and constants, and the frames of the
/// deepest chain of calls from each entry point.
pub(crate) fn parts(library: &[u8]) -> Result<String> {
    let program = Program::read(library)?;
    let mut text = format!("{:?}\n", program.size()?);
    let mut reached: Vec<&Section> = program
        .reached()?
        .iter()
        .filter_map(|place| program.sections.get(place))
        .filter(|section| section.is_code || section.is_constant)
        .collect();
    reached.sort_by_key(|section| std::cmp::Reverse(section.bytes));
    for section in reached.iter().take(PARTS_SHOWN) {
        text.push_str(&format!("{:8} {}\n", section.bytes, section.name));
    }
    let mut depths = HashMap::new();
    for entry in ENTRIES {
        text.push_str(&format!("deepest calls of {entry}:\n"));
        let mut at = program.names.get(entry).copied();
        // Functions of the formatting machinery call one another in circles.
        let mut shown = HashSet::new();
        while let Some(place) = at.filter(|&place| shown.insert(place)) {
            let section = &program.sections[&place];
            text.push_str(&format!("{:8} {}\n", section.frame, section.name));
            at = program
                .next(place)
                .filter(|next| *next != place)
                .max_by_key(|&next| program.depth(next, &mut depths))
                .filter(|&next| program.depth(next, &mut depths) > 0);
        }
    }
    Ok(text)
}

impl Program {
    fn read(library: &[u8]) -> Result<Self> {
        let mut program = Self::default();
        for (index, member) in ArchiveFile::parse(library)?.members().enumerate() {
            let bytes = member?.data(library)?;
            // Cargo's metadata is in there too.
            if let Ok(file) = ElfFile32::<object::Endianness>::parse(bytes) {
                program.take(index, &file)?;
            } else if let Ok(file) = ElfFile64::<object::Endianness>::parse(bytes) {
                program.take(index, &file)?;
            }
        }
        Ok(program)
    }

    fn take<'a>(&mut self, member: usize, file: &impl Object<'a>) -> Result<()> {
        for symbol in file.symbols().filter(|symbol| !symbol.is_undefined()) {
            let (Ok(name), Some(section)) = (symbol.name(), symbol.section_index()) else {
                continue;
            };
            if symbol.is_global() {
                self.names.insert(name.to_owned(), (member, section));
                self.sizes.insert(name.to_owned(), symbol.size());
            }
        }
        for section in file.sections() {
            let mut found = Section {
                name: section.name().unwrap_or_default().to_owned(),
                bytes: section.size(),
                is_code: section.kind() == SectionKind::Text,
                is_constant: matches!(
                    section.kind(),
                    SectionKind::ReadOnlyData | SectionKind::ReadOnlyString | SectionKind::Data
                ),
                ..Section::default()
            };
            for (_, relocation) in section.relocations() {
                let RelocationTarget::Symbol(symbol) = relocation.target() else {
                    continue;
                };
                let symbol = file.symbol_by_index(symbol)?;
                match symbol.section_index() {
                    Some(section) => found.places.push((member, section)),
                    None => found.names.push(symbol.name()?.to_owned()),
                }
            }
            self.sections
                .entry((member, section.index()))
                .and_modify(|section| found.frame = section.frame)
                .or_default();
            let frame = self.sections[&(member, section.index())].frame;
            self.sections
                .insert((member, section.index()), Section { frame, ..found });
        }
        for section in file
            .sections()
            .filter(|section| section.name() == Ok(".stack_sizes"))
        {
            self.take_frames(member, file, &section)?;
        }
        Ok(())
    }

    /// One `.stack_sizes` section: for each function its address (which a relocation tells) and its frame (LEB128).
    fn take_frames<'a>(
        &mut self,
        member: usize,
        file: &impl Object<'a>,
        section: &impl ObjectSection<'a>,
    ) -> Result<()> {
        let bytes = section.data()?;
        let address = if file.is_64() { 8 } else { 4 };
        for (offset, relocation) in section.relocations() {
            let RelocationTarget::Symbol(symbol) = relocation.target() else {
                continue;
            };
            let Some(function) = file.symbol_by_index(symbol)?.section_index() else {
                continue;
            };
            let at = usize::try_from(offset)? + address;
            let frame = leb128(bytes.get(at..).ok_or("a stack size beyond its section")?);
            let section = self.sections.entry((member, function)).or_default();
            section.frame = section.frame.max(frame);
        }
        Ok(())
    }

    fn next(&self, place: Place) -> impl Iterator<Item = Place> {
        let section = self.sections.get(&place);
        let places = section
            .into_iter()
            .flat_map(|section| section.places.iter().copied());
        let names = section.into_iter().flat_map(|section| section.names.iter());
        // A name that no member has is the platform's.
        places.chain(names.filter_map(|name| self.names.get(name).copied()))
    }

    fn entries(&self) -> Result<Vec<Place>> {
        let find = |name: &&str| self.names.get(*name).copied();
        let found: Vec<Place> = ENTRIES.iter().filter_map(find).collect();
        if found.len() == ENTRIES.len() {
            Ok(found)
        } else {
            Err(format!(
                "the probe's entry points are missing among {} names",
                self.names.len()
            )
            .into())
        }
    }

    /// Everything that the entry points reach.
    fn reached(&self) -> Result<HashSet<Place>> {
        let (mut seen, mut due) = (HashSet::new(), self.entries()?);
        while let Some(place) = due.pop() {
            if seen.insert(place) {
                due.extend(self.next(place));
            }
        }
        Ok(seen)
    }

    fn size(&self) -> Result<Size> {
        let seen = self.reached()?;
        let total = |of: fn(&Section) -> bool| -> u64 {
            let sections = seen.iter().filter_map(|place| self.sections.get(place));
            sections
                .filter(|section| of(section))
                .map(|section| section.bytes)
                .sum()
        };
        let symbol = |name: &str| self.sizes.get(name).copied().ok_or(format!("no {name}"));
        let mut depths = HashMap::new();
        let mut depth = |name: &str| self.names.get(name).map_or(0, |&at| self.depth(at, &mut depths));
        Ok(Size {
            text: total(|section| section.is_code),
            constants: total(|section| section.is_constant),
            mount: symbol("OSTRAKON_PROBE_MOUNT")?,
            ram: symbol("OSTRAKON_PROBE_RAM")?,
            stack: depth(LOOP),
            start_stack: depth(START),
        })
    }

    /// Frames of the deepest chain of calls from here. A function that calls itself again counts once: core has none,
    /// and those of the formatting machinery are reached by panics only.
    fn depth(&self, place: Place, known: &mut HashMap<Place, Option<u64>>) -> u64 {
        match known.get(&place) {
            Some(depth) => return depth.unwrap_or(0),
            None => known.insert(place, None),
        };
        let below = self
            .next(place)
            .map(|next| self.depth(next, known))
            .max()
            .unwrap_or(0);
        let depth = self.sections.get(&place).map_or(0, |section| section.frame) + below;
        known.insert(place, Some(depth));
        depth
    }
}

fn leb128(bytes: &[u8]) -> u64 {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::leb128;

    #[test]
    fn frames_are_read_as_dwarf_writes_them() {
        assert_eq!(leb128(&[0]), 0);
        assert_eq!(leb128(&[0x7f, 0xff]), 127);
        assert_eq!(leb128(&[0xe5, 0x8e, 0x26]), 624_485);
    }
}
