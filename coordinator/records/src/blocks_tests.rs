//! Tests that a file is read as blocks of whole records, with line numbers of the file.

use std::sync::Arc;

use hindcast_lake::Location;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;

use super::super::inputs::input_at;
use super::*;

/// A record of a file: its line from 0 and its text; or a reject: its line and its reason.
type Found = (u64, Result<String, String>);

/// All records and rejects of a file, in order of their lines, and the number of blocks.
async fn read(text: Vec<u8>) -> (Vec<Found>, usize) {
    let place = Location::parse_with("s3://memory/file", |_| Ok(Arc::new(InMemory::new()))).unwrap();
    place.store().put(place.prefix(), text.into()).await.unwrap();
    let input = input_at(place).await;
    let read = move || {
        let mut blocks = Blocks::open(7, &input, &Sources::for_tests()).unwrap();
        let (mut found, mut count) = (Vec::new(), 0);
        while let Some(block) = blocks.next_block().unwrap() {
            assert_eq!(block.input, 7);
            count += 1;
            let text_of = |span: &Span| {
                String::from_utf8_lossy(&block.bytes[span.start..span.end]).trim_end().to_owned()
            };
            let records = block.spans.iter().map(|span| (block.first_line + span.line, Ok(text_of(span))));
            let rejects = block.rejects.iter();
            let rejects = rejects.map(|reject| (block.first_line + reject.line, Err(reject.reason.clone())));
            found.extend(records.chain(rejects));
        }
        found.sort_by_key(|(line, _)| *line);
        (found, count)
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

fn record(line: u64, text: &str) -> Found {
    (line, Ok(text.to_owned()))
}

#[tokio::test]
async fn records_have_their_lines() {
    let (found, _) = read(b"\xef\xbb\xbf{\"a\":1}\n\n{\"a\":2}\r\n{\"a\":3}".to_vec()).await;
    assert_eq!(found, [record(0, "{\"a\":1}"), record(2, "{\"a\":2}"), record(3, "{\"a\":3}")]);
    let (found, _) = read(b"A,B\n1,\"x\ny\"\n2,z\n".to_vec()).await;
    assert_eq!(found, [record(1, "1,\"x\ny\""), record(3, "2,z")]);
}

#[tokio::test]
async fn a_zeek_header_among_the_rows_starts_a_new_block() {
    let text = "#path\tconn\n#fields\tts\tuid\n1.5\tC1\n#fields\tuid\nC2\n";
    let (found, blocks) = read(text.into()).await;
    assert_eq!(found, [record(2, "1.5\tC1"), record(4, "C2")]);
    assert!(blocks >= 2, "{blocks}");
}

#[tokio::test]
async fn records_across_blocks_are_whole() {
    // Records of 1,000 bytes do not divide a block of 4 MiB.
    let lines: Vec<String> =
        (0..9_000).map(|id| format!("{{\"id\":{id},\"x\":\"{}\"}}", "y".repeat(980))).collect();
    let (found, blocks) = read(lines.join("\n").into()).await;
    assert!(blocks >= 3, "{blocks}");
    let wanted: Vec<Found> = (0..).zip(&lines).map(|(line, text)| record(line, text)).collect();
    assert!(found == wanted);
}

#[tokio::test]
async fn a_record_without_an_end_is_rejected_and_the_next_is_read() {
    let long = "x".repeat(MAX_RECORD_BYTES + BLOCK_BYTES + 5);
    let text = format!("{{\"a\":1}}\n{{\"b\":\"{long}\"}}\n{{\"a\":2}}\n");
    let (found, _) = read(text.into()).await;
    let reject = (1, Err("has no end within 16 MiB".to_owned()));
    assert_eq!(found, [record(0, "{\"a\":1}"), reject, record(2, "{\"a\":2}")]);
}

#[tokio::test]
async fn the_sample_holds_a_record_that_is_long() {
    for (before, after) in [("", "\n"), ("{\"records\":[", "]}")] {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(2 * SAMPLE_BYTES));
        let place = Location::parse_with("s3://memory/file", |_| Ok(Arc::new(InMemory::new()))).unwrap();
        let text = format!("{before}{long}{after}");
        place.store().put(place.prefix(), text.into()).await.unwrap();
        let input = input_at(place).await;
        let sampled = move || {
            let blocks = Blocks::open(7, &input, &Sources::for_tests()).unwrap();
            blocks.sample().1.iter().map(|record| record.trim_ascii().len()).collect::<Vec<_>>()
        };
        assert_eq!(tokio::task::spawn_blocking(sampled).await.unwrap(), [long.len()], "{before}");
    }
}

#[tokio::test]
async fn an_empty_file_has_no_records() {
    assert_eq!(read(Vec::new()).await.0, []);
    assert_eq!(read(b"\n\n".to_vec()).await.0, []);
}
