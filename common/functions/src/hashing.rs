//! A hash of texts that is the same on every machine and in every version.

use super::bucket::hash_of;

/// A hash of a text, from 0 to `i64::MAX`, with all bits equally likely: that of [`hash_of`], mixed by the last step of
/// MurmurHash3 (Appleby), without its lowest bit.
pub(crate) fn text_hash(text: &str) -> i64 {
    let hash = hash_of(text.as_bytes());
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    ((mixed ^ (mixed >> 33)) >> 1) as i64
}

#[cfg(test)]
mod tests {
    use super::text_hash;

    #[test]
    fn hashes_of_similar_texts_are_spread_evenly() {
        let mut counts = [0usize; 16];
        for number in 0..16_000 {
            counts[(text_hash(&format!("p{number}")) >> 59) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
        assert!(text_hash("") >= 0);
    }

    #[test]
    fn the_hash_of_a_text_never_changes() {
        assert_eq!([text_hash(""), text_hash("a")], [6_981_169_250_471_905_405, 495_817_729_635_556_888]);
    }
}
