//! Where a mapping finds a column: at a path in the files, in a constant, in mapped values, or in an SQL expression.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::path::ColumnPath;
use super::sql::{RowExpression, check_expression};

/// The forms of a source, for messages.
const FORMS: &str = "a path, { value = \"…\" }, { column = \"…\", values = { … } } or { sql = \"…\" }";

/// What a mapping says about one column.
///
/// ```
/// use hindcast_schema::ColumnSource;
///
/// let source: ColumnSource = serde_json::from_str(r#"{"value": "Fortinet"}"#)?;
/// assert_eq!(source, ColumnSource::Value("Fortinet".into()));
/// let source: ColumnSource = serde_json::from_str(r#""src_endpoint.ip""#)?;
/// assert_eq!(source.to_string(), "src_endpoint.ip");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "Written")]
pub enum ColumnSource {
    /// The values at a path.
    Path(ColumnPath),
    /// One value for all rows, as text.
    Value(String),
    /// The values at a path, replaced by others.
    Mapped(MappedValues),
    /// An SQL expression over the columns of the lake's files.
    Sql(String),
}

/// The values at a path, replaced by others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedValues {
    /// The path.
    pub column: ColumnPath,
    /// New values by stored ones, both as text.
    pub values: BTreeMap<String, String>,
    /// The value for all stored values that `values` lacks. Without it they stay as they are. Null stays null.
    pub otherwise: Option<String>,
}

/// The forms in which a mapping writes a source.
#[derive(Serialize)]
#[serde(untagged)]
enum Written {
    Path(String),
    Fields(Fields),
}

/// A source that is not just a path.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<Scalar>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<BTreeMap<String, Scalar>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    otherwise: Option<Scalar>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sql: Option<String>,
}

/// Text, a whole number or a boolean.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "text, a whole number, true or false")]
enum Scalar {
    Text(String),
    Integer(i64),
    Boolean(bool),
}

impl From<Scalar> for String {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text(text) => text,
            Scalar::Integer(number) => number.to_string(),
            Scalar::Boolean(flag) => flag.to_string(),
        }
    }
}

impl From<ColumnSource> for Written {
    fn from(source: ColumnSource) -> Self {
        let fields = match source {
            ColumnSource::Path(path) => return Written::Path(path.into()),
            ColumnSource::Value(value) => Fields { value: Some(Scalar::Text(value)), ..Fields::default() },
            ColumnSource::Mapped(MappedValues { column, values, otherwise }) => Fields {
                column: Some(column.into()),
                values: Some(values.into_iter().map(|(from, to)| (from, Scalar::Text(to))).collect()),
                otherwise: otherwise.map(Scalar::Text),
                ..Fields::default()
            },
            ColumnSource::Sql(sql) => Fields { sql: Some(sql), ..Fields::default() },
        };
        Written::Fields(fields)
    }
}

impl TryFrom<Fields> for ColumnSource {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        match fields {
            Fields { value: Some(value), column: None, values: None, otherwise: None, sql: None } => {
                Ok(ColumnSource::Value(value.into()))
            }
            Fields { value: None, column: Some(column), values: None, otherwise: None, sql: None } => {
                path_of(&column).map(ColumnSource::Path)
            }
            Fields { value: None, column: Some(column), values: Some(values), otherwise, sql: None } => {
                let column = path_of(&column)?;
                let values = values.into_iter().map(|(from, to)| (from, to.into())).collect();
                let otherwise = otherwise.map(String::from);
                Ok(ColumnSource::Mapped(MappedValues { column, values, otherwise }))
            }
            Fields { value: None, column: None, values: None, otherwise: None, sql: Some(sql) } => {
                check_expression(&sql)?;
                Ok(ColumnSource::Sql(sql))
            }
            _ => Err(format!("give {FORMS}")),
        }
    }
}

fn path_of(text: &str) -> Result<ColumnPath, String> {
    text.parse().map_err(|error: hindcast_base::Error| error.to_string())
}

impl<'de> Deserialize<'de> for ColumnSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Source;
        impl<'de> Visitor<'de> for Source {
            type Value = ColumnSource;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(FORMS)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map(ColumnSource::Path).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let fields = Fields::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                ColumnSource::try_from(fields).map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(Source)
    }
}

impl ColumnSource {
    /// The paths that it refers to.
    pub fn paths(&self) -> Vec<ColumnPath> {
        match self {
            ColumnSource::Path(path) | ColumnSource::Mapped(MappedValues { column: path, .. }) => {
                vec![path.clone()]
            }
            ColumnSource::Value(_) => Vec::new(),
            // The SQL was checked when it was read.
            ColumnSource::Sql(sql) => {
                RowExpression::parse(sql).map(|expression| expression.paths().to_vec()).unwrap_or_default()
            }
        }
    }
}

impl fmt::Display for ColumnSource {
    /// The source in words, for messages: a path or an expression as it is written.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnSource::Path(path) | ColumnSource::Mapped(MappedValues { column: path, .. }) => {
                fmt::Display::fmt(path, formatter)
            }
            ColumnSource::Value(value) => write!(formatter, "the constant {value:?}"),
            ColumnSource::Sql(sql) => formatter.write_str(sql),
        }
    }
}

impl From<ColumnPath> for ColumnSource {
    fn from(path: ColumnPath) -> Self {
        ColumnSource::Path(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<ColumnSource, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_is_read_and_written() {
        for json in [
            r#""Computer""#,
            r#"{"value":"Fortinet"}"#,
            r#"{"column":"action_id","values":{"1":"Allowed"},"otherwise":"Other"}"#,
            r#"{"sql":"lower(name)"}"#,
        ] {
            let source = read(json).unwrap();
            assert_eq!(serde_json::to_string(&source).unwrap(), json);
        }
        assert_eq!(read(r#"{"value": 7}"#).unwrap(), ColumnSource::Value("7".into()));
        assert_eq!(read(r#"{"column": "a.b"}"#).unwrap(), read(r#""a.b""#).unwrap());
    }

    #[test]
    fn other_forms_are_refused() {
        for json in [
            r#"{"value": "x", "column": "y"}"#,
            r#"{"values": {"1": "x"}}"#,
            r#"{"column": "y", "otherwise": "x"}"#,
            r#"{"columns": "y"}"#,
            r#"{"sql": "lower("}"#,
            r#"{}"#,
            r#""""#,
            "7",
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
