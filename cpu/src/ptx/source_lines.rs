//! Where the program's source stands behind lines of PTX: what nvcc's `-lineinfo` leaves in the text.

use std::collections::HashMap;

/// Files and lines by PTX line.
#[derive(Debug, Default)]
pub(crate) struct SourceLines {
    files: HashMap<u32, String>,
    /// PTX line from which on a place counts, the place, and where it was inlined. In ascending order.
    places: Vec<(u32, Place, Place)>,
}

/// File and line; file 0 is none.
type Place = (u32, u32);

impl SourceLines {
    /// Reads the directives `.file` and `.loc` of a text.
    pub(crate) fn of(source: &str) -> SourceLines {
        let mut found = SourceLines::default();
        if !source.contains(".loc") {
            return found;
        }
        for (number, line) in source.lines().enumerate() {
            let at = number as u32 + 1;
            let line = line.trim();
            if let Some(rest) = line.strip_prefix(".file") {
                if let Some((index, name)) = rest.trim().split_once(char::is_whitespace)
                    && let (Ok(index), Some(name)) = (index.parse(), name.split('"').nth(1))
                {
                    found.files.insert(index, name.to_owned());
                }
            } else if let Some(rest) = line.strip_prefix(".loc") {
                let place = |text: &str| -> Option<Place> {
                    let mut numbers = text
                        .split(|c: char| c.is_whitespace() || c == ',')
                        .filter(|word| !word.is_empty())
                        .map_while(|word| word.parse::<u32>().ok());
                    Some((numbers.next()?, numbers.next()?))
                };
                let outer = rest.split_once("inlined_at").and_then(|(_, to)| place(to));
                if let Some(own) = place(rest) {
                    found.places.push((at, own, outer.unwrap_or_default()));
                }
            } else if line
                .split_whitespace()
                .any(|word| matches!(word, ".entry" | ".func"))
            {
                // What one function says does not hold for the next.
                found.places.push((at, (0, 0), (0, 0)));
            }
        }
        found
    }

    /// The place behind a PTX line, and behind it the one where that was inlined, if it was.
    pub(crate) fn find(&self, line: u32) -> Vec<(String, u32)> {
        let next = self.places.partition_point(|place| place.0 <= line);
        let Some((_, own, outer)) = next.checked_sub(1).and_then(|last| self.places.get(last))
        else {
            return Vec::new();
        };
        [own, outer]
            .into_iter()
            // Line 0 is code that no line of the source stands for.
            .filter(|(_, line)| *line != 0)
            .filter_map(|(file, line)| Some((self.files.get(file)?.clone(), *line)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::SourceLines;

    #[test]
    fn a_place_holds_until_the_next_or_the_end_of_its_function() {
        let text = "\
.visible .entry a()
{
.loc 1 7 3
add.s32 %r1, %r2, %r3;
mov.u32 %r4, %r5;
.loc 2 9 1, function_name $L__info_string0, inlined_at 1 8 2
ret;
}
.func b()
{
ret;
}
.file 1 \"/src/one.cu\"
.file 2 \"/src/two.h\", 12, 34
";
        let lines = SourceLines::of(text);
        assert_eq!(lines.find(2), []);
        assert_eq!(lines.find(5), [("/src/one.cu".to_owned(), 7)]);
        let inlined = [("/src/two.h".to_owned(), 9), ("/src/one.cu".to_owned(), 8)];
        assert_eq!(lines.find(7), inlined);
        assert_eq!(lines.find(11), []);
    }
}
