//! Tests that records do not depend on their line ends or on how the text is split into blocks.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// Inputs per framing.
const RUNS: u64 = 60;

/// The records and rejects of a text that is read in blocks of `block_bytes`.
fn cut_in_blocks(framing: Framing, text: &[u8], block_bytes: usize) -> (Vec<String>, Vec<Reject>) {
    let (mut records, mut rejects) = (Vec::new(), Vec::new());
    let (mut pending, mut read) = (Vec::new(), 0);
    loop {
        let end = text.len().min(read + block_bytes);
        pending.extend_from_slice(&text[read..end]);
        read = end;
        let is_last = read == text.len();
        let framed = framing.cut(&pending, is_last);
        let record = |span: &Span| String::from_utf8_lossy(&pending[span.start..span.end]).trim().to_owned();
        records.extend(framed.spans.iter().map(record));
        rejects.extend(framed.rejects);
        assert!(!is_last || framed.consumed == pending.len());
        pending.drain(..framed.consumed);
        if is_last {
            return (records, rejects);
        }
    }
}

fn message(id: u64, rng: &mut ChaCha8Rng, line_end: Option<&str>) -> String {
    let headers =
        ["", "<14>1 2026-01-05T08:00:00Z fw - - - - ", "<14>Jan  5 08:00:00 fw ", "Jan 15 08:00:00 fw "];
    let header = headers[rng.random_range(0..headers.len())];
    let values = ["plain words", "größe €", "a\\=b \\\\", "x | y", "12"];
    let value = values[rng.random_range(0..values.len())];
    let more = line_end.map_or(String::new(), |end| format!(" msg=first{end}second{end}third"));
    format!("{header}CEF:0|V|P|1|c|n|1|src=10.0.0.1 externalId=r{id} cs1={value}{more} out={id}")
}

#[test]
fn messages_are_whole_with_any_line_end() {
    for seed in 0..RUNS {
        for (place, line_end) in
            ["\n", "\r\n", "\r", "\0", "counted", "counted\n", " "].into_iter().enumerate()
        {
            let mut rng = ChaCha8Rng::seed_from_u64(seed * 100 + place as u64);
            let inner = match line_end {
                "\0" | "counted" | "counted\n" => Some("\n"),
                " " => None,
                line_end => Some(line_end),
            };
            let messages: Vec<String> = (0..rng.random_range(1..40))
                .map(|id| message(id, &mut rng, inner.filter(|_| id % 5 == 3)))
                .map(|message| match line_end.starts_with("counted") && !message.starts_with('<') {
                    true => format!("<14>{message}"),
                    false => message,
                })
                .collect();
            let text: String = messages
                .iter()
                .map(|message| match line_end {
                    "counted" => format!("{} {message}", message.len()),
                    "counted\n" => format!("{} {message}\n", message.len()),
                    line_end => format!("{message}{line_end}"),
                })
                .collect();
            let shape = match line_end.starts_with("counted") {
                true => Shape::OctetCounted { has_messages: true },
                false => Shape::Messages,
            };
            let framing = Framing { shape, line_end: b'\n' };
            for block_bytes in [rng.random_range(1..50), rng.random_range(50..1_000), usize::MAX / 2] {
                let (records, rejects) = cut_in_blocks(framing, text.as_bytes(), block_bytes);
                assert!(rejects.is_empty(), "{line_end:?}, seed {seed}: {rejects:?}");
                assert_eq!(records, messages, "{line_end:?}, seed {seed}, blocks of {block_bytes}");
            }
        }
    }
}

