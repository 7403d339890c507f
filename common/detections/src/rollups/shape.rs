//! The shape of a rollup in its file: the key, the measures, and the columns that determine the bucket.

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::Spanned;

use super::definition::{Definition, Source, names_of};
use super::{Measure, MeasureKind, Shape};
use crate::{leaked, leaked_list};
use hindcast_base::Result;
use hindcast_base::nearest::did_you_mean;

/// A measure as written in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MeasureDefinition {
    name: String,
    kind: Kind,
    of: Option<String>,
    #[serde(default)]
    ends: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Count,
    Sum,
    Min,
    Max,
    Seconds,
    Distinct,
    Samples,
}

impl Source<'_> {
    /// Checks that keys, measures and bucket key are selected columns, and that rows of one key go to one bucket.
    pub(super) fn check_shape(self, written: &Definition, names: &BTreeSet<&str>) -> Result<()> {
        let mut known: BTreeSet<&str> = BTreeSet::new();
        for key in &written.keys {
            self.check_selected(self.line(&key.span()), key.get_ref(), names)?;
            if !known.insert(key.get_ref()) {
                return Err(
                    self.wrong(self.line(&key.span()), format!("there are two keys {}", key.get_ref()))
                );
            }
        }
        match (written.keys.first(), written.measures.first()) {
            (Some(key), None) => {
                let message = "there are keys but no measures: add measures, or remove the keys to store the rows themselves";
                return Err(self.wrong(self.line(&key.span()), message));
            }
            (None, Some(measure)) => {
                let message = "there are measures but no keys: `keys` names the columns to group by";
                return Err(self.wrong(self.line(&measure.span()), message));
            }
            _ => {}
        }
        for measure in &written.measures {
            let line = self.line(&measure.span());
            let measure = measure.get_ref();
            self.check_name(line, &measure.name)?;
            if !known.insert(&measure.name) {
                return Err(self.wrong(line, format!("state has two columns {}", measure.name)));
            }
            self.check_measure(line, measure, &written.measures, names)?;
        }
        let is_grouped = !written.measures.is_empty();
        if written.bucket_key.get_ref().is_empty() {
            return Err(self.wrong(self.line(&written.bucket_key.span()), "`bucket_key` is empty"));
        }
        for column in written.bucket_key.get_ref() {
            let line = self.line(&column.span());
            if is_grouped && !written.keys.iter().any(|key| key.get_ref() == column.get_ref()) {
                let message =
                    format!("{} is not a key: rows of one key must be in one bucket", column.get_ref());
                return Err(self.wrong(line, message));
            }
            self.check_selected(line, column.get_ref(), names)?;
        }
        Ok(())
    }

    fn check_selected(self, line: usize, name: &str, names: &BTreeSet<&str>) -> Result<()> {
        if names.contains(name) {
            return Ok(());
        }
        let near = did_you_mean(name, names.iter().copied());
        Err(self.wrong(line, format!("`columns` has no {name}{near}")))
    }

    fn check_measure(
        self,
        line: usize,
        measure: &MeasureDefinition,
        all: &[Spanned<MeasureDefinition>],
        names: &BTreeSet<&str>,
    ) -> Result<()> {
        match &measure.of {
            Some(of) => self.check_selected(line, of, names)?,
            None if measure.kind == Kind::Count => {}
            None => return Err(self.wrong(line, format!("{} needs `of`, a column", measure.name))),
        }
        if measure.kind != Kind::Seconds && !measure.ends.is_empty() {
            return Err(self.wrong(line, format!("{} takes no `ends`: only seconds do", measure.name)));
        }
        if measure.kind == Kind::Seconds {
            let extremes =
                || all.iter().map(Spanned::get_ref).filter(|m| matches!(m.kind, Kind::Min | Kind::Max));
            let has = |kind: Kind| extremes().any(|one| one.kind == kind && measure.ends.contains(&one.name));
            let other = measure.ends.iter().find(|end| !extremes().any(|one| one.name == **end));
            if let Some(other) = other {
                let near = did_you_mean(other, extremes().map(|one| one.name.as_str()));
                return Err(self.wrong(line, format!("no measure {other} is a min or max{near}")));
            }
            if !has(Kind::Min) || !has(Kind::Max) {
                let message = "needs in `ends` the measures that are the min and the max of its times";
                return Err(self.wrong(line, format!("{} {message}", measure.name)));
            }
        }
        Ok(())
    }

    pub(super) fn shape(self, written: &Definition) -> Shape {
        if written.measures.is_empty() {
            return Shape::Rows;
        }
        let measure = |measure: &Spanned<MeasureDefinition>| {
            let line = self.line(&measure.span());
            let measure = measure.get_ref();
            let of = measure.of.as_deref().map(leaked);
            let kind = match (measure.kind, of) {
                (Kind::Count, None) => MeasureKind::Count,
                (Kind::Count, Some(of)) => MeasureKind::CountOf(of),
                (Kind::Sum, of) => MeasureKind::Sum(of.unwrap_or_default()),
                (Kind::Min, of) => MeasureKind::Min(of.unwrap_or_default()),
                (Kind::Max, of) => MeasureKind::Max(of.unwrap_or_default()),
                (Kind::Distinct, of) => MeasureKind::Distinct(of.unwrap_or_default()),
                (Kind::Samples, of) => MeasureKind::Samples(of.unwrap_or_default()),
                (Kind::Seconds, of) => MeasureKind::Seconds {
                    of: of.unwrap_or_default(),
                    ends: leaked_list(measure.ends.iter().map(|end| leaked(end)).collect()),
                },
            };
            Measure { name: leaked(&measure.name), kind, line }
        };
        Shape::Groups {
            keys: names_of(&written.keys),
            measures: leaked_list(written.measures.iter().map(measure).collect()),
        }
    }
}
