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

use super::hosts::destination_name_of;
use super::text::{OfDictionary, as_texts};
use super::{dns_words, domains};
use hindcast_base::entities::{
    UserName, address_of, address_or_text_of, host_name, initiator_address_of, initiator_of,
};

/// The canonical text of an address; null if the text is not an address.
pub fn canonical_address(text: Expr) -> Expr {
    Form::Address.call(text)
}

/// As [`canonical_address`], but other text stays as it is; null if it is empty or `<null>`.
pub(crate) fn address_or_text(text: Expr) -> Expr {
    Form::AddressOrText.call(text)
}

/// The short, lower-cased name of a host; null if it is empty.
pub(crate) fn canonical_host(text: Expr) -> Expr {
    Form::Host.call(text)
}

/// Lower-cased text; null if it is empty or `<null>`.
pub(crate) fn lowered_name(text: Expr) -> Expr {
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
pub(crate) fn initiator_address(text: Expr) -> Expr {
    Form::InitiatorAddress.call(text)
}

/// The registered domain of a host name, by the Public Suffix List; null if the name has none.
pub(crate) fn registered_domain(text: Expr) -> Expr {
    Form::RegisteredDomain.call(text)
}

/// What a host name has below its registered domain; null if there is nothing.
pub(crate) fn subdomain(text: Expr) -> Expr {
    Form::Subdomain.call(text)
}

/// The name of a DNS record type that is a number or a name.
pub(crate) fn record_type(text: Expr) -> Expr {
    Form::RecordType.call(text)
}

/// The name of a DNS response code that is a number or a name.
pub(crate) fn response_code(text: Expr) -> Expr {
    Form::ResponseCode.call(text)
}

/// The user agent in `ExtendedProperties` of an Office 365 row; null if they have none.
pub(crate) fn extended_user_agent(text: Expr) -> Expr {
    Form::ExtendedUserAgent.call(text)
}

/// The lower-cased name of the host in a URL, `host:port` or host; null if it is an address, has a single label or is no name.
pub(crate) fn destination_name(text: Expr) -> Expr {
    Form::DestinationName.call(text)
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
    RegisteredDomain,
    Subdomain,
    RecordType,
    ResponseCode,
    ExtendedUserAgent,
    DestinationName,
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
            Form::RegisteredDomain => domains::registered_domain(text).map(Cow::Owned),
            Form::Subdomain => domains::subdomain(text).map(Cow::Owned),
            Form::RecordType => dns_words::record_type(text),
            Form::ResponseCode => dns_words::response_code(text),
            Form::ExtendedUserAgent => user_agent_in(text).map(Cow::Owned),
            Form::DestinationName => destination_name_of(text).map(Cow::Owned),
        }
    }
}

/// The value of the property `UserAgent` in a JSON list of names and values; `None` if it is absent or empty.
fn user_agent_in(properties: &str) -> Option<String> {
    const NAME: &str = "UserAgent";
    if !properties.contains(NAME) {
        return None;
    }
    let list: Vec<serde_json::Value> = serde_json::from_str(properties).ok()?;
    let found = list.iter().find(|property| property["Name"] == NAME)?;
    found["Value"].as_str().filter(|value| !value.is_empty()).map(str::to_owned)
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
            Form::RegisteredDomain => "registered_domain",
            Form::Subdomain => "subdomain",
            Form::RecordType => "record_type",
            Form::ResponseCode => "response_code",
            Form::ExtendedUserAgent => "extended_user_agent",
            Form::DestinationName => "destination_name",
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

#[cfg(test)]
mod tests {
    use arrow::compute::cast;
    use arrow::datatypes::Field;
    use datafusion::config::ConfigOptions;

    use super::*;

    const FORMS: [Form; 12] = [
        Form::Address,
        Form::AddressOrText,
        Form::Host,
        Form::Lowered,
        Form::Account,
        Form::Initiator,
        Form::InitiatorAddress,
        Form::RegisteredDomain,
        Form::Subdomain,
        Form::RecordType,
        Form::ResponseCode,
        Form::ExtendedUserAgent,
    ];

    /// The names in a column; its rows are converted in two batches, as rows of one dictionary are.
    fn names(form: Form, texts: &ArrayRef) -> Vec<Option<String>> {
        let function = NameForm {
            signature: Signature::any(1, Volatility::Immutable),
            form,
            of_dictionary: OfDictionary::default(),
        };
        let return_type = function.return_type(&[texts.data_type().clone()]).unwrap();
        let batches = [texts.slice(0, 3), texts.slice(3, texts.len() - 3)];
        let named = batches.into_iter().flat_map(|batch| {
            let args = ScalarFunctionArgs {
                number_rows: batch.len(),
                args: vec![ColumnarValue::Array(batch)],
                arg_fields: vec![],
                return_field: Arc::new(Field::new("name", return_type.clone(), true)),
                config_options: Arc::new(ConfigOptions::default()),
            };
            let rows = args.number_rows;
            let named = function.invoke_with_args(args).unwrap().to_array(rows).unwrap();
            assert_eq!(*named.data_type(), return_type, "{form:?}");
            let named = cast(&named, &DataType::Utf8View).unwrap();
            named.as_string_view().iter().map(|name| name.map(str::to_owned)).collect::<Vec<_>>()
        });
        named.collect()
    }

    #[test]
    fn user_agents_are_found_in_extended_properties() {
        let agent = |text| Form::ExtendedUserAgent.of(text).map(Cow::into_owned);
        let found =
            r#"[{"Name":"UserAuthenticationMethod","Value":"1"},{"Name":"UserAgent","Value":"BAV2ROPC"}]"#;
        assert_eq!(agent(found).as_deref(), Some("BAV2ROPC"));
        for none in [
            r#"[{"Name":"UserAgent","Value":""}]"#,
            r#"[{"Name":"RequestType","Value":"UserAgent"}]"#,
            "UserAgent",
            "",
        ] {
            assert_eq!(agent(none), None, "{none}");
        }
    }

    #[test]
    fn names_of_a_dictionary_are_those_of_its_texts() {
        let texts = [
            Some("WS-1.Corp.Example"),
            None,
            Some("<null>"),
            Some("10.0.0.1:443"),
            Some("CORP\\Ada"),
            Some(" "),
            Some("WS-1.Corp.Example"),
            Some(r#"{"user":{"userPrincipalName":"ada@corp.example","ipAddress":"192.0.2.7"}}"#),
        ];
        let plain: ArrayRef = Arc::new(StringViewArray::from(texts.to_vec()));
        let dictionary: ArrayRef = Arc::new(texts.into_iter().collect::<DictionaryArray<Int32Type>>());
        for form in FORMS {
            assert_eq!(names(form, &plain), names(form, &dictionary), "{form:?}");
        }
        let of = |form| names(form, &dictionary);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(of(Form::Host)[..3], [text("ws-1"), None, None]);
        assert_eq!(of(Form::Address)[2..5], [None, text("10.0.0.1"), None]);
        assert_eq!(of(Form::Account)[4..7], [text("ada"), None, text("ws-1.corp.example")]);
        assert_eq!(of(Form::Initiator)[7], text("ada@corp.example"));
        assert_eq!(of(Form::InitiatorAddress)[6..], [None, text("192.0.2.7")]);
    }
}
