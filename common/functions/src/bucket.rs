//! The shard bucket of a key: a small hash that is the same on every machine and in every version.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, UInt16Array};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::text::{OfDictionary, as_texts};

/// Number of buckets of a rollup's state; a shard is a range of buckets. There are enough of them for 250 workers of 16 slots.
pub const BUCKETS: u16 = 4_096;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// The bucket of a key of one or more texts, `0..BUCKETS`. The hash is FNV-1a (Fowler, Noll, Vo) of each text, folded; the sum is
/// multiplied by a prime before the next is added. A null counts as 0: a key of one null is in bucket 0.
pub fn bucket_of(key: Vec<Expr>) -> Expr {
    ScalarUDF::from(BucketOf::new(key.len())).call(key)
}

fn hashes_of(texts: &ArrayRef) -> Result<Vec<u64>> {
    let hash = |text: Option<&str>| text.map_or(0, |text| hash_of(text.as_bytes()));
    Ok(as_texts(texts)?.iter().map(hash).collect())
}

pub(super) fn hash_of(text: &[u8]) -> u64 {
    let hash = text.iter().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME));
    hash ^ (hash >> 32)
}

/// The hash of each row's text, by `hashes_of`; a dictionary is hashed once per value.
fn row_hashes(
    array: &ArrayRef,
    of_dictionary: &OfDictionary<Vec<u64>>,
    hashes_of: fn(&ArrayRef) -> Result<Vec<u64>>,
) -> Result<Vec<u64>> {
    let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() else {
        return hashes_of(array);
    };
    let of_values = of_dictionary.get_or_compute(dictionary.values(), hashes_of)?;
    Ok(dictionary.keys().iter().map(|key| key.map_or(0, |key| of_values[key as usize])).collect())
}

/// The hash of each row's key: the sum of the hashes of its columns, multiplied by a prime before the next is added.
pub(super) fn sum_of_hashes(
    args: &ScalarFunctionArgs,
    of_dictionaries: &[OfDictionary<Vec<u64>>],
    hashes_of: fn(&ArrayRef) -> Result<Vec<u64>>,
) -> Result<Vec<u64>> {
    let mut sums = vec![0u64; args.number_rows];
    for (column, of_dictionary) in args.args.iter().zip(of_dictionaries) {
        let hashes = row_hashes(&column.to_array(args.number_rows)?, of_dictionary, hashes_of)?;
        for (sum, hash) in sums.iter_mut().zip(hashes) {
            *sum = sum.wrapping_mul(FNV_PRIME).wrapping_add(hash);
        }
    }
    Ok(sums)
}

#[derive(Debug)]
struct BucketOf {
    signature: Signature,
    /// One per column of the key.
    of_dictionaries: Vec<OfDictionary<Vec<u64>>>,
}

impl BucketOf {
    fn new(columns: usize) -> Self {
        let of_dictionaries = (0..columns).map(|_| OfDictionary::default()).collect();
        Self { signature: Signature::any(columns, Volatility::Immutable), of_dictionaries }
    }
}

impl PartialEq for BucketOf {
    fn eq(&self, other: &Self) -> bool {
        self.signature == other.signature
    }
}

impl Eq for BucketOf {}

impl Hash for BucketOf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.signature.hash(state);
    }
}

impl ScalarUDFImpl for BucketOf {
    fn name(&self) -> &str {
        "bucket_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt16)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let sums = sum_of_hashes(&args, &self.of_dictionaries, hashes_of)?;
        let buckets: UInt16Array = sums.iter().map(|sum| Some((sum % u64::from(BUCKETS)) as u16)).collect();
        Ok(ColumnarValue::Array(Arc::new(buckets)))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, StringArray};
    use arrow::datatypes::{Field, UInt16Type};
    use datafusion::config::ConfigOptions;

    use super::*;

    fn buckets(columns: Vec<ArrayRef>) -> Vec<u16> {
        let number_rows = columns[0].len();
        let args = ScalarFunctionArgs {
            args: columns.into_iter().map(ColumnarValue::Array).collect(),
            arg_fields: vec![],
            number_rows,
            return_field: Arc::new(Field::new("bucket", DataType::UInt16, false)),
            config_options: Arc::new(ConfigOptions::default()),
        };
        let function = BucketOf::new(args.args.len());
        let buckets = function.invoke_with_args(args).unwrap().to_array(number_rows).unwrap();
        buckets.as_primitive::<UInt16Type>().values().to_vec()
    }

    #[test]
    fn buckets_never_change() {
        // Stored state depends on these values.
        let texts = [Some(""), Some("10.0.0.1"), Some("srv-01"), None];
        let plain = || Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
        let dictionary = Arc::new(texts.into_iter().collect::<DictionaryArray<Int32Type>>()) as ArrayRef;
        assert_eq!(buckets(vec![plain()]), [4033, 2256, 3178, 0]);
        assert_eq!(buckets(vec![Arc::clone(&dictionary)]), [4033, 2256, 3178, 0]);
        let of_pairs = buckets(vec![plain(), plain()]);
        assert_eq!(of_pairs, buckets(vec![dictionary, plain()]));
        assert_eq!(of_pairs, [1204, 576, 1160, 0]);
    }

    #[test]
    fn keys_spread_over_all_buckets() {
        let address = |host: usize| format!("10.0.{}.{}", host / 250, host % 250);
        let many: ArrayRef = Arc::new(StringArray::from_iter_values((0..6_400).map(address)));
        let one: ArrayRef = Arc::new(StringArray::from(vec!["10.0.0.1"; 6_400]));
        for key in [vec![Arc::clone(&many)], vec![Arc::clone(&one), Arc::clone(&many)], vec![many, one]] {
            let mut distinct = buckets(key);
            let mut counts = [0u32; 64];
            distinct.iter().for_each(|bucket| counts[usize::from(*bucket / 64)] += 1);
            assert!(counts.iter().all(|count| (50..200).contains(count)), "{counts:?}");
            distinct.sort_unstable();
            distinct.dedup();
            // 6,400 random keys leave a fifth of the buckets empty.
            assert!(distinct.len() > 3_000, "{} buckets", distinct.len());
        }
    }
}
