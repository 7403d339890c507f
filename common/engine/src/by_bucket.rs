//! Sorts a unit's state by bucket, the order in which it is stored.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, new_empty_array};
use arrow::compute::{concat, take};
use arrow::datatypes::{FieldRef, Int32Type, SchemaRef, UInt16Type};
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::ident;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, stream};

use super::stream_table::stream_table;
use hindcast_detections::rollups::BUCKET_COLUMN;
use hindcast_functions::{BUCKETS, as_texts};
use hindcast_lake::batch_rows;

/// Sorts rows by bucket, and within a bucket by the texts of the leading columns that are dictionaries, nulls last.
///
/// A unit's state is small, so it is held in memory and sorted by counting. If memory does not suffice, DataFusion sorts it by
/// bucket only, and spills.
pub(super) async fn by_bucket(
    mut rows: SendableRecordBatchStream,
    session: &SessionContext,
) -> Result<SendableRecordBatchStream> {
    let runtime = session.runtime_env();
    let held = MemoryConsumer::new("state by bucket").with_can_spill(true).register(&runtime.memory_pool);
    let schema = rows.schema();
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await.transpose()? {
        let is_held = held.try_grow(bytes_of(&batch)?).is_ok();
        batches.push(batch);
        if !is_held {
            held.free();
            let all = stream::iter(batches.into_iter().map(Ok)).chain(rows);
            let all = RecordBatchStreamAdapter::new(Arc::clone(&schema), all);
            return sort_with_spilling(Box::pin(all), session).await;
        }
    }
    let rows = sort_in_memory(batches, &schema)?;
    let chunk_rows = batch_rows(&runtime);
    let chunks = (0..rows.num_rows()).step_by(chunk_rows).map(move |start| {
        // The reservation lives as long as the rows.
        let _ = &held;
        Ok(rows.slice(start, chunk_rows.min(rows.num_rows() - start)))
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(chunks))))
}

fn bytes_of(batch: &RecordBatch) -> Result<usize> {
    let mut bytes = 0;
    for column in batch.columns() {
        // All batches share their dictionaries.
        bytes += match column.as_dictionary_opt::<Int32Type>() {
            Some(dictionary) => dictionary.keys().len() * size_of::<i32>(),
            None => column.to_data().get_slice_memory_size()?,
        };
    }
    Ok(bytes)
}

/// The sorted rows as one batch.
fn sort_in_memory(batches: Vec<RecordBatch>, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut parts: Vec<Vec<ArrayRef>> = vec![Vec::new(); schema.fields().len()];
    for batch in batches {
        parts.iter_mut().zip(batch.columns()).for_each(|(parts, column)| parts.push(Arc::clone(column)));
    }
    let whole = |(parts, field): (Vec<ArrayRef>, &FieldRef)| match &parts[..] {
        [] => Ok(new_empty_array(field.data_type())),
        parts => concat(&parts.iter().map(|part| part.as_ref()).collect::<Vec<_>>()),
    };
    let columns = parts.into_iter().zip(schema.fields()).map(whole).collect::<Result<Vec<_>, _>>()?;
    let order = row_order(&RecordBatch::try_new(Arc::clone(schema), columns.clone())?)?;
    let columns = columns.into_iter().map(|column| take(&column, &order, None));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<Vec<_>, _>>()?)?)
}

/// The indices of the rows in sorted order.
fn row_order(rows: &RecordBatch) -> Result<UInt32Array> {
    let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
    let dictionaries: Vec<_> =
        rows.columns().iter().map_while(|column| column.as_dictionary_opt::<Int32Type>()).collect();
    // The last column first: each sort is stable and keeps the order of equal keys.
    for dictionary in dictionaries.into_iter().rev() {
        let (keys, places) = (dictionary.keys(), text_order(dictionary.values())?);
        // Null keys come last.
        let place =
            |row: usize| if keys.is_valid(row) { places[keys.value(row) as usize] } else { places.len() };
        order = counting_sort(&order, places.len() + 1, place);
    }
    let buckets =
        rows.column_by_name(BUCKET_COLUMN).and_then(|column| column.as_primitive_opt::<UInt16Type>());
    let buckets = buckets.ok_or_else(|| internal_datafusion_err!("state has no buckets"))?;
    Ok(counting_sort(&order, usize::from(BUCKETS), |row| usize::from(buckets.value(row))).into())
}

