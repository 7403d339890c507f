//! The values of the `$names` in a SQL text.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::{Array, Expr, Value};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use serde_json::Value as Json;

use super::parameters::ParameterType;
use crate::config::Config;
use hindcast_base::entities::EntityKind;
use hindcast_base::time::{Window, parse_duration};
use hindcast_base::{Error, Result};

/// The start of the window: a whole number of the run that every query may use.
pub(crate) const WINDOW_FROM: &str = "window_from";
/// The end of the window.
pub(crate) const WINDOW_TO: &str = "window_to";
/// The kind of the one investigated entity.
pub(crate) const INVESTIGATED: &str = "investigated";

/// A value for SQL.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// Text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// A null number, for example of an unlimited duration.
    NoInteger,
    /// A null text.
    NoText,
    /// An expression over the columns of a row.
    Expression(String),
}

/// Values by name.
#[derive(Debug, Clone, Default)]
pub struct Bindings(BTreeMap<String, Bound>);

impl Bindings {
    /// The parameters of `section`, and those of other sections in `uses` (alias and path); without the values of a run.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `uses` names an unknown parameter.
    pub fn of(config: &Config, section: &str, uses: &[(&str, &str)]) -> Result<Self> {
        let mut bound = BTreeMap::new();
        for (name, value) in config.parameters.get(section).into_iter().flatten() {
            let kind = config.detections.parameter_type(&format!("{section}.{name}"));
            bound.insert(name.clone(), bound_value(kind, value)?);
        }
        for (alias, path) in uses {
            let value = config.parameter(path).ok_or_else(|| {
                Error::Invalid(format!("{section} uses {path}: there is no such parameter"))
            })?;
            let value = match config.firewall.expression(path) {
                Some(expression) => Bound::Expression(expression),
                None => bound_value(config.detections.parameter_type(path), &value)?,
            };
            bound.insert((*alias).to_owned(), value);
        }
        Ok(Self(bound))
    }

    /// With the window's bounds (microseconds) and the kind of the one entity that is investigated.
    #[must_use]
    pub(crate) fn with_run(mut self, window: &Window, investigated: Option<EntityKind>) -> Self {
        let kind = investigated.map_or(Bound::NoText, |kind| Bound::Text(kind.name().to_owned()));
        self.insert(WINDOW_FROM, Bound::Integer(window.from_us));
        self.insert(WINDOW_TO, Bound::Integer(window.to_us));
        self.insert(INVESTIGATED, kind);
        self
    }

    /// Sets the value of a name.
    pub fn insert(&mut self, name: &str, value: Bound) {
        self.0.insert(name.to_owned(), value);
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A value in the SQL syntax tree: a literal, or an array of literals for a list.
    pub(super) fn literal(&self, name: &str) -> Option<Expr> {
        Some(match self.0.get(name)? {
            Bound::Integer(number) => Expr::value(Value::Number(number.to_string(), false)),
            Bound::Float(number) => Expr::value(Value::Number(format!("{number:?}"), false)),
            Bound::Boolean(value) => Expr::value(Value::Boolean(*value)),
            Bound::Text(text) => text_literal(text),
            Bound::Texts(texts) => Expr::Array(Array {
                elem: texts.iter().map(|text| text_literal(text)).collect(),
                named: false,
            }),
            Bound::NoInteger => null_of("BIGINT")?,
            Bound::NoText => null_of("VARCHAR")?,
            Bound::Expression(text) => Expr::Nested(Box::new(parsed(text)?)),
        })
    }
}

fn text_literal(text: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(text.to_owned()))
}

/// A null of a type.
fn null_of(sql_type: &str) -> Option<Expr> {
    parsed(&format!("CAST(NULL AS {sql_type})"))
}

/// An expression that this program wrote.
fn parsed(text: &str) -> Option<Expr> {
    Parser::new(&GenericDialect {}).try_with_sql(text).ok()?.parse_expr().ok()
}

