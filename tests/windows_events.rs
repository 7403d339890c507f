//! Events of Windows in all their forms become rows of SecurityEvent and of the tables of devices.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::event_log::{Element, event, log, place_of};
use crate::import_sources::first_row;
use crate::support::{Place, files_below};

const SECURITY: &str = "Microsoft-Windows-Security-Auditing";
const SYSMON: &str = "Microsoft-Windows-Sysmon";
const TIME: &str = "2026-01-05T08:00:00.1234567Z";

/// A process creation of the security log.
const CREATED: [(&str, &str); 9] = [
    ("SubjectUserSid", "S-1-5-21-1"),
    ("SubjectUserName", "ada"),
    ("SubjectDomainName", "CORP"),
    ("NewProcessId", "0x1f4"),
    ("NewProcessName", "C:\\Tools\\7z.exe"),
    ("ProcessId", "0x10"),
    ("CommandLine", "7z a C:\\temp\\x.7z C:\\data"),
    ("TargetUserName", "-"),
    ("ParentProcessName", "C:\\Windows\\System32\\cmd.exe"),
];
const CREATED_ROW: [(&str, &str); 12] = [
    ("Timestamp", "2026-01-05T08:00:00.123456Z"),
    ("DeviceName", "ws-1.corp.example"),
    ("ActionType", "ProcessCreated"),
    ("FileName", "7z.exe"),
    ("FolderPath", "C:\\Tools\\7z.exe"),
    ("ProcessId", "500"),
    ("ProcessCommandLine", "7z a C:\\temp\\x.7z C:\\data"),
    ("AccountName", "ada"),
    ("AccountDomain", "CORP"),
    ("InitiatingProcessId", "16"),
    ("InitiatingProcessFileName", "cmd.exe"),
    ("InitiatingProcessAccountName", "ada"),
];
const CREATED_EVENT: [(&str, &str); 9] = [
    ("TimeGenerated", "2026-01-05T08:00:00.123456Z"),
    ("Computer", "ws-1.corp.example"),
    ("EventID", "4688"),
    ("EventSourceName", SECURITY),
    ("Account", "CORP\\ada"),
    ("SubjectUserName", "ada"),
    ("NewProcessName", "C:\\Tools\\7z.exe"),
    ("Process", "7z.exe"),
    ("Activity", "4688 - A new process has been created."),
];

fn assert_row(place: &Place, table: &str, wanted: &[(&str, &str)]) {
    let row = first_row(place, table);
    for (column, value) in wanted {
        assert_eq!(row.get(*column).map(String::as_str), Some(*value), "{table}.{column} of {row:?}");
    }
}

fn rows(report: &Value) -> BTreeMap<String, u64> {
    serde_json::from_value(report["files"][0]["rows"].clone()).expect("numbers of rows")
}

#[test]
fn a_binary_log_becomes_events_and_processes() {
    let place = Place::new();
    let events = [event(SECURITY, 4688, TIME, &CREATED), event(SECURITY, 4616, TIME, &[("NewTime", "x")])];
    let file = place.file("Security.evtx", log(&events, 10));
    let report = place.import(&file, "");
    assert_eq!(report["files"][0]["source"], "windows-events", "{report}");
    let counts = BTreeMap::from([("SecurityEvent".to_owned(), 2), ("DeviceProcessEvents".to_owned(), 1)]);
    assert_eq!((rows(&report), &report["files"][0]["rejects"]), (counts, &Value::from(0)), "{report}");
    assert_row(&place, "DeviceProcessEvents", &CREATED_ROW);
    assert_row(&place, "SecurityEvent", &CREATED_EVENT);
}

