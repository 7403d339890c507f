//! The same scan over an S3 store gives the same bytes, and a second scan finds its state. Needs moto's server in `PATH` (`tests/run`
//! installs it); without it the tests print a message and do nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::support::{Place, files_below, stderr, stdout};

pub const BUCKET: &str = "telemetry";

/// An S3 store in a separate process that ends with the test.
pub struct Store {
    server: Child,
    port: u16,
}

impl Store {
    pub fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        let server = Command::new("moto_server")
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(server) = server else {
            assert!(std::env::var_os("HINDCAST_REQUIRE_STORES").is_none(), "moto_server is not on the path");
            println!("skipped: moto_server is not on the path");
            return None;
        };
        let store = Self { server, port };
        store.create_bucket();
        Some(store)
    }

    /// The server takes seconds to start.
    fn create_bucket(&self) {
        for _ in 0..300 {
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                let request = format!(
                    "PUT /{BUCKET} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                stream.write_all(request.as_bytes()).expect("a request");
                let mut answer = String::new();
                stream.read_to_string(&mut answer).expect("an answer");
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the store did not come up");
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The environment of a process that uses the store.
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(self.port)
    }

    fn client(&self) -> AmazonS3 {
        AmazonS3Builder::new()
            .with_bucket_name(BUCKET)
            .with_endpoint(self.endpoint())
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_access_key_id("test")
            .with_secret_access_key("test")
            .build()
            .expect("a client")
    }

    pub fn upload(&self, lake: &Path) {
        let client = self.client();
        for (relative, path) in files_below(lake) {
            let bytes = std::fs::read(&path).expect("a file");
            // The literal name: `%` in it is not our encoding.
            let target = object_store::path::Path::parse(format!("soc/lake/{relative}")).expect("a path");
            runtime().block_on(client.put(&target, bytes.into())).expect("uploaded");
        }
    }

    /// Puts an object at a path of the bucket.
    pub fn put(&self, path: &str, content: String) {
        let put = async { self.client().put(&path.into(), content.into_bytes().into()).await };
        runtime().block_on(put).expect("put");
    }

    /// All objects, in order of their paths; the tag of each is a hash of its content.
    fn objects(&self) -> Vec<ObjectMeta> {
        let client = self.client();
        let mut objects: Vec<ObjectMeta> =
            runtime().block_on(client.list(None).try_collect()).expect("a listing");
        objects.sort_by(|left, right| left.location.cmp(&right.location));
        objects
    }

    fn hindcast(&self, arguments: &str) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_hindcast"))
            .args(arguments.split_whitespace())
            .envs(self.environment())
            .output()
            .expect("the binary runs")
    }
}

