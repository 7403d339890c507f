//! How common the addresses and host names of candidate rows are: the entities that correlation asks about, and the answers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};

use super::row::Row;
use super::{Finding, FindingRule, entities_of};
use crate::analyses::WANTED_ENTITIES;
use hindcast_base::entities::{Entity, EntityKind};
use hindcast_base::{Error, Result};

/// How many sources talk to each address in the firewall's log, and to each host name in any log that has names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prevalence {
    /// Sources by address or host name, which no address is.
    pub sources: BTreeMap<String, u64>,
    /// Number of all sources.
    pub total: u64,
}

impl Prevalence {
    /// The number of sources of an address or host name; `None` if it was not requested.
    pub fn of(&self, entity: &Entity) -> Option<u64> {
        (entity.kind == kind_of(&entity.name)).then(|| self.sources.get(&entity.name).copied()).flatten()
    }

    /// The same with that of host names. The sources of names may not all be in the firewall's log.
    pub fn with_names(mut self, names: Self) -> Self {
        self.sources.extend(names.sources);
        self.total = self.total.max(names.total);
        self
    }

    /// Prevalence from the rows of the query's result. Each shard counts its sources: their sums count all sources.
    pub fn of_rows(rows: &RecordBatch) -> Self {
        let mut known = Self::default();
        for row in (0..rows.num_rows()).map(|index| Row::new(rows, index)) {
            let sources = row.integer("sources").unwrap_or_default().unsigned_abs();
            match row.text("name") {
                Some(name) => *known.sources.entry(name.to_owned()).or_default() += sources,
                None => known.total += sources,
            }
        }
        known
    }

    /// The rows of [`crate::analyses::Context`].
    ///
    /// # Errors
    /// If Arrow can't make a batch.
    pub fn rows(&self) -> Result<RecordBatch> {
        let names = StringViewArray::from_iter_values(self.sources.keys());
        let kinds = StringViewArray::from_iter_values(self.sources.keys().map(|name| kind_of(name).name()));
        let sources: Int64Array = self.sources.values().map(|count| Some(*count as i64)).collect();
        let totals = Int64Array::from(vec![self.total as i64; self.sources.len()]);
        let columns: [(&str, ArrayRef); 4] = [
            ("kind", Arc::new(kinds)),
            ("name", Arc::new(names)),
            ("distinct_sources", Arc::new(sources)),
            ("total_sources", Arc::new(totals)),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
            .map_err(|error| Error::Engine(error.into()))
    }
}

fn kind_of(name: &str) -> EntityKind {
    if name.parse::<IpAddr>().is_ok() { EntityKind::Ip } else { EntityKind::Url }
}

/// The entities of rows that still need the last step of their analysis: each row may become a finding.
pub fn candidate_entities(rule: &FindingRule, rows: &RecordBatch) -> BTreeSet<(EntityKind, String)> {
    let entities = (0..rows.num_rows()).flat_map(|index| entities_of(rule, &Row::new(rows, index)));
    entities.map(|named| (named.entity.kind, named.entity.name)).collect()
}

/// The entities of findings.
pub fn finding_entities(findings: &[Finding]) -> BTreeSet<(EntityKind, String)> {
    let entities = findings.iter().flat_map(|finding| &finding.entities);
    entities.map(|entity| (entity.kind, entity.name.clone())).collect()
}

/// Entities as the side table for queries.
///
/// # Errors
/// If Arrow can't make a batch.
pub fn wanted_rows(wanted: &BTreeSet<(EntityKind, String)>) -> Result<RecordBatch> {
    let kinds = StringViewArray::from_iter_values(wanted.iter().map(|(kind, _)| kind.name()));
    let names = StringViewArray::from_iter_values(wanted.iter().map(|(_, name)| name));
    RecordBatch::try_new(WANTED_ENTITIES.schema(), vec![Arc::new(kinds), Arc::new(names)])
        .map_err(|error| Error::Engine(error.into()))
}
