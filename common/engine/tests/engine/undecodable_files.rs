//! Lake files with random damage, mostly in footers and schemas: each is read or reported as a fault, and panics are caught.
//! `HINDCAST_MUTATIONS` sets their number.

use std::fs;
use std::sync::Arc;

use crate::rows::SmallLake;
use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hindcast_base::Error;
use hindcast_engine::UnitFault;
use hindcast_lake::{Location, TableSpec, file_rows, parquet_footer};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ArrowWriter, encode_arrow_schema};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const RUNS: u64 = 100;
const ROWS: u64 = 300;
const TABLE: &str = "CommonSecurityLog";
const ROLLUPS: [&str; 2] = ["external_pairs", "event_bins"];

fn table_rows() -> RecordBatch {
    crate::rows::table_rows(TableSpec::by_name(TABLE).expect("a table"), ROWS)
}

fn location(lake: &SmallLake) -> Location {
    Location::parse(&lake.table(TABLE).display().to_string()).expect("a location")
}

fn whole_file() -> Vec<u8> {
    let rows = table_rows();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(100)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).expect("a writer");
    writer.write(&rows).expect("rows");
    writer.into_inner().expect("a footer")
}

/// Damages a file. Four changes in five hit the footer, which is a small part of a file.
fn broken(whole: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    let length = bytes.len();
    let footer =
        length - 8 - u32::from_le_bytes(whole[length - 8..length - 4].try_into().expect("4")) as usize;
    for _ in 0..rng.random_range(1..4) {
        let from = if rng.random_range(0..5) < 4 { footer } else { 4 };
        let at = rng.random_range(from..length);
        match rng.random_range(0..5) {
            0 => bytes[at] = rng.random_range(0..=255),
            1 => bytes[at] = 0,
            2 => bytes[at] = 0xff,
            _ => bytes[at] ^= 1 << rng.random_range(0..8),
        }
    }
    bytes
}

#[tokio::test]
async fn mutations_of_lake_files_are_read_or_named() {
    let runs = std::env::var("HINDCAST_MUTATIONS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    let lake = SmallLake::new();
    let whole = whole_file();
    let good = lake.unit(TABLE, &lake.write(TABLE, "good.parquet", &whole), &ROLLUPS).await.expect("state");
    assert!(good.iter().all(|manifest| manifest.stats.rows == ROWS && manifest.state_rows > 0));
    let location = location(&lake);
    let mut named = 0;
    for seed in 0..runs {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let file = lake.write(TABLE, &format!("{seed}.parquet"), &broken(&whole, &mut rng));
        // Neither may panic; both may return errors.
        let _ = parquet_footer(&location, &file).await;
        let _ = file_rows(&location, &file, Some("SourceIP"), |_| Ok(())).await;
        match lake.unit(TABLE, &file, &ROLLUPS).await {
            Ok(manifests) => assert_eq!(manifests.len(), 2),
            Err(UnitFault::Input(fault)) => {
                named += 1;
                assert_eq!(fault.file, file.path, "seed {seed}");
            }
            Err(other) => panic!("seed {seed}: {other:?}"),
        }
        fs::remove_file(&file.path).expect("removed");
    }
    assert!(named > runs / 4, "{named} of {runs} named");
}

/// Files whose Arrow schema, next to the Parquet one, has an integer of zero bits: one file for each place where it may be.
fn without_bits() -> Vec<Vec<u8>> {
    let rows = table_rows();
    let schema = encode_arrow_schema(rows.schema_ref());
    let message = BASE64_STANDARD.decode(schema).expect("base64");
    let places = (0..message.len() - 4).filter(|at| message[*at..*at + 4] == 64u32.to_le_bytes());
    let files = places.map(|at| {
        let mut message = message.clone();
        message[at] = 0;
        let schema = KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), BASE64_STANDARD.encode(&message));
        let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![schema])).build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let mut writer =
            ArrowWriter::try_new_with_options(Vec::new(), rows.schema(), options).expect("a writer");
        writer.write(&rows).expect("rows");
        writer.into_inner().expect("a footer")
    });
    files.collect()
}

#[tokio::test]
async fn a_schema_that_its_decoder_panics_on_is_a_fault_of_its_file() {
    let lake = SmallLake::new();
    let location = location(&lake);
    let mut panicked = 0;
    for (place, bytes) in without_bits().iter().enumerate() {
        let file = lake.write(TABLE, &format!("{place}.parquet"), bytes);
        let footer = parquet_footer(&location, &file).await.map(|footer| footer.rows);
        let unit = lake.unit(TABLE, &file, &ROLLUPS).await;
        match footer {
            Ok(rows) => {
                assert_eq!(rows, ROWS);
                assert!(matches!(unit, Ok(_) | Err(UnitFault::Input(_))), "{unit:?}");
            }
            Err(Error::Input(fault)) => {
                panicked += usize::from(fault.reason.contains("panicked"));
                assert_eq!(unit.expect_err("a fault"), UnitFault::Input(fault));
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(panicked > 0, "no decoder panicked: the test tests nothing");
}

/// One column of numbers, from a writer that adds a checksum to each page.
const WITH_CHECKSUMS: &[u8] = include_bytes!("page_checksums.parquet");

#[tokio::test]
async fn a_page_that_does_not_fit_its_checksum_is_a_fault() {
    let lake = SmallLake::new();
    let location = location(&lake);
    let read = async |bytes: &[u8]| {
        let file = lake.write(TABLE, "checksums.parquet", bytes);
        let mut texts = Vec::new();
        let read = file_rows(&location, &file, Some("number"), |rows| {
            let numbers = cast(rows.column(0), &DataType::Utf8).expect("texts");
            texts.extend(numbers.as_string::<i32>().iter().flatten().map(str::to_owned));
            Ok(())
        });
        read.await.map(|()| texts)
    };
    let whole: Vec<String> = (1000..1064).map(|number| number.to_string()).collect();
    assert_eq!(read(WITH_CHECKSUMS).await.expect("numbers"), whole);
    let value = 1032i64.to_le_bytes();
    let at = WITH_CHECKSUMS.windows(8).position(|bytes| bytes == value).expect("plain numbers");
    let mut flipped = WITH_CHECKSUMS.to_vec();
    flipped[at] ^= 1;
    let error = read(&flipped).await.expect_err("a fault").to_string();
    assert!(error.contains("checksum") && error.contains("checksums.parquet"), "{error}");
}

/// Reading the footer accepts a type that Arrow knows, even if no table has it.
#[tokio::test]
async fn a_nested_schema_is_read() {
    let lake = SmallLake::new();
    let inner = Field::new("item", DataType::Int16, true);
    let schema = Arc::new(Schema::new(vec![Field::new("list", DataType::List(Arc::new(inner)), true)]));
    let writer = ArrowWriter::try_new(Vec::new(), schema, None).expect("a writer");
    let file = lake.write(TABLE, "nested.parquet", &writer.into_inner().expect("a footer"));
    let location = location(&lake);
    assert_eq!(parquet_footer(&location, &file).await.expect("a footer").rows, 0);
}
