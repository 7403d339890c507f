//! Tests that events of all forms have the same fields.

use std::borrow::Cow;

use super::super::built_in::Sources;
use super::super::detect::Sample;
use super::super::format::FileFormat;
use super::super::source::{Route, Source};
use super::*;

/// The events in a text, each with its fields as text, by the format that is detected.
fn events_of(text: &str) -> Vec<Vec<String>> {
    let sources = Sources::for_tests();
    let sample = Sample { text: text.as_bytes(), is_whole: true };
    let (format, header_bytes) = FileFormat::of(sample, &sources).unwrap();
    let format = std::sync::Arc::new(format);
    let (_, framed) = FileFormat::cut(&format, &text.as_bytes()[header_bytes..], true);
    assert!(framed.rejects.is_empty(), "{:?}", framed.rejects);
    let texts: Vec<&[u8]> =
        framed.spans.iter().map(|span| &text.as_bytes()[header_bytes..][span.start..span.end]).collect();
    format.with_records(&texts, |records| {
        let source = sources.of_records(records, "", None).unwrap();
        assert_eq!(source.name, "windows-events", "{text}");
        let shaped = records.iter().map(|record| {
            let mut record = record.clone();
            json::shape(&mut record, &source, "").unwrap();
            record.iter().map(|(name, value)| format!("{name}={value}")).collect()
        });
        shaped.collect()
    })
}

/// Checks that the only event of a text has these fields.
fn assert_fields(text: &str, wanted: &[&str]) {
    let events = events_of(text);
    assert_eq!(events.len(), 1, "{text}");
    for field in wanted {
        assert!(events[0].iter().any(|found| found == field), "{field} of {text}: {:?}", events[0]);
    }
}

const SYSTEM: &str = "<System><Provider Name='Microsoft-Windows-Security-Auditing' Guid='{5484}'/><EventID>4688</EventID>\
    <Version>2</Version><Level>0</Level><Task>13312</Task><Keywords>0x8020000000000000</Keywords>\
    <TimeCreated SystemTime='2026-01-05T08:00:00.1234567Z'/><EventRecordID>77</EventRecordID><Correlation/>\
    <Execution ProcessID='4' ThreadID='8'/><Channel>Security</Channel><Computer>ws-1.corp.example</Computer>\
    <Security/></System>";

fn xml_event(data: &str) -> String {
    format!("<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'>{SYSTEM}{data}</Event>")
}

const SHARED: [&str; 4] = [
    "EventSourceName=Microsoft-Windows-Security-Auditing",
    "EventID=4688",
    "Channel=Security",
    "Computer=ws-1.corp.example",
];
const CREATED: [&str; 5] = [
    "SubjectUserName=ada",
    "NewProcessId=0x1f4",
    "NewProcessName=C:\\Tools\\7z.exe",
    "SubjectAccount=CORP\\ada",
    "CommandLine=7z a \"x & y\"",
];

#[test]
fn xml_is_read_alone_in_lists_and_after_syslog_headers() {
    let data = "<EventData><Data Name='SubjectUserName'>ada</Data><Data Name=\"SubjectDomainName\">CORP</Data>\
                <Data Name='NewProcessId'>0x1f4</Data>\n<Data Name='NewProcessName'>C:\\Tools\\7z.exe</Data>\
                <Data Name='CommandLine'>7z a &quot;x &amp; y&#34;</Data><Data Name='Computer'>other</Data></EventData>";
    let event = xml_event(data);
    let list = format!("<?xml version='1.0' encoding='utf-8' standalone='yes'?>\n<Events>{event}</Events>\n");
    let syslog = format!("<14>Jan  5 08:00:00 ws-1 {event}\n");
    for text in [&event, &list, &syslog, &event.replace("><", ">\n  <")] {
        assert_fields(text, &SHARED);
        assert_fields(text, &CREATED);
        assert_fields(
            text,
            &["TimeCreated=2026-01-05T08:00:00.1234567Z", "SystemProcessId=4", "EventRecordId=77"],
        );
        // No data of the event hides the system's.
        assert_fields(text, &["EventData.Computer=other"]);
    }
    assert_eq!(events_of(&event.repeat(3)).len(), 3);
    let user =
        xml_event("<UserData><Cleared xmlns='x'><SubjectUserName>ada</SubjectUserName></Cleared></UserData>");
    assert_fields(&user, &["SubjectUserName=ada"]);
    let unnamed = xml_event("<EventData><Data>a</Data><Data>b</Data></EventData>");
    assert_fields(&unnamed, &["Data=[\"a\",\"b\"]"]);
    let rendered = xml_event(
        "<RenderingInfo Culture='en-US'><Message>M</Message><Level>Information</Level></RenderingInfo>",
    );
    assert_fields(&rendered, &["Message=M", "EventLevelName=Information", "Level=0"]);
}

