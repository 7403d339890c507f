//! Tests with randomly damaged inputs: nothing panics, and no undamaged record is lost.

use super::test_sources;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use arrow::array::AsArray;
use hindcast_lake::Location;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::parse::parse;
use super::times::{TimeOptions, Times};
use hindcast_base::log_time::DateOrder;
use hindcast_records::blocks::Blocks;

/// Inputs of each kind, unless HINDCAST_MUTATIONS sets another number.
const RUNS: u64 = 200;
/// Records per input.
const RECORDS: usize = 40;

/// How to write records of a kind.
struct Kind {
    header: &'static str,
    record: fn(usize) -> String,
    between: &'static str,
    end: &'static str,
    id_column: &'static str,
}

const KINDS: [Kind; 6] = [
    Kind {
        header: "",
        record: |id| {
            format!(
                "{{\"TimeGenerated\":\"2026-01-05T08:00:00Z\",\"Id\":\"r{id}\",\"Nested\":{{\"a\":[1,\"x\"]}},\"n\":1.5}}"
            )
        },
        between: "\n",
        end: "\n",
        id_column: "Id",
    },
    Kind {
        header: "[\n",
        record: |id| {
            format!(
                "  {{\n    \"TimeGenerated\": \"2026-01-05T08:00:00Z\",\n    \"Id\": \"r{id}\",\n    \"x\": \"y\"\n  }}"
            )
        },
        between: ",\n",
        end: "\n]\n",
        id_column: "Id",
    },
    Kind {
        header: "TimeGenerated [UTC],Id,Text,More\n",
        record: |id| format!("\"1/5/2026, 8:00:00.000 AM\",r{id},\"a \"\"b\"\"\nc, d\",e"),
        between: "\n",
        end: "\n",
        id_column: "Id",
    },
    Kind {
        header: "",
        record: |id| {
            format!(
                "CEF:0|Palo Alto Networks|PAN-OS|11|end|TRAFFIC|1|rt=Jan 05 2026 08:00:00 externalId=r{id} msg=a b\\=c"
            )
        },
        between: "\n",
        end: "\n",
        id_column: "ExternalID",
    },
    Kind {
        header: "#fields\tts\tuid\tid.orig_h\tservice\tconn_state\n",
        record: |id| format!("1767600000.5\tC\t10.0.0.1\tr{id}\tSF"),
        between: "\n",
        end: "\n",
        id_column: "ApplicationProtocol",
    },
    Kind {
        header: "",
        record: |id| {
            format!(
                "<14>Jan  5 08:00:00 PA-1 1,2026/01/05 08:00:00,0,TRAFFIC,end,1,2026/01/05 08:00:00,10.1.1.5,203.0.113.9,,,\"a, \"\"b\"\"\",u,,ssl,v,a,b,i,o,l,,r{id},1"
            )
        },
        between: "\n",
        end: "\n",
        id_column: "DeviceCustomNumber1",
    },
];

#[test]
fn no_undamaged_record_is_lost() {
    let requested = std::env::var("HINDCAST_MUTATIONS").ok().and_then(|runs| runs.parse().ok());
    let runs = requested.unwrap_or(RUNS);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    for (place, kind) in KINDS.iter().enumerate() {
        for seed in 0..runs {
            let mut rng = ChaCha8Rng::seed_from_u64(seed * 10 + place as u64);
            let (text, untouched) = broken(kind, &mut rng);
            let found = runtime.block_on(ids_of(text.clone(), kind.id_column));
            let lost: Vec<&String> = untouched.difference(&found).collect();
            assert!(
                lost.is_empty(),
                "kind {place}, seed {seed}: {lost:?} of\n{}",
                String::from_utf8_lossy(&text)
            );
        }
    }
}

/// A text with one damaged record, and the ids of all others.
fn broken(kind: &Kind, rng: &mut ChaCha8Rng) -> (Vec<u8>, BTreeSet<String>) {
    let touched = rng.random_range(0..RECORDS);
    let mut text = kind.header.as_bytes().to_vec();
    let mut untouched = BTreeSet::new();
    for id in 0..RECORDS {
        let mut record = (kind.record)(id).into_bytes();
        if id == touched {
            mutate(&mut record, rng);
        } else {
            untouched.insert(format!("r{id}"));
        }
        text.extend(record);
        text.extend((if id + 1 < RECORDS { kind.between } else { kind.end }).as_bytes());
    }
    (text, untouched)
}

fn mutate(record: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let at = rng.random_range(0..record.len());
    match rng.random_range(0..8) {
        0 => record.truncate(at),
        1 => record.insert(at, b'"'),
        2 => record[at] = rng.random_range(0..=255),
        3 => record.insert(at, 0),
        4 => drop(record.splice(at..at, *b"\xff\xfe\xe9")),
        5 => drop(record.splice(at..at, b"{\"a\":".repeat(rng.random_range(1..2_000)))),
        6 => drop(record.splice(at..at, vec![b'x'; rng.random_range(1..60_000)])),
        _ => drop(record.drain(at..(at + rng.random_range(1..20)).min(record.len()))),
    }
}

/// The ids in the rows that a text gives.
async fn ids_of(text: Vec<u8>, column: &'static str) -> BTreeSet<String> {
    let place = Location::parse_with("s3://memory/file", |_| Ok(Arc::new(InMemory::new()))).unwrap();
    place.store().put(place.prefix(), text.into()).await.unwrap();
    let input = test_sources::input_at(place).await;
    let read = move || {
        let mut ids = BTreeSet::new();
        let mut blocks = Blocks::open(0, &input, &test_sources::built_in()).unwrap();
        let (format, texts) = blocks.sample();
        let source = format.with_records(&texts, |records| {
            test_sources::built_in().choose(&format, records, None).unwrap().0
        });
        let options = TimeOptions { dates: Some(DateOrder::MonthFirst), ..TimeOptions::default() };
        let times = Times::without_proof(options);
        while let Some(block) = blocks.next_block().unwrap() {
            let requested_table = (source.name == "portal-csv" || source.name == "generic").then_some("Own");
            for rows in parse(block, &source, requested_table, &times).unwrap().tables {
                if let Some(found) = rows.batch.column_by_name(column) {
                    ids.extend(found.as_string::<i32>().iter().flatten().map(str::to_owned));
                }
            }
        }
        ids
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

#[tokio::test]
async fn a_truncated_archive_gives_the_rows_before_its_end() {
    let mut text = String::new();
    for id in 0..20_000 {
        text += &format!(
            "{{\"TimeGenerated\":\"2026-01-05T08:00:00Z\",\"TenantId\":\"t\",\"Type\":\"Own\",\"Id\":\"r{id}\"}}\n"
        );
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    let mut packed = encoder.finish().unwrap();
    let whole = ids_of(packed.clone(), "Id").await;
    assert_eq!(whole.len(), 20_000);
    packed.truncate(packed.len() / 2);
    let found = ids_of(packed, "Id").await;
    assert!((5_000..20_000).contains(&found.len()), "{}", found.len());
}
