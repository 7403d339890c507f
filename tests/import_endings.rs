//! Outcomes of an import: unsupported formats are refused with a solution, rejects change the exit code, an unreadable file does not
//! affect others, and no record is mistaken for another.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::import::traffic;
use crate::support::{Place, hindcast, stderr};

/// Unsupported formats, with a word of each message.
const REFUSED: [(&str, &str, &str); 9] = [
    (
        "pairs.log",
        "date=2026-01-05 time=08:00:00 devname=\"FG 1\" srcip=10.1.1.5 sentbyte=5000\n",
        "key=value",
    ),
    ("audit.log", "type=EXECVE msg=audit(1767600000.123:0): argc=3 a0=\"tar\" a1=\"czf\"\n", "key=value"),
    ("ssh.log", "Jan  5 08:00:00 host sshd[1]: Accepted publickey for ada from 198.51.100.4\n", "syslog"),
    (
        "counted.log",
        "42 <14>Jan  5 08:00:00 host sshd[1]: Accepted\n42 <14>Jan  5 08:00:00 host sshd[1]: Accepted\n",
        "syslog",
    ),
    (
        "squid.log",
        "1767600000.123    150 10.1.1.5 TCP_MISS/200 5000 POST http://up.example/x ada\n1767600000.123    150 10.1.1.5 TCP_MISS/200 5000 POST http://up.example/x ada\n",
        "spaces",
    ),
    ("event.xml", "<Events><Event/></Events>\n", "XML"),
    ("no-header.csv", "2026-01-05T08:00:00Z,10.1.1.5,203.0.113.9,5000\n", "header"),
    ("packed.rar", "Rar!\x1a\x07\x01\0", "RAR"),
    ("README.txt", "How these logs were made\n", "single line"),
];

#[test]
fn unsupported_formats_are_refused_with_a_solution() {
    for (name, text, word) in REFUSED {
        for table in ["", "--table CommonSecurityLog"] {
            let place = Place::new();
            let ending = place.import_anyhow(&place.file(name, text), table);
            assert_eq!(ending.code, Some(2), "{name}: {}", ending.stderr);
            assert!(
                ending.stderr.contains(word) && ending.stderr.contains(name),
                "{name}: {}",
                ending.stderr
            );
            assert!(!place.lake().join("CommonSecurityLog").exists(), "{name}");
        }
    }
}

#[test]
fn a_hint_works_for_its_file() {
    let place = Place::new();
    let unnamed = place.file("unnamed.ndjson", "{\"ts\":1767600000,\"server_name\":\"x\"}\n");
    let refused = place.import_anyhow(&unnamed, "");
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("unnamed.ndjson: ") && refused.stderr.contains("--table"),
        "{}",
        refused.stderr
    );
    assert_eq!(place.import(&unnamed, "--table Own")["tables"]["Own"]["rows"], 1);
    let x509 = place.file("x509.log", "#path\tx509\n#fields\tts\tuid\tserver_name\n1767600000.0\tC0\tx\n");
    let nothing = place.import_anyhow(&x509, "");
    assert_eq!(nothing.code, Some(1));
    assert!(
        nothing.stderr.contains("x509") && nothing.stderr.contains("--source generic --table NAME"),
        "{}",
        nothing.stderr
    );
    // Also for a new lake, and with output for people.
    let fresh = Place::new();
    let printed = hindcast(&format!("import {x509} --lake {}", fresh.lake().display()));
    assert_eq!(printed.status.code(), Some(1));
    assert!(stderr(&printed).contains("nothing was imported"), "{}", stderr(&printed));
    assert_eq!(place.import(&x509, "--source generic --table X509")["tables"]["X509"]["rows"], 1);
}

#[test]
fn rejects_change_the_exit_code() {
    for (rejects, arguments, code) in [
        (2, "", 0),
        (3, "", 3),
        (3, "--allow-rejects 15%", 0),
        (1, "--allow-rejects 0", 3),
        (10, "--allow-rejects 100%", 0),
    ] {
        let place = Place::new();
        let text = traffic(18, 0) + &"{\"broken\n".repeat(rejects);
        let ending = place.import_anyhow(&place.file("rows.ndjson", text), arguments);
        assert_eq!(ending.code, Some(code), "{rejects} {arguments}: {}", ending.stderr);
        assert_eq!(ending.report["tables"]["CommonSecurityLog"]["rows"], 18);
        assert!(code == 0 || ending.stderr.contains("--allow-rejects"), "{}", ending.stderr);
    }
    let place = Place::new();
    for (text, word) in [
        ("{\"Records\":[]}", "no records"),
        ("", "no records"),
        ("{\"TenantId\":\"t\",\"TimeGenerated\":\"never\",\"Type\":\"Own\"}\n", "is not a time"),
        ("{\"time\":\"2026-01-05T08:00:00Z\",\"resourceId\":\"x\",\"category\":\"Other\"}\n", "Other"),
    ] {
        let ending = place.import_anyhow(&place.file("rows.json", text), "");
        assert_eq!(ending.code, Some(1), "{text}: {}", ending.stderr);
        assert!(ending.stderr.contains(word), "{text}: {}", ending.stderr);
    }
    // A valid file does not hide a file of rejects.
    let (rows, broken) = (
        place.file("a.ndjson", traffic(100, 0)),
        place.file("b.ndjson", "{\"Type\":\"Own\",\"TimeGenerated\":\"x\"}\n"),
    );
    let ending = place.import_anyhow(&format!("{rows} {broken}"), "");
    assert_eq!(ending.code, Some(3));
    assert!(ending.stderr.contains("b.ndjson"), "{}", ending.stderr);
    let wrong = place.import_anyhow(&rows, "--allow-rejects lots");
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
}

