//! Detects formats that import does not read from a file's beginning, and advises what to do.

use super::messages;

/// Magic bytes of binary formats, their descriptions, and how to convert them.
const BINARY: [(&[u8], &str, &str); 7] = [
    (b"7z\xbc\xaf", "a 7-Zip archive", "unpack it, and import its files"),
    (b"Rar!", "a RAR archive", "unpack it, and import its files"),
    (b"\x04\x22\x4d\x18", "compressed with LZ4", "decompress it with unlz4"),
    (b"PK\x03\x04", "a zip archive within an archive", "unpack it, and import its files"),
    (b"ORC", "ORC", "convert it to Parquet"),
    (b"%PDF", "a PDF document", "export the records as CSV or JSON"),
    (b"SQLite format 3\0", "an SQLite database", "export its tables as CSV or NDJSON"),
];

/// Advice for lines with fields that import does not parse.
const AS_FIELDS: &str = "describe them in the part [lines] of a mapping file (--mapping FILE)";
const AS_CEF: &str = "have the device send CEF, which import reads";

/// Why a file that begins with `text` is not read if it is not text, and what to do.
pub fn binary(text: &[u8]) -> Option<String> {
    if let Some((_, what, advice)) = BINARY.iter().find(|(magic, ..)| text.starts_with(magic)) {
        return Some(format!("the file is {what}: {advice}"));
    }
    let is_control = |byte: &&u8| **byte < b' ' && !byte.is_ascii_whitespace() && !matches!(**byte, 0 | 0x1b);
    let controls = text.iter().filter(is_control).count();
    (controls * 20 > text.len())
        .then(|| "the file is not text: convert it to CSV, NDJSON, JSON or Parquet".to_owned())
}

/// Why text with these first lines is not read, and what to do; `None` if it can be CSV.
pub fn lines(lines: &[&[u8]]) -> Option<String> {
    let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line)).collect();
    let most =
        |is_so: &dyn Fn(&str) -> bool| 2 * texts.iter().filter(|text| is_so(text)).count() > texts.len();
    let first = texts.first()?;
    if first.trim_start().starts_with('<') && !messages::is_record(first.trim_start().as_bytes()) {
        return Some(
            "it is XML or HTML, which import does not read: export the records as JSON or CSV".to_owned(),
        );
    }
    if first.starts_with("#Fields:") || first.starts_with("#Software:") || first.starts_with("#Version:") {
        return Some(format!("it is a W3C extended log, which import does not read: {AS_FIELDS}"));
    }
    if most(&is_pairs) {
        return Some(format!(
            "its lines are key=value pairs, which import does not read: {AS_CEF}, or {AS_FIELDS}"
        ));
    }
    let is_syslog = |text: &str| messages::is_record(text.trim_start().as_bytes()) && !is_row(text);
    if is_syslog(first) && most(&is_syslog) {
        return Some(format!(
            "its lines are syslog messages that hold neither CEF nor JSON: {AS_CEF}, or {AS_FIELDS}; if CEF follows \
              later in the file, read it with --source cef"
        ));
    }
    if is_data(first) {
        return Some(
            "its first line is a record, not a header: add a line that names the columns, or name the cells in a mapping file \
             (--mapping) by their position, such as SourceIP = \"#2\"".to_owned(),
        );
    }
    let words = |text: &str| text.split_whitespace().count();
    let is_spaced = |text: &str| !text.contains([',', ';', '\t', '|']) && words(text) == words(first);
    (words(first) > 3 && texts.len() > 1 && most(&is_spaced))
        .then(|| format!("its fields are separated by spaces, which import does not read: {AS_FIELDS}"))
}

/// Why a file whose only line names these columns is not read.
pub fn one_line(names: &[String]) -> Option<String> {
    (names.len() == 1)
        .then(|| "it is a single line, which is no record of a format that import reads".to_owned())
}

/// Whether most words, and at least three, are `key=value`. Values may contain spaces.
fn is_pairs(text: &str) -> bool {
    let is_pair = |word: &&str| {
        word.split_once('=').is_some_and(|(key, _)| {
            !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        })
    };
    let pairs = text.split_whitespace().filter(is_pair).count();
    pairs >= 3 && 2 * pairs > text.split_whitespace().count()
}

fn cells(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';', '\t', '|']).map(|cell| cell.trim().trim_matches('"'))
}

/// Whether a line that begins with a time is a row of cells.
fn is_row(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit()) && cells(text).count() > 2
}

/// Whether a line that should name columns has values: an address or a time of day is not a name.
fn is_data(first: &str) -> bool {
    let is_time = |cell: &str| {
        let bytes = cell.as_bytes();
        let is_clock = |at: usize| {
            bytes.get(at..at + 5).is_some_and(|clock| {
                clock[2] == b':' && [0, 1, 3, 4].iter().all(|digit| clock[*digit].is_ascii_digit())
            })
        };
        bytes.len() >= 16 && (0..bytes.len()).any(is_clock)
    };
    cells(first).any(|cell| cell.parse::<std::net::Ipv4Addr>().is_ok() || is_time(cell))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsupported_formats_are_named_with_advice() {
        for (text, word) in [
            ("date=2026-01-05 time=08:00:00 devname=\"F 1\" srcip=10.1.1.5", "key=value"),
            ("type=EXECVE msg=audit(1767600000.123:0): argc=3 a0=\"tar\"", "key=value"),
            ("Jan  5 08:00:00 host sshd[1]: Accepted publickey for ada, from 198.51.100.4", "syslog"),
            ("<166>Jan 05 2026 08:00:00 asa1 : %ASA-6-302014: Teardown TCP connection", "syslog"),
            ("2 123456789012 eni-1 10.1.1.5 203.0.113.9 55113 443 6", "spaces"),
            ("<html><body/></html>", "XML"),
            ("#Fields: date time s-ip", "W3C"),
            ("2026-01-05T08:00:00Z,10.1.1.5,203.0.113.9,443", "header"),
        ] {
            let reason = lines(&[text.as_bytes(), text.as_bytes()]).unwrap_or_default();
            assert!(reason.contains(word), "{text}: {reason:?}");
        }
        for header in [
            "TimeGenerated,SourceIP",
            "Name",
            "a;b;c",
            "\"Start time\",\"Source address\",x",
            "when it was\tby whom it was",
        ] {
            assert_eq!(lines(&[header.as_bytes(), b"2026-01-05 08:00:00,1,2"]), None, "{header}");
        }
        assert!(binary(b"SQLite format 3\0").is_some_and(|reason| reason.contains("export its tables")));
        assert!(binary(b"\x01\x02\x03abc").is_some() && binary("größe\t\"x\"\r\n\0".as_bytes()).is_none());
    }
}