#[test]
fn an_event_that_breaks_off_costs_no_other() {
    let event = xml_event("<EventData><Data Name='a'>b</Data></EventData>");
    let broken = &event[..event.len() - 20];
    let text = format!("{event}\n{broken}\n{event}\njunk\n{event}{broken}");
    let framed = xml::events(text.as_bytes(), true, b'\n');
    assert_eq!((framed.spans.len(), framed.consumed), (3, text.len()));
    let rejects: Vec<(u64, &str)> =
        framed.rejects.iter().map(|reject| (reject.line, reject.reason.as_str())).collect();
    let cut = "is a Windows event without an end";
    assert_eq!(rejects, [(1, cut), (4, "is not a Windows event in XML"), (4, cut)]);
    // The end may come with the next block.
    let begun = format!("{event}{broken}");
    let framed = xml::events(begun.as_bytes(), false, b'\n');
    assert_eq!((framed.spans.len(), framed.consumed, framed.rejects.len()), (1, event.len(), 0));
    let mut record = Record::new();
    assert!(
        xml::read("<Event><System></Event>", &mut record).unwrap_err().starts_with("is not a Windows event")
    );
    let said = format!("{}chunk 3 is damaged{}\n{event}", xml::REJECT, xml::REJECT_END);
    let framed = xml::events(said.as_bytes(), true, b'\n');
    assert_eq!((framed.spans.len(), framed.rejects[0].reason.as_str()), (1, "chunk 3 is damaged"));
}

