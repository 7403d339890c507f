//! Tests that the format of a file is detected from its first lines.

use super::*;

/// The framing, the kind of records and the length of the header of a file, or why it is refused.
fn detected(text: &str, source: Option<&str>) -> Result<(Shape, &'static str, usize), String> {
    let sources = source.map_or_else(Sources::for_tests, Sources::naming);
    let sample = Sample { text: text.as_bytes(), is_whole: true };
    let (format, header_bytes) = detect_format(sample, &sources)?;
    let kind = match format.kind {
        Kind::Json => "json",
        Kind::Csv { .. } => "csv",
        Kind::Cef => "cef",
        Kind::Zeek(_) => "zeek",
        Kind::Lines(_) => "lines",
        Kind::Event => "event",
        Kind::Rows(_) => "rows",
    };
    Ok((format.framing.shape, kind, header_bytes))
}

/// A record after its length in bytes.
fn counted(record: &str) -> String {
    format!("{} {record}", record.len())
}

#[test]
fn json_is_lines_or_documents() {
    let syslog = "<14>Jan  5 08:00:00 fw {\"a\":1}\n".repeat(2);
    let counted_json = counted("<14>1 2026-01-05T08:00:00Z fw - - - - {\"a\":1}").repeat(3);
    for (text, shape) in [
        ("{\"a\":1}\n{\"a\":2}\n", Shape::Lines),
        ("{\"a\":1}", Shape::Lines),
        ("{\"name\":\"x\",\"value\":[{\"k\":1}]}\n", Shape::Lines),
        (syslog.as_str(), Shape::Lines),
        ("[{\"a\":1},{\"a\":2}]", Shape::Documents),
        ("{\n  \"a\": 1\n}\n", Shape::Documents),
        ("{\"records\":[{\"a\":1}]}\n", Shape::Documents),
        ("{\"@odata.context\":\"x\",\"value\":[{\"a\":1}]}", Shape::Documents),
        ("{\"took\":1,\"hits\":{\"total\":1,\"hits\":[{\"_source\":{}}]}}\n", Shape::Documents),
        ("{\"_index\":\"i\",\"_source\":{\"a\":1}}\n", Shape::Lines),
        ("{\"preview\":false,\"result\":{\"a\":1}}\n", Shape::Lines),
        (counted_json.as_str(), Shape::OctetCounted { has_messages: false }),
    ] {
        assert_eq!(detected(text, None), Ok((shape, "json", 0)), "{text}");
    }
}

#[test]
fn cef_is_messages_alone_counted_or_in_csv() {
    let message = "<14>1 2026-01-05T08:00:00Z fw - - - - CEF:0|V|P|1|c|n|1|src=10.0.0.1";
    let lines = format!("{message}\n").repeat(2);
    assert_eq!(detected(&lines, None), Ok((Shape::Messages, "cef", 0)));
    let counted = counted(message).repeat(2);
    assert_eq!(detected(&counted, None), Ok((Shape::OctetCounted { has_messages: true }, "cef", 0)));
    let csv = format!("Time,Message\n1,{message}\n2,{message}\n");
    assert_eq!(detected(&csv, None), Ok((Shape::Csv { cells: 2, delimiter: b',' }, "csv", 13)));
    // A source that the user names counts more than lines without messages.
    let other = "Jan  5 08:00:00 fw starts\nJan  5 08:00:01 fw is up\n";
    assert!(detected(other, None).unwrap_err().contains("syslog"));
    assert_eq!(detected(other, Some("cef")), Ok((Shape::Messages, "cef", 0)));
}

