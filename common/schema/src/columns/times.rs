//! Times of row groups from statistics, where the engine itself can't prune by them: of nested columns, and of numbers.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast_with_options;
use arrow::datatypes::{DataType, Field, Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::Type;
use parquet::errors::Result;
use parquet::file::metadata::ParquetMetaData;

use super::leaves::leaf_of;
use super::path::ColumnPath;
use super::resolve::Place;
use crate::convert::{lossless_options, read};
use crate::tables::ColumnKind;
use hindcast_base::log_time::TimeForms;

/// Where a table's files store the times of rows.
#[derive(Debug, Clone)]
pub struct TimeSource {
    /// The path.
    pub path: ColumnPath,
    /// What times mean that do not say it themselves.
    pub forms: TimeForms,
}

/// What statistics show of a row group's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupTimes {
    /// The first and the last time, in microseconds.
    Between(i64, i64),
    /// No row has a time.
    Absent,
    /// Nothing.
    Unknown,
}

/// The times of each row group, if the times at `place` have statistics in their order: texts in several forms have not.
///
/// # Errors
/// If the statistics can't be read.
pub fn group_times(
    place: &Place,
    metadata: &ParquetMetaData,
    forms: &TimeForms,
) -> Result<Option<Vec<GroupTimes>>> {
    let leaves = metadata.file_metadata().schema_descr();
    let Some(leaf) = leaf_of(place, leaves) else { return Ok(None) };
    let is_ordered = place.data_type.is_integer() || place.data_type.is_temporal();
    // The statistics of the old 96-bit times have no order.
    if !is_ordered || leaves.column(leaf).physical_type() == Type::INT96 {
        return Ok(None);
    }
    let field = Field::new("time", place.data_type.clone(), true);
    let converter = StatisticsConverter::from_column_index(leaf, &field, leaves)?;
    let groups = metadata.row_groups();
    let (firsts, lasts) = (converter.row_group_mins(groups)?, converter.row_group_maxes(groups)?);
    let Some(bounds) = bounds_of(&firsts, &lasts, forms) else { return Ok(None) };
    let times = groups.iter().zip(bounds).map(|(group, bounds)| {
        let nulls = group.column(leaf).statistics().and_then(|statistics| statistics.null_count_opt());
        match bounds {
            Some((first, last)) => GroupTimes::Between(first, last),
            None if nulls == Some(group.num_rows().unsigned_abs()) => GroupTimes::Absent,
            None => GroupTimes::Unknown,
        }
    });
    Ok(Some(times.collect()))
}

/// The smallest and largest values of each group as times.
fn bounds_of(firsts: &ArrayRef, lasts: &ArrayRef, forms: &TimeForms) -> Option<Vec<Option<(i64, i64)>>> {
    if firsts.data_type().is_integer() {
        let integers =
            |array: &ArrayRef| cast_with_options(array, &DataType::Int64, &lossless_options()).ok();
        let (firsts, lasts) = (integers(firsts)?, integers(lasts)?);
        let pairs = firsts.as_primitive::<Int64Type>().iter().zip(lasts.as_primitive::<Int64Type>());
        return Some(pairs.map(|(first, last)| forms.read_bounds(first?, last?)).collect());
    }
    let times =
        |array: &ArrayRef| read(ColumnKind::Time, array, forms).ok().flatten().map(|(times, _)| times);
    let (firsts, lasts) = (times(firsts)?, times(lasts)?);
    let pairs = firsts.as_primitive_opt::<TimestampMicrosecondType>()?.iter();
    Some(
        pairs
            .zip(lasts.as_primitive_opt::<TimestampMicrosecondType>()?)
            .map(|(first, last)| first.zip(last))
            .collect(),
    )
}