#[test]
fn lines_have_any_line_end_and_holes_are_rejected() {
    for line_end in ["\n", "\r\n", "\r", "\0", "\n\n"] {
        let text = ["{\"a\":1}", " {\"b\":2}", "x"].join(line_end);
        for block_bytes in 1..30 {
            let (records, rejects) = cut_in_blocks(Framing::LINES, text.as_bytes(), block_bytes);
            assert_eq!((records.len(), rejects.len()), (3, 0), "{line_end:?}");
        }
    }
    for block_bytes in 1..40 {
        let (records, rejects) = cut_in_blocks(Framing::LINES, b"a\n\0\0\0\0\0\0\nb\nc\0\0", block_bytes);
        assert_eq!(records, ["a", "b", "c"]);
        assert_eq!((rejects.len(), rejects[0].bytes, rejects[1].bytes), (2, 6, 2));
    }
    assert_eq!(lines(b"a\nb", false, b'\n').consumed, 2);
    let places =
        |text: &[u8], line_end| lines(text, true, line_end).spans.iter().map(|s| s.line).collect::<Vec<_>>();
    assert_eq!((places(b"a\r\n\r\nb", b'\n'), places(b"a\rb", b'\r')), (vec![0, 2], vec![0, 1]));
}

#[test]
fn a_broken_message_does_not_continue_another() {
    let of = |text: &str| {
        let framing = Framing { shape: Shape::Messages, line_end: b'\n' };
        cut_in_blocks(framing, text.as_bytes(), 7 + text.len() / 50).0
    };
    let whole = "CEF:0|V|P|1|c|n|1|src=10.0.0.1 out=12";
    for other in [
        "Jan  5 08:00:01 fw heartbeat",
        "<14>heartbeat",
        "heartbeat",
        "EF:0|V|P|1|c|n|1|src=1",
        "{\"a\":1}",
        "2026-01-05 x",
    ] {
        assert_eq!(of(&format!("{whole}\n{other}\n{whole}")), [whole, other, whole]);
    }
    assert_eq!(of(&format!("{whole}\n spt=5\n\n{whole}")), [&format!("{whole}\n spt=5"), whole]);
    assert_eq!(of(&format!("{whole} msg=a\nb\nc")), [format!("{whole} msg=a\nb\nc")]);
    let long = format!("{whole} msg=a\n{}", "lines of text\n".repeat(10_000));
    let records = of(&long);
    assert!(records[0].len() > 50_000 && records.len() > 1_000 && records[1] == "lines of text");
}

#[test]
fn a_wrong_length_costs_no_record() {
    let message = |id: usize| {
        format!("<14>1 2026-01-05T08:00:0{id}Z fw - - - - CEF:0|V|P|1|c|n|1|cs1=größe out=500{id}")
    };
    let framing = Framing { shape: Shape::OctetCounted { has_messages: true }, line_end: b'\n' };
    let counted = |lengths: &dyn Fn(usize, &str) -> usize| -> String {
        (0..5).map(|id| format!("{} {}", lengths(id, &message(id)), message(id))).collect()
    };
    let outs = |text: &str, block_bytes| -> (Vec<String>, usize) {
        let (records, rejects) = cut_in_blocks(framing, text.as_bytes(), block_bytes);
        let out = |record: &String| record.rsplit('=').next().unwrap_or_default().to_owned();
        (records.iter().map(out).collect(), rejects.len())
    };
    let all = ["5000", "5001", "5002", "5003", "5004"].map(str::to_owned).to_vec();
    for block_bytes in [1, 10, 300, 100_000] {
        for wrong in [1, 70, 99, 200, 90_000] {
            let text = counted(&|id, message| if id == 2 { wrong } else { message.len() });
            assert_eq!(outs(&text, block_bytes), (all.clone(), 0), "{wrong}");
        }
        let text = counted(&|_, message| message.len());
        assert_eq!(outs(&text[30..], block_bytes), (all.clone(), 0));
        assert_eq!(outs(&text[..text.len() - 2], block_bytes), (all[..4].to_vec(), 1));
    }
    assert!(octet_counted::has_octet_counts(counted(&|_, message| message.len()).as_bytes(), true));
    assert!(octet_counted::has_octet_counts(&counted(&|_, message| message.len()).as_bytes()[40..], true));
    for text in ["<14>x\n12 <y\n", "160 <14>hello", "a 5 <1>b", "12 <x>ab"] {
        assert!(!octet_counted::has_octet_counts(text.as_bytes(), true), "{text}");
    }
}
