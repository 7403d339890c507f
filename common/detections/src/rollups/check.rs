//! Checks a rollup over tables without rows: its expressions can be planned, and its measures have types that merge exactly.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::DataFrame;

use super::{Measure, MeasureKind, Rollup, Shape};
use crate::config::Config;
use crate::sql;
use hindcast_base::file_fault::FileFault;
use hindcast_base::{Error, Result};
use hindcast_lake::canonical_schema;

impl Rollup {
    /// Plans it over each of its tables, without rows.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the file, and the line where it is known: an expression that can't be planned, an unknown
    /// parameter, a measure of a type that does not merge exactly.
    pub fn check(&self, config: &Config) -> Result<()> {
        let session = sql::session()?;
        for spec in self.tables.iter().filter_map(|name| config.detections.tables().by_name(name)) {
            let schema = canonical_schema(spec, &self.columns_read(config));
            let rows = || session.read_table(Arc::new(EmptyTable::new(Arc::clone(&schema))));
            let prepared = self.prepared(rows()?, config).map_err(|error| self.wrong(&error))?;
            if let Shape::Groups { measures, .. } = &self.shape {
                measures
                    .iter()
                    .try_for_each(|measure| self.check_type(measure, measures, prepared.schema()))?;
            }
            let state = self.build(rows()?, config).and_then(DataFrame::into_optimized_plan);
            state.map_err(|error| self.wrong(&error))?;
        }
        Ok(())
    }

    fn check_type(&self, measure: &Measure, all: &[Measure], schema: &DFSchema) -> Result<()> {
        let is_time = |kind: &DataType| matches!(kind, DataType::Timestamp(TimeUnit::Microsecond, _));
        let is_whole = |kind: &DataType| *kind == DataType::Int64;
        let is_text = |kind: &DataType| match kind {
            DataType::Dictionary(_, values) => values.is_string(),
            other => other.is_string(),
        };
        let is_either = |kind: &DataType| is_time(kind) || is_whole(kind);
        let check = |of: &str, wanted: &str, is_wanted: &dyn Fn(&DataType) -> bool| -> Result<()> {
            let kind = schema.field_with_unqualified_name(of)?.data_type();
            if is_wanted(kind) {
                return Ok(());
            }
            let message = format!("{} needs {wanted}, but {of} is {kind}", measure.name);
            Err(Error::in_file(self.file, measure.line, message))
        };
        match measure.kind {
            MeasureKind::Count | MeasureKind::CountOf(_) => Ok(()),
            MeasureKind::Sum(of) => check(of, "a whole number (BIGINT), whose sums are exact", &is_whole),
            MeasureKind::Min(of) | MeasureKind::Max(of) => {
                check(of, "a whole number (BIGINT) or a time", &is_either)
            }
            MeasureKind::Distinct(of) | MeasureKind::Samples(of) => check(of, "a text", &is_text),
            MeasureKind::Seconds { of, ends } => {
                check(of, "whole seconds (BIGINT)", &is_whole)?;
                let extremes = all.iter().filter(|other| ends.contains(&other.name));
                let mut of_extremes = extremes.filter_map(|extreme| match extreme.kind {
                    MeasureKind::Min(of) | MeasureKind::Max(of) => Some(of),
                    _ => None,
                });
                of_extremes.try_for_each(|time| check(time, "times in `ends`", &is_time))
            }
        }
    }

    /// An error of the planner, which may name file and line already.
    fn wrong(&self, error: &DataFusionError) -> Error {
        match FileFault::of(error) {
            Some(fault) => Error::File(fault.clone()),
            None => match error.find_root() {
                DataFusionError::External(error) => Error::of_file(self.file, error),
                other => Error::of_file(self.file, other.strip_backtrace()),
            },
        }
    }
}
