//! The syslog header before a message: RFC 3164, RFC 5424, or a similar one of a vendor. Its time and host become fields.

use std::borrow::Cow;

use super::super::cef::syslog_time;
use super::super::format::Record;
use super::super::messages;

/// The field with the time of a header.
pub const SYSLOG_TIME: &str = "SyslogTime";

/// Severities of syslog, as Kiwi writes them.
const SEVERITIES: [&str; 8] = ["emerg", "alert", "critical", "error", "warning", "notice", "info", "debug"];

/// Whether `text` may precede a message: nothing, words, or what begins like a syslog message, but not cells.
pub(crate) fn is_header(text: &str) -> bool {
    let plain = text.split_once('[').map_or(text, |(before, _)| before);
    let is_syslog = messages::is_record(plain.trim_start().as_bytes());
    !plain.contains([',', ';', '"', '{', '=']) && (is_syslog || !plain.contains('\t'))
}

/// Adds the time and the host of a header to `record`.
pub fn read<'a>(header: &'a str, record: &mut Record<'a>) {
    if header.is_empty() {
        return;
    }
    let Some(time) = syslog_time(header) else { return };
    let behind = header.find(time.as_ref()).map_or("", |at| &header[at + time.len()..]);
    record.push((Cow::Borrowed(SYSLOG_TIME), time));
    if let Some(host) = host(behind) {
        record.push((Cow::Borrowed("SyslogHost"), Cow::Borrowed(host)));
    }
}

/// The host: the first word after the time, if it is not a program (`sshd[1]:`) and not `-`. Kiwi writes facility and
/// severity (`Local7.Info`) before it.
fn host(behind_time: &str) -> Option<&str> {
    let is_severity = |word: &&str| {
        word.split_once('.').is_some_and(|(facility, severity)| {
            !facility.is_empty() && SEVERITIES.iter().any(|name| name.eq_ignore_ascii_case(severity))
        })
    };
    let word = behind_time.split_whitespace().find(|word| !is_severity(word))?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:%".contains(&byte);
    let is_host = word.bytes().all(is_name) && word.bytes().any(|byte| byte.is_ascii_alphanumeric());
    (is_host && !word.ends_with(':')).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_and_the_host_are_fields() {
        for (header, time, host) in [
            ("<14>Jan  5 08:00:00 PA-1 ", "Jan  5 08:00:00", "PA-1"),
            ("<166>Jan 05 2026 08:00:00 asa1 : ", "Jan 05 2026 08:00:00", "asa1"),
            ("<166>Jan 05 2026 08:00:00: ", "Jan 05 2026 08:00:00", ""),
            (
                "212 <134>1 2026-01-05T08:00:00+01:00 fw.example.com filterlog 7 - - ",
                "2026-01-05T08:00:00+01:00",
                "fw.example.com",
            ),
            ("<134>1 2026-01-05T08:00:00Z - app - - - ", "2026-01-05T08:00:00Z", ""),
            ("<134>Jan  5 08:00:00 filterlog[7]: ", "Jan  5 08:00:00", ""),
            ("Jan  5 08:00:00 2001:db8::1 filterlog: ", "Jan  5 08:00:00", "2001:db8::1"),
            ("2026-01-05 08:00:00\tLocal7.Info\t10.1.1.1\t", "2026-01-05 08:00:00", "10.1.1.1"),
            ("<189>", "", ""),
            ("fw1 ", "", ""),
        ] {
            let mut record = Record::new();
            read(header, &mut record);
            let value =
                |name| record.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_ref());
            assert_eq!((value("SyslogTime"), value("SyslogHost")), (time, host), "{header}");
            assert!(is_header(header), "{header}");
        }
    }

    #[test]
    fn cells_are_not_a_header() {
        assert!(is_header("<134>1 2026-01-05T08:00:00Z fw app - - [meta id=\"1,2\"] "));
        for text in ["2026-01-05T08:00:00Z,fw,", "\"", "{\"message\":\"", "a\tb\t", "host=fw "] {
            assert!(!is_header(text), "{text}");
        }
    }
}