#[test]
fn objects_of_many_tools_have_the_same_fields() {
    let attributes = r##"{"Event":{"#attributes":{"xmlns":"x"},"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Security-Auditing","Guid":"5484"}},"EventID":{"#attributes":{"Qualifiers":0},"#text":4688},"TimeCreated":{"#attributes":{"SystemTime":"2026-01-05T08:00:00.123456Z"}},"EventRecordID":77,"Execution":{"#attributes":{"ProcessID":4,"ThreadID":8}},"Channel":"Security","Computer":"ws-1.corp.example","Correlation":null,"Security":null},"EventData":{"SubjectUserName":"ada","SubjectDomainName":"CORP","NewProcessId":"0x1f4","NewProcessName":"C:\\Tools\\7z.exe","CommandLine":"7z a \"x & y\""}}}"##;
    let separate = r#"{"Event":{"System":{"Provider_attributes":{"Name":"Microsoft-Windows-Security-Auditing"},"EventID":4688,"TimeCreated_attributes":{"SystemTime":"2026-01-05T08:00:00.123456Z"},"Channel":"Security","Computer":"ws-1.corp.example"},"EventData":{"SubjectUserName":"ada","SubjectDomainName":"CORP","NewProcessId":"0x1f4","NewProcessName":"C:\\Tools\\7z.exe","CommandLine":"7z a \"x & y\""}},"Event_attributes":{"xmlns":"x"}}"#;
    let converted = r##"{"Event":{"System":{"Provider":{"@Name":"Microsoft-Windows-Security-Auditing"},"EventID":"4688","TimeCreated":{"@SystemTime":"2026-01-05T08:00:00.123456Z"},"Channel":"Security","Computer":"ws-1.corp.example"},"EventData":{"Data":[{"@Name":"SubjectUserName","#text":"ada"},{"@Name":"SubjectDomainName","#text":"CORP"},{"@Name":"NewProcessId","#text":"0x1f4"},{"@Name":"NewProcessName","#text":"C:\\Tools\\7z.exe"},{"@Name":"CommandLine","#text":"7z a \"x & y\""}]}}}"##;
    let winlogbeat = r#"{"@timestamp":"2026-01-05T08:00:00.123Z","message":"A new process","host":{"name":"h"},"winlog":{"channel":"Security","event_id":"4688","provider_name":"Microsoft-Windows-Security-Auditing","computer_name":"ws-1.corp.example","record_id":77,"process":{"pid":4,"thread":{"id":8}},"keywords":["Audit Success"],"event_data":{"SubjectUserName":"ada","SubjectDomainName":"CORP","NewProcessId":"0x1f4","NewProcessName":"C:\\Tools\\7z.exe","CommandLine":"7z a \"x & y\""}}}"#;
    let old = r#"{"@timestamp":"2026-01-05T08:00:00.123Z","event_id":4688,"log_name":"Security","source_name":"Microsoft-Windows-Security-Auditing","computer_name":"ws-1.corp.example","event_data":{"SubjectUserName":"ada","SubjectDomainName":"CORP","NewProcessId":"0x1f4","NewProcessName":"C:\\Tools\\7z.exe","CommandLine":"7z a \"x & y\""}}"#;
    let flat = r#"{"EventTime":"2026-01-05 08:00:00","Hostname":"ws-1.corp.example","EventID":4688,"SourceName":"Microsoft-Windows-Security-Auditing","Channel":"Security","SubjectUserName":"ada","SubjectDomainName":"CORP","NewProcessId":"0x1f4","NewProcessName":"C:\\Tools\\7z.exe","CommandLine":"7z a \"x & y\""}"#;
    let chainsaw = format!(
        r#"{{"group":"Sigma","kind":"individual","document":{{"kind":"evtx","path":"a.evtx","data":{attributes}}}}}"#
    );
    let kafka = format!(
        r#"{{"topic":"events","partition":0,"offset":5,"key":null,"payload":{}}}"#,
        serde_json::to_string(winlogbeat).unwrap()
    );
    let queue = format!(r#"{{"topic":"events","value":{winlogbeat}}}"#);
    let splunk = format!(
        r#"{{"_time":"2026-01-05T08:00:00Z","sourcetype":"XmlWinEventLog","_raw":{}}}"#,
        serde_json::to_string(&xml_event("<EventData><Data Name='SubjectUserName'>ada</Data><Data Name='SubjectDomainName'>CORP</Data><Data Name='NewProcessId'>0x1f4</Data><Data Name='NewProcessName'>C:\\Tools\\7z.exe</Data><Data Name='CommandLine'>7z a &quot;x &amp; y&quot;</Data></EventData>")).unwrap()
    );
    for text in [attributes, separate, converted, winlogbeat, old, flat, &chainsaw, &kafka, &queue, &splunk] {
        assert_fields(text, &SHARED);
        assert_fields(text, &CREATED);
    }
    assert_fields(
        attributes,
        &["TimeCreated=2026-01-05T08:00:00.123456Z", "SystemThreadId=8", "Qualifiers=0"],
    );
    assert_fields(
        winlogbeat,
        &[
            "SystemProcessId=4",
            "EventRecordId=77",
            "KeywordNames=[\"Audit Success\"]",
            "Message=A new process",
        ],
    );
}

#[test]
fn data_without_names_gets_those_of_its_definition() {
    let values = [
        "S-1-5-18",
        "ada",
        "CORP",
        "0x3e7",
        "0x1f4",
        "C:\\Tools\\7z.exe",
        "%%1936",
        "0x10",
        "7z a \"x & y\"",
    ];
    let list = serde_json::to_string(&values).unwrap();
    let objects = serde_json::to_string(&values.map(|value| serde_json::json!({"Value": value}))).unwrap();
    let fluent = format!(
        r#"{{"ProviderName":"Microsoft-Windows-Security-Auditing","EventID":4688,"TimeCreated":"2026-01-05 08:00:00 +0000","ProcessID":4,"Channel":"Security","Computer":"ws-1.corp.example","StringInserts":{list}}}"#
    );
    let powershell = format!(
        r#"{{"Id":4688,"ProviderName":"Microsoft-Windows-Security-Auditing","LogName":"Security","MachineName":"ws-1.corp.example","ProcessId":4,"UserId":{{"Value":"S-1-5-18"}},"TimeCreated":"\/Date(1767600000123)\/","LevelDisplayName":"Information","Properties":{objects}}}"#
    );
    for text in [&fluent, &powershell] {
        assert_fields(text, &SHARED);
        assert_fields(text, &CREATED);
        assert_fields(text, &["SystemProcessId=4", "ProcessId=0x10"]);
    }
    assert_fields(&powershell, &["SystemUserId=S-1-5-18", "EventLevelName=Information"]);
    // A list of another length stays as it is.
    let short = fluent.replace("\"S-1-5-18\",", "").replace("\"%%1936\",", "");
    assert!(events_of(&short)[0].iter().any(|field| field.starts_with("StringInserts=[\"ada\"")));
}

#[test]
fn hashes_become_fields() {
    let event = r#"{"EventID":1,"SourceName":"Microsoft-Windows-Sysmon","Hashes":"MD5=ab,SHA256=cd","Image":"i","CommandLine":"c"}"#;
    assert_fields(event, &["MD5=ab", "SHA256=cd"]);
}

/// The tables of an event.
fn tables_of(fields: &[(&'static str, &'static str)]) -> Vec<String> {
    let source: std::sync::Arc<Source> = Sources::for_tests().by_name("windows-events").unwrap();
    let record: Record<'_> =
        fields.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value))).collect();
    let Route::Row(mut rule, table) = source.route(&record, None) else { return Vec::new() };
    let mut tables = vec![table.to_owned()];
    while let Some((next, table)) = source.next_route((rule, tables.last().unwrap()), &record, None) {
        let action = source.tables[rule].constants.get("ActionType").cloned().unwrap_or_default();
        let last = tables.last_mut().unwrap();
        *last = format!("{last} {action}").trim_end().to_owned();
        (rule, _) = (next, tables.push(table.to_owned()));
    }
    tables
}

