//! Common Event Format (CEF), with or without a syslog header: seven header fields and `key=value` extensions.

use std::borrow::Cow;

use super::format::Record;
use hindcast_base::log_time::header_time;

/// Names of the header fields in CommonSecurityLog.
const HEADER: [&str; 7] = [
    "CEFVersion",
    "DeviceVendor",
    "DeviceProduct",
    "DeviceVersion",
    "DeviceEventClassID",
    "Activity",
    "LogSeverity",
];

/// Types of PAN-OS logs. PAN-OS writes the type as the event's name and the subtype as its class. Its logging service
/// does the reverse, which readers of CommonSecurityLog expect.
const PAN_OS_TYPES: [&str; 13] = [
    "TRAFFIC",
    "THREAT",
    "URL",
    "DATA",
    "WILDFIRE",
    "CONFIG",
    "SYSTEM",
    "HIPMATCH",
    "GLOBALPROTECT",
    "USERID",
    "DECRYPTION",
    "AUTHENTICATION",
    "TUNNEL",
];

/// Adds the fields of the message in `text` to `record`.
///
/// # Errors
/// Why it is not a CEF message.
pub fn read<'a>(text: &'a str, record: &mut Record<'a>) -> Result<(), String> {
    let start = text.find("CEF:").ok_or("has no CEF header")?;
    if let Some(time) = syslog_time(&text[..start]) {
        record.push((Cow::Borrowed("SyslogTime"), time));
    }
    let mut rest = &text[start + 4..];
    for name in HEADER {
        let end = unescaped_at(rest, '|').ok_or("has fewer than seven header fields")?;
        record.push((Cow::Borrowed(name), unescape(&rest[..end])));
        rest = &rest[end + 1..];
    }
    sort_type_and_subtype(record);
    extensions(rest.trim_end(), record);
    Ok(())
}

fn sort_type_and_subtype(record: &mut Record<'_>) {
    let at = |name: &str| record.iter().position(|(field, _)| field == name);
    let (Some(vendor), Some(class), Some(activity)) =
        (at("DeviceVendor"), at("DeviceEventClassID"), at("Activity"))
    else {
        return;
    };
    if record[vendor].1 == "Palo Alto Networks" && PAN_OS_TYPES.contains(&record[activity].1.as_ref()) {
        let subtype = std::mem::replace(&mut record[class].1, Cow::Borrowed(""));
        record[class].1 = std::mem::replace(&mut record[activity].1, subtype);
    }
}

/// The time of a syslog header: that of RFC 5424, otherwise that of RFC 3164, which has no year.
pub(crate) fn syslog_time(header: &str) -> Option<Cow<'_, str>> {
    let is_dated = |word: &&str| word.len() >= 19 && word.as_bytes()[4] == b'-' && word.contains('T');
    let dated = header.split([' ', '\t', '>']).find(is_dated);
    let time = dated.or_else(|| {
        let mut starts = std::iter::once(0).chain(header.match_indices([' ', '>']).map(|(at, _)| at + 1));
        starts.find_map(|start| header_time(&header[start..]))
    });
    time.map(Cow::Borrowed)
}

/// Reads the extensions. A value ends at the space before the next key, so it may contain spaces.
fn extensions<'a>(text: &'a str, record: &mut Record<'a>) {
    let mut equals = Vec::new();
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'\\' => escaped = !escaped,
            b'=' if !escaped => equals.push(at),
            _ => {}
        }
        escaped = escaped && byte == b'\\';
    }
    // A key is the text between the last space and an `=`, if it has only characters that keys have.
    let mut keys: Vec<(usize, usize)> = Vec::new();
    for equal in equals {
        let start = text[..equal].rfind([' ', '\t', '\n', '\r']).map_or(0, |space| space + 1);
        let is_key = start < equal
            && text[start..equal].bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-[]".contains(&b));
        if is_key && keys.last().is_none_or(|(_, last)| start > *last) {
            keys.push((start, equal));
        }
    }
    for (index, (start, equal)) in keys.iter().enumerate() {
        let end = keys.get(index + 1).map_or(text.len(), |(next, _)| next - 1);
        let value = text[equal + 1..end.max(equal + 1)].trim_end();
        if !value.is_empty() {
            record.push((Cow::Borrowed(&text[*start..*equal]), unescape(value)));
        }
    }
}

