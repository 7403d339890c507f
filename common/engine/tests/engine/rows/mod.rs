//! Generates rows of the tables that rollups read, from seeds, so that each rollup has state; and a lake with such files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::Int32Type;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use hindcast_base::time::{MICROS_PER_DAY, Window};
use hindcast_detections::config::Config;
use hindcast_detections::rollups::Rollup;
use hindcast_engine::{
    Engine, Local, LocalOptions, Manifest, RollupStage, RollupUnit, Stage, TableRef, UnitFault,
    decode_outcomes,
};
use hindcast_lake::{ColumnKind, LakeFile, TableSpec, canonical_schema};
use hindcast_observability::Origin;
use parquet::arrow::ArrowWriter;

/// The date of the lake, and its start.
pub const DATE: &str = "2026-03-01";
const DAY_US: i64 = 1_772_323_200_000_000;

/// 2026-03-01T23:59:50Z: ten seconds before a midnight, so that gaps span it.
const BEFORE_MIDNIGHT_US: i64 = 1_772_409_590_000_000;

/// Values of a column; several match each filter, and one is null.
fn texts(column: &str) -> Vec<Option<&'static str>> {
    let mut pool = match column {
        "DeviceVendor" => vec!["Palo Alto Networks", "Palo Alto Networks", "Fortinet"],
        "DeviceEventClassID" => vec!["TRAFFIC", "TRAFFIC", "THREAT", "SYSTEM"],
        "SimplifiedDeviceAction" => vec!["Allowed", "Blocked", "Reset"],
        "LocalIP" | "ClientIP" | "Client_IPAddress" => {
            vec!["10.0.0.1", "[2A01::1]:443", "2a01::1", "10.0.0.1:80", "<null>", ""]
        }
        "UserId" => vec!["Ada@corp.example", "ada@corp.example", "bob@corp.example", "<null>"],
        "UserType" => vec!["Regular", "Regular", "Admin"],
        "SourceIP" | "DestinationIP" | "SrcIpAddr" => {
            vec!["10.0.0.1", "203.0.113.7", "2a01::1", "not an address"]
        }
        "ApplicationProtocol" => vec!["dns-base", "ssl", "DNS"],
        "ProcessCommandLine" => vec!["7z a x.7z y", "azcopy copy a b", "notepad", "tar czf a.tgz b"],
        "RemoteUrl" => vec!["https://loot.blob.core.windows.net/c", "example.org"],
        "DnsQuery" | "Name" => vec!["a1.x.example.com", "b2.example.co.uk", "printer.local"],
        "RequestURL" => vec!["a1.x.example.com", "https://b2.example.co.uk/x", "printer.local:80"],
        "DestinationHostName" => vec!["c3.example.org", "printer"],
        "DnsQueryTypeName" | "QueryType" => vec!["TXT", "A", "MX"],
        "DeviceCustomNumber3Label" => vec!["Elapsed time in seconds", "Count"],
        "DeviceCustomNumber3" => vec!["700", "20"],
        "EventResultDetails" | "Result" => vec!["NXDOMAIN", "NOERROR"],
        "ActionType" => vec!["DnsConnectionInspected", "DnsQueryResponse", "FileDeleted"],
        "AdditionalFields" => vec![
            r#"{"query":"a1.x.example.com","qtype_name":"TXT","rcode_name":"NXDOMAIN"}"#,
            r#"{"DnsQueryString":"b2.example.co.uk"}"#,
            "{}",
        ],
        "FileName" => vec!["loot.zip", "a.7z", "notes.txt"],
        "FolderPath" => vec!["C:\\Windows\\Temp", "/srv/staging", "C:\\Docs"],
        "Operation" => vec!["New-InboxRule", "Send"],
        "Parameters" | "OperationProperties" => {
            vec![
                r#"[{"name":"ForwardTo","value":"x@other.example"}]"#,
                r#"[{"name":"MarkAsRead","value":"true"}]"#,
            ]
        }
        "OperationName" => vec!["PutBlob", "GetBlob", "microsoft.storage/storageaccounts/listkeys/action"],
        "RecordType" => vec!["SharePointFileOperation", "ExchangeItem"],
        "UserAgent" => vec!["Edge", "curl", ""],
        "StatusCode" => vec!["201", "403"],
        _ => vec!["one", "Two", "drei"],
    };
    pool.dedup();
    pool.into_iter().map(Some).chain([None]).collect()
}

const INTEGERS: [Option<i64>; 7] =
    [Some(0), Some(53), Some(443), Some(700), Some(600_000), Some(1 << 40), None];

/// A batch of the rollup's columns; each row is a seed for its cells.
pub fn batch(rollup: &Rollup, seeds: &[u64]) -> RecordBatch {
    let spec = TableSpec::by_name(rollup.tables[0]).expect("a table");
    batch_of(spec, rollup.columns, seeds)
}

