//! Detects the format of a file from its first lines together, so that no single line decides.

use std::collections::{HashMap, HashSet};

use super::built_in::Sources;
use super::encoding::text_of;
use super::format::{FileFormat, Kind, Record, document_in};
use super::framing::{Framing, Shape, lines};
use super::lines::Lines;
use super::source::Source;
use super::windows::xml;
use super::zeek::ZeekHeader;
use super::{documents, envelopes, json, messages, octet_counted, unsupported};

/// Lines from which the format is detected.
const SAMPLED_LINES: usize = 200;

/// The beginning of a file.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Its text.
    pub text: &'a [u8],
    /// Whether this is the whole file.
    pub is_whole: bool,
}

impl Sample<'_> {
    fn framing(self, shape: Shape) -> Framing {
        let ends = [b'\n', b'\r', 0];
        let line_end = ends.into_iter().find(|end| memchr::memchr(*end, self.text).is_some());
        Framing { shape, line_end: line_end.unwrap_or(b'\n') }
    }
}

/// The format of a file that begins with `sample`, and the length of its header. A source that the user names decides
/// whether the file is CEF.
///
/// # Errors
/// Why the file can't be read, and what to do.
pub(crate) fn detect_format(sample: Sample<'_>, sources: &Sources) -> Result<(FileFormat, usize), String> {
    let named_source = sources.named();
    if let Some(reason) = unsupported::binary(sample.text) {
        return Err(reason);
    }
    let comments = comment_bytes(sample.text);
    if comments > 0 {
        let below = Sample { text: &sample.text[comments..], ..sample };
        let (format, header_bytes) = detect_format(below, sources)?;
        return Ok((format, comments + header_bytes));
    }
    let is_octet_counted = octet_counted::has_octet_counts(sample.text, sample.is_whole);
    let framed = match is_octet_counted {
        true => octet_counted::records(sample.text, sample.is_whole, b'\n'),
        false => lines(sample.text, sample.is_whole, b'\n'),
    };
    // If the sample ends within the first line, its part in the sample counts as a line.
    let rest = Some(&sample.text[framed.consumed..]).filter(|_| framed.spans.is_empty());
    let first: Vec<&[u8]> =
        framed.spans.iter().take(SAMPLED_LINES).map(|s| &sample.text[s.start..s.end]).chain(rest).collect();
    let most =
        |is_so: &dyn Fn(&[u8]) -> bool| 2 * first.iter().filter(|line| is_so(line)).count() > first.len();
    let header_free = |shape, kind| Ok((FileFormat::new(sample.framing(shape), kind), 0));
    let by_line = |shape| if is_octet_counted { Shape::OctetCounted { has_messages: false } } else { shape };

    if most(&is_document) {
        return header_free(by_line(Shape::Lines), Kind::Json);
    }
    if xml::are_events(sample.text, sample.is_whole) {
        return header_free(Shape::Events, Kind::Event);
    }
    let is_cef = most(&messages::contains_message) || (!is_octet_counted && are_messages(sample));
    let text_lines = match is_cef || has_known_header(sample, sources) {
        true => None,
        false => Lines::of(&first, sources),
    };
    if is_octet_counted {
        let is_cef = is_cef || named_source.is_some_and(|source| source.is_cef);
        let shape = Shape::OctetCounted { has_messages: is_cef };
        return match text_lines {
            Some(text_lines) => header_free(shape, Kind::Lines(text_lines)),
            None if is_cef => header_free(shape, Kind::Cef),
            None => Err(unsupported::lines(&first)
                .unwrap_or_else(|| "its records are neither CEF nor JSON".to_owned())),
        };
    }
    let begins_as_json = matches!(sample.text.trim_ascii_start().first(), Some(b'[' | b'{'));
    if begins_as_json && !((is_cef || text_lines.is_some()) && is_broken(sample)) {
        return header_free(Shape::Documents, Kind::Json);
    }
    if let Some(text_lines) = text_lines {
        return header_free(Shape::Lines, Kind::Lines(text_lines));
    }
    if is_cef && let Some(csv) = csv_with_messages(sample) {
        return Ok(csv);
    }
    if is_cef {
        return header_free(Shape::Messages, Kind::Cef);
    }
    if let Some(header) = ZeekHeader::of_lines(&first) {
        return header_free(Shape::Lines, Kind::Zeek(header));
    }
    if named_source.is_some_and(|source| source.is_cef) {
        return header_free(Shape::Messages, Kind::Cef);
    }
    cells(sample, sources, &first)
}

