//! Text keys as small numbers while they are grouped: grouping numbers costs a fraction of grouping texts.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{ArrayRef, AsArray, DictionaryArray, StringArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::{HashMap, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::text::{OfDictionary, as_texts};

/// Numbers for the texts of one column, in order of first occurrence.
///
/// Holds every distinct text while it lives: the grouping of one unit.
#[derive(Debug, Clone, Default)]
pub struct Interner(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    texts: Mutex<Texts>,
    of_dictionary: OfDictionary<UInt32Array>,
}

#[derive(Debug, Default)]
struct Texts {
    number_of: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    /// All texts by number, as of the last request.
    by_number: Option<ArrayRef>,
}

impl Interner {
    /// The number of each text; null stays null.
    pub fn numbers_of(&self, texts: Expr) -> Expr {
        self.function(Form::Numbers).call(vec![texts])
    }

    /// The text of each number.
    pub fn texts_of(&self, numbers: Expr) -> Expr {
        self.function(Form::Texts).call(vec![numbers])
    }

    /// The text of each number, as a dictionary of all texts so far.
    pub fn dictionary_of(&self, numbers: Expr) -> Expr {
        self.function(Form::Dictionary).call(vec![numbers])
    }

    fn function(&self, form: Form) -> ScalarUDF {
        let signature = Signature::any(1, Volatility::Immutable);
        ScalarUDF::from(Intern { signature, form, interner: self.clone() })
    }

    fn texts(&self) -> MutexGuard<'_, Texts> {
        // A panic elsewhere leaves the map consistent: every change is one insertion.
        self.0.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn numbers(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let Some(dictionary) = array.as_dictionary_opt::<Int32Type>() else {
            return Ok(Arc::new(self.texts().numbers(array)?));
        };
        let of_values = self
            .0
            .of_dictionary
            .get_or_compute(dictionary.values(), |values| self.texts().numbers(values))?;
        Ok(take(of_values.as_ref(), dictionary.keys(), None)?)
    }
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.number_of.get(text) {
            return *number;
        }
        let shared: Arc<str> = Arc::from(text);
        let number = self.texts.len() as u32;
        self.texts.push(Arc::clone(&shared));
        self.number_of.insert(shared, number);
        number
    }

    fn numbers(&mut self, array: &ArrayRef) -> Result<UInt32Array> {
        let mut number = |text: Option<&str>| text.map(|text| self.number(text));
        // Values of dictionaries are read without views.
        if let Some(texts) = array.as_string_opt::<i32>() {
            return Ok(texts.iter().map(number).collect());
        }
        Ok(as_texts(array)?.iter().map(&mut number).collect())
    }

    fn as_array(&mut self) -> ArrayRef {
        match &self.by_number {
            Some(array) if array.len() == self.texts.len() => Arc::clone(array),
            _ => {
                let array = StringArray::from_iter_values(self.texts.iter());
                Arc::clone(self.by_number.insert(Arc::new(array)))
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Numbers,
    Texts,
    Dictionary,
}

#[derive(Debug)]
struct Intern {
    signature: Signature,
    form: Form,
    interner: Interner,
}

impl PartialEq for Intern {
    fn eq(&self, other: &Self) -> bool {
        self.form == other.form && Arc::ptr_eq(&self.interner.0, &other.interner.0)
    }
}

impl Eq for Intern {}

impl Hash for Intern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.form.hash(state);
        Arc::as_ptr(&self.interner.0).hash(state);
    }
}

impl ScalarUDFImpl for Intern {
    fn name(&self) -> &str {
        match self.form {
            Form::Numbers => "numbers_of",
            Form::Texts => "texts_of",
            Form::Dictionary => "dictionary_of",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.form {
            Form::Numbers => DataType::UInt32,
            Form::Texts => DataType::Utf8View,
            Form::Dictionary => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = args.args[0].to_array(args.number_rows)?;
        let converted: ArrayRef = match self.form {
            Form::Numbers => self.interner.numbers(&array)?,
            Form::Texts => take(&as_texts(&self.interner.texts().as_array())?, &array, None)?,
            Form::Dictionary => {
                let keys = cast(&array, &DataType::Int32)?;
                let keys = keys.as_primitive::<Int32Type>().clone();
                Arc::new(DictionaryArray::try_new(keys, self.interner.texts().as_array())?)
            }
        };
        Ok(ColumnarValue::Array(converted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::UInt32Type;

    #[test]
    fn texts_survive_the_round_trip_from_any_array_type() {
        let interner = Interner::default();
        let plain: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None, Some("a")]));
        let dictionary: ArrayRef =
            Arc::new(vec![Some("a"), Some("c"), None].into_iter().collect::<DictionaryArray<Int32Type>>());
        let numbers =
            |array| interner.numbers(array).unwrap().as_primitive::<UInt32Type>().iter().collect::<Vec<_>>();
        assert_eq!(numbers(&plain), [Some(0), None, Some(1)]);
        assert_eq!(numbers(&dictionary), [Some(1), Some(2), None]);
        assert_eq!(numbers(&dictionary), [Some(1), Some(2), None]);
        let texts = interner.texts().as_array();
        assert_eq!(texts.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["b", "a", "c"]);
    }
}
