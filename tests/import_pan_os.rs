//! Logs of Palo Alto Networks in each form that firewalls, their web interface and the logging service write: the same log
//! gives the same row.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::Place;

/// The cells of a traffic log of PAN-OS 9.1, after the time of receipt.
const TRAFFIC: &str = "0123456789AB,TRAFFIC,end,2561,2026/01/05 07:59:58,10.1.1.5,203.0.113.9,192.0.2.1,203.0.113.9,allow-out,corp\\ada,,ssl,vsys1,trust,untrust,ethernet1/2,ethernet1/1,fwd,2026/01/05 08:00:00,22751,1,55113,443,16418,443,0x400053,tcp,allow,5001000,5000000,1000,36,2026/01/05 07:50:00,586,any,0,32091112,0x0,10.0.0.0-10.255.255.255,United States,0,16,20,tcp-fin,0,0,0,0,,PA-1,from-policy";
/// A URL log.
const URL: &str = "0123456789AB,THREAT,url,2561,2026/01/05 08:01:00,10.1.1.5,203.0.113.9,0.0.0.0,0.0.0.0,r,corp\\ada,,web-browsing,vsys1,a,b,i,o,l,2026/01/05 08:01:00,50003,1,58116,443,34299,443,0x1402000,tcp,block-url,\"evil.example/a?mm=31,29&mn=\"\"x\"\"\",(9999),malware,low,client-to-server,7093208347630664272,0x8000000000000000,A,B,,text/html,0,,,0,curl/8.0,,,,,,,,0,0,0,0,,PA-1,,,,get,0";

fn bare(receive_time: &str, cells: &str) -> String {
    format!("1,{receive_time},{cells}\n")
}

/// The first row that importing a file makes, and the source that was detected.
fn imported(name: &str, text: &str) -> (BTreeMap<String, String>, String) {
    let place = Place::new();
    let report = place.import(&place.file(name, text), "");
    assert_eq!(report["files"][0]["rejects"], 0, "{report}");
    let row = place.rows_by("CommonSecurityLog", "TimeGenerated").remove(0);
    (row, report["files"][0]["source"].as_str().expect("a source").to_owned())
}

fn check(name: &str, row: &BTreeMap<String, String>, wanted: &[(&str, &str)]) {
    for (column, value) in wanted {
        assert_eq!(row.get(*column).map(String::as_str), Some(*value), "{name}: {column} of {row:?}");
    }
}

