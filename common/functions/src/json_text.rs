//! `json_text`: a value of a JSON object that a column stores as text.

use std::sync::Arc;

use arrow::array::StringViewArray;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::Value;

use super::text::text_argument;

/// The value of `key` in a JSON object as text; null if the text is no object, or has no such key, or if its value is null, a list or
/// an object.
pub(crate) fn json_text(json: Expr, key: Expr) -> Expr {
    ScalarUDF::from(JsonText { signature: Signature::any(2, Volatility::Immutable) }).call(vec![json, key])
}

fn value_of(json: &str, key: &str) -> Option<String> {
    // Most texts lack the key: reading them would be in vain.
    if !json.contains(key) {
        return None;
    }
    let Value::Object(mut fields) = serde_json::from_str(json).ok()? else { return None };
    match fields.remove(key)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonText {
    signature: Signature,
}

impl ScalarUDFImpl for JsonText {
    fn name(&self) -> &str {
        "json_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (texts, keys) = (text_argument(&args, 0)?, text_argument(&args, 1)?);
        let pairs = texts.iter().zip(keys.iter());
        let values: StringViewArray = pairs.map(|(text, key)| value_of(text?, key?)).collect();
        Ok(ColumnarValue::Array(Arc::new(values)))
    }
}

#[cfg(test)]
mod tests {
    use super::value_of;

    #[test]
    fn only_plain_values_of_objects_are_texts() {
        let json =
            r#"{"query":"a.example","rcode":3,"AA":true,"answers":["x"],"none":null,"in":{"query":"b"}}"#;
        let read = |key| value_of(json, key);
        assert_eq!(read("query").as_deref(), Some("a.example"));
        assert_eq!(read("rcode").as_deref(), Some("3"));
        assert_eq!(read("AA").as_deref(), Some("true"));
        for key in ["answers", "none", "in", "missing"] {
            assert_eq!(read(key), None, "{key}");
        }
        for text in ["", "query", "[\"query\"]", "{\"query\":"] {
            assert_eq!(value_of(text, "query"), None, "{text}");
        }
    }
}
