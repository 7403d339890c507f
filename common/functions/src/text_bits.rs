//! `text_bits`: how much information the characters of a text can carry.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::text::{OfDictionary, as_texts};

/// Shannon's entropy of a text's characters times their number, in bits, rounded to a whole number, whose sums are exact; null for
/// null. A text of one repeated character has 0.
pub(crate) fn text_bits(text: Expr) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::from(TextBits { signature, of_dictionary: OfDictionary::default() }).call(vec![text])
}

fn bits_of(text: &str) -> i64 {
    let mut counts: BTreeMap<char, u32> = BTreeMap::new();
    text.chars().for_each(|character| *counts.entry(character).or_default() += 1);
    let all: f64 = counts.values().map(|count| f64::from(*count)).sum();
    let bits: f64 = counts.values().map(|count| f64::from(*count) * (all / f64::from(*count)).log2()).sum();
    bits.round() as i64
}

#[derive(Debug)]
struct TextBits {
    signature: Signature,
    of_dictionary: OfDictionary<Vec<Option<i64>>>,
}

impl PartialEq for TextBits {
    fn eq(&self, other: &Self) -> bool {
        self.signature == other.signature
    }
}

impl Eq for TextBits {}

impl Hash for TextBits {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.signature.hash(state);
    }
}

impl ScalarUDFImpl for TextBits {
    fn name(&self) -> &str {
        "text_bits"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = args.args[0].to_array(args.number_rows)?;
        let bits: Int64Array = match array.as_dictionary_opt::<Int32Type>() {
            Some(dictionary) => {
                let of_values = self.of_dictionary.get_or_compute(dictionary.values(), |values| {
                    Ok(as_texts(values)?.iter().map(|text| text.map(bits_of)).collect())
                })?;
                dictionary.keys().iter().map(|key| of_values[key? as usize]).collect()
            }
            None => as_texts(&array)?.iter().map(|text| text.map(bits_of)).collect(),
        };
        Ok(ColumnarValue::Array(Arc::new(bits)))
    }
}

#[cfg(test)]
mod tests {
    use super::bits_of;

    #[test]
    fn bits_are_entropy_times_length() {
        // Two characters of one bit each; eight of three bits each.
        assert_eq!(["", "aaaa", "ab", "aabb", "abcdefgh"].map(bits_of), [0, 0, 2, 4, 24]);
        // Base32 of ten bytes: 80 bits, of which a short text shows 60, because it does not use the whole alphabet.
        assert_eq!(bits_of("mzxw6ytboi3tqnbv"), 60);
    }
}
