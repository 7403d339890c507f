//! What rows of CommonSecurityLog mean, by vendor: whether an event is traffic or a threat, and its outcome. Detections read both the
//! same way for every vendor, as the SQL of the parameters `firewall.kind` and `firewall.outcome`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::Firewall;
use hindcast_base::nearest::did_you_mean;
use hindcast_base::{Error, Result};
use hindcast_lake::{ColumnKind, Tables};

/// The parameter with the kind of an event: TRAFFIC, THREAT, or the event class of the vendor.
pub(crate) const KIND: &str = "firewall.kind";
/// The parameter with the outcome of an event: Allowed, Blocked, Dropped, Reset, or the vendor's own word.
pub(crate) const OUTCOME: &str = "firewall.outcome";

const TABLE: &str = "CommonSecurityLog";
const VENDOR: &str = "DeviceVendor";
const BUILT_IN: &str = include_str!("../../data/vendors.toml");

/// What the rows of a vendor mean.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Meaning {
    /// Rules for the kind of an event. The first that fits decides; without one, it is `DeviceEventClassID`.
    pub kinds: Vec<MeaningRule>,
    /// Rules for the outcome. The first that fits decides; without one, it is `SimplifiedDeviceAction`.
    pub outcomes: Vec<MeaningRule>,
}

/// A meaning, and the rows that have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeaningRule {
    /// The kind or outcome.
    pub is: String,
    /// Texts by column: a row fits if it has one of the texts in each column, in any case. `a*` is a text that starts with a, `*a*`
    /// one that contains it, `*` any text that is not empty.
    #[serde(rename = "where")]
    pub texts: BTreeMap<String, Vec<String>>,
}

/// The built-in meanings, by vendor. A test reads them.
pub(crate) fn built_in() -> &'static BTreeMap<String, Meaning> {
    static MEANINGS: LazyLock<BTreeMap<String, Meaning>> =
        LazyLock::new(|| toml::from_str(BUILT_IN).unwrap_or_default());
    &MEANINGS
}

/// The column with the value of the parameter at `path` for vendors without rules; `None` if it is not one of these parameters.
pub(crate) fn column_of(path: &str) -> Option<&'static str> {
    match path {
        KIND => Some("DeviceEventClassID"),
        OUTCOME => Some("SimplifiedDeviceAction"),
        _ => None,
    }
}

impl Firewall {
    /// Whether the suite reads rows of `vendor`.
    pub fn reads(&self, vendor: Option<&str>) -> bool {
        self.vendors.is_empty() || vendor.is_some_and(|vendor| self.vendors.iter().any(|one| one == vendor))
    }

    /// The SQL of the parameter at `path`; `None` if it is not `firewall.kind` or `firewall.outcome`.
    pub(crate) fn expression(&self, path: &str) -> Option<String> {
        let otherwise = column_of(path)?;
        let mut cases = String::new();
        for (vendor, rule) in self.rules(path) {
            // Writing to a text can't fail.
            let _ = write!(cases, " WHEN {} THEN {}", rule.condition(vendor), quoted(&rule.is));
        }
        Some(match cases.is_empty() {
            true => otherwise.to_owned(),
            // Texts of the type of a grouping's keys.
            false => format!("CAST(CASE{cases} ELSE CAST({otherwise} AS VARCHAR) END AS VARCHAR)"),
        })
    }

    /// The columns that the SQL of the parameter at `path` reads.
    pub(crate) fn columns_of(&self, path: &str) -> BTreeSet<&str> {
        let rules: Vec<_> = self.rules(path).collect();
        let vendor = (!rules.is_empty()).then_some(VENDOR);
        let named = rules.into_iter().flat_map(|(_, rule)| rule.texts.keys().map(String::as_str));
        named.chain(vendor).chain(column_of(path)).collect()
    }

    /// The rules for a parameter of the vendors whose rows are read, in order.
    fn rules(&self, path: &str) -> impl Iterator<Item = (&str, &MeaningRule)> {
        let others = built_in().iter().filter(move |(vendor, _)| !self.meanings.contains_key(*vendor));
        let read = self.meanings.iter().chain(others).filter(move |(vendor, _)| self.reads(Some(vendor)));
        let is_kind = path == KIND;
        let is_known = column_of(path).is_some();
        read.filter(move |_| is_known).flat_map(move |(vendor, meaning)| {
            let rules = if is_kind { &meaning.kinds } else { &meaning.outcomes };
            rules.iter().map(move |rule| (vendor.as_str(), rule))
        })
    }

    /// Checks the rules.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the vendor and the column.
    pub(super) fn check(&self) -> Result<()> {
        for (vendor, meaning) in &self.meanings {
            for rule in meaning.kinds.iter().chain(&meaning.outcomes) {
                rule.check()
                    .map_err(|what| Error::Invalid(format!("firewall.meanings.{vendor:?}: {what}")))?;
            }
        }
        Ok(())
    }
}

impl MeaningRule {
    /// The SQL that is true for rows of `vendor` that fit.
    fn condition(&self, vendor: &str) -> String {
        let mut sql = format!("is_one_of({VENDOR}, [{}])", quoted(vendor));
        for (column, texts) in &self.texts {
            let _ = write!(sql, " AND ({})", one_of(column, texts));
        }
        sql
    }

    fn check(&self) -> Result<(), String> {
        let spec = Tables::built_in().by_name(TABLE).ok_or("there is no such table")?;
        if self.texts.is_empty() {
            return Err(format!("the rule for {} has no column in `where`", self.is));
        }
        for (column, texts) in &self.texts {
            if spec.column(column).is_none_or(|known| known.kind != ColumnKind::Text) {
                let known = spec.columns.iter().filter(|known| known.kind == ColumnKind::Text);
                let near = did_you_mean(column, known.map(|known| known.name));
                return Err(format!("{TABLE} has no column {column} of text{near}"));
            }
            if let Some(text) = texts.iter().find(|text| form_of(text).is_none()) {
                return Err(format!("{column} = {text:?}: a * may only be at the end, or at both ends"));
            }
            if texts.is_empty() {
                return Err(format!("{column} has no text"));
            }
        }
        Ok(())
    }
}

/// The function that tests a text of a rule, and the text for it.
fn form_of(text: &str) -> Option<(&'static str, &str)> {
    let (function, literal) = match (text.strip_prefix('*'), text.strip_suffix('*')) {
        (Some(""), _) => ("any", ""),
        (Some(rest), Some(_)) => ("contains_any", rest.strip_suffix('*')?),
        (Some(_), None) => return None,
        (None, Some(start)) => ("starts_with_any", start),
        (None, None) => ("equals_any", text),
    };
    (!literal.contains('*')).then_some((function, literal))
}

/// The SQL that is true if the column has one of the texts.
fn one_of(column: &str, texts: &[String]) -> String {
    let forms: Vec<(&str, &str)> = texts.iter().filter_map(|text| form_of(text)).collect();
    let mut tests = Vec::new();
    if forms.iter().any(|(function, _)| *function == "any") {
        tests.push(format!("NOT equals_any({column}, [''])"));
    }
    for function in ["equals_any", "starts_with_any", "contains_any"] {
        let of_form = forms.iter().filter(|(form, _)| *form == function);
        let literals: Vec<String> = of_form.map(|(_, literal)| quoted(literal)).collect();
        if !literals.is_empty() {
            tests.push(format!("{function}({column}, [{}])", literals.join(", ")));
        }
    }
    tests.join(" OR ")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
#[path = "vendors_tests.rs"]
mod tests;
