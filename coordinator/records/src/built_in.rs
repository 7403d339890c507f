//! The built-in sources: one line each, in the order in which they are tried. They are parsed once per import.

use std::borrow::Cow;
use std::sync::Arc;

use hindcast_base::{Error, Result};
use hindcast_lake::Tables;

use super::each::Found;
use super::format::{FileFormat, Kind, Record};
use super::json;
use super::lines::Lines;
use super::source::{Route, Source};
use super::wrapped::{Message, Wrapped};

/// The built-in sources, in the order in which they are tried.
const BUILT_IN: &[(&str, &str)] = &[
    // Before the exports of workspaces, which may be events too.
    ("windows-events", include_str!("../data/windows-events.toml")),
    ("hayabusa", include_str!("../data/hayabusa.toml")),
    ("office-audit", include_str!("../data/office-audit.toml")),
    ("cef", include_str!("../data/cef.toml")),
    ("pan-os", include_str!("../data/pan-os.toml")),
    ("pan-os-leef", include_str!("../data/pan-os-leef.toml")),
    ("strata-logging", include_str!("../data/strata-logging.toml")),
    ("zeek", include_str!("../data/zeek.toml")),
    ("suricata", include_str!("../data/suricata.toml")),
    ("azure-nsg-flow", include_str!("../data/azure-nsg-flow.toml")),
    ("azure-vnet-flow", include_str!("../data/azure-vnet-flow.toml")),
    ("azure-activity", include_str!("../data/azure-activity.toml")),
    ("aws-cloudtrail", include_str!("../data/aws-cloudtrail.toml")),
    ("aws-guardduty", include_str!("../data/aws-guardduty.toml")),
    ("aws-vpc-flow", include_str!("../data/aws-vpc-flow.toml")),
    ("gcp-audit", include_str!("../data/gcp-audit.toml")),
    ("gcp-vpc-flow", include_str!("../data/gcp-vpc-flow.toml")),
    ("fortigate", include_str!("../data/fortigate.toml")),
    ("checkpoint", include_str!("../data/checkpoint.toml")),
    ("cisco-asa", include_str!("../data/cisco-asa.toml")),
    ("filterlog", include_str!("../data/filterlog.toml")),
    ("squid", include_str!("../data/squid.toml")),
    ("zscaler", include_str!("../data/zscaler.toml")),
    ("traffic-analytics", include_str!("../data/traffic-analytics.toml")),
    ("monitor-export", include_str!("../data/monitor-export.toml")),
    // After the exports of Azure Monitor, whose records have a resource.
    ("defender-stream", include_str!("../data/defender-stream.toml")),
    ("entra-download", include_str!("../data/entra-download.toml")),
    ("portal-csv", include_str!("../data/portal-csv.toml")),
    ("common-security-log", include_str!("../data/common-security-log.toml")),
    // LEEF of products that no source before it takes.
    ("leef", include_str!("../data/leef.toml")),
    ("generic", include_str!("../data/generic.toml")),
];

/// The source of records that no other source recognises.
pub(crate) const GENERIC: &str = "generic";

/// The sources of an import.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The built-in ones, in the order in which they are tried.
    all: Arc<[Arc<Source>]>,
    /// The one that the user names, or whose mapping file the user gives.
    named: Option<Arc<Source>>,
}

impl Sources {
    /// The sources of rows of the tables `known` and others. The user may name the column `record_id`, a built-in source, or the name
    /// and text of a mapping file, which is used instead.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the named source does not exist or the mapping file is invalid.
    pub fn of(
        known: Tables,
        record_id: Option<&str>,
        source: Option<&str>,
        mapping: Option<(&str, &str)>,
    ) -> Result<Self> {
        let sources = Self::parse(known, record_id)?;
        let named = match (mapping, source) {
            (Some((name, text)), _) => {
                let source = Source::parse(name, text, known)?;
                let checked = source.lines.as_ref().map_or(Ok(()), |lines| lines.check());
                checked.map_err(|reason| Error::Invalid(format!("{name}: {reason}")))?;
                Some(Arc::new(source.with_record_id(record_id)))
            }
            (None, Some(name)) => Some(sources.by_name(name)?),
            (None, None) => None,
        };
        Ok(Self { named, ..sources })
    }

    /// The built-in sources of rows of the tables `known` and others, whose column `record_id` the user names.
    ///
    /// # Errors
    /// [`Error::Invalid`] if one is invalid.
    pub fn parse(known: Tables, record_id: Option<&str>) -> Result<Self> {
        let parse = |(name, text): &(&str, &str)| {
            Source::parse(name, text, known).map(|source| Arc::new(source.with_record_id(record_id)))
        };
        let all = BUILT_IN.iter().map(parse);
        Ok(Self { all: all.collect::<Result<_>>()?, named: None })
    }