/// Position of the first `wanted` that no backslash escapes.
fn unescaped_at(text: &str, wanted: char) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if character == wanted && !escaped {
            return Some(at);
        }
        escaped = character == '\\' && !escaped;
    }
    None
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, characters.clone().next()) {
            ('\\', Some(next @ ('\\' | '=' | '|'))) => plain.push(next),
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some('r')) => plain.push('\r'),
            _ => {
                plain.push(character);
                continue;
            }
        }
        characters.next();
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<(String, String)> {
        let mut record = Record::new();
        read(text, &mut record).unwrap();
        record.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    fn value(fields: &[(String, String)], name: &str) -> String {
        fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    #[test]
    fn headers_and_extensions_are_fields() {
        let found = fields(
            "<14>1 2026-01-05T08:00:00Z fw - - - - CEF:0|Palo Alto Networks|PAN-OS|11.1|end|TRAFFIC|1|src=10.0.0.1 \
             msg=two words, a\\=b and c:\\\\d act=allow empty= out=12 request=http://x/?q=1&r=2 in=34",
        );
        assert_eq!(value(&found, "DeviceEventClassID"), "TRAFFIC");
        assert_eq!(value(&found, "Activity"), "end");
        assert_eq!(value(&found, "msg"), "two words, a=b and c:\\d");
        assert_eq!(value(&found, "request"), "http://x/?q=1&r=2");
        assert_eq!((value(&found, "out"), value(&found, "in")), ("12".into(), "34".into()));
        assert!(value(&found, "empty").is_empty());
        assert_eq!(value(&found, "SyslogTime"), "2026-01-05T08:00:00Z");
        let service = fields("CEF:0|Palo Alto Networks|LF|2.0|THREAT|spyware \\| x|3|act=alert");
        assert_eq!(
            (value(&service, "DeviceEventClassID"), value(&service, "Activity")),
            ("THREAT".into(), "spyware | x".into())
        );
    }

    #[test]
    fn headers_without_a_year_give_a_time() {
        for (header, wanted) in [
            ("<189>Jan  5 08:00:00 FG1 ", "Jan  5 08:00:00"),
            ("Jan 05 2026 08:00:00 fw : ", "Jan 05 2026 08:00:00"),
            ("<14>2026-01-05 08:00:00.5 fw ", "2026-01-05 08:00:00.5"),
            ("<14>1 2026-01-05T08:00:00+01:00 fw - - - - ", "2026-01-05T08:00:00+01:00"),
            ("fw-1 ", ""),
        ] {
            assert_eq!(value(&fields(&format!("{header}CEF:0|V|P|1|c|n|1|")), "SyslogTime"), wanted);
        }
    }

    #[test]
    fn text_without_a_message_is_an_error() {
        for text in ["hello", "CEF:0|a|b", "CEF:"] {
            assert!(read(text, &mut Record::new()).is_err(), "{text}");
        }
    }

    /// The examples of the format's specification, ArcSight's "Common Event Format".
    #[test]
    fn escapes_are_those_of_the_specification() {
        let of = |header: &str, extension: &str| {
            let text = format!("CEF:0|security|threatmanager|1.0|100|{header}|10|{extension}");
            let found = fields(&text);
            (value(&found, "Activity"), value(&found, "act"), value(&found, "dst"), value(&found, "msg"))
        };
        let all = |activity: &str, act: &str, dst: &str, msg: &str| {
            (activity.to_owned(), act.to_owned(), dst.to_owned(), msg.to_owned())
        };
        assert_eq!(
            of(r"detected a \| in message", "src=10.0.0.1 act=blocked a | dst=1.1.1.1"),
            all("detected a | in message", "blocked a |", "1.1.1.1", "")
        );
        assert_eq!(
            of(r"detected a \\ in packet", r"src=10.0.0.1 act=blocked a \\ dst=1.1.1.1"),
            all(r"detected a \ in packet", r"blocked a \", "1.1.1.1", "")
        );
        assert_eq!(
            of("detected a = in message", r"src=10.0.0.1 act=blocked a \= dst=1.1.1.1"),
            all("detected a = in message", "blocked a =", "1.1.1.1", "")
        );
        assert_eq!(
            of("Detected a threat.", r"src=10.0.0.1 msg=Detected a threat.\n No action needed."),
            all("Detected a threat.", "", "", "Detected a threat.\n No action needed.")
        );
    }

    #[test]
    fn the_header_and_the_syslog_time_are_fields() {
        let found = fields(
            "Sep 19 08:26:10 host CEF:0|Security|threatmanager|1.0|100|worm successfully stopped|10|src=10.0.0.1 \
             dst=2.1.2.2 spt=1232",
        );
        let wanted = [
            ("SyslogTime", "Sep 19 08:26:10"),
            ("CEFVersion", "0"),
            ("DeviceVendor", "Security"),
            ("DeviceProduct", "threatmanager"),
            ("DeviceVersion", "1.0"),
            ("DeviceEventClassID", "100"),
            ("Activity", "worm successfully stopped"),
            ("LogSeverity", "10"),
            ("src", "10.0.0.1"),
            ("dst", "2.1.2.2"),
            ("spt", "1232"),
        ];
        assert_eq!(found, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(fields("CEF:0|V|P|1|c|n|1|").len(), 7);
    }
}
