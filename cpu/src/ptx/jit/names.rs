//! Which operation a function pointer of an instruction stands for.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::ptx::alu::{convert, float, float_modes, half, int, logic, shuffle, video};
use crate::ptx::code::{Alu, Ins};

/// Names of operations by the address of their function. Functions that the linker made one have one name, and do the same.
pub(super) struct Names(HashMap<usize, &'static str>);

/// The operations of one file by name.
type Table = &'static [(&'static str, fn() -> Alu)];

impl Names {
    /// The names of this process.
    pub(super) fn get() -> &'static Names {
        static NAMES: OnceLock<Names> = OnceLock::new();
        NAMES.get_or_init(|| {
            let tables: [Table; 8] = [
                half::TABLE,
                video::TABLE,
                shuffle::TABLE,
                float_modes::TABLE,
                convert::TABLE,
                logic::TABLE,
                float::TABLE,
                int::TABLE,
            ];
            Names(
                tables
                    .into_iter()
                    .flatten()
                    .map(|&(name, get)| (get() as usize, name))
                    .collect(),
            )
        })
    }

    /// The name of an instruction's operation; empty if it has none.
    pub(super) fn of(&self, ins: &Ins) -> &'static str {
        self.0.get(&(ins.alu as usize)).copied().unwrap_or("")
    }
}
