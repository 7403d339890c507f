//! Keys of rows as numbers, and sets of them: which rows of state belong to the keys that a scan computes again.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, UInt64Array};
use arrow::datatypes::{DataType, UInt64Type};
use datafusion::common::{HashSet, Result, internal_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::bucket::{hash_of, sum_of_hashes};
use super::text::{OfDictionary, as_texts};
use hindcast_base::entities::address_of;

/// A set of keys, as numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct KeySet(HashSet<u64>);

impl KeySet {
    /// Adds the numbers of keys.
    ///
    /// # Errors
    /// If `numbers` are not those of [`key_number`].
    pub fn extend(&mut self, numbers: &ArrayRef) -> Result<()> {
        let numbers = numbers.as_primitive_opt::<UInt64Type>();
        let numbers = numbers.ok_or_else(|| internal_datafusion_err!("numbers of keys have another type"))?;
        self.0.extend(numbers.values());
        Ok(())
    }

    /// The number of keys in it.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The number of a key of texts: a hash of 64 bits. All forms of an address are one text. Different keys may have the same number, so
/// what holds for a key has to be done for all keys with its number.
pub fn key_number(key: Vec<Expr>) -> Expr {
    function(key.len(), None).call(key)
}

/// Whether a key is in the set, or has the number of one that is.
pub fn is_key_of(key: Vec<Expr>, keys: Arc<KeySet>) -> Expr {
    function(key.len(), Some(keys)).call(key)
}

fn function(columns: usize, keys: Option<Arc<KeySet>>) -> ScalarUDF {
    let of_dictionaries = (0..columns).map(|_| OfDictionary::default()).collect();
    ScalarUDF::from(KeyNumber {
        signature: Signature::any(columns, Volatility::Immutable),
        of_dictionaries,
        keys,
    })
}

fn hashes_of(texts: &ArrayRef) -> Result<Vec<u64>> {
    let hash = |text: &str| hash_of(address_of(text).as_deref().unwrap_or(text).as_bytes());
    Ok(as_texts(texts)?.iter().map(|text| text.map_or(0, hash)).collect())
}

#[derive(Debug)]
struct KeyNumber {
    signature: Signature,
    /// One per column of the key.
    of_dictionaries: Vec<OfDictionary<Vec<u64>>>,
    /// The set that is searched.
    keys: Option<Arc<KeySet>>,
}

impl PartialEq for KeyNumber {
    fn eq(&self, other: &Self) -> bool {
        let is_same_set = match (&self.keys, &other.keys) {
            (Some(own), Some(others)) => Arc::ptr_eq(own, others),
            (None, None) => true,
            _ => false,
        };
        self.signature == other.signature && is_same_set
    }
}

impl Eq for KeyNumber {}

impl Hash for KeyNumber {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.signature.hash(state);
        self.keys.as_ref().map(Arc::as_ptr).hash(state);
    }
}

impl ScalarUDFImpl for KeyNumber {
    fn name(&self) -> &str {
        if self.keys.is_some() { "is_key_of" } else { "key_number" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.keys.is_some() { DataType::Boolean } else { DataType::UInt64 })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let sums = sum_of_hashes(&args, &self.of_dictionaries, hashes_of)?;
        Ok(ColumnarValue::Array(match &self.keys {
            None => Arc::new(UInt64Array::from(sums)),
            Some(keys) => {
                let is_in: BooleanArray = sums.iter().map(|sum| Some(keys.0.contains(sum))).collect();
                Arc::new(is_in)
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, StringArray};
    use arrow::datatypes::{Field, Int32Type};
    use datafusion::config::ConfigOptions;

    use super::*;

    fn called(columns: &[ArrayRef], keys: Option<Arc<KeySet>>) -> ArrayRef {
        let number_rows = columns[0].len();
        let args = ScalarFunctionArgs {
            args: columns.iter().cloned().map(ColumnarValue::Array).collect(),
            arg_fields: vec![],
            number_rows,
            return_field: Arc::new(Field::new("key", DataType::UInt64, false)),
            config_options: Arc::new(ConfigOptions::default()),
        };
        let function = function(columns.len(), keys);
        function.inner().invoke_with_args(args).unwrap().to_array(number_rows).unwrap()
    }

    fn texts(texts: &[Option<&str>]) -> [ArrayRef; 2] {
        let dictionary: DictionaryArray<Int32Type> = texts.iter().copied().collect();
        [Arc::new(StringArray::from(texts.to_vec())), Arc::new(dictionary)]
    }

    #[test]
    fn a_set_has_the_keys_that_were_added_in_any_form() {
        let [sources, as_dictionary] = texts(&[Some("10.0.0.1"), Some("10.0.0.2"), None, Some("srv")]);
        let [destinations, _] = texts(&[Some("::ffff:8.8.8.8"), Some("a"), Some("a"), None]);
        let mut keys = KeySet::default();
        assert!(keys.is_empty());
        keys.extend(&called(&[Arc::clone(&sources), Arc::clone(&destinations)], None)).unwrap();
        assert_eq!(keys.len(), 4);
        let keys = Some(Arc::new(keys));
        let all = called(&[as_dictionary, destinations], keys.clone());
        assert_eq!(all.as_boolean().true_count(), 4);
        let [others, _] = texts(&[Some("8.8.8.8"), Some("b"), None, Some("")]);
        let some = called(&[sources, others], keys.clone());
        assert_eq!(
            some.as_boolean().iter().collect::<Vec<_>>(),
            [Some(true), Some(false), Some(false), Some(false)]
        );
        assert!(KeySet::default().extend(&some).is_err());
    }
}
