//! Records within answers of APIs and exports, Zeek logs in all their forms, and audit records of Microsoft 365.

use std::fs;

use serde_json::{Value, json};

use crate::support::Place;

const USERS: [&str; 3] = ["ada", "bob", "eve"];

fn activity(user: usize) -> Value {
    json!({
        "TenantId": "t", "TimeGenerated": format!("2026-01-05T08:00:0{user}Z"), "Type": "OfficeActivity", "Operation": "Send",
        "UserId": USERS[user], "Folder": {"Path": "/a", "value": [{"k": user}]},
    })
}

/// The three records in each envelope, with other members around them.
fn envelopes() -> Vec<(&'static str, String)> {
    let records: Vec<Value> = (0..3).map(activity).collect();
    let list = json!(records).to_string();
    let hit =
        |id: usize| json!({"_index": "audit", "_id": id.to_string(), "_score": 1.0, "_source": activity(id)});
    let hits: Vec<Value> = (0..3).map(hit).collect();
    let names = ["TimeGenerated", "TenantId", "Type", "Operation", "UserId", "Folder"];
    let row = |record: &Value| names.map(|name| record[name].clone());
    let rows: Vec<_> = records.iter().map(row).collect();
    let columns = names.map(|name| json!({"name": name, "type": "string"}));
    let typed = names.map(|name| json!({"ColumnName": name, "ColumnType": "string"}));
    let lines = |of: &dyn Fn(usize) -> Value| (0..3).map(|id| of(id).to_string() + "\n").collect::<String>();
    let elastic = json!({
        "took": 3, "timed_out": false, "_shards": {"total": 1, "failed": 0},
        "hits": {"total": {"value": 3, "relation": "eq"}, "max_score": null, "hits": hits},
        "aggregations": {"users": {"buckets": [{"key": "ada"}]}},
    });
    let frames = json!([
        {"FrameType": "DataSetHeader", "IsProgressive": false, "Version": "v2.0"},
        {"FrameType": "DataTable", "TableId": 0, "TableKind": "QueryProperties", "TableName": "@ExtendedProperties",
            "Columns": [{"ColumnName": "Value"}], "Rows": [["x"]]},
        {"FrameType": "DataTable", "TableId": 1, "TableKind": "PrimaryResult", "TableName": "PrimaryResult", "Columns": typed,
            "Rows": rows},
        {"FrameType": "DataSetCompletion", "HasErrors": false, "Cancelled": false},
    ]);
    let first = json!({"TableName": "Table_0", "Columns": typed, "Rows": rows});
    let second = json!({"TableName": "Table_1", "Columns": [{"ColumnName": "Value"}], "Rows": [["x"]]});
    let splunk = json!({
        "preview": false, "init_offset": 0, "messages": [], "fields": [{"name": "UserId"}], "results": records, "highlighted": {},
    });
    let answer = json!({"tables": [{"name": "PrimaryResult", "columns": columns, "rows": rows}], "statistics": {"query": {}}});
    vec![
        ("records.json", format!("{{\"records\": {list}}}")),
        ("cloudtrail.json", format!("{{\"Records\":{list}}}\n{{\"Records\":[]}}\n")),
        ("value.json", format!("{{\"@odata.context\":\"x\",\"value\":{list},\"@odata.nextLink\":\"y\"}}")),
        ("results.json", splunk.to_string()),
        (
            "hunting.json",
            json!({"Stats": {}, "Schema": [{"Name": "UserId"}], "Results": records}).to_string(),
        ),
        ("result.json", format!("{{\"result\":{list}}}")),
        ("jq.json", serde_json::to_string_pretty(&records).expect("JSON")),
        ("lists.json", format!("[{list}, []]")),
        ("documents.json", records.iter().map(|record| format!("{record:#}\n")).collect()),
        ("comments.ndjson", format!("# exported by a tool\n# in 2026\n{}", lines(&activity))),
        ("elastic.json", elastic.to_string()),
        ("elastic-pretty.json", format!("{elastic:#}")),
        ("elasticdump.ndjson", lines(&hit)),
        ("answer.json", answer.to_string()),
        ("answer-pretty.json", format!("{answer:#}")),
        ("kusto-1.json", json!({"Tables": [first, second]}).to_string()),
        ("kusto-2.json", frames.to_string()),
        ("splunk-rows.json", json!({"preview": false, "fields": names, "rows": rows}).to_string()),
        ("splunk.ndjson", lines(&|id| json!({"preview": false, "offset": id, "result": activity(id)}))),
    ]
}