/// The place of each value in the order of all values.
fn text_order(values: &ArrayRef) -> Result<Vec<usize>> {
    let texts = as_texts(values)?;
    let mut sorted: Vec<usize> = (0..texts.len()).collect();
    sorted.sort_unstable_by_key(|value| texts.value(*value));
    let mut places = vec![0; sorted.len()];
    sorted.into_iter().enumerate().for_each(|(place, value)| places[value] = place);
    Ok(places)
}

/// The rows of `order` sorted by their `place`, which is below `places`. The sort is stable.
fn counting_sort(order: &[u32], places: usize, place: impl Fn(usize) -> usize) -> Vec<u32> {
    let mut next = vec![0; places + 1];
    for row in order {
        next[place(*row as usize) + 1] += 1;
    }
    for index in 0..places {
        next[index + 1] += next[index];
    }
    let mut placed = vec![0; order.len()];
    for row in order {
        let slot = &mut next[place(*row as usize)];
        placed[*slot] = *row;
        *slot += 1;
    }
    placed
}

async fn sort_with_spilling(
    rows: SendableRecordBatchStream,
    session: &SessionContext,
) -> Result<SendableRecordBatchStream> {
    let frame = session.read_table(Arc::new(stream_table(rows)?))?;
    frame.sort(vec![ident(BUCKET_COLUMN).sort(true, false)])?.execute_stream().await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrow::array::{DictionaryArray, Int64Array, UInt16Array};
    use arrow::compute::concat_batches;
    use arrow::datatypes::Int64Type;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use futures::TryStreamExt;

    use super::*;
    use hindcast_lake::task_session;

    const BATCHES: i64 = 300;
    const ROWS: i64 = 600;

    /// Batches with two keys, of which some are null, the number of each row, and its bucket.
    fn batches() -> Vec<RecordBatch> {
        let dictionary: ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["c", "a", "b"]));
        let batch = |first: i64| {
            let numbers: Vec<i64> = (first..first + ROWS).collect();
            let keys = |step: i64| -> ArrayRef {
                let key = |number: &i64| Some((number / step % 4) as i32).filter(|key| *key != 3);
                let keys: arrow::array::Int32Array = numbers.iter().map(key).collect();
                Arc::new(DictionaryArray::try_new(keys, Arc::clone(&dictionary)).unwrap())
            };
            let buckets: UInt16Array =
                numbers.iter().map(|number| Some((number / 4 * 7 % 64) as u16)).collect();
            let columns: [(&str, ArrayRef); 4] = [
                ("source", keys(1)),
                ("destination", keys(5)),
                ("number", Arc::new(Int64Array::from(numbers))),
                (BUCKET_COLUMN, Arc::new(buckets)),
            ];
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
                .unwrap()
        };
        (0..BATCHES).map(|number| batch(number * ROWS)).collect()
    }

    /// Bucket, keys and number of each row, as sorted with that much memory.
    async fn rows_within(memory_bytes: usize) -> Vec<(u16, [String; 2], i64)> {
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(memory_bytes, 1.0).build_arc().unwrap();
        let batches = batches();
        let schema = batches[0].schema();
        let rows =
            RecordBatchStreamAdapter::new(Arc::clone(&schema), stream::iter(batches.into_iter().map(Ok)));
        let rows = by_bucket(Box::pin(rows), &task_session(runtime)).await.unwrap();
        let rows = concat_batches(&schema, &rows.try_collect::<Vec<_>>().await.unwrap()).unwrap();
        let keys = [0, 1].map(|column| as_texts(rows.column(column)).unwrap());
        let numbers = rows.column(2).as_primitive::<Int64Type>();
        let buckets = rows.column(3).as_primitive::<UInt16Type>();
        let keys_of = |row| {
            keys.each_ref()
                .map(|keys| if keys.is_valid(row) { keys.value(row) } else { "null comes last" }.to_owned())
        };
        (0..rows.num_rows()).map(|row| (buckets.value(row), keys_of(row), numbers.value(row))).collect()
    }

    #[tokio::test]
    async fn rows_are_sorted_by_bucket_and_keys_or_by_bucket_only_if_memory_is_short() {
        let held = rows_within(1 << 30).await;
        assert!(held.is_sorted());
        // Enough for a sort that spills, but not for all rows.
        let spilled = rows_within(2_200_000).await;
        assert!(spilled.is_sorted_by_key(|(bucket, ..)| *bucket) && !spilled.is_sorted());
        let all = BTreeSet::from_iter(spilled);
        assert!(all.len() as i64 == BATCHES * ROWS && all == BTreeSet::from_iter(held));
    }
}