#[test]
fn csv_has_the_delimiter_that_it_states_or_uses() {
    let csv = |cells, delimiter, header_bytes| -> Result<_, String> {
        Ok((Shape::Csv { cells, delimiter }, "csv", header_bytes))
    };
    for (text, wanted) in [
        ("A,B\n1,2\n", csv(2, b',', 4)),
        ("A;B;C,D\n1;2;3\n", csv(3, b';', 8)),
        ("A\tB\n1\t2\n", csv(2, b'\t', 4)),
        ("\"A;B;C\",D\n1,2\n", csv(2, b',', 10)),
        ("A \"x;B;C\n1;2;3\n", csv(3, b';', 9)),
        ("#TYPE Selected.System\nA,B\n1,2\n", csv(2, b',', 26)),
        ("sep=;\nA;B,C\n1;2\n", csv(2, b';', 12)),
        ("SEP=|\nA,B|C,D\n1|2\n", csv(2, b'|', 14)),
        ("sep=\\t\nA,B\tC\n1\t2\n", csv(2, b'\t', 13)),
        ("\"sep=;\"\nA;B,C\n1;2\n", csv(2, b';', 14)),
        ("A|B,C|D\n1|2|3\n", csv(3, b'|', 8)),
        ("\n\nA,B\n1,2\n", csv(2, b',', 6)),
        ("A\n1\n", csv(1, b',', 2)),
    ] {
        assert_eq!(detected(text, None), wanted, "{text:?}");
        let (shape, kind, _) = detected(&text.replace('\n', "\r\n"), None).unwrap();
        assert_eq!((shape, kind), wanted.map(|(shape, kind, _)| (shape, kind)).unwrap(), "{text:?}");
    }
}

#[test]
fn zeek_logs_and_refused_files_are_detected() {
    assert_eq!(detected("#separator \\x09\n#fields\tts\n1.5\n", None), Ok((Shape::Lines, "zeek", 0)));
    for (text, reason) in [
        ("readme", "single line"),
        ("SQLite format 3\0", "SQLite"),
        ("<rows><row/></rows>", "XML"),
        ("date=2026-01-05 time=08:00:00 srcip=10.1.1.5", "key=value"),
    ] {
        assert!(detected(text, None).unwrap_err().contains(reason), "{text}");
    }
}

#[test]
fn lines_of_a_source_are_detected_and_its_exports_are_csv() {
    let pan_os =
        "1,2026/01/05 08:00:00,0123,TRAFFIC,end,2561,2026/01/05 08:00:00,10.1.1.5,203.0.113.9\n".repeat(3);
    assert_eq!(detected(&pan_os, None), Ok((Shape::Lines, "lines", 0)));
    let counted: String =
        pan_os.lines().map(|line| counted(&format!("<14>Jan  5 08:00:00 fw {line}"))).collect();
    assert_eq!(detected(&counted, None), Ok((Shape::OctetCounted { has_messages: false }, "lines", 0)));
    let leef = "<14>Jan  5 08:00:00 fw LEEF:1.0|V|P|11|allow|src=10.1.1.5\n<14>Jan  5 08:00:01 fw up\n";
    assert!(detected(leef, None).is_err());
    assert_eq!(detected(leef, Some("leef")), Ok((Shape::Lines, "lines", 0)));
    // Most lines look like syslog, but the first one names columns.
    let header = "Domain,Receive Time,Serial #,Type,Threat/Content Type,x,y,z,u\n";
    let export = Ok((Shape::Csv { cells: 9, delimiter: b',' }, "csv", header.len()));
    assert_eq!(detected(&format!("{header}{pan_os}"), None), export);
    // Messages within JSON or CSV are not lines.
    let json = format!("[{{\"message\":\"{}\"}}]", pan_os.lines().next().unwrap());
    assert_eq!(detected(&json, None), Ok((Shape::Documents, "json", 0)));
}

#[test]
fn comments_before_json_are_its_header() {
    let json = |shape, header_bytes| -> Result<_, String> { Ok((shape, "json", header_bytes)) };
    assert_eq!(detected("# a\n# b\n{\"a\":1}\n{\"a\":2}\n", None), json(Shape::Lines, 8));
    assert_eq!(detected("# a\n[\n{\"a\":1}]", None), json(Shape::Documents, 4));
    let summary = "\n>== Total === 2026-01-05\n   - Connections 1.9k\n";
    assert_eq!(detected(summary, None), Ok((Shape::Lines, "zeek", 0)));
}

#[test]
fn lines_are_counted_by_the_byte_that_ends_them() {
    for (text, line_end) in [
        ("{\"a\":1}\r\n{\"a\":2}\r\n", b'\n'),
        ("{\"a\":1}\r{\"a\":2}\r", b'\r'),
        ("{\"a\":1}\0{\"a\":2}\0", 0),
        ("{\"a\":1}", b'\n'),
    ] {
        let sample = Sample { text: text.as_bytes(), is_whole: true };
        assert_eq!(
            detect_format(sample, &Sources::for_tests()).unwrap().0.framing.line_end,
            line_end,
            "{text:?}"
        );
    }
}