#[test]
fn records_are_found_in_every_envelope() {
    for (name, text) in envelopes() {
        let place = Place::new();
        let report = place.import(&place.file(name, &text), "");
        assert_eq!(
            (&report["files"][0]["rejects"], &report["files"][0]["set_aside"]),
            (&json!(0), &Value::Null),
            "{name}"
        );
        let rows = place.rows_by("OfficeActivity", "TimeGenerated");
        assert_eq!(rows.len(), 3, "{name}");
        for (user, row) in rows.iter().enumerate() {
            assert_eq!((row["UserId"].as_str(), row["Operation"].as_str()), (USERS[user], "Send"), "{name}");
            assert!(
                row["TimeGenerated"].starts_with(&format!("2026-01-05T08:00:0{user}")),
                "{name}: {row:?}"
            );
            let folder: Value = serde_json::from_str(&row["Folder"]).expect("JSON");
            assert_eq!(folder, activity(user)["Folder"], "{name}");
        }
    }
}

/// A record with a field of an envelope's name is one row, whatever else it has and wherever that is.
#[test]
fn records_with_fields_of_envelopes_stay_whole() {
    let mut records = Vec::new();
    for (id, name) in
        ["records", "value", "results", "result", "hits", "tables", "rows"].into_iter().enumerate()
    {
        let mut record = json!({name: [{"k": 1}, {"k": 2}]});
        record["TimeGenerated"] = json!(format!("2026-01-05T08:00:0{id}Z"));
        record["Name"] = json!(name);
        records.push(record);
    }
    for text in [
        records.iter().map(|record| format!("{record}\n")).collect::<String>(),
        records.iter().map(|record| format!("{record:#}\n")).collect(),
        json!(records).to_string(),
    ] {
        let place = Place::new();
        let report = place.import(&place.file("own.json", text), "--table Own");
        assert_eq!(report["files"][0]["rejects"], 0, "{report}");
        let rows = place.rows_by("Own", "TimeGenerated");
        assert_eq!(rows.len(), records.len());
        for row in rows {
            let list: Value = serde_json::from_str(&row[row["Name"].as_str()]).expect("JSON");
            assert_eq!(list, json!([{"k": 1}, {"k": 2}]), "{row:?}");
        }
    }
}

#[test]
fn previews_of_splunk_are_set_aside_and_messages_are_read() {
    let place = Place::new();
    let line = |preview: bool, id: usize| {
        json!({"preview": preview, "offset": id, "result": activity(id)}).to_string()
    };
    let text =
        [line(true, 0), line(false, 0), line(false, 1), "{\"preview\":false,\"lastrow\":true}".to_owned()]
            .join("\n");
    let report = place.import(&place.file("export.ndjson", text), "");
    assert_eq!(report["files"][0]["set_aside"], json!({"no result": 1, "preview of results": 1}), "{report}");
    assert_eq!(place.rows_by("OfficeActivity", "UserId").len(), 2);

    let conn = json!({"_path": "conn", "ts": 1_767_600_000.25, "uid": "C1", "id.orig_h": "10.0.0.1", "id.orig_p": 50_000,
        "id.resp_h": "198.51.100.7", "id.resp_p": 443, "proto": "tcp", "orig_bytes": 12, "resp_bytes": 34, "conn_state": "REJ"});
    let cell = conn.to_string().replace('"', "\"\"");
    let csv = format!("_time,host,_raw,sourcetype\n2026-01-05T08:00:09.000+0000,c1,\"{cell}\",zeek:json\n");
    let report = place.import(&place.file("export.csv", csv), "");
    assert_eq!(report["files"][0]["source"], "zeek", "{report}");
    let row = &place.rows_by("CommonSecurityLog", "SourceIP")[0];
    for (column, value) in [
        ("TimeGenerated", "2026-01-05T08:00:00.250Z"),
        ("SourceIP", "10.0.0.1"),
        ("DestinationPort", "443"),
        ("SentBytes", "12"),
        ("ReceivedBytes", "34"),
        ("DeviceAction", "REJ"),
        ("SimplifiedDeviceAction", "Blocked"),
        ("Activity", "conn"),
        ("ExternalID", "C1"),
    ] {
        assert_eq!(row[column], value, "{column}");
    }
}

