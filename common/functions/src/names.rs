//! Names of entities in the canonical form of [`hindcast_base::entities`]; a dictionary is converted once per value.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, PrimitiveArray, StringArray, StringViewArray};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::text::{OfDictionary, as_texts};
use hindcast_base::entities::{
    UserName, address_of, address_or_text_of, host_name, initiator_address_of, initiator_of,
};

/// The canonical text of an address; null if the text is not an address.
pub fn canonical_address(text: Expr) -> Expr {
    Form::Address.call(text)
}

/// As [`canonical_address`], but other text stays as it is; null if it is empty or `<null>`.
pub fn address_or_text(text: Expr) -> Expr {
    Form::AddressOrText.call(text)
}

/// The short, lower-cased name of a host; null if it is empty.
pub fn canonical_host(text: Expr) -> Expr {
    Form::Host.call(text)
}

/// Lower-cased text; null if it is empty or `<null>`.
pub fn lowered_name(text: Expr) -> Expr {
    Form::Lowered.call(text)
}

/// The account of a user name, lower-cased, without its domain; null if it is empty.
pub fn account_name(text: Expr) -> Expr {
    Form::Account.call(text)
}

/// Who acted, from `InitiatedBy` of an audit row; null if it names nobody.
pub fn initiator(text: Expr) -> Expr {
    Form::Initiator.call(text)
}

/// The canonical address in `InitiatedBy` of an audit row; null if it has none.
pub fn initiator_address(text: Expr) -> Expr {
    Form::InitiatorAddress.call(text)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Address,
    AddressOrText,
    Host,
    Lowered,
    Account,
    Initiator,
    InitiatorAddress,
}

impl Form {
    fn call(self, text: Expr) -> Expr {
        let signature = Signature::any(1, Volatility::Immutable);
        let of_dictionary = OfDictionary::default();
        ScalarUDF::from(NameForm { signature, form: self, of_dictionary }).call(vec![text])
    }

    fn of(self, text: &str) -> Option<Cow<'_, str>> {
        let named = |text: &str| {
            let lowered = text.trim().to_lowercase();
            (!lowered.is_empty() && lowered != "<null>").then_some(lowered)
        };
        match self {
            Form::Address => address_of(text),
            Form::AddressOrText => address_or_text_of(text),
            Form::Host => named(text).map(|name| Cow::Owned(host_name(&name).to_owned())),
            Form::Lowered => named(text).map(Cow::Owned),
            Form::Account => named(text).map(|name| Cow::Owned(UserName::parse(&name).account.to_owned())),
            Form::Initiator => initiator_of(text),
            Form::InitiatorAddress => initiator_address_of(text).map(Cow::Owned),
        }
    }
}

#[derive(Debug)]
struct NameForm {
    signature: Signature,
    form: Form,
    of_dictionary: OfDictionary<ArrayRef>,
}

impl PartialEq for NameForm {
    fn eq(&self, other: &Self) -> bool {
        self.form == other.form
    }
}

impl Eq for NameForm {}

impl Hash for NameForm {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.form.hash(state);
    }
}

impl ScalarUDFImpl for NameForm {
    fn name(&self) -> &str {
        match self.form {
            Form::Address => "canonical_address",
            Form::AddressOrText => "address_or_text",
            Form::Host => "canonical_host",
            Form::Lowered => "lowered_name",
            Form::Account => "account_name",
            Form::Initiator => "initiator",
            Form::InitiatorAddress => "initiator_address",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match arguments {
            [DataType::Dictionary(keys, _)] => DataType::Dictionary(keys.clone(), Box::new(DataType::Utf8)),
            _ => DataType::Utf8View,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array: ArrayRef = args.args[0].to_array(args.number_rows)?;
        let named: ArrayRef = match array.as_dictionary_opt::<Int32Type>() {
            Some(dictionary) => {
                let values = self.of_dictionary.get_or_compute(dictionary.values(), |values| {
                    let named: StringArray =
                        as_texts(values)?.iter().map(|text| self.form.of(text?)).collect();
                    Ok(Arc::new(named) as ArrayRef)
                })?;
                // A cast looks for nulls only among the keys.
                let is_named = |key: &i32| usize::try_from(*key).is_ok_and(|key| values.is_valid(key));
                let keys: PrimitiveArray<Int32Type> = match values.null_count() {
                    0 => dictionary.keys().clone(),
                    _ => dictionary.keys().iter().map(|key| key.filter(is_named)).collect(),
                };
                Arc::new(DictionaryArray::try_new(keys, Arc::clone(&values))?)
            }
            None => Arc::new(
                as_texts(&array)?.iter().map(|text| self.form.of(text?)).collect::<StringViewArray>(),
            ),
        };
        Ok(ColumnarValue::Array(named))
    }
}