/// The format of rows of cells, whose first lines are `first`.
///
/// # Errors
/// Why they can't be read, and what to do.
fn cells(sample: Sample<'_>, sources: &Sources, first: &[&[u8]]) -> Result<(FileFormat, usize), String> {
    let named_source = sources.named();
    if let Some(source) = named_source
        && let Some(rows) = csv_without_header(sample, source)
    {
        return Ok(rows);
    }
    let (format, header_bytes) = csv(sample);
    let lines_below: Vec<&[u8]> = first.iter().copied().filter(|line| !is_preamble(line)).collect();
    if matches!(format.kind, Kind::Csv { delimiter: b' ', .. }) {
        return Ok((format, header_bytes));
    }
    let is_one_line = sample.text[header_bytes..].trim_ascii().is_empty();
    let refused = unsupported::lines(&lines_below).or_else(|| match (&format.kind, named_source) {
        (Kind::Csv { header, .. }, None) if is_one_line => unsupported::one_line(header),
        _ => None,
    });
    refused.map_or(Ok((format, header_bytes)), Err)
}

/// Whether the first line names columns by which a source is recognised.
fn has_known_header(sample: Sample<'_>, sources: &Sources) -> bool {
    matches!(csv(sample).0.kind, Kind::Csv { header, .. } if sources.know_columns(&header))
}

/// Bytes of the lines that begin with `#` before JSON.
fn comment_bytes(text: &[u8]) -> usize {
    let mut at = 0;
    while text[at..].starts_with(b"#") {
        at += memchr::memchr(b'\n', &text[at..]).map_or(text.len() - at, |end| end + 1);
    }
    let is_json = matches!(text[at..].trim_ascii_start().first(), Some(b'[' | b'{'));
    if is_json { at } else { 0 }
}

/// Whether most records are CEF messages if messages may span lines.
fn are_messages(sample: Sample<'_>) -> bool {
    if !messages::contains_message(sample.text) {
        return false;
    }
    let spans = sample.framing(Shape::Messages).cut(sample.text, sample.is_whole).spans;
    let count =
        spans.iter().filter(|span| messages::contains_message(&sample.text[span.start..span.end])).count();
    2 * count > spans.len()
}

/// Whether a text that begins like JSON is mostly something else.
fn is_broken(sample: Sample<'_>) -> bool {
    let framed = documents::documents(sample.text, sample.is_whole, b'\n');
    framed.rejects.len() > framed.spans.len()
}

/// Whether a line is a whole JSON object, with or without a syslog header, and not an envelope of records.
pub fn is_document(line: &[u8]) -> bool {
    let Ok(text) = text_of(line) else { return false };
    let document = document_in(&text).1;
    json::read(document, &mut Record::new()).is_ok()
        && envelopes::beginning(document.as_bytes(), true).is_none()
}

/// The format of CSV whose cells hold CEF messages: the first line names columns, and most other lines have as many cells.
fn csv_with_messages(sample: Sample<'_>) -> Option<(FileFormat, usize)> {
    let (format, header_bytes) = csv(sample);
    let Kind::Csv { header, delimiter } = &format.kind else { return None };
    // Bars are part of each message.
    if header.len() < 2
        || *delimiter == b'|'
        || header.iter().any(|name| messages::contains_message(name.as_bytes()))
    {
        return None;
    }
    let framed = format.framing.cut(&sample.text[header_bytes..], sample.is_whole);
    (framed.spans.len() > framed.rejects.len()).then_some((format, header_bytes))
}

/// Whether a line is one that PowerShell or Excel writes before the header of a CSV file.
fn is_preamble(line: &[u8]) -> bool {
    line.starts_with(b"#TYPE ") || separator_line(line).is_some()
}

/// What follows `sep=` in a line of Excel, which programs also quote.
fn separator_line(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_prefix(b"\"").map_or(line, |line| line.strip_suffix(b"\"").unwrap_or(line));
    line.get(4..).filter(|stated| stated.len() <= 2 && line[..4].eq_ignore_ascii_case(b"sep="))
}