/// A TSV log of Zeek with other separators than the usual ones.
fn zeek_log(separator: &str, path: &str, fields: &[&str], rows: &[&[&str]]) -> String {
    let line = |cells: &[&str]| cells.join(separator) + "\n";
    let header = format!("#separator {}\n", if separator == "\t" { "\\x09" } else { separator });
    let names: Vec<&str> = ["#fields"].into_iter().chain(fields.iter().copied()).collect();
    let rows: String = rows.iter().map(|row| line(row)).collect();
    let rest = [
        line(&["#set_separator", ";"]),
        line(&["#unset_field", "NONE"]),
        line(&["#path", path]),
        line(&names),
    ];
    header + &rest.concat() + &rows
}

#[test]
fn zeek_is_read_with_any_separator_names_and_columns() {
    let fields = ["ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "orig_bytes"];
    let row = ["1767600000.5", "C1", "10.0.0.1", "50000", "198.51.100.7", "443", "tcp", "12"];
    let nested = json!({"_path": "conn", "ts": "2026-01-05T08:00:00.500000Z", "uid": "C1", "proto": "tcp", "orig_bytes": 12,
        "id": {"orig_h": "10.0.0.1", "orig_p": 50_000, "resp_h": "198.51.100.7", "resp_p": 443}});
    let underscored = json!({"ts": 1_767_600_000.5, "uid": "C1", "id_orig_h": "10.0.0.1", "id_orig_p": 50_000,
        "id_resp_h": "198.51.100.7", "id_resp_p": 443, "proto": "tcp", "orig_bytes": 12, "conn_state": "SF"});
    for (name, text) in [
        ("tab.log", zeek_log("\t", "conn", &fields, &[&row])),
        ("bar.log", zeek_log("|", "conn", &fields, &[&row])),
        ("bars.log", zeek_log("||", "conn", &fields, &[&row])),
        ("comma.log", zeek_log(",", "conn", &fields, &[&row])),
        ("nested.json", format!("{nested}\n")),
        ("conn.json", format!("{underscored}\n")),
    ] {
        let place = Place::new();
        let report = place.import(&place.file(name, text), "");
        assert_eq!(report["files"][0]["source"], "zeek", "{name}: {report}");
        let row = &place.rows_by("CommonSecurityLog", "SourceIP")[0];
        let values = [
            "TimeGenerated",
            "SourceIP",
            "SourcePort",
            "DestinationIP",
            "DestinationPort",
            "Protocol",
            "SentBytes",
        ]
        .map(|column| row[column].as_str());
        let wanted = ["2026-01-05T08:00:00.500Z", "10.0.0.1", "50000", "198.51.100.7", "443", "tcp", "12"];
        assert_eq!(values, wanted, "{name}");
    }
}

#[test]
fn zeek_logs_of_each_kind_go_to_their_table() {
    let place = Place::new();
    let ids = ["ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p"];
    let row = ["1767600000.5", "C1", "10.0.0.1", "50000", "198.51.100.7", "443"];
    let log = |path: &str, more: &[&str], values: &[&str]| {
        let fields: Vec<&str> = ids.iter().chain(more).copied().collect();
        let cells: Vec<&str> = row.iter().chain(values).copied().collect();
        zeek_log("\t", path, &fields, &[&cells])
    };
    let day = place.path("day");
    fs::create_dir(&day).expect("a folder");
    for (name, text) in [
        ("ssl.log", log("ssl", &["server_name"], &["up.example.com"])),
        ("dns.log", log("dns", &["query", "rcode", "answers"], &["a.example.com", "3", "NONE"])),
        (
            "http.log",
            log("http", &["method", "uri", "host", "request_body_len"], &["POST", "/", "NONE", "9"]),
        ),
        ("open_conn.log", log("open_conn", &["conn_state", "orig_bytes"], &["OTH", "12"])),
        ("open_ssl.log", log("open_ssl", &["established", "resumed"], &["T", "F"])),
        ("files.log", log("files", &["fuid"], &["F1"])),
        ("loaded_scripts.log", zeek_log("\t", "loaded_scripts", &["name"], &[&["/opt/a.zeek"]])),
        ("capture_loss.json", "{\"ts\":1767600000.5,\"peer\":\"zeek\",\"gaps\":1}\n".to_owned()),
        ("conn-summary.log", "\n>== Total === 2026-01-05-00-00-07\n   - Connections 1.9k -\n".to_owned()),
    ] {
        fs::write(day.join(name), text).expect("written");
    }
    let report = place.import(&day.display().to_string(), "");
    let aside: Vec<&Value> =
        report["files"].as_array().expect("files").iter().map(|file| &file["set_aside"]).collect();
    let kinds = ["capture_loss", "conn-summary", "files", "loaded_scripts", "open_ssl"];
    for kind in kinds {
        assert!(aside.iter().any(|aside| aside[kind].as_u64() > Some(0)), "{kind}: {report}");
    }
    let conn = &place.rows_by("CommonSecurityLog", "SourceIP")[0];
    assert_eq!((conn["Activity"].as_str(), conn["SentBytes"].as_str()), ("open_conn", "12"));
    let network: Vec<[String; 3]> = place
        .rows_by("DeviceNetworkEvents", "ActionType")
        .into_iter()
        .map(|row| {
            ["ActionType", "RemoteUrl", "BytesSent"].map(|name| row.get(name).cloned().unwrap_or_default())
        })
        .collect();
    let wanted = [
        ["DnsConnectionInspected", "a.example.com", ""],
        ["HttpConnectionInspected", "198.51.100.7", "9"],
        ["SslConnectionInspected", "up.example.com", ""],
    ];
    assert_eq!(network, wanted);

    // Rows of zeek-cut -m: a header without the values that mean unset.
    let place = Place::new();
    let text =
        format!("{}\testablished\tresumed\tserver_name\n{}\tT\tF\t-\n", ids.join("\t"), row.join("\t"));
    place.import(&place.file("cut.txt", text), "");
    let tls = &place.rows_by("DeviceNetworkEvents", "ActionType")[0];
    assert_eq!(
        (tls["ActionType"].as_str(), tls.get("RemoteUrl")),
        ("SslConnectionInspected", None),
        "{tls:?}"
    );

    let dns =
        place.file("dns.log", log("dns", &["query", "rcode", "answers"], &["a.example.com", "3", "NONE"]));
    place.import(&dns, "--table ASimDnsActivityLogs");
    let query = &place.rows_by("ASimDnsActivityLogs", "DnsQuery")[0];
    let values = ["DnsQuery", "SrcIpAddr", "DstIpAddr", "EventResult", "EventProduct"]
        .map(|name| query[name].as_str());
    assert_eq!(values, ["a.example.com", "10.0.0.1", "198.51.100.7", "Failure", "Zeek"]);
}

#[test]
fn audit_records_have_the_names_of_their_table() {
    let place = Place::new();
    let types = [
        "Regular",
        "Reserved",
        "Admin",
        "DcAdmin",
        "System",
        "Application",
        "ServicePrincipal",
        "CustomPolicy",
        "SystemPolicy",
    ];
    let record = |number: usize| {
        json!({"CreationTime": format!("2026-01-05T08:00:0{number}"), "Id": format!("u{number}"), "Operation": "MailItemsAccessed",
            "RecordType": 50, "UserType": number, "Workload": "Exchange", "UserId": "ada@corp.example.com", "LogonType": 2,
            "ClientIPAddress": "198.51.100.4:40231"})
        .to_string()
    };
    let text: Vec<String> = (0..types.len()).map(record).collect();
    place.import(&place.file("api.ndjson", text.join("\n")), "");
    let rows = place.rows_by("OfficeActivity", "OfficeId");
    assert_eq!(rows.iter().map(|row| row["UserType"].as_str()).collect::<Vec<_>>(), types);
    assert_eq!(
        ["RecordType", "Logon_Type", "Client_IPAddress", "OfficeWorkload"].map(|name| rows[0][name].as_str()),
        ["ExchangeItemAggregated", "Delegated", "198.51.100.4:40231", "Exchange"]
    );

    // The portal's CSV: a byte order mark, a blank behind the time, and the audit record in a cell.
    let place = Place::new();
    let cell = record(2).replace('"', "\"\"");
    let csv = format!(
        "\u{feff}RecordId,CreationDate,RecordType,Operation,UserId,AuditData,AssociatedAdminUnits\n\
         u2,\"2026-01-05T08:00:02.0000000Z \",50,MailItemsAccessed,ada@corp.example.com,\"{cell}\",\n"
    );
    place.import(&place.file("purview.csv", csv), "");
    let row = &place.rows_by("OfficeActivity", "OfficeId")[0];
    let values = ["TimeGenerated", "RecordType", "UserType", "UserId"].map(|name| row[name].as_str());
    assert_eq!(values, ["2026-01-05T08:00:02Z", "ExchangeItemAggregated", "Admin", "ada@corp.example.com"]);
}