/// The value of a parameter, which was checked when it was read.
fn bound_value(kind: Option<ParameterType>, value: &Json) -> Result<Bound> {
    let texts = |items: &[Json]| {
        let text = |item: &Json| item.as_str().or_else(|| item.get("pattern")?.as_str()).map(str::to_owned);
        items.iter().filter_map(text).collect()
    };
    Ok(match (kind, value) {
        (Some(ParameterType::Span), Json::String(text)) if text == "unlimited" => Bound::NoInteger,
        (Some(ParameterType::Span), Json::String(text)) => Bound::Integer(parse_duration(text)?),
        (Some(ParameterType::Records), records) => Bound::Text(records.to_string()),
        (Some(ParameterType::Float), number) => Bound::Float(number.as_f64().unwrap_or_default()),
        (_, Json::Bool(value)) => Bound::Boolean(*value),
        (_, Json::Number(number)) => match number.as_i64() {
            Some(whole) => Bound::Integer(whole),
            None => Bound::Float(number.as_f64().unwrap_or_default()),
        },
        (_, Json::String(text)) => Bound::Text(text.clone()),
        (_, Json::Array(items)) => Bound::Texts(texts(items)),
        (_, other) => return Err(Error::Internal(format!("a parameter has the value {other}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layer;

    fn config(text: &str) -> Config {
        Config::load("default", &[Layer { name: "mine.toml", text }]).unwrap()
    }

    #[test]
    fn parameters_are_bound_by_their_type() {
        let config = config(
            "[compression_staging]\njoin_window = '90s'\nallowed_accounts = ['a']\n\
             [cli_storage_uploads]\njoin_window = 'unlimited'\n[beaconing]\nmax_jitter = 1",
        );
        let bound =
            |section: &str, name: &str| Bindings::of(&config, section, &[]).unwrap().0.remove(name).unwrap();
        assert_eq!(bound("compression_staging", "join_window"), Bound::Integer(90_000_000));
        assert_eq!(bound("cli_storage_uploads", "join_window"), Bound::NoInteger);
        assert_eq!(bound("compression_staging", "allowed_accounts"), Bound::Texts(vec!["a".to_owned()]));
        assert_eq!(bound("compression_staging", "keep_rows_without_identity"), Bound::Boolean(true));
        assert_eq!(bound("beaconing", "max_jitter"), Bound::Float(1.0));
        assert_eq!(bound("beaconing", "min_intervals"), Bound::Integer(4));
        assert_eq!(bound("egress_spikes", "baseline"), Bound::Text("seasonal".to_owned()));
        let Bound::Texts(patterns) = bound("compression_staging", "file_name_patterns") else {
            panic!("patterns are texts")
        };
        assert_eq!(patterns, [r"\.(?:zip|7z|rar|tar|gz|bz2)$"]);
        let Bound::Text(records) = bound("beacon_scores", "known_services") else {
            panic!("records are one text")
        };
        let records: Vec<Json> = serde_json::from_str(&records).unwrap();
        assert_eq!((records[0]["name"].as_str(), records[0]["port"].as_i64()), (Some("NTP"), Some(123)));
    }

    #[test]
    fn parameters_of_other_sections_have_an_alias() {
        let config = config("[firewall]\nvendor = 'Fortinet'");
        let uses = [("vendors", "firewall.vendors"), ("window", "compression_staging.join_window")];
        let bindings = Bindings::of(&config, "beaconing", &uses).unwrap();
        assert_eq!(bindings.0["vendors"], Bound::Texts(vec!["Fortinet".to_owned()]));
        assert_eq!(bindings.0["window"], Bound::Integer(3_600_000_000));
        assert!(bindings.names().any(|name| name == "max_jitter"));
        let error = Bindings::of(&config, "beaconing", &[("x", "beaconing.nothing")]).unwrap_err();
        assert_eq!(error.to_string(), "beaconing uses beaconing.nothing: there is no such parameter");
    }

    #[test]
    fn the_window_and_the_investigated_kind_are_bound() {
        let window = Window { from_us: 1, to_us: 2 };
        let bindings = Bindings::default().with_run(&window, Some(EntityKind::User));
        assert_eq!(
            (&bindings.0[WINDOW_FROM], &bindings.0[WINDOW_TO]),
            (&Bound::Integer(1), &Bound::Integer(2))
        );
        assert_eq!(bindings.0[INVESTIGATED], Bound::Text("user".to_owned()));
        assert_eq!(Bindings::default().with_run(&window, None).0[INVESTIGATED], Bound::NoText);
    }
}