#[test]
fn one_session_is_the_same_row_in_each_form() {
    let cef = "<14>Jan  5 08:00:00 PA-1 CEF:0|Palo Alto Networks|PAN-OS|10.1.0|end|TRAFFIC|1|rt=Jan 05 2026 08:00:00 GMT deviceExternalId=0123456789AB src=10.1.1.5 dst=203.0.113.9 sourceTranslatedAddress=192.0.2.1 destinationTranslatedAddress=203.0.113.9 cs1Label=Rule cs1=allow-out suser=corp\\\\ada duser= app=ssl cs3Label=Virtual System cs3=vsys1 cs4Label=Source Zone cs4=trust cs5Label=Destination Zone cs5=untrust deviceInboundInterface=ethernet1/2 deviceOutboundInterface=ethernet1/1 cs6Label=LogProfile cs6=fwd cn1Label=SessionID cn1=22751 cnt=1 spt=55113 dpt=443 sourceTranslatedPort=16418 destinationTranslatedPort=443 flexString1Label=Flags flexString1=0x400053 proto=tcp act=allow flexNumber1Label=Total bytes flexNumber1=5001000 in=1000 out=5000000 cn2Label=Packets cn2=36 start=Jan 05 2026 07:59:58 GMT cn3Label=Elapsed time in seconds cn3=586 cs2Label=URL Category cs2=any externalId=32091112 reason=tcp-fin cat=from-policy dvchost=PA-1\n";
    let leef = "<14>Jan  5 08:00:00 PA-1 LEEF:1.0|Palo Alto Networks|PAN-OS Syslog Integration|10.1.0|allow|cat=TRAFFIC|ReceiveTime=2026/01/05 08:00:00|SerialNumber=0123456789AB|Type=TRAFFIC|Subtype=end|devTime=Jan 05 2026 08:00:00 GMT|src=10.1.1.5|dst=203.0.113.9|srcPostNAT=192.0.2.1|dstPostNAT=203.0.113.9|RuleName=allow-out|usrName=corp\\ada|SourceUser=corp\\ada|DestinationUser=|Application=ssl|VirtualSystem=vsys1|SourceZone=trust|DestinationZone=untrust|IngressInterface=ethernet1/2|EgressInterface=ethernet1/1|LogForwardingProfile=fwd|SessionID=22751|RepeatCount=1|srcPort=55113|dstPort=443|srcPostNATPort=16418|dstPostNATPort=443|Flags=0x400053|proto=tcp|action=allow|totalBytes=5001000|dstBytes=1000|srcBytes=5000000|totalPackets=36|ElapsedTime=586|URLCategory=any|sequence=32091112|SessionEndReason=tcp-fin|DeviceName=PA-1|ActionSource=from-policy\n";
    let header = "Domain,Receive Time,Serial #,Type,Threat/Content Type,Config Version,Generate Time,Source address,Destination address,NAT Source IP,NAT Destination IP,Rule,Source User,Destination User,Application,Virtual System,Source Zone,Destination Zone,Inbound Interface,Outbound Interface,Log Action,Time Logged,Session ID,Repeat Count,Source Port,Destination Port,NAT Source Port,NAT Destination Port,Flags,IP Protocol,Action,Bytes,Bytes Sent,Bytes Received,Packets,Start Time,Elapsed Time (sec),Category,Padding,seqno,actionflags,Source Country,Destination Country,cpadding,pkts_sent,pkts_received,Session End Reason,DG Hierarchy Level 1,DG Hierarchy Level 2,DG Hierarchy Level 3,DG Hierarchy Level 4,Virtual System Name,Device Name,Action Source\n";
    let cells = bare("2026/01/05 08:00:00", TRAFFIC);
    let (wanted, source) = imported("cef.log", cef);
    assert_eq!(source, "cef");
    let same = |column: &str| {
        !["AdditionalFields", "ReceiptTime", "DeviceVersion", "CEFVersion", "Computer"].contains(&column)
    };
    let wanted: BTreeMap<String, String> = wanted.into_iter().filter(|(column, _)| same(column)).collect();
    check(
        "cef.log",
        &wanted,
        &[
            ("SentBytes", "5000000"),
            ("ReceivedBytes", "1000"),
            ("SimplifiedDeviceAction", "Allowed"),
            ("FlexString1", "0x400053"),
        ],
    );
    let quoted = cells.trim_end().replace('"', "\"\"");
    for (name, text, source) in [
        ("bare.log", cells.clone(), "pan-os"),
        ("bsd.log", format!("<14>Jan  5 08:00:00 PA-1 {cells}"), "pan-os"),
        ("ietf.log", format!("<14>1 2026-01-05T08:00:00Z PA-1 - - - - {cells}"), "pan-os"),
        ("longer.log", format!("{},,,0,,0,,N/A,0,0,0,0,1,2,3\n", cells.trim_end()), "pan-os"),
        ("web.csv", format!("{header}{}", cells.repeat(3)), "pan-os"),
        ("leef.log", leef.to_owned(), "pan-os-leef"),
        (
            "filebeat.ndjson",
            json!({"@timestamp": "2026-01-05T08:00:09Z", "event": {"original": cells}}).to_string(),
            "pan-os",
        ),
        (
            "splunk.csv",
            format!("_time,_raw,host\n2026-01-05T08:00:09Z,\"<14>Jan  5 08:00:00 PA-1 {quoted}\",PA-1\n"),
            "pan-os",
        ),
    ] {
        let (mut row, detected) = imported(name, &text);
        assert_eq!(detected, source, "{name}");
        // Without the generated time, in LEEF.
        if name == "leef.log" {
            row.insert("StartTime".into(), wanted["StartTime"].clone());
        }
        row.retain(|column, _| same(column));
        assert_eq!(row, wanted, "{name}");
    }
}

