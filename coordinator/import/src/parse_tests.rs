//! Tests that records of a block become rows, rejects, or records of no table.

use super::super::test_sources;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use hindcast_base::time::parse_time;
use hindcast_lake::Tables;

use super::super::times::TimeOptions;
use super::*;
use hindcast_records::detect::Sample;
use hindcast_records::wrapped::{Message, Wrapped};

/// A text as one block, in the format that is detected from it, or with records that wrap CEF messages in a field.
fn block_of(text: &[u8], wrapped_in: Option<&str>) -> Block {
    let (mut format, header_bytes) =
        FileFormat::of(Sample { text, is_whole: true }, &test_sources::built_in()).unwrap();
    format.messages_in = wrapped_in.map(|path| Wrapped { path: path.to_owned(), message: Message::Cef });
    let (mut format, mut bytes) = (Arc::new(format), text[header_bytes..].to_vec());
    // A Zeek log's header comes before the records.
    let (next, framed) = FileFormat::cut(&format, &bytes, true);
    let framed = match framed.spans.is_empty() && framed.consumed > 0 {
        true => {
            bytes.drain(..framed.consumed);
            format = next;
            FileFormat::cut(&format, &bytes, true).1
        }
        false => framed,
    };
    Block { input: 2, format, bytes, first_line: 10, spans: framed.spans, rejects: framed.rejects }
}

fn parsed(source: &str, table: Option<&str>, block: Block) -> Parsed {
    let source = test_sources::built_in().by_name(source).unwrap();
    parse(block, &source, table, &Times::without_proof(TimeOptions::default())).unwrap()
}

/// The values of a column of text; no row is null there.
fn texts<'p>(parsed: &'p Parsed, table: &str, column: &str) -> Vec<&'p str> {
    let rows = parsed.tables.iter().filter(|rows| rows.table == table);
    rows.flat_map(|rows| rows.batch.column_by_name(column).unwrap().as_string::<i32>().iter().flatten())
        .collect()
}

#[test]
fn json_records_go_to_the_table_that_they_name() {
    let text = concat!(
        r#"{"TenantId":"t","TimeGenerated":"2026-01-05T08:00:00Z","Type":"AuditLogs","OperationName":"Add user"}"#,
        "\n",
        r#"{"TenantId":"t","TimeGenerated":"2026-01-05T08:00:01Z","Type":"Own_CL","Note":"mine"}"#,
        "\n",
        r#"{"TenantId":"t","TimeGenerated":"soon","Type":"AuditLogs"}"#,
        "\n"
    );
    let parsed = parsed("monitor-export", None, block_of(text.as_bytes(), None));
    assert_eq!((parsed.input, parsed.first_line), (2, 10));
    assert_eq!(texts(&parsed, "AuditLogs", "OperationName"), ["Add user"]);
    assert_eq!(texts(&parsed, "Own_CL", "Note"), ["mine"]);
    let rejects: Vec<(u64, &str)> =
        parsed.rejects.iter().map(|reject| (reject.line, reject.reason.as_str())).collect();
    assert_eq!(rejects, [(2, "\"soon\" is not a time")]);
}

#[test]
fn zeek_logs_of_other_protocols_are_set_aside() {
    let dns = "#path\tdns\n#fields\tts\tuid\tid.orig_h\tid.resp_h\tquery\tqclass\n1767600000.5\tC1\t10.0.0.5\t10.0.0.2\texample.com\t1\n";
    let parsed_dns = parsed("zeek", None, block_of(dns.as_bytes(), None));
    assert_eq!(parsed_dns.tables[0].table, "DeviceNetworkEvents");
    let times = parsed_dns.tables[0].batch.column(0).as_primitive::<TimestampMicrosecondType>();
    assert_eq!(times.value(0), parse_time("2026-01-05T08:00:00.5Z").unwrap());
    let ntp = "#path\tntp\n#fields\tts\tuid\n1767600000.5\tC1\n1767600001.5\tC2\n";
    let parsed_ntp = parsed("zeek", None, block_of(ntp.as_bytes(), None));
    assert!(parsed_ntp.tables.is_empty() && parsed_ntp.rejects.is_empty());
    assert_eq!(parsed_ntp.set_aside, BTreeMap::from([("ntp".to_owned(), 2)]));
}

#[test]
fn windows_1252_is_counted_and_other_bytes_are_rejected() {
    let text = b"TimeGenerated,Name\n2026-01-05T08:00:00Z,m\xfcller\n2026-01-05T08:00:01Z,ada\n2026-01-05T08:00:02Z,\x81\n";
    let parsed = parsed("generic", Some("Own"), block_of(text, None));
    assert_eq!(texts(&parsed, "Own", "Name"), ["müller", "ada"]);
    assert_eq!((parsed.windows_1252, parsed.rejects.len()), (1, 1));
    assert_eq!(parsed.rejects[0].line, 2);
}

#[test]
fn a_wrapper_with_several_messages_gives_as_many_rows() {
    let message = |name: &str| format!("CEF:0|V|P|1|c|{name}|1|rt=1767600000000 act=deny");
    let wrapper =
        serde_json::json!({"message": format!("{} {}", message("a"), message("b")), "collector": "c1"});
    let broken = serde_json::json!({"message": "CEF:0|V|P|1", "collector": "c1"});
    let missing = serde_json::json!({"collector": "c1"});
    let text = format!("{wrapper}\n{broken}\n{missing}\n");
    let parsed = parsed("cef", None, block_of(text.as_bytes(), Some("message")));
    assert_eq!(texts(&parsed, "CommonSecurityLog", "Activity"), ["a", "b"]);
    let additional = r#"{"CEFVersion":"0","collector":"c1"}"#;
    assert_eq!(texts(&parsed, "CommonSecurityLog", "AdditionalFields"), [additional; 2]);
    let reasons: Vec<&str> = parsed.rejects.iter().map(|reject| reject.reason.as_str()).collect();
    assert_eq!(reasons, ["has fewer than seven header fields", "has no field message with a message"]);
}

