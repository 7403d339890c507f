//! Converts arrays and rows to the common type of several files, and checks that no value changed.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait, RecordBatch,
    StructArray, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;

/// Converts `array` to `target`, the [common type](super::common_type) of its type and another.
///
/// # Errors
/// A value is out of the range of `target`. [`is_exact`] checks that the other values did not change.
pub fn widen(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    use DataType::{FixedSizeList, LargeList, List, Map, Null, Struct, Timestamp};
    if array.data_type() == target {
        return Ok(Arc::clone(array));
    }
    Ok(match (array.data_type(), target) {
        (Null, _) => new_null_array(target, array.len()),
        (Timestamp(unit, _), Timestamp(target_unit, zone)) => {
            // Instants do not change. Arrow's own cast would take a time without a zone as local time.
            let naive = cast(&cast(array, &DataType::Int64)?, &Timestamp(*unit, None))?;
            let instants = cast(&cast(&naive, &Timestamp(*target_unit, None))?, &DataType::Int64)?;
            cast(&instants, &Timestamp(*target_unit, zone.clone()))?
        }
        (Struct(_), Struct(fields)) => Arc::new(widen_struct(array.as_struct(), fields)?),
        (List(_), List(field)) => list::<i32, i32>(array, field)?,
        (List(_), LargeList(field)) => list::<i32, i64>(array, field)?,
        (LargeList(_), List(field)) => list::<i64, i32>(array, field)?,
        (LargeList(_), LargeList(field)) => list::<i64, i64>(array, field)?,
        (FixedSizeList(_, _), FixedSizeList(field, size)) => {
            let lists = array.as_fixed_size_list();
            let values = widen(lists.values(), field.data_type())?;
            let nulls = lists.nulls().cloned();
            Arc::new(FixedSizeListArray::try_new(Arc::clone(field), *size, values, nulls)?)
        }
        (Map(_, _), Map(field, is_sorted)) => Arc::new(widen_map(array.as_map(), field, *is_sorted)?),
        _ => cast(array, target)?,
    })
}

/// Whether every value of `before` can be converted back from `after`.
pub(crate) fn is_exact(before: &ArrayRef, after: &ArrayRef) -> bool {
    if before.data_type().is_null() {
        return after.logical_null_count() == before.len();
    }
    widen(after, before.data_type()).is_ok_and(|back| back.to_data() == before.to_data())
}

/// Whether every value of `batch` stays the same in the types of `schema`, which has all its columns.
pub fn keeps_all(batch: &RecordBatch, schema: &Schema) -> bool {
    let own = batch.schema_ref().fields().iter().zip(batch.columns());
    own.into_iter().all(|(field, before)| {
        let target = schema.field_with_name(field.name()).map(|field| field.data_type());
        target.is_ok_and(|target| {
            before.data_type() == target || widen(before, target).is_ok_and(|after| is_exact(before, &after))
        })
    })
}

/// The rows of `batch` with the columns of `schema`. Missing columns are null.
///
/// # Errors
/// If a value is not exact in the type of its column.
pub fn widen_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => widen(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}

fn cast(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    // Arrow's `safe` mode would turn values out of range into null; here they are errors.
    cast_with_options(array, target, &CastOptions { safe: false, ..CastOptions::default() })
}

/// Matches fields by name. A missing field is null.
fn widen_struct(array: &StructArray, fields: &Fields) -> Result<StructArray, ArrowError> {
    let columns = fields.iter().map(|field| match array.column_by_name(field.name()) {
        Some(column) => widen(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), array.len())),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    StructArray::try_new_with_length(fields.clone(), columns, array.nulls().cloned(), array.len())
}

/// Matches fields by position, because writers name keys and values differently.
fn widen_map(array: &MapArray, field: &FieldRef, is_sorted: bool) -> Result<MapArray, ArrowError> {
    let DataType::Struct(fields) = field.data_type() else {
        return Err(ArrowError::CastError(format!("{field} does not hold map entries")));
    };
    let entries = array.entries().columns().iter().zip(fields);
    let entries = entries.map(|(column, field)| widen(column, field.data_type()));
    let entries = StructArray::try_new(fields.clone(), entries.collect::<Result<_, _>>()?, None)?;
    let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
    MapArray::try_new(Arc::clone(field), offsets, entries, nulls, is_sorted)
}

fn list<From: OffsetSizeTrait, To: OffsetSizeTrait>(
    array: &ArrayRef,
    field: &FieldRef,
) -> Result<ArrayRef, ArrowError> {
    let lists = array.as_list::<From>();
    let values = widen(lists.values(), field.data_type())?;
    let too_long = || ArrowError::CastError("a list is too long".into());
    let offsets = lists.offsets().iter().map(|offset| To::from_usize(offset.as_usize()));
    let offsets = offsets.collect::<Option<Vec<To>>>().ok_or_else(too_long)?;
    let nulls: Option<NullBuffer> = lists.nulls().cloned();
    let widened =
        GenericListArray::try_new(Arc::clone(field), OffsetBuffer::new(offsets.into()), values, nulls);
    Ok(Arc::new(widened?))
}