#[test]
fn logs_of_all_types_are_rows_or_set_aside() {
    let place = Place::new();
    let decryption = "0,DECRYPTION,0,2561,2026/01/05 08:02:00,10.1.1.5,203.0.113.9,0.0.0.0,0.0.0.0,r,,,incomplete,vsys1,LAN,WAN,i,o,,2026/01/05 08:02:00,33288,1,49908,443,0,0,0x1400000,tcp,allow,N/A,,,,,731a,Server_Hello,Client_Hello,TLS1.2,ECDHE,AES_256_GCM,SHA384,,,Certificate,trusted,Trusted,Forward,ba67,a6a1,2025/11/11 15:21:28,2027/11/11 15:21:28,V3,2048,9,9,0,0,:,example.com,Root,,www.example.com,Received fatal alert,,,,,,,,2026-01-05T00:02:00.250-08:00";
    let login = "0,GLOBALPROTECT,0,2305,2026/01/05 08:03:00,vsys1,gateway-auth,login,LDAP,,corp\\ada,DE,PC1,198.51.100.4,0.0.0.0,10.2.3.4,0.0.0.0,host-id,serial,5.2.4,Windows,\"Microsoft Windows 10 Pro , 64-bit\",1,,,\"Invalid \"\"password\"\"\",failure,,0,user-logon,0,GW,69,0x0";
    let ipv6 = login.replace("198.51.100.4,0.0.0.0", "0.0.0.0,2001:db8::4");
    let text = bare("2026/01/05 08:00:00", TRAFFIC)
        + &bare("2026/01/05 08:01:00", URL)
        + &bare("2026/01/05 08:02:00", decryption)
        + &bare("2026/01/05 08:03:00", login)
        + &bare("2026/01/05 08:04:00", &ipv6)
        + &bare(
            "2026/01/05 08:05:00",
            "0,SYSTEM,auth,0,2026/01/05 08:05:00,,auth-fail,ESA,0,0,general,medium,\"x, y\",1,0x0",
        )
        + &bare("2026/01/05 08:06:00", "0,HIP-MATCH,0,1,2026/01/05 08:06:00,ada,vsys1,PC1")
        + "not a log\n1,2026/01/05 08:00:00,0123,TRAFFIC,end,\"cut\n";
    let report = place.import(&place.file("pan.log", text), "--allow-rejects 100%");
    let file = &report["files"][0];
    assert_eq!((&file["rows"]["CommonSecurityLog"], &file["rejects"]), (&json!(5), &json!(2)), "{report}");
    assert_eq!(file["set_aside"], json!({"SYSTEM": 1, "HIP-MATCH": 1}));
    let rows = place.rows_by("CommonSecurityLog", "TimeGenerated");
    check(
        "traffic",
        &rows[0],
        &[("DeviceEventClassID", "TRAFFIC"), ("StartTime", "2026-01-05T07:59:58Z"), ("DeviceName", "PA-1")],
    );
    check(
        "url",
        &rows[1],
        &[
            ("DeviceEventClassID", "THREAT"),
            ("Activity", "url"),
            ("RequestURL", "evil.example/a?mm=31,29&mn=\"x\""),
            ("ApplicationProtocol", "web-browsing"),
            ("DeviceAction", "block-url"),
            ("SimplifiedDeviceAction", "Blocked"),
            ("DeviceEventCategory", "(9999)"),
            ("DeviceCustomString2", "malware"),
            ("LogSeverity", "2"),
            ("RequestMethod", "get"),
            ("RequestClientApplication", "curl/8.0"),
            ("SourceUserName", "corp\\ada"),
        ],
    );
    check(
        "decryption",
        &rows[2],
        &[
            // The time with its zone counts, and gives the zone of the others.
            ("TimeGenerated", "2026-01-05T08:02:00.250Z"),
            ("StartTime", "2026-01-05T16:02:00Z"),
            ("Activity", "decryption"),
            ("DestinationHostName", "www.example.com"),
            ("Message", "Received fatal alert"),
        ],
    );
    let wanted = [
        ("Activity", "gateway-auth"),
        ("EventOutcome", "failure"),
        ("SourceHostName", "PC1"),
        ("Message", "Invalid \"password\""),
    ];
    check("login", &rows[3], &wanted);
    check("login", &rows[3], &[("SourceIP", "198.51.100.4"), ("SourceUserName", "corp\\ada")]);
    check("login by IPv6", &rows[4], &[("SourceIP", "2001:db8::4")]);
    place.scan_well("--suite firewall");
    let talkers = place.table("top_talkers");
    assert_eq!(
        (&talkers[0]["source_ip"], &talkers[0]["bytes_sent"]),
        (&json!("10.1.1.5"), &json!(5_000_000))
    );
}