#[test]
fn a_record_that_names_no_table_is_rejected() {
    let block = || block_of(b"TimeGenerated,Name\n2026-01-05T08:00:00Z,ada\n", None);
    let unnamed = parsed("generic", None, block());
    assert_eq!(unnamed.rejects[0].reason, "it names no table (source generic): name it with --table");
    let refused = parsed("zeek", Some("AuditLogs"), block());
    assert_eq!(refused.rejects[0].reason, "no rule of the source zeek takes it into AuditLogs");
}

#[test]
fn a_record_can_be_several_rows_and_counts_once() {
    let mapping = "[[tables]]\ntable = \"DeviceFileEvents\"\nalso = true\nwhen.Id = [\"11\"]\n\
                   [[tables]]\ntable = \"DeviceEvents\"\nalso = true\ntime = [\"When\"]\nwhen.Id = [\"11\", \"22\"]\n\
                   [[tables]]\ntable = \"SecurityEvent\"";
    let source = Source::parse("m", mapping, Tables::built_in()).unwrap();
    let text = "TimeGenerated,When,Id\n\
                2026-01-05T08:00:00Z,2026-01-05T08:00:00Z,11\n\
                2026-01-05T08:00:01Z,2026-01-05T08:00:01Z,22\n\
                2026-01-05T08:00:02Z,soon,11\n\
                2026-01-05T08:00:03Z,,7\n";
    let rows = |table: Option<&str>| {
        let times = Times::without_proof(TimeOptions::default());
        let parsed = parse(block_of(text.as_bytes(), None), &source, table, &times).unwrap();
        let rows = parsed.tables.iter().map(|rows| (rows.table.clone(), rows.batch.num_rows()));
        (rows.collect::<Vec<_>>(), parsed.further_rows, parsed.rejects.len())
    };
    let named =
        |rows: &[(&str, usize)]| rows.iter().map(|(table, rows)| ((*table).to_owned(), *rows)).collect();
    // The third record is one row, and a reject because it can't be the second.
    let all = named(&[("DeviceEvents", 2), ("DeviceFileEvents", 2), ("SecurityEvent", 3)]);
    assert_eq!(rows(None), (all, 4, 1));
    assert_eq!(rows(Some("SecurityEvent")), (named(&[("SecurityEvent", 4)]), 0, 0));
    assert_eq!(rows(Some("DeviceFileEvents")), (named(&[("DeviceFileEvents", 2)]), 0, 2));
    // A table that is not built in has one row per record.
    assert_eq!(rows(Some("Own")).1, 0);
}

#[test]
fn dates_of_a_file_prove_their_order() {
    let read = |text: &'static str| {
        let block = || block_of(text.as_bytes(), None);
        let source = || test_sources::built_in().by_name("generic").unwrap();
        let gather_all = move || {
            let times = Times::without_proof(TimeOptions::default());
            let mut evidence = Evidence::default();
            gather(&block_of(text.as_bytes(), None), &source(), Some("Own"), &times, &mut evidence);
            Ok(evidence)
        };
        let times = Times::new(TimeOptions::default(), 0, Box::new(gather_all));
        parse(block(), &source(), Some("Own"), &times)
    };
    let proven = read("TimeGenerated,Name\n1/3/2026 08:00,a\n13/3/2026 08:00,b\n").unwrap();
    let times = proven.tables[0].batch.column(0).as_primitive::<TimestampMicrosecondType>().values().to_vec();
    let wanted = ["2026-03-01T08:00:00Z", "2026-03-13T08:00:00Z"].map(|time| parse_time(time).unwrap());
    assert_eq!(times, wanted);
    let Err(open) = read("TimeGenerated,Name\n1/3/2026 08:00,a\n") else { panic!("an order is proven") };
    let open = open.to_string();
    assert!(open.starts_with("line 11: TimeGenerated \"1/3/2026 08:00\" is 1 March or 3 January"), "{open}");
}

#[test]
fn elements_of_lists_are_rows_or_rejects() {
    let mapping = "[each]\nlists = [\"flows\"]\ncells = [\"at\", \"from\"]\n[[tables]]\ntable = \"Flows_CL\"\nhas = [\"at\"]\n\
                   time = [\"at\"]";
    let source = Source::parse("mapping", mapping, Tables::built_in()).unwrap();
    let text = "{\"rule\":\"r\",\"flows\":[\"1767600000,a\",\"soon,b\",\"1767600001,c\"]}\n{\"flows\":[]}\n";
    let times = Times::without_proof(TimeOptions::default());
    let parsed = parse(block_of(text.as_bytes(), None), &source, None, &times).unwrap();
    assert_eq!(texts(&parsed, "Flows_CL", "from"), ["a", "c"]);
    assert_eq!(texts(&parsed, "Flows_CL", "rule"), ["r", "r"]);
    let rejects: Vec<(u64, &str, &str)> =
        parsed.rejects.iter().map(|one| (one.line, one.reason.as_str(), one.text.as_str())).collect();
    assert_eq!(rejects, [(0, "\"soon\" is not a time", "\"soon,b\"")]);
    assert_eq!(parsed.set_aside, BTreeMap::from([("no element in flows".to_owned(), 1)]));
}