    /// The source that the user names.
    pub fn named(&self) -> Option<&Arc<Source>> {
        self.named.as_ref()
    }

    /// The built-in sources, in the order in which they are tried.
    pub fn all(&self) -> &[Arc<Source>] {
        &self.all
    }

    /// Whether a source is recognised by these names of columns.
    pub(crate) fn know_columns(&self, names: &[String]) -> bool {
        let named = |name: &String| (Cow::Owned(name.clone()), Cow::Borrowed(""));
        let record: Record<'_> = names.iter().map(named).collect();
        self.all.iter().any(|source| source.is_recognised(&record, ""))
    }

    /// The built-in source with that name.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none, with the existing names.
    pub fn by_name(&self, name: &str) -> Result<Arc<Source>> {
        self.all.iter().find(|source| source.name == name).cloned().ok_or_else(|| {
            let names: Vec<&str> = self.all.iter().map(|source| source.name.as_str()).collect();
            Error::Invalid(format!("there is no source {name:?}; the sources are {}", names.join(", ")))
        })
    }

    /// The lines of the named source, or of the built-in ones that have some.
    pub fn with_lines(&self) -> impl Iterator<Item = Lines> {
        let candidates = self.named.as_ref().map_or(&self.all[..], std::slice::from_ref);
        candidates.iter().filter_map(|source| {
            let format = Arc::clone(source.lines.as_ref()?);
            Some(Lines { source: Arc::clone(source), format })
        })
    }

    /// The source of a file that begins with these records, and the messages that they wrap. Lines in a field count only
    /// if the records are of no other source.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no generic source.
    pub fn choose(
        &self,
        format: &FileFormat,
        records: &[Record<'_>],
        requested_table: Option<&str>,
    ) -> Result<(Arc<Source>, Option<Wrapped>)> {
        let is_cef = self.named.as_ref().is_none_or(|named_source| named_source.is_cef);
        let wrapped = Wrapped::cef_in(records).filter(|_| is_cef);
        let source = match (&self.named, &format.kind) {
            (Some(named_source), _) => Arc::clone(named_source),
            (None, Kind::Lines(lines)) => Arc::clone(&lines.source),
            (None, _) if wrapped.is_some() => self.by_name("cef")?,
            (None, _) => self.of_records(records, &format.file_name, requested_table)?,
        };
        let is_open =
            matches!(format.kind, Kind::Json | Kind::Csv { .. } | Kind::Rows(_)) && wrapped.is_none();
        if !is_open || !(source.name == GENERIC || self.named.is_some()) {
            return Ok((source, wrapped));
        }
        let serves = |lines: &Lines| requested_table.is_none_or(|table| lines.source.has_rule(table));
        let found = Wrapped::lines_in(records, self).and_then(|found| match &found.message {
            Message::Line(lines) if serves(lines) => Some((Arc::clone(&lines.source), Some(found))),
            _ => None,
        });
        let json = || {
            let (wrapped, source) = Wrapped::json_in(records, self, requested_table)?;
            Some((source, Some(wrapped)))
        };
        Ok(found.or_else(json).unwrap_or((source, None)))
    }

    /// The built-in source that matches most of these records of a file with that short name; the generic one if none does. If the user names a table,
    /// the source must have a rule for it, or one that turns most records into its rows.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no generic source.
    pub(crate) fn of_records(
        &self,
        records: &[Record<'_>],
        file_name: &str,
        requested_table: Option<&str>,
    ) -> Result<Arc<Source>> {
        let most = |is_so: &dyn Fn(&Record<'_>) -> bool| {
            2 * records.iter().filter(|record| is_so(record)).count() > records.len()
        };
        for source in self.all.iter() {
            let is_taken = |record: &Record<'_>| {
                let mut is_taken = false;
                let _ = source.elements(record.clone(), &mut |found| {
                    if let Found::Element(element) = found {
                        is_taken |= json::shape(element, source, file_name).is_ok()
                            && matches!(source.route(element, requested_table), Route::Row(..));
                    }
                    Ok(())
                });
                is_taken
            };
            let serves = requested_table
                .is_none_or(|requested_table| source.has_rule(requested_table) || most(&is_taken));
            if most(&|record| source.is_recognised(record, file_name)) && serves {
                return Ok(Arc::clone(source));
            }
        }
        self.by_name(GENERIC)
    }
}

#[cfg(test)]
impl Sources {
    /// The built-in sources of rows of built-in tables.
    pub fn for_tests() -> Self {
        static PARSED: std::sync::LazyLock<Sources> =
            std::sync::LazyLock::new(|| Sources::parse(Tables::built_in(), None).unwrap());
        PARSED.clone()
    }

    /// The same, if the user names one.
    pub fn naming(name: &str) -> Self {
        let sources = Self::for_tests();
        Self { named: Some(sources.by_name(name).unwrap()), ..sources }
    }
}
