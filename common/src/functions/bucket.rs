//! The shard bucket of a key: a small hash that is the same on every machine and version.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, UInt8Array};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::text::as_texts;

/// Buckets a rollup's state is cut into; a shard is a range of them.
pub const BUCKETS: u8 = 64;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// The bucket of a text key, `0..BUCKETS`: FNV-1a (Fowler, Noll, Vo), folded; null is bucket 0.
pub fn bucket_of(key: Expr) -> Expr {
    ScalarUDF::from(BucketOf { signature: Signature::any(1, Volatility::Immutable) }).call(vec![key])
}

fn buckets_of(keys: &ArrayRef) -> Result<UInt8Array> {
    let bucket = |key: Option<&str>| Some(key.map_or(0, |key| bucket_of_bytes(key.as_bytes())));
    Ok(as_texts(keys)?.iter().map(bucket).collect())
}

fn bucket_of_bytes(key: &[u8]) -> u8 {
    let hash = key.iter().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME));
    let folded = hash ^ (hash >> 32);
    (folded % u64::from(BUCKETS)) as u8
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct BucketOf {
    signature: Signature,
}

impl ScalarUDFImpl for BucketOf {
    fn name(&self) -> &str {
        "bucket_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = args.args[0].to_array(args.number_rows)?;
        let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() else {
            return Ok(ColumnarValue::Array(Arc::new(buckets_of(&array)?)));
        };
        let of_values = buckets_of(dictionary.values())?;
        let bucket = |key: Option<i32>| key.map_or(0, |key| of_values.value(key as usize));
        let buckets: UInt8Array = dictionary.keys().iter().map(|key| Some(bucket(key))).collect();
        Ok(ColumnarValue::Array(Arc::new(buckets)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_never_change() {
        // Stored state depends on these values.
        let seen: Vec<u8> =
            ["", "10.0.0.1", "srv-01"].iter().map(|key| bucket_of_bytes(key.as_bytes())).collect();
        assert_eq!(seen, vec![1, 16, 42]);
    }

    #[test]
    fn keys_spread_over_all_buckets() {
        let mut counts = [0u32; BUCKETS as usize];
        for host in 0..6_400 {
            counts[bucket_of_bytes(format!("10.0.{}.{}", host / 250, host % 250).as_bytes()) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (50..200).contains(count)), "{counts:?}");
    }
}