/// The environment of a process that uses a store at `port` of this machine.
pub fn environment(port: u16) -> Vec<(String, String)> {
    let endpoint = format!("http://127.0.0.1:{port}");
    let values = [
        ("AWS_ENDPOINT", endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ];
    values.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn a_lake_and_its_state_in_s3() {
    let Some(store) = Store::start() else { return };
    let place = Place::with_demo("--days 2 --rows-per-day 5000 --seed 6");
    store.upload(&place.lake());
    place.scan_well("");
    let scan = |out: &str| {
        let out = place.path(out).display().to_string();
        let output = store.hindcast(&format!(
            "scan --lake s3://{BUCKET}/soc/lake --state s3://{BUCKET}/state --format json,parquet --out {out}"
        ));
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    assert!(scan("first").contains("14 of 14 units computed"));
    assert!(scan("second").contains("0 of 14 units computed"));
    for out in ["first", "second"] {
        for name in ["tables/beaconing.parquet", "findings.jsonl", "summary.json"] {
            let bytes = |folder: &str| std::fs::read(place.path(folder).join(name)).expect("a file");
            assert!(bytes("out") == bytes(out), "{out}: {name} differs from the local scan's");
        }
    }
    let saved = store.hindcast(&format!("tables --lake s3://{BUCKET}/soc/lake save Copy_SPRK"));
    assert!(stdout(&saved).contains("the table now has"), "{}", stderr(&saved));
    assert!(
        store
            .hindcast(&format!("tables --lake s3://{BUCKET}/soc/lake delete Copy_SPRK --yes"))
            .status
            .success()
    );
}

/// Logs in a bucket are imported once into a lake in a bucket, and scanned there.
#[test]
fn logs_in_s3_become_a_lake_in_s3() {
    let Some(store) = Store::start() else { return };
    let place = Place::new();
    let logs = place.path("logs");
    std::fs::create_dir_all(logs.join("y=2026")).expect("a folder");
    for (name, first) in [("one.ndjson", 0), ("y=2026/two.ndjson", 500)] {
        std::fs::write(logs.join(name), crate::import::traffic(500, first)).expect("written");
    }
    store.upload(&logs);
    let import = || {
        let output = store.hindcast(&format!(
            "import s3://{BUCKET}/soc/lake --lake s3://{BUCKET}/imported --threads 2 --json"
        ));
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("a report")
    };
    let first = import();
    assert_eq!(first["tables"]["CommonSecurityLog"]["rows"], 1000, "{first}");
    assert!(import()["tables"].as_object().is_some_and(serde_json::Map::is_empty));
    let out = place.out().display().to_string();
    let scan =
        format!("scan --lake s3://{BUCKET}/imported --no-cache --suite firewall --format json --out {out}");
    let output = store.hindcast(&scan);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(place.table("traffic_overview")[0]["events"], 1000);
}

/// Keys as Spark writes them, and with other special characters: scanned, merged and imported without a lost row.
#[test]
fn special_characters_in_s3_keys_are_preserved() {
    let Some(store) = Store::start() else { return };
    let place = Place::new();
    let events = |hour: u32| {
        let event = [
            ("TimeGenerated", serde_json::json!(format!("2026-03-01T{hour:02}:00:00Z"))),
            ("DeviceVendor", serde_json::json!("Palo Alto Networks")),
            ("DeviceEventClassID", serde_json::json!("TRAFFIC")),
            ("SimplifiedDeviceAction", serde_json::json!("Allowed")),
        ];
        [crate::support::row(event)]
    };
    let names = ["ts=2026-03-01 05%3A00%3A00/part-0", "a", "b#1", "c%20d", "what?", "e f"];
    for (name, hour) in names.iter().zip(0..) {
        let scratch = place.write_rows("CommonSecurityLog", "2026-03-01", "scratch", &events(hour));
        let target = scratch.with_file_name(format!("{name}.parquet"));
        std::fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
        std::fs::rename(scratch, target).expect("moved");
    }
    store.upload(&place.lake());
    let lake = format!("s3://{BUCKET}/soc/lake");
    let counted = || {
        let out = place.out().display().to_string();
        let output = store.hindcast(&format!(
            "scan --lake {lake} --no-cache --only traffic_overview --format json --out {out}"
        ));
        assert!(output.status.success(), "{}", stderr(&output));
        place.table("traffic_overview")[0]["events"].as_i64()
    };
    assert_eq!(counted(), Some(6));
    let merged = store.hindcast(&format!("tables --lake {lake} --json compact CommonSecurityLog"));
    assert!(merged.status.success(), "{}", stderr(&merged));
    let report: serde_json::Value = serde_json::from_slice(&merged.stdout).expect("a report");
    assert_eq!((&report["files_before"], &report["files_after"]), (&5.into(), &1.into()), "{report}");
    assert_eq!(counted(), Some(6));
    let file = place.path("more.ndjson");
    let line = r#"{"TimeGenerated":"2026-03-01T12:00:00Z","DeviceVendor":"Palo Alto Networks","DeviceEventClassID":"TRAFFIC","SimplifiedDeviceAction":"Allowed"}"#;
    std::fs::write(&file, line).expect("written");
    let imported =
        store.hindcast(&format!("import {} --table CommonSecurityLog --lake {lake}", file.display()));
    assert!(imported.status.success(), "{}", stderr(&imported));
    assert_eq!(counted(), Some(7));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A table's log is also found in a bucket, in the lake's folder and in a mapped place, and nothing is changed there.
#[test]
fn a_transaction_log_in_s3_is_found() {
    let Some(store) = Store::start() else { return };
    let place = Place::new();
    let event = [
        ("TimeGenerated", serde_json::json!("2026-03-01T10:00:00Z")),
        ("DeviceVendor", serde_json::json!("Palo Alto Networks")),
    ];
    let file =
        place.write_rows("CommonSecurityLog", "2026-03-01", "a.parquet", &[crate::support::row(event)]);
    let table = file.ancestors().nth(2).expect("the table").to_owned();
    std::fs::create_dir(table.join("metadata")).expect("a folder");
    std::fs::write(table.join("metadata/v1.metadata.json"), "{}").expect("written");
    let with_delta_log = place.lake().join("DeviceFileEvents");
    std::fs::create_dir_all(with_delta_log.join("_delta_log")).expect("a folder");
    std::fs::write(with_delta_log.join("_delta_log/00000000000000000000.json"), "{}").expect("written");
    std::fs::copy(&file, with_delta_log.join("a.parquet")).expect("copied");
    store.upload(&place.lake());
    let lake = format!("s3://{BUCKET}/soc/lake");
    let config = place.path("mapped.toml");
    let mapping = format!("[tables.CommonSecurityLog]\nurl = '{lake}/CommonSecurityLog'\n");
    std::fs::write(&config, mapping).expect("written");
    let (out, elsewhere) = (place.out().display().to_string(), place.path("elsewhere"));
    std::fs::create_dir(&elsewhere).expect("a folder");
    let lines = place.path("lines.ndjson");
    std::fs::write(&lines, "{\"TimeGenerated\":\"2026-03-01T11:00:00Z\"}\n").expect("written");
    let before = store.objects();
    let (iceberg, delta) = ("an Apache Iceberg table", "a Delta Lake table");
    let lines = lines.display();
    for (arguments, kind) in [
        (format!("scan --lake {lake} --no-cache --suite firewall --out {out}"), iceberg),
        (
            format!(
                "scan --lake {} --config {} --no-cache --suite firewall --out {out}",
                elsewhere.display(),
                config.display()
            ),
            iceberg,
        ),
        (format!("tables --lake {lake} compact CommonSecurityLog"), iceberg),
        (format!("tables --lake {lake} delete CommonSecurityLog --yes"), iceberg),
        (format!("import {lines} --lake {lake} --table CommonSecurityLog"), iceberg),
        (format!("tables --lake {lake} compact DeviceFileEvents"), delta),
        (format!("tables --lake {lake} delete DeviceFileEvents --yes"), delta),
        (format!("import {lines} --lake {lake} --table DeviceFileEvents"), delta),
    ] {
        let refused = store.hindcast(&arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments}: {}", stdout(&refused));
        assert!(stderr(&refused).contains(kind), "{arguments}: {}", stderr(&refused));
        assert_eq!(store.objects(), before, "{arguments}");
    }
}
