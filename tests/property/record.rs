//! The record of a property test: which functions it calls. STATUS.md says from there which functions are property-tested.

use std::path::Path;

/// Fails unless `tests/property/<library>.json` names exactly these functions; writes it anew if `GVIRTUS_RECORD` is set.
pub(crate) fn record<'a>(library: &str, functions: impl IntoIterator<Item = &'a str>) {
    let mut names: Vec<&str> = functions.into_iter().collect();
    names.sort_unstable();
    names.dedup();
    let text = format!(
        "{{\n \"functions\": [\n  \"{}\"\n ]\n}}\n",
        names.join("\",\n  \"")
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|directory| directory.join("tests/property"))
        .find(|directory| directory.join("record.rs").exists())
        .expect("the test lies in the repository")
        .join(library)
        .with_extension("json");
    if std::env::var_os("GVIRTUS_RECORD").is_some() {
        std::fs::write(&path, text).expect("the record can be written");
    } else {
        assert!(
            std::fs::read_to_string(&path).unwrap_or_default() == text,
            "{} does not name the functions that are tested: run this test with GVIRTUS_RECORD=1, and cargo xtask status",
            path.display()
        );
    }
}