#[test]
fn events_go_to_the_tables_of_endpoints_too() {
    let connection = [("EventID", "3"), ("DestinationIp", "203.0.113.9"), ("SourceIp", "10.0.0.1")];
    let with = |field| [&connection[..], &[field]].concat();
    let permitted = [("EventID", "5156"), ("SourceAddress", "10.0.0.1"), ("DestAddress", "203.0.113.9")];
    let object = [("EventID", "4663"), ("ObjectName", "C:\\a.txt"), ("ObjectType", "File")];
    for (fields, wanted) in [
        (vec![("EventID", "1"), ("Image", "a"), ("CommandLine", "b")], "DeviceProcessEvents ProcessCreated"),
        (
            vec![("EventID", "5"), ("Image", "a"), ("ProcessGuid", "b")],
            "DeviceProcessEvents ProcessTerminated",
        ),
        (with(("Initiated", "true")), "DeviceNetworkEvents ConnectionSuccess"),
        (
            [&with(("Initiated", "false"))[..], &[("Protocol", "tcp")]].concat(),
            "DeviceNetworkEvents InboundConnectionAccepted",
        ),
        (
            [&with(("Initiated", "false"))[..], &[("Protocol", "udp")]].concat(),
            "DeviceNetworkEvents InboundConnectionAccepted",
        ),
        (vec![("EventID", "7"), ("ImageLoaded", "a")], "DeviceImageLoadEvents ImageLoaded"),
        (vec![("EventID", "22"), ("QueryName", "a")], "DeviceEvents DnsQueryResponse"),
        (vec![("EventID", "257"), ("QNAME", "a."), ("Destination", "10.0.0.1")], "ASimDnsActivityLogs"),
        (vec![("EventID", "3008"), ("QueryName", "a")], "DeviceEvents DnsQueryResponse"),
        (vec![("EventID", "23"), ("TargetFilename", "a")], "DeviceFileEvents FileDeleted"),
        (vec![("EventID", "13"), ("TargetObject", "a")], "DeviceRegistryEvents RegistryValueSet"),
        (vec![("EventID", "4688"), ("NewProcessName", "a")], "DeviceProcessEvents ProcessCreated"),
        (
            [&permitted[..], &[("Direction", "%%14592")]].concat(),
            "DeviceNetworkEvents InboundConnectionAccepted",
        ),
        ([&permitted[..], &[("Direction", "%%14593")]].concat(), "DeviceNetworkEvents ConnectionSuccess"),
        ([&object[..], &[("AccessMask", "0x2")]].concat(), "DeviceFileEvents FileModified"),
        ([&object[..], &[("AccessMask", "0x10000")]].concat(), "DeviceFileEvents FileDeleted"),
        ([&object[..], &[("AccessMask", "0x1")]].concat(), "DeviceEvents SensitiveFileRead"),
        (
            vec![("EventID", "4625"), ("TargetUserName", "a"), ("LogonType", "3")],
            "DeviceLogonEvents LogonFailed",
        ),
    ] {
        assert_eq!(tables_of(&fields), [wanted, "SecurityEvent"], "{fields:?}");
    }
    // Event 1 of the kernel is not of Sysmon.
    assert_eq!(
        tables_of(&[("EventID", "1"), ("EventSourceName", "Microsoft-Windows-Kernel-General")]),
        ["SecurityEvent"]
    );
}

#[test]
fn texts_in_braces_are_texts_and_the_time_of_a_collector_keeps_its_name() {
    let text = r#"{"@timestamp":"2026-01-05T08:00:00.123Z","winlog":{"channel":"Security","event_id":"4624","event_data":{"LogonGuid":"{00000000-0000-0000-0000-000000000000}","ScriptBlockText":"{ Get-Item }"}}}"#;
    assert_fields(
        text,
        &[
            "@timestamp=2026-01-05T08:00:00.123Z",
            "LogonGuid={00000000-0000-0000-0000-000000000000}",
            "ScriptBlockText={ Get-Item }",
        ],
    );
}