#[test]
fn the_logging_service_writes_json() {
    let traffic = r#"<14>Jan  5 08:00:03 fwd logforwarder {"TimeReceived":"2026-01-05T08:00:02.000000Z","DeviceSN":"007","LogType":"TRAFFIC","Subtype":"end","TimeGenerated":"2026-01-05T08:00:00.000000Z","SourceAddress":"10.1.1.5","DestinationAddress":"203.0.113.9","SourcePort":55113,"DestinationPort":443,"SourceUser":"corp\\ada","Application":"ssl","Protocol":"tcp","Action":"reset-both","Bytes":5001000,"BytesSent":5000000,"BytesReceived":1000,"Rule":"allow-out","DeviceName":"PA-1"}"#;
    let url = r#"{"TimeReceived":"2026-01-05T08:01:02.000000Z","DeviceSN":"007","LogType":"THREAT","Subtype":"url","SourceAddress":"10.1.1.5","DestinationAddress":"203.0.113.9","Application":"web-browsing","Action":"block-url","URL":"evil.example/a","URLCategory":"malware","VendorSeverity":"High"}"#;
    let system = r#"{"TimeReceived":"2026-01-05T08:02:02.000000Z","DeviceSN":"007","LogType":"SYSTEM","Subtype":"dhcp"}"#;
    let place = Place::new();
    let report = place.import(&place.file("sls.log", format!("{traffic}\n{url}\n{system}\n")), "");
    let file = &report["files"][0];
    assert_eq!((&file["source"], &file["set_aside"]), (&json!("strata-logging"), &json!({"SYSTEM": 1})));
    let rows = place.rows_by("CommonSecurityLog", "TimeGenerated");
    check(
        "traffic",
        &rows[0],
        &[
            ("TimeGenerated", "2026-01-05T08:00:02Z"),
            ("StartTime", "2026-01-05T08:00:00Z"),
            ("DeviceVendor", "Palo Alto Networks"),
            ("DeviceProduct", "LF"),
            ("DeviceEventClassID", "TRAFFIC"),
            ("Activity", "end"),
            ("SentBytes", "5000000"),
            ("ReceivedBytes", "1000"),
            ("SourceUserName", "corp\\ada"),
            ("SimplifiedDeviceAction", "Reset"),
        ],
    );
    check(
        "url",
        &rows[1],
        &[("RequestURL", "evil.example/a"), ("SimplifiedDeviceAction", "Blocked"), ("LogSeverity", "4")],
    );
}

#[test]
fn leef_of_other_products_has_the_vendor_of_its_header() {
    let text = "<14>Jan  5 08:00:00 px LEEF:2.0|Example|Proxy|3.1|blocked|^|devTime=Jan 05 2026 08:00:01 GMT^src=10.1.1.5^dst=203.0.113.9^srcBytes=12^dstBytes=34^usrName=ada^url=http://evil.example/^sev=7^action=deny\n";
    let (row, source) = imported("leef.log", text);
    assert_eq!(source, "leef");
    check(
        "leef",
        &row,
        &[
            ("TimeGenerated", "2026-01-05T08:00:01Z"),
            ("DeviceVendor", "Example"),
            ("DeviceProduct", "Proxy"),
            ("DeviceEventClassID", "blocked"),
            ("SentBytes", "12"),
            ("ReceivedBytes", "34"),
            ("RequestURL", "http://evil.example/"),
            ("LogSeverity", "7"),
            ("SimplifiedDeviceAction", "Blocked"),
            ("DeviceName", "px"),
        ],
    );
}
