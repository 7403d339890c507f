//! Fields that a source makes of others, such as a time of a date, a time of day and a zone.

use serde::Deserialize;

use super::format::Record;
use super::source::field_value;

/// A text with fields in it, such as `{date} {time}[ {zone}]`. A part in brackets is left out if one of its fields is
/// missing. If another field is missing, there is no text. `{id:-5}` stands for the last five characters of a field.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Template {
    /// As it is written.
    pub text: String,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    is_optional: bool,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    /// A field, and how many of its last characters; all if `None`.
    Field(String, Option<usize>),
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let unpaired = || format!("{text:?} has a bracket without its counterpart");
        let mut parts = Vec::new();
        let (mut part, mut rest) = (Part { is_optional: false, pieces: Vec::new() }, text.as_str());
        while let Some(at) = rest.find(['{', '[', ']']) {
            let (plain, marked) = rest.split_at(at);
            part.pieces.push(Piece::Text(plain.to_owned()));
            rest = &marked[1..];
            match (marked.as_bytes()[0], part.is_optional) {
                (b'{', _) => {
                    let (field, behind) = rest.split_once('}').ok_or_else(unpaired)?;
                    let last = field.split_once(":-").map(|(name, digits)| (name, digits.parse()));
                    part.pieces.push(match last {
                        Some((name, Ok(last))) => Piece::Field(name.to_owned(), Some(last)),
                        Some(_) => return Err(format!("{field:?} has no number after \":-\"")),
                        None => Piece::Field(field.to_owned(), None),
                    });
                    rest = behind;
                }
                (b'[', false) | (b']', true) => {
                    let next = Part { is_optional: !part.is_optional, pieces: Vec::new() };
                    parts.push(std::mem::replace(&mut part, next));
                }
                _ => return Err(unpaired()),
            }
        }
        if part.is_optional {
            return Err(unpaired());
        }
        part.pieces.push(Piece::Text(rest.to_owned()));
        parts.push(part);
        Ok(Self { text, parts })
    }
}

impl Template {
    /// The text of a record.
    pub fn text_of(&self, record: &Record<'_>) -> Option<String> {
        let mut made = String::new();
        for part in &self.parts {
            let before = made.len();
            let is_whole = part.pieces.iter().all(|piece| piece.write(record, &mut made).is_some());
            match (is_whole, part.is_optional) {
                (true, _) => {}
                (false, true) => made.truncate(before),
                (false, false) => return None,
            }
        }
        Some(made)
    }
}

impl Piece {
    fn write(&self, record: &Record<'_>, made: &mut String) -> Option<()> {
        let text = match self {
            Piece::Text(text) => text,
            Piece::Field(name, None) => field_value(record, name)?,
            Piece::Field(name, Some(last)) => {
                let value = field_value(record, name)?;
                let start = value.char_indices().rev().take(*last).last().map_or(value.len(), |(at, _)| at);
                &value[start..]
            }
        };
        made.push_str(text);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn text(template: &str, fields: &[(&'static str, &'static str)]) -> Option<String> {
        let record: Record<'_> =
            fields.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value))).collect();
        Template::try_from(template.to_owned()).unwrap().text_of(&record)
    }

    #[test]
    fn a_text_is_made_of_fields() {
        let fields = [("date", "2026-01-05"), ("time", "08:00:00"), ("id", "0419016384"), ("short", "ä1")];
        assert_eq!(text("{date} {time}[ {tz}]", &fields).unwrap(), "2026-01-05 08:00:00");
        assert_eq!(text("{date}[ {tz}][T{time}]!", &fields).unwrap(), "2026-01-05T08:00:00!");
        assert_eq!(text("{date} {tz}", &fields), None);
        assert_eq!(text("{id:-5} {short:-5} {short:-1}{short:-0}", &fields).unwrap(), "16384 ä1 1");
    }

    #[test]
    fn mistakes_are_named() {
        for (template, part) in
            [("{date", "bracket"), ("[{a}", "bracket"), ("a]", "bracket"), ("{a:-x}", "number")]
        {
            let error = Template::try_from(template.to_owned()).unwrap_err();
            assert!(error.contains(part), "{template}: {error}");
        }
    }
}
