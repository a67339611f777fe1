//! What a shared library exports: names, version nodes, SONAME.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use object::Endianness;
use object::elf::{DT_SONAME, FileHeader64, SHN_ABS, SHN_UNDEF, STB_LOCAL};
use object::read::elf::{Dyn, ElfFile64, FileHeader, Sym};

/// The exports of one shared library.
#[derive(Debug, Default)]
pub struct Exports {
    /// The name that programs which link it will ask for.
    pub soname: Option<String>,
    /// `name@VERSION`, or `name` where the library has no version nodes.
    pub symbols: BTreeSet<String>,
}

impl Exports {
    /// Reads the dynamic symbol table of an ELF library.
    pub fn of(path: &Path) -> Result<Exports> {
        let data =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Exports::parse(&data)
            .with_context(|| format!("{} is not a whole ELF library", path.display()))
    }

    /// Reads a checked-in list: one symbol a line, as [`Exports::symbols`] has them.
    pub fn of_list(path: &Path) -> Result<BTreeSet<String>> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(text
            .lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect())
    }

    fn parse(data: &[u8]) -> Result<Exports> {
        let file = ElfFile64::<Endianness>::parse(data)?;
        let endian = file.endian();
        let header: &FileHeader64<Endianness> = file.elf_header();
        let sections = header.sections(endian, data)?;
        let table = sections.symbols(endian, data, object::elf::SHT_DYNSYM)?;
        let versions = sections.versions(endian, data)?;
        let mut exports = Exports::default();

        for (index, symbol) in table.enumerate() {
            let section = symbol.st_shndx(endian);
            // Absolute ones are the version nodes themselves.
            if section == SHN_UNDEF || section == SHN_ABS || symbol.st_bind() == STB_LOCAL {
                continue;
            }
            let name = String::from_utf8_lossy(table.symbol_name(endian, symbol)?).into_owned();
            let version = match &versions {
                Some(versions) => versions
                    .version(versions.version_index(endian, index))?
                    .map(|version| String::from_utf8_lossy(version.name()).into_owned()),
                None => None,
            };
            exports.symbols.insert(match version {
                Some(version) => format!("{name}@{version}"),
                None => name,
            });
        }

        if let Some((dynamic, link)) = sections.dynamic(endian, data)? {
            let strings = sections.strings(endian, data, link)?;
            for entry in dynamic {
                if entry.tag32(endian) == Some(DT_SONAME) {
                    exports.soname =
                        Some(String::from_utf8_lossy(entry.string(endian, strings)?).into_owned());
                }
            }
        }
        Ok(exports)
    }
}

/// The name without its version node.
pub fn bare(symbol: &str) -> &str {
    symbol.split('@').next().unwrap_or(symbol)
}