#[test]
fn a_damaged_chunk_costs_no_other() {
    let place = Place::new();
    let named = |name: &str| event(SECURITY, 4616, TIME, &[("NewTime", name)]);
    let events: Vec<Element> = (0..9).map(|number| named(&format!("change {number} at noon"))).collect();
    let whole = log(&events, 3);
    // The second chunk: damage in a text, in the structure of an event, in its header; and a file that is cut.
    let text = place_of(&whole, "change 4");
    let start = 4096 + 65_536;
    let damaged = |at: usize, with: &[u8]| {
        let mut log = whole.clone();
        log[at..at + with.len()].copy_from_slice(with);
        log
    };
    for (name, content, kept, word) in [
        ("text.evtx", damaged(text, b"XXXX"), 9, "its checksum is wrong"),
        ("event.evtx", damaged(text - 300, &[0xee; 200]), 8, "an event in it"),
        ("magic.evtx", damaged(start, b"Broken"), 6, "chunk 2 of the event log"),
        ("cut.evtx", whole[..start + 65_536 + 20_000].to_vec(), 9, "the file ends within it"),
    ] {
        let place = Place::new();
        let file = place.file(name, content);
        let report = place.import(&file, "--allow-rejects 50%");
        assert_eq!(rows(&report)["SecurityEvent"], kept, "{name}: {report}");
        assert!(
            report["files"][0]["rejects"].as_u64().is_some_and(|count| (1..4).contains(&count)),
            "{report}"
        );
        let (_, rejects) = &files_below(&place.lake().join("_hindcast/rejects"))[0];
        let rejects = fs::read_to_string(rejects).expect("read");
        assert!(rejects.contains(word) && rejects.contains("of the event log"), "{name}: {rejects}");
    }
    // The chunk that was written to last in a log that was not closed has an old checksum.
    let mut open = damaged(text, b"XXXX");
    open[120] = 1;
    open[16] = 1;
    let report = place.import(&place.file("open.evtx", open), "");
    assert_eq!(
        (rows(&report)["SecurityEvent"], &report["files"][0]["rejects"]),
        (9, &Value::from(0)),
        "{report}"
    );
}