#[test]
fn an_unreadable_file_does_not_affect_others() {
    let place = Place::new();
    let folder = place.path("day");
    fs::create_dir(&folder).expect("a folder");
    let put = |name: &str, content: &[u8]| fs::write(folder.join(name), content).expect("written");
    put("1.ndjson", traffic(10, 0).as_bytes());
    put("2.parquet", b"PAR1 is no Parquet");
    put("3.log", b"Jan  5 08:00:00 host sshd[1]: Accepted\n");
    put("4.ndjson", traffic(10, 10).as_bytes());
    put("5.ndjson", traffic(10, 20).as_bytes());
    fs::set_permissions(folder.join("5.ndjson"), fs::Permissions::from_mode(0o000)).expect("locked");
    let is_root = fs::read(folder.join("5.ndjson")).is_ok();
    let day = folder.display().to_string();
    let ending = place.import_anyhow(&day, "");
    assert_eq!(ending.code, Some(3), "{}", ending.stderr);
    let failed: Vec<&Value> = ending.report["files"]
        .as_array()
        .expect("files")
        .iter()
        .filter(|file| file["failure"].is_string())
        .collect();
    assert_eq!(failed.len(), if is_root { 2 } else { 3 }, "{}", ending.report);
    for name in ["2.parquet", "3.log"] {
        assert!(ending.stderr.contains(name), "{}", ending.stderr);
    }
    let rows = ending.report["tables"]["CommonSecurityLog"]["rows"].clone();
    assert_eq!(rows, if is_root { 30 } else { 20 });

    // After the repair only these files are imported.
    fs::remove_file(folder.join("2.parquet")).expect("removed");
    put("3.log", traffic(5, 30).as_bytes());
    fs::set_permissions(folder.join("5.ndjson"), fs::Permissions::from_mode(0o600)).expect("unlocked");
    let again = place.import(&day, "");
    assert_eq!(again["tables"]["CommonSecurityLog"]["rows"], if is_root { 5 } else { 15 });
    let known =
        again["files"].as_array().expect("files").iter().filter(|file| file["already_imported"] == true);
    assert_eq!(known.count(), if is_root { 3 } else { 2 });

    put("6.log", b"Jan  5 08:00:00 host sshd[1]: Accepted\n");
    let lake = place.lake().display().to_string();
    let strict = hindcast(&format!("import {day} --lake {lake} --strict"));
    assert_eq!(strict.status.code(), Some(2), "{}", stderr(&strict));
}

fn audit(id: &str, second: u64, user: &str) -> String {
    json!({
        "CreationTime": format!("2026-01-05T08:00:0{second}"), "Id": id, "Operation": "FileDownloaded", "RecordType": 6,
        "UserType": 0, "Workload": "OneDrive", "ClientIP": "198.51.100.4", "UserId": user,
    })
    .to_string()
}

/// The same Id twice is two records, in one file or in two; `--record-id` leaves out identical records.
#[test]
fn records_are_not_dropped_for_an_id() {
    let place = Place::new();
    let two = place
        .file("two.ndjson", [audit("a", 0, "ada"), audit("a", 1, "ada"), audit("b", 2, "ada")].join("\n"));
    let three = place.file(
        "three.json",
        format!("[{},{},{}]", audit("a", 0, "ada"), audit("b", 2, "bob"), audit("b", 2, "bob")),
    );
    place.import(&two, "");
    assert_eq!(place.import(&three, "")["duplicates"], 0);
    assert_eq!(place.rows_by("OfficeActivity", "OfficeId").len(), 6);
    assert_eq!(place.import(&two, "")["files"][0]["already_imported"], true);

    let place = Place::new();
    let report = place.import(&two, "--record-id OfficeId");
    assert_eq!((&report["duplicates"], &report["changed"]), (&json!(0), &json!(1)));
    let report = place.import(&three, "--record-id OfficeId");
    assert_eq!((&report["duplicates"], &report["changed"]), (&json!(2), &json!(1)));
    assert_eq!(place.rows_by("OfficeActivity", "OfficeId").len(), 4);
}