/// A batch of these columns of a table.
pub fn batch_of(spec: &TableSpec, columns: &[&str], seeds: &[u64]) -> RecordBatch {
    let schema = canonical_schema(spec, columns);
    let columns = schema.fields().iter().enumerate().map(|(position, field)| -> ArrayRef {
        let kind = spec.column(field.name()).expect("a column").kind;
        // Each column uses different bits of the seed.
        let cells = seeds
            .iter()
            .map(|seed| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7 * position as u32));
        match kind {
            ColumnKind::Time => {
                let times = cells.map(|cell| BEFORE_MIDNIGHT_US + (cell % 40) as i64 * 500_000);
                Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
            }
            ColumnKind::Text => {
                let pool = texts(field.name());
                Arc::new(
                    cells
                        .map(|cell| pool[cell as usize % pool.len()])
                        .collect::<DictionaryArray<Int32Type>>(),
                )
            }
            ColumnKind::Integer => {
                Arc::new(cells.map(|cell| INTEGERS[cell as usize % INTEGERS.len()]).collect::<Int64Array>())
            }
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).expect("a batch")
}

/// Rows as text.
pub fn rows_of(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let columns: Vec<ArrayFormatter<'_>> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).expect("a format"))
        .collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"))
        .collect()
}

/// Rows of all columns of a table. The optional ones come last: what a cell is depends on the place of its column.
pub fn table_rows(spec: &TableSpec, count: u64) -> RecordBatch {
    let named = |is_optional: bool| {
        spec.columns.iter().filter(move |column| column.is_optional == is_optional).map(|column| column.name)
    };
    let names: Vec<&str> = named(false).chain(named(true)).collect();
    let seeds: Vec<u64> = (0..count).map(|seed| seed.wrapping_mul(0x2545_f491_4f6c_dd1d)).collect();
    batch_of(spec, &names, &seeds)
}

/// A batch as a Parquet file.
pub fn parquet_of(rows: &RecordBatch) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).expect("a writer");
    writer.write(rows).expect("rows");
    writer.into_inner().expect("a footer")
}

/// A lake and its state, in a folder that is deleted at the end of the test.
pub struct SmallLake {
    folder: tempfile::TempDir,
    engine: Local,
}

impl SmallLake {
    pub fn new() -> Self {
        Self::within(1 << 30)
    }

    /// A lake whose units have this much memory.
    pub fn within(memory_bytes: usize) -> Self {
        let engine = Local::new(&LocalOptions { threads: 1, memory_bytes }).expect("an engine");
        Self { folder: tempfile::tempdir().expect("a folder"), engine }
    }

    pub fn table(&self, name: &str) -> PathBuf {
        self.folder.path().join("lake").join(name)
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Writes a file of a table's only date.
    pub fn write(&self, table: &str, name: &str, bytes: &[u8]) -> LakeFile {
        let folder = self.table(table).join(format!("date={DATE}"));
        fs::create_dir_all(&folder).expect("folders");
        let path = folder.join(name);
        fs::write(&path, bytes).expect("a file");
        let (path, bytes) = (path.display().to_string(), bytes.len() as u64);
        LakeFile::new(path, bytes, None)
    }

    /// The outcome of a unit of `file` with these rollups.
    pub async fn unit(
        &self,
        table: &str,
        file: &LakeFile,
        rollups: &[&str],
    ) -> Result<Vec<Manifest>, UnitFault> {
        let config = Config::load("default", &[]).expect("the preset");
        self.unit_of(config, table, std::slice::from_ref(file), rollups).await
    }

    /// The outcome of a unit of several files.
    pub async fn unit_of(
        &self,
        config: Config,
        table: &str,
        files: &[LakeFile],
        rollups: &[&str],
    ) -> Result<Vec<Manifest>, UnitFault> {
        let stage = RollupStage {
            config,
            tables: vec![TableRef {
                name: table.into(),
                url: url_of(&self.table(table)),
                ..TableRef::default()
            }],
            state_url: url_of(&self.state()),
            origin: Origin::default(),
            units: vec![RollupUnit {
                table: 0,
                date: DATE.parse().expect("a date"),
                files: files.to_vec(),
                window: Window::new(DAY_US, DAY_US + 2 * MICROS_PER_DAY).expect("a window"),
                is_clipped: false,
                rollups: Arc::new(rollups.iter().map(|id| (*id).to_owned()).collect()),
                selection: None,
            }],
        };
        let batches = self.run(stage.into()).await;
        decode_outcomes(&batches[0]).expect("outcomes").remove(0).result
    }

    pub async fn run(&self, stage: Stage) -> Vec<RecordBatch> {
        self.engine.run(stage).await.expect("a run").try_collect().await.expect("its rows")
    }
}

pub fn url_of(path: &Path) -> String {
    format!("file://{}/", path.display())
}