#[test]
fn events_in_xml_and_json_are_the_same_rows() {
    let data: String =
        CREATED.iter().map(|(name, value)| format!("<Data Name='{name}'>{value}</Data>")).collect();
    let xml = format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='{SECURITY}'/>\
         <EventID>4688</EventID><Level>0</Level><TimeCreated SystemTime='{TIME}'/><Channel>Security</Channel>\
         <Computer>ws-1.corp.example</Computer></System><EventData>{data}</EventData></Event>"
    );
    let object: BTreeMap<&str, &str> = CREATED.into_iter().collect();
    let data = serde_json::to_string(&object).expect("JSON");
    let dumped = format!(
        r##"{{"Event":{{"System":{{"Provider":{{"#attributes":{{"Name":"{SECURITY}"}}}},"EventID":4688,"TimeCreated":{{"#attributes":{{"SystemTime":"{TIME}"}}}},"Channel":"Security","Computer":"ws-1.corp.example"}},"EventData":{data}}}}}"##
    );
    let beat = format!(
        r#"{{"@timestamp":"{TIME}","winlog":{{"channel":"Security","event_id":"4688","provider_name":"{SECURITY}","computer_name":"ws-1.corp.example","event_data":{data}}}}}"#
    );
    let pairs = data.trim_start_matches('{');
    let flat = format!(
        r#"{{"EventTime":"{TIME}","Hostname":"ws-1.corp.example","EventID":4688,"SourceName":"{SECURITY}","Channel":"Security",{pairs}"#
    );
    let kafka = format!(r#"{{"topic":"t","offset":1,"payload":{}}}"#, Value::from(beat.clone()));
    let splunk =
        format!(r#"{{"result":{{"_time":"{TIME}","host":"h","_raw":{}}}}}"#, Value::from(xml.clone()));
    let wevtutil = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Events>\n{xml}\n</Events>\n");
    let quoted = xml.replace('"', "\"\"");
    for (name, text) in [
        ("event.xml", format!("{xml}\n")),
        ("events.xml", wevtutil),
        ("dump.jsonl", format!("{dumped}\n")),
        ("beat.ndjson", format!("{beat}\n")),
        ("nxlog.json", format!("{flat}\n")),
        ("kafka.json", format!("{kafka}\n")),
        ("splunk.json", format!("{splunk}\n")),
        ("splunk.csv", format!("\"_time\",\"_raw\"\n\"{TIME}\",\"{quoted}\"\n")),
        ("pretty.json", format!("[{}\n]", dumped.replace(",\"", ",\n \""))),
    ] {
        let place = Place::new();
        let report = place.import(&place.file(name, text), "");
        assert_eq!(report["files"][0]["source"], "windows-events", "{name}: {report}");
        assert_row(&place, "DeviceProcessEvents", &CREATED_ROW);
        assert_row(&place, "SecurityEvent", &CREATED_EVENT);
    }
}

/// Provider and number of an event, its data, the table of devices that gets a row, and what the row has.
type DeviceCase = (&'static str, u32, &'static str, &'static str, &'static str);

const DEVICE_CASES: [DeviceCase; 10] = [
    (
        SYSMON,
        3,
        "Image=C:\\a\\curl.exe|User=CORP\\ada|ProcessId=9|Initiated=true|Protocol=tcp|SourceIp=10.0.0.1|SourcePort=50000|\
         DestinationIp=203.0.113.9|DestinationPort=443|DestinationHostname=x.example.com",
        "DeviceNetworkEvents",
        "ActionType=ConnectionSuccess|LocalIP=10.0.0.1|LocalPort=50000|RemoteIP=203.0.113.9|RemotePort=443|\
         RemoteUrl=x.example.com|Protocol=Tcp|InitiatingProcessId=9|InitiatingProcessFileName=curl.exe|\
         InitiatingProcessAccountName=ada|InitiatingProcessAccountDomain=CORP",
    ),
    (
        SYSMON,
        3,
        "Image=System|Initiated=false|Protocol=tcp|SourceIp=203.0.113.9|SourcePort=50000|DestinationIp=10.0.0.1|\
         DestinationPort=445",
        "DeviceNetworkEvents",
        "ActionType=InboundConnectionAccepted|LocalIP=10.0.0.1|LocalPort=445|RemoteIP=203.0.113.9|RemotePort=50000",
    ),
    (
        SYSMON,
        11,
        "Image=C:\\a\\7z.exe|ProcessId=9|TargetFilename=C:\\temp\\x.7z",
        "DeviceFileEvents",
        "ActionType=FileCreated|FileName=x.7z|FolderPath=C:\\temp\\x.7z|InitiatingProcessFileName=7z.exe",
    ),
    (
        SYSMON,
        7,
        "Image=C:\\a\\b.exe|ImageLoaded=C:\\a\\c.dll|Hashes=SHA1=AA,MD5=BB,SHA256=CC,IMPHASH=DD",
        "DeviceImageLoadEvents",
        "ActionType=ImageLoaded|FileName=c.dll|SHA1=AA|MD5=BB|SHA256=CC|AdditionalFields={\"IMPHASH\":\"DD\"}",
    ),
    (
        SYSMON,
        13,
        "Image=C:\\a\\reg.exe|TargetObject=HKLM\\Software\\Run\\x|Details=calc.exe",
        "DeviceRegistryEvents",
        "ActionType=RegistryValueSet|RegistryKey=HKLM\\Software\\Run\\x|RegistryValueName=x|RegistryValueData=calc.exe",
    ),
    (
        SECURITY,
        4624,
        "SubjectUserName=-|TargetUserName=ada|TargetDomainName=CORP|TargetLogonId=0x3e8|LogonType=10|IpAddress=203.0.113.9|\
         IpPort=50000|WorkstationName=WS-2|AuthenticationPackageName=Negotiate",
        "DeviceLogonEvents",
        "ActionType=LogonSuccess|AccountName=ada|AccountDomain=CORP|LogonType=RemoteInteractive|LogonId=1000|\
         RemoteIP=203.0.113.9|RemotePort=50000|RemoteDeviceName=WS-2|Protocol=Negotiate",
    ),
    (
        SECURITY,
        4625,
        "TargetUserName=ada|LogonType=3|FailureReason=%%2313|SubStatus=0xc000006a|IpAddress=-",
        "DeviceLogonEvents",
        "ActionType=LogonFailed|LogonType=Network|FailureReason=Unknown user name or bad password.|RemoteIP=",
    ),
    (
        SECURITY,
        5156,
        "ProcessID=9|Application=\\device\\harddiskvolume2\\a\\curl.exe|Direction=%%14592|SourceAddress=203.0.113.9|\
         SourcePort=50000|DestAddress=10.0.0.1|DestPort=445|Protocol=6",
        "DeviceNetworkEvents",
        "ActionType=InboundConnectionAccepted|LocalIP=10.0.0.1|LocalPort=445|RemoteIP=203.0.113.9|RemotePort=50000|\
         Protocol=Tcp|InitiatingProcessId=9|InitiatingProcessFileName=curl.exe",
    ),
    (
        SECURITY,
        4663,
        "SubjectUserName=ada|ObjectType=File|ObjectName=C:\\data\\x.zip|AccessMask=0x2|ProcessId=0x10|ProcessName=C:\\a\\7z.exe",
        "DeviceFileEvents",
        "ActionType=FileModified|FileName=x.zip|FolderPath=C:\\data\\x.zip|InitiatingProcessId=16|\
         InitiatingProcessAccountName=ada",
    ),
    (
        SECURITY,
        4689,
        "SubjectUserName=ada|ProcessId=0x10|ProcessName=C:\\a\\7z.exe|Status=0x0",
        "DeviceProcessEvents",
        "ActionType=ProcessTerminated|FileName=7z.exe|ProcessId=16",
    ),
];

/// Names and values of a text such as `a=b|c=d`.
fn pairs(text: &str) -> Vec<(&str, &str)> {
    text.split('|').map(|pair| pair.split_once('=').expect("a name and a value")).collect()
}

#[test]
fn events_of_devices_have_defenders_columns() {
    for (provider, id, data, table, wanted) in DEVICE_CASES {
        let place = Place::new();
        let content = log(&[event(provider, id, TIME, &pairs(data))], 1);
        let report = place.import(&place.file("a.evtx", content), "");
        assert_eq!((rows(&report)["SecurityEvent"], rows(&report)[table]), (1, 1), "{id}: {report}");
        assert_row(&place, table, &pairs(wanted));
    }
}

#[test]
fn exports_of_a_workspace_stay_rows_of_their_table() {
    let header = "TenantId,\"TimeGenerated [UTC]\",SourceSystem,Account,Computer,Channel,EventID,CommandLine,NewProcessName,Type\n";
    let row = "t,\"1/15/2026, 8:00:00.000 AM\",OpsManager,CORP\\ada,PC1,Security,4688,7z a x,C:\\7z.exe,SecurityEvent\n";
    let place = Place::new();
    let report = place.import(&place.file("a.csv", format!("{header}{}", row.repeat(5))), "");
    let counts = BTreeMap::from([("SecurityEvent".to_owned(), 5), ("DeviceProcessEvents".to_owned(), 5)]);
    assert_eq!(rows(&report), counts, "{report}");
    let again =
        place.import(&place.file("b.csv", format!("{header}{}", row.repeat(4))), "--table SecurityEvent");
    assert_eq!(rows(&again), BTreeMap::from([("SecurityEvent".to_owned(), 4)]), "{again}");
}

#[test]
fn exports_of_hunting_queries_are_rows() {
    let columns = "Timestamp,DeviceName,ActionType,FileName,ProcessCommandLine,InitiatingProcessId,AdditionalFields,ReportId";
    for (time, wanted) in [
        ("2026-03-05T06:40:13.9880000Z", "2026-03-05T06:40:13.988Z"),
        ("Mar 5, 2026 6:40:13 AM", "2026-03-05T06:40:13Z"),
        ("03/25/2026, 3:40:13.988 pm", "2026-03-25T15:40:13.988Z"),
    ] {
        let row = format!(
            "\"{time}\",pc1,ProcessCreated,7z.exe,\"7z.exe a -p\"\"s,1\"\" x\",100,\"{{\"\"a\"\":1}}\",5\n"
        );
        let place = Place::new();
        let file = place.file("hunt.csv", format!("\u{feff}{columns}\n{}", row.repeat(3)));
        let report = place.import(&file, "--table DeviceProcessEvents");
        assert_eq!(rows(&report)["DeviceProcessEvents"], 3, "{report}");
        let (_, path) = &files_below(&place.lake().join("DeviceProcessEvents"))[0];
        let row = crate::import_sources::row_of(path);
        let found =
            ["Timestamp", "ProcessCommandLine", "AdditionalFields"].map(|column| row[column].as_str());
        assert_eq!(found, [wanted, "7z.exe a -p\"s,1\" x", "{\"a\":1}"]);
    }
}