#[test]
fn audit_records_of_every_tool_are_read() {
    let cell = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let whole = audit("a", 0, "ada");
    let cut = &whole[..whole.len() - 20];
    let search = |head: &str| {
        format!(
            "{head}\"RecordType\",\"CreationDate\",\"UserIds\",\"AuditData\"\r\n\"SharePointFileOperation\",\"5/01/2026 8:00:00 AM\",\"ada\",{}\r\n",
            cell(&whole)
        )
    };
    let graph = format!(
        "{{\"id\":\"a\",\"createdDateTime\":\"2026-01-05T08:00:00Z\",\"auditLogRecordType\":\"sharePointFileOperation\",\"operation\":\
         \"FileDownloaded\",\"userId\":\"ada\",\"userType\":\"Regular\",\"clientIp\":\"198.51.100.4\",\"auditData\":{whole}}}"
    );
    let sdk =
        format!("{{\"Id\":\"a\",\"UserId\":\"ada\",\"AuditData\":{{\"AdditionalProperties\":{whole}}}}}");
    for (name, text, rejects) in [
        ("search.csv", search(""), 0),
        ("type.csv", search("#TYPE System.Management.Automation.PSCustomObject\r\n"), 0),
        ("cut.csv", search("") + &format!("\"x\",\"5/01/2026 8:00:00 AM\",\"ada\",{}\r\n", cell(cut)), 1),
        ("graph.jsonl", format!("{graph}\n"), 0),
        (
            "page.json",
            format!("{{\"@odata.context\": \"x\", \"value\": [{graph}], \"@odata.nextLink\": \"y\"}}"),
            0,
        ),
        ("sdk.jsonl", format!("{sdk}\n"), 0),
        (
            "nested.json",
            format!("[\n{{\"RecordType\": \"x\", \"CreationDate\": \"never\", \"AuditData\": {whole}}}\n]"),
            0,
        ),
    ] {
        let place = Place::new();
        let ending = place.import_anyhow(&place.file(name, &text), "--allow-rejects 50");
        assert_eq!(
            (ending.code, &ending.report["files"][0]["source"]),
            (Some(0), &json!("office-audit")),
            "{name}: {}",
            ending.stderr
        );
        assert_eq!(ending.report["files"][0]["rejects"], rejects, "{name}: {}", ending.report);
        let rows = place.rows_by("OfficeActivity", "OfficeId");
        assert_eq!(rows.len(), 1, "{name}");
        let value = |column: &str| rows[0].get(column).map(String::as_str);
        assert_eq!(
            (value("UserId"), value("ClientIP"), value("OfficeId")),
            (Some("ada"), Some("198.51.100.4"), Some("a")),
            "{name}"
        );
        assert!(value("TimeGenerated").is_some_and(|time| time.starts_with("2026-01-05T08:00:00")), "{name}");
        if rejects > 0 {
            let rejects = ending.report["reject_files"][0].as_str().expect("a file");
            let text = fs::read_to_string(rejects.strip_prefix("file://").expect("a path")).expect("rejects");
            assert!(text.contains("AuditData") && text.contains("FileDownloaded"), "{text}");
        }
    }
}

/// Columns of a workspace's custom logs have a type suffix.
#[test]
fn flows_of_traffic_analytics_have_their_columns() {
    let place = Place::new();
    let text = "TenantId,\"TimeGenerated [UTC]\",\"FlowStartTime_t [UTC]\",FlowType_s,VM_s,VMIP_s,PublicIPs_s,L7Protocol_s,FlowDirection_s,AllowedOutFlows_d,Type\n\
                t,2026-01-05T08:00:00Z,2026-01-05T08:00:00Z,ExternalPublic,vm1,10.0.0.4,\"203.0.113.9|1|0|0|0|10|20\",https,O,1,AzureNetworkAnalytics_CL\n";
    let report = place.import(&place.file("flows.csv", text), "");
    assert_eq!(report["files"][0]["source"], "traffic-analytics");
    let row = &place.rows_by("AzureNetworkAnalytics_CL", "VMName")[0];
    assert_eq!(
        (row["FlowDirection"].as_str(), row["AllowedOutFlows"].as_str(), row["AllExtIPs"].as_str()),
        ("O", "1", "203.0.113.9")
    );
    let output = place.investigate("ip 203.0.113.9", "--from 2026-01-05 --to 2026-01-06");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(place.table("user_network_flows").len(), 1);
}
