//! Just enough of ELF to tell a whole library from a damaged one, and to find one section, without loading anything.
//!
//! The loader maps a file by what its headers claim: a truncated file is then a SIGBUS in the host. So the claims are
//! held against the size first. Source: `elf(5)`, System V ABI, chapters 4 and 5; 64-bit little-endian only.

use thiserror::Error;

/// Why a file is no loadable library of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ElfFault {
    /// Too short or without the magic number.
    #[error("it is no ELF file")]
    NotElf,
    /// Headers point behind the end of the file.
    #[error("it is truncated: {size} bytes of at least {needed}")]
    Truncated {
        /// Bytes that the headers claim.
        needed: u64,
        /// Bytes that there are.
        size: u64,
    },
    /// Built for another machine, or no shared library.
    #[error("it is no shared library for this machine")]
    Foreign,
    /// Headers contradict each other.
    #[error("its ELF headers are damaged")]
    Damaged,
}

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const SECTION_HEADER: usize = 64;
const SHARED_OBJECT: u16 = 3;
const SECTION_WITHOUT_BYTES: u32 = 8;
#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;
#[cfg(target_arch = "riscv64")]
const MACHINE: u16 = 243;

/// A file whose every header and extent lies within it.
pub(crate) struct Elf<'f> {
    file: &'f [u8],
    sections: Vec<Section>,
    names: usize,
}

#[derive(Clone, Copy)]
struct Section {
    name: u32,
    kind: u32,
    offset: u64,
    size: u64,
}

impl<'f> Elf<'f> {
    /// Checks all extents.
    pub(crate) fn check(file: &'f [u8]) -> Result<Self, ElfFault> {
        if file.len() < 4 || !file.starts_with(b"\x7fELF") {
            return Err(ElfFault::NotElf);
        }
        within(file, 0, HEADER as u64)?;
        if file[4] != 2 || file[5] != 1 || u16_at(file, 16) != SHARED_OBJECT || u16_at(file, 18) != MACHINE {
            return Err(ElfFault::Foreign);
        }
        check_segments(file)?;
        let sections = read_sections(file)?;
        let names = usize::from(u16_at(file, 62));
        if names >= sections.len() {
            return Err(ElfFault::Damaged);
        }
        Ok(Self { file, sections, names })
    }

    /// The bytes of the section of this name.
    pub(crate) fn section(&self, name: &str) -> Option<&'f [u8]> {
        let names = self.bytes(&self.sections[self.names])?;
        let has_name = |section: &&Section| {
            let rest = names.get(section.name as usize..).unwrap_or_default();
            rest.strip_prefix(name.as_bytes()).is_some_and(|end| end.first() == Some(&0))
        };
        self.bytes(self.sections.iter().find(has_name)?)
    }

    fn bytes(&self, section: &Section) -> Option<&'f [u8]> {
        let start = usize::try_from(section.offset).ok()?;
        self.file.get(start..start.checked_add(usize::try_from(section.size).ok()?)?)
    }
}

fn check_segments(file: &[u8]) -> Result<(), ElfFault> {
    let (offset, count) = (u64_at(file, 32), u16_at(file, 56));
    if count == 0 || usize::from(u16_at(file, 54)) != PROGRAM_HEADER {
        return Err(ElfFault::Damaged);
    }
    let table = within(file, offset, u64::from(count) * PROGRAM_HEADER as u64)?;
    for header in table.chunks_exact(PROGRAM_HEADER) {
        within(file, u64_at(header, 8), u64_at(header, 32))?;
    }
    Ok(())
}

fn read_sections(file: &[u8]) -> Result<Vec<Section>, ElfFault> {
    let (offset, count) = (u64_at(file, 40), u16_at(file, 60));
    if count == 0 || usize::from(u16_at(file, 58)) != SECTION_HEADER {
        return Err(ElfFault::Damaged);
    }
    let table = within(file, offset, u64::from(count) * SECTION_HEADER as u64)?;
    let section = |header: &[u8]| {
        let (name, kind) = (u32_at(header, 0), u32_at(header, 4));
        let (offset, size) = (u64_at(header, 24), u64_at(header, 32));
        if kind != 0 && kind != SECTION_WITHOUT_BYTES {
            within(file, offset, size)?;
        }
        Ok(Section { name, kind, offset, size })
    };
    let sections: Vec<Section> = table.chunks_exact(SECTION_HEADER).map(section).collect::<Result<_, _>>()?;
    Ok(sections.into_iter().map(without_bytes).collect())
}

/// A section without bytes in the file reads as an empty one.
fn without_bytes(section: Section) -> Section {
    let empty = section.kind == 0 || section.kind == SECTION_WITHOUT_BYTES;
    if empty { Section { offset: 0, size: 0, ..section } } else { section }
}

fn within(file: &[u8], offset: u64, size: u64) -> Result<&[u8], ElfFault> {
    let needed = offset.checked_add(size).ok_or(ElfFault::Damaged)?;
    let range = usize::try_from(offset).ok().zip(usize::try_from(needed).ok());
    range
        .and_then(|(start, end)| file.get(start..end))
        .ok_or(ElfFault::Truncated { needed, size: file.len() as u64 })
}

// The callers have checked that the range lies within the slice.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::{Elf, ElfFault};

    /// The test program itself is a position-independent executable, and so of the type of a shared library.
    fn this_program() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn a_whole_file_passes_and_shows_its_sections() {
        let file = this_program();
        let elf = Elf::check(&file).unwrap_or_else(|fault| panic!("{fault}"));
        assert!(elf.section(".text").is_some_and(|text| text.len() > 1000));
        assert_eq!(elf.section(".tex"), None);
        assert_eq!(elf.section(".bss"), Some(&[][..]));
    }

    #[test]
    fn every_truncation_is_caught() {
        let file = this_program();
        for cut in (0..file.len()).step_by(file.len() / 997).chain(0..200).chain([file.len() - 1]) {
            assert!(Elf::check(&file[..cut]).is_err(), "{cut} of {} bytes passed", file.len());
        }
    }

    #[test]
    fn absurd_headers_are_an_error_and_no_panic() {
        let file = this_program();
        for at in 0..64 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut broken = file.clone();
                broken[at] = value;
                let _ = Elf::check(&broken);
            }
        }
        let mut broken = file;
        broken[40..48].fill(0xff);
        assert_eq!(Elf::check(&broken).err(), Some(ElfFault::Damaged));
    }

    #[test]
    fn segments_and_sections_must_lie_within_the_file() {
        let file = this_program();
        let (segments, sections) = (super::u64_at(&file, 32) as usize, super::u64_at(&file, 40) as usize);
        // The size in the file of the first segment, and of the first section after the empty one.
        for at in [segments + 32, sections + super::SECTION_HEADER + 32] {
            let mut broken = file.clone();
            broken[at..at + 8].copy_from_slice(&(file.len() as u64 + 1).to_le_bytes());
            assert!(matches!(Elf::check(&broken), Err(ElfFault::Truncated { .. })), "size at {at}");
        }
    }

    #[test]
    fn other_files_are_told_apart() {
        assert_eq!(Elf::check(b"#!/bin/sh\n").err(), Some(ElfFault::NotElf));
        assert_eq!(Elf::check(b"").err(), Some(ElfFault::NotElf));
    }
}