/// The delimiter that Excel states in a line such as `sep=;`.
fn stated_delimiter(line: &[u8]) -> Option<u8> {
    match separator_line(line)? {
        b"\\t" => Some(b'\t'),
        stated => stated.first().copied().filter(|byte| {
            matches!(byte, b'\t' | b' ') || byte.is_ascii_punctuation() && !matches!(byte, b'"' | b'\\')
        }),
    }
}

/// The most frequent of comma, semicolon, tab and vertical bar outside quotes in a header line.
fn frequent_delimiter(header: &[u8]) -> u8 {
    let mut is_quoted = false;
    let is_outside = |byte: &&u8| {
        is_quoted ^= **byte == b'"';
        !is_quoted
    };
    let mut outside: Vec<&u8> = header.iter().filter(is_outside).collect();
    if is_quoted {
        // A quote that is not closed does not quote.
        outside = header.iter().collect();
    }
    let count = |delimiter: u8| outside.iter().filter(|byte| ***byte == delimiter).count();
    [b';', b'\t', b'|']
        .into_iter()
        .fold(b',', |best, delimiter| if count(delimiter) > count(best) { delimiter } else { best })
}

/// Whether names separated by spaces begin `text`, and as many values are in the line below them.
fn is_spaced(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty());
    let mut words = || lines.next().map(|line| line.split(|byte| *byte == b' ').collect::<Vec<_>>());
    let (Some(names), Some(values)) = (words(), words()) else { return false };
    let is_name = |word: &&[u8]| {
        word.first().is_some_and(u8::is_ascii_alphabetic)
            && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte))
    };
    names.len() > 3 && names.len() == values.len() && names.iter().all(is_name) && !values.iter().all(is_name)
}

/// Names of columns, each of which is used once: a repeated name gets a number, so that no column hides another.
fn distinct_names(names: impl Iterator<Item = String>) -> Vec<String> {
    let (mut used, mut repeats) = (HashSet::new(), HashMap::new());
    let distinct = names.enumerate().map(|(index, name)| {
        let name = if name.is_empty() { format!("column_{}", index + 1) } else { name };
        let mut free = name.clone();
        while !used.insert(free.clone()) {
            let repeat = repeats.entry(name.clone()).or_insert(1);
            *repeat += 1;
            free = format!("{name}_{repeat}");
        }
        free
    });
    distinct.collect()
}

/// The format of rows without a header, whose cells a source names by position, and the length of what precedes them.
fn csv_without_header(sample: Sample<'_>, source: &Source) -> Option<(FileFormat, usize)> {
    let (mut format, _) = csv(sample);
    let Kind::Csv { header, .. } = &mut format.kind else { return None };
    *header = source.names_by_position(header.len())?;
    Some((format, first_row(sample).0))
}

/// Where the first row begins, its first line, and the delimiter that a line before it states.
fn first_row(sample: Sample<'_>) -> (usize, &[u8], Option<u8>) {
    let (mut start, mut stated) = (0, None);
    loop {
        let rest = &sample.text[start..];
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        if end == rest.len() || !(line.trim_ascii().is_empty() || is_preamble(line)) {
            return (start, line, stated);
        }
        stated = stated_delimiter(line).or(stated);
        start += end + 1;
    }
}

fn csv(sample: Sample<'_>) -> (FileFormat, usize) {
    let (start, first_line, stated) = first_row(sample);
    let text = &sample.text[start..];
    let spaced = Some(b' ').filter(|_| is_spaced(text));
    let delimiter = stated.or(spaced).unwrap_or_else(|| frequent_delimiter(first_line));
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).from_reader(text);
    let mut names = csv::ByteRecord::new();
    let _ = reader.read_byte_record(&mut names);
    let header_bytes = start + (reader.position().byte() as usize).min(text.len());
    let name_of = |name: &[u8]| match text_of(name) {
        Ok(name) => name.trim().to_owned(),
        Err(_) => String::from_utf8_lossy(name).trim().to_owned(),
    };
    let header = distinct_names(names.iter().map(name_of));
    let framing = sample.framing(Shape::Csv { cells: header.len(), delimiter });
    (FileFormat::new(framing, Kind::Csv { header, delimiter }), header_bytes)
}

#[cfg(test)]
#[path = "detect_tests.rs"]
mod tests;
