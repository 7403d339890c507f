//! Messages of cells, whose names depend on the values of some cells.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::format::Record;

/// Names for values that no other list is for.
const ANY: &str = "*";

/// Cells without a header.
#[derive(Debug)]
pub struct Cells {
    /// The byte between cells. Several spaces count as one.
    pub delimiter: u8,
    /// Cells whose values choose the names.
    pub by: Vec<usize>,
    /// Names by these values. An empty name leaves the cell out.
    pub names: BTreeMap<String, Vec<String>>,
}

impl Cells {
    /// Adds the cells of `text` to `record`. Those behind the last name are called by their number.
    ///
    /// # Errors
    /// No names are for its values, or a quoted cell has no end.
    pub fn read<'a>(&'a self, text: &'a str, record: &mut Record<'a>) -> Result<(), String> {
        let names = self.names_of(text)?;
        for (index, cell) in self.split(text).enumerate() {
            let cell = cell?;
            let name = match names.get(index) {
                Some(name) => Cow::Borrowed(name.as_str()),
                None => Cow::Owned(format!("column_{}", index + 1)),
            };
            if !(cell.is_empty() || name.is_empty()) {
                record.push((name, cell));
            }
        }
        Ok(())
    }

    /// The names for the most of the deciding cells.
    fn names_of(&self, text: &str) -> Result<&[String], String> {
        let mut key = String::new();
        let mut chosen = self.names.get(ANY);
        for (count, place) in self.by.iter().enumerate() {
            if count > 0 {
                key.push(' ');
            }
            key.push_str(&self.split(text).nth(*place).transpose()?.unwrap_or_default());
            chosen = self.names.get(&key).or(chosen);
        }
        chosen.map(Vec::as_slice).ok_or_else(|| format!("is of the unknown kind {key:?}"))
    }

    fn split<'t>(&self, text: &'t str) -> Split<'t> {
        Split { rest: Some(text), delimiter: self.delimiter }
    }
}

/// Iterates over the cells of a text.
struct Split<'t> {
    rest: Option<&'t str>,
    delimiter: u8,
}

impl<'t> Iterator for Split<'t> {
    type Item = Result<Cow<'t, str>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut text = self.rest.take()?;
        if self.delimiter == b' ' {
            text = text.trim_start_matches(' ');
        }
        let Some(quoted) = text.strip_prefix('"') else {
            let end = memchr::memchr(self.delimiter, text.as_bytes()).unwrap_or(text.len());
            self.rest = text.get(end + 1..);
            return Some(Ok(Cow::Borrowed(&text[..end])));
        };
        let Some(end) = self.quote_end(quoted) else {
            return Some(Err("has a quoted cell without an end".to_owned()));
        };
        self.rest = quoted.get(end + 2..);
        let cell = &quoted[..end];
        Some(Ok(if cell.contains('"') {
            Cow::Owned(cell.replace("\"\"", "\""))
        } else {
            Cow::Borrowed(cell)
        }))
    }
}

impl Split<'_> {
    /// Position of the quote that ends a cell: the delimiter or nothing follows it. Quotes in the cell are doubled.
    fn quote_end(&self, quoted: &str) -> Option<usize> {
        let bytes = quoted.as_bytes();
        let mut from = 0;
        while let Some(at) = memchr::memchr(b'"', &bytes[from..]).map(|offset| from + offset) {
            match bytes.get(at + 1) {
                None => return Some(at),
                Some(next) if *next == self.delimiter => return Some(at),
                Some(b'"') => from = at + 2,
                Some(_) => from = at + 1,
            }
        }
        None
    }
}
