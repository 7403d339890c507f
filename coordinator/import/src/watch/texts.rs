//! The texts that were imported lately. A file whose text begins with one of them grew since, whatever its name is now and
//! however it is compressed.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use super::files::half;
use hindcast_records::inputs::{Bytestream, Input, read_up_to};
use hindcast_records::watched::Text;

/// Texts that are remembered. A log that grows is imported again and again, so that the latest ones suffice.
pub(super) const MOST_TEXTS: usize = 10_000;
/// Bytes per read.
const READ_BYTES: usize = 64 << 10;

/// The bytes of a file as they are stored.
pub(super) fn text_of_content(input: &Input) -> Text {
    let half = input.content.get(..32).and_then(|half| u128::from_str_radix(half, 16).ok());
    Text { bytes: input.bytes, hash: half.unwrap_or_default() }
}

/// The texts that were imported lately.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    by_bytes: BTreeMap<u64, Vec<u128>>,
    /// The oldest first.
    in_order: VecDeque<Text>,
}

impl Texts {
    /// Adds a text, and forgets the oldest one if there are too many.
    pub(super) fn add(&mut self, text: Text) {
        let hashes = self.by_bytes.entry(text.bytes).or_default();
        if hashes.contains(&text.hash) {
            return;
        }
        hashes.push(text.hash);
        self.in_order.push_back(text);
        let Some(oldest) = self.in_order.front().filter(|_| self.in_order.len() > MOST_TEXTS).copied() else {
            return;
        };
        self.in_order.pop_front();
        let Some(hashes) = self.by_bytes.get_mut(&oldest.bytes) else { return };
        hashes.retain(|hash| *hash != oldest.hash);
        if hashes.is_empty() {
            self.by_bytes.remove(&oldest.bytes);
        }
    }

    /// The text of a file, and how many of its first bytes are a known text. `None` if it can't be read to its end. A binary
    /// file does not grow at its end: its bytes count as its text, none of which is known.
    pub(super) fn of(&self, input: &Input) -> Option<(Text, u64)> {
        match input.open_unless_binary().ok()? {
            Some(stream) => self.read(stream).ok(),
            None => Some((text_of_content(input), 0)),
        }
    }

    fn read(&self, mut stream: Bytestream) -> io::Result<(Text, u64)> {
        let mut hasher = blake3::Hasher::new();
        let mut known = 0;
        let mut ends = self.by_bytes.range(1..).peekable();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let left = ends.peek().map_or(u64::MAX, |(end, _)| **end - hasher.count());
            let most = usize::try_from(left).map_or(READ_BYTES, |left| left.min(READ_BYTES));
            let (length, failure) = read_up_to(&mut stream, &mut buffer[..most]);
            if let Some(error) = failure {
                return Err(error);
            }
            hasher.update(&buffer[..length]);
            if let Some((end, hashes)) = ends.next_if(|(end, _)| **end == hasher.count())
                && hashes.contains(&half(&hasher.finalize()))
            {
                known = *end;
            }
            if length < most {
                return Ok((Text { bytes: hasher.count(), hash: half(&hasher.finalize()) }, known));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &Texts, text: &[u8]) -> (Text, u64) {
        texts.read(Box::new(io::Cursor::new(text.to_vec()))).unwrap()
    }

    #[test]
    fn a_text_is_known_up_to_the_longest_known_text_that_it_begins_with() {
        let long = b"0123456789".repeat(20_000);
        let mut texts = Texts::default();
        for known in [&b"abc"[..], b"abcdef", b"abX", b"", &long] {
            texts.add(read(&Texts::default(), known).0);
        }
        for (text, known) in [
            (&b"abcdefg"[..], 6),
            (b"abcdef", 6),
            (b"abcde", 3),
            (b"abd", 0),
            (b"", 0),
            (&[&long[..], b"+"].concat(), long.len() as u64),
            (&long[1..], 0),
        ] {
            let found = read(&texts, text);
            assert_eq!((found.0.bytes, found.1), (text.len() as u64, known));
        }
    }

    #[test]
    fn the_oldest_texts_are_forgotten() {
        let mut texts = Texts::default();
        for number in 0..MOST_TEXTS as u64 + 5 {
            texts.add(Text { bytes: 100 + number / 2, hash: u128::from(number) });
            texts.add(Text { bytes: 100 + number / 2, hash: u128::from(number) });
        }
        assert_eq!(texts.in_order.len(), MOST_TEXTS);
        assert_eq!(texts.by_bytes.first_key_value(), Some((&102, &vec![5])));
    }
}
