//! Mappings of single tables: their location, and where their columns are in the lake's files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::columns::{ColumnPath, ColumnSource, PathStep, TimeSource, check_expression};
use super::convert::{convert, wanted};
use super::layout::Layout;
use super::tables::TableSpec;
use hindcast_base::Error;
use hindcast_base::log_time::{DateOrder, TimeForms, Zone};

/// The location of one table and the sources of its columns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableMapping {
    /// Folder of the table, if it is not `LAKE/<Table>`.
    pub url: Option<String>,
    /// Folder between the lake and the table: `LAKE/<workspace>/<Table>`.
    pub workspace: Option<String>,
    /// Layout of its folders; detected if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// Name of a mapping that Hindcast has; the fields below add to it and override it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Where columns are in the lake's files, by Hindcast's names.
    pub columns: BTreeMap<String, ColumnSource>,
    /// An SQL expression over the columns of the lake's files. Only rows for which it is true are rows of this table.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "checked_filter")]
    pub filter: Option<String>,
    /// The order of day and month in numeric dates such as 3/5/2026. Without it, files with such dates are not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dates: Option<DateOrder>,
    /// The zone of times without one; UTC if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<Zone>,
    /// Days by which a row's time may differ from its folder's date; 0 if folders are by the row's time.
    pub folder_slack_days: u32,
}

impl TableMapping {
    /// Where a column is, by Hindcast's name: as the mapping says, otherwise under its own name.
    pub fn source(&self, column: &str) -> ColumnSource {
        match self.columns.get(column) {
            Some(source) => source.clone(),
            None => ColumnPath::of_name(column).into(),
        }
    }

    /// What the times of its columns mean, where they do not say it themselves.
    pub fn time_forms(&self) -> TimeForms {
        TimeForms { dates: self.dates, zone: self.time_zone.unwrap_or_default() }
    }

    /// What decides, besides its columns, which rows are read and as which times; none if nothing does.
    pub fn rules_of_rows(&self) -> Option<impl Serialize + use<>> {
        let Self { filter, dates, time_zone, .. } = self.clone();
        let has_rules = filter.is_some() || dates.is_some() || time_zone.is_some();
        has_rules.then_some((filter, dates, time_zone))
    }

    /// Names of columns of the lake's files from which `columns`, by Hindcast's names, and the filter are read.
    pub fn names_read<'a>(&self, columns: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        let filter = self.filter.iter().map(|filter| ColumnSource::Sql(filter.clone()));
        let sources = columns.into_iter().map(|column| self.source(column)).chain(filter);
        let mut names = BTreeSet::new();
        for path in sources.flat_map(|source| source.paths()) {
            if let Some(PathStep::Name(first)) = path.steps().first() {
                names.insert(first.clone());
            }
            // A name with dots.
            names.insert(path.text().to_owned());
        }
        names
    }

    /// Checks that the constants are values of their columns.
    ///
    /// # Errors
    /// [`Error::Invalid`] for the first that is not.
    pub fn check_constants(&self, spec: &TableSpec) -> hindcast_base::Result<()> {
        for (name, source) in &self.columns {
            let (ColumnSource::Value(value), Some(column)) = (source, spec.column(name)) else { continue };
            let text: ArrayRef = Arc::new(StringArray::from(vec![value.as_str()]));
            if !matches!(convert(&text, column.kind, &self.time_forms()), Ok((_, 0))) {
                let wanted = wanted(column.kind);
                return Err(Error::Invalid(format!(
                    "tables.{}.columns.{name}: {value:?} can't be read as {wanted}",
                    spec.name
                )));
            }
        }
        Ok(())
    }

    /// Fails for an import into `table`, which writes columns under Hindcast's names, if the mapping reads more than other names.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the reason.
    pub fn refuse_import(&self, table: &str) -> hindcast_base::Result<()> {
        let is_name =
            |source: &ColumnSource| matches!(source, ColumnSource::Path(path) if path.steps().len() == 1);
        let computed = self.columns.iter().find(|(_, source)| !is_name(source));
        let reason = match (&self.preset, &self.filter, computed) {
            (Some(preset), ..) => format!("it has the preset {preset}"),
            (None, Some(_), _) => "it has a filter".to_owned(),
            (None, None, Some((column, source))) => format!("it reads {column} from {source}"),
            (None, None, None) => return Ok(()),
        };
        Err(Error::Invalid(format!(
            "{table}: import writes Hindcast's own columns, and the mapping of this table would not find them, because {reason}; \
             import into another lake or table"
        )))
    }

    /// Where the times of rows are stored; none if they are computed.
    pub fn time_source(&self, time_column: &str) -> Option<TimeSource> {
        match self.source(time_column) {
            ColumnSource::Path(path) => Some(TimeSource { path, forms: self.time_forms() }),
            _ => None,
        }
    }
}

/// A filter whose SQL is an expression.
fn checked_filter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let filter = Option::<String>::deserialize(deserializer)?;
    filter.as_deref().map_or(Ok(()), check_expression).map_err(D::Error::custom)?;
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(text: &str) -> TableMapping {
        toml::from_str(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_mistake_in_a_mapping_has_its_line() {
        for (text, line, message) in [
            ("[columns]\nA = 'x'\nB = { sql = 'lowr(x)' }", 3, "lowr"),
            ("[columns]\nA = { colum = 'x' }", 2, "unknown field `colum`"),
            ("[columns]\nA = { value = 'x', sql = 'y' }", 2, "give a path"),
            ("folder_slack_days = 1\nfilter = 'a ='", 2, "Expected"),
            ("filter = 'a = 1'\ndates = 'middle-first'", 2, "day-first"),
            ("\ntime_zone = 'Berlin'", 2, "not a time zone"),
        ] {
            let error = toml::from_str::<TableMapping>(text).unwrap_err();
            let start = error.span().unwrap_or_default().start;
            assert_eq!(text[..start].matches('\n').count() + 1, line, "{text}: {error}");
            assert!(error.message().contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn a_constant_must_be_a_value_of_its_column() {
        let spec = TableSpec::by_name("CommonSecurityLog").unwrap();
        let check = |text: &str| mapping(text).check_constants(spec);
        assert!(check("columns.SentBytes = { value = 7 }\ncolumns.Message = { value = 7 }").is_ok());
        let error = check("columns.SentBytes = { value = 'many' }").unwrap_err().to_string();
        assert!(error.contains("tables.CommonSecurityLog.columns.SentBytes"), "{error}");
        assert!(check("columns.TimeGenerated = { value = '5/3/2026' }").is_err());
    }

    #[test]
    fn names_are_read_from_all_sources() {
        let text = "filter = 'class_uid = 1'\n[columns]\nHost = 'a.b'\nUser = { sql = 'lower(c)' }\nBytes = { value = 1 }";
        let names = mapping(text).names_read(["Host", "User", "Bytes", "Time"]);
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["Time", "a", "a.b", "c", "class_uid"]);
    }

    #[test]
    fn imports_are_refused_unless_a_mapping_has_only_names() {
        assert!(mapping("[columns]\nHost = 'host'").refuse_import("T").is_ok());
        for text in [
            "filter = 'a = 1'",
            "columns.Host = 'a.b'",
            "columns.Host = { value = 'x' }",
            "preset = 'zeek/conn'",
        ] {
            assert!(mapping(text).refuse_import("T").is_err(), "{text}");
        }
    }
}
