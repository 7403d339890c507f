//! A stored result table: an Arrow IPC stream that is read part by part, so that a long table needs little memory.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use hindcast_base::retry::with_retries;
use hindcast_base::{Error, Result};
use hindcast_lake::Location;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};

/// Bytes of one read.
const PART_BYTES: u64 = 4 << 20;

/// A table in an object store.
#[derive(Debug, Clone)]
pub struct StoredTable {
    store: Arc<dyn ObjectStore>,
    path: Path,
    bytes: u64,
    /// The first part.
    first: Bytes,
    schema: SchemaRef,
}

impl StoredTable {
    /// The table at `path` in the store of `place`; `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::Storage`] if the store fails, [`Error::Data`] if the object is not a table.
    pub(super) async fn open(place: &Location, path: Path) -> Result<Option<Self>> {
        let store = Arc::clone(place.store());
        let failed = |error| Error::reading(&path)(error);
        let found = with_retries(|| async {
            let options =
                GetOptions { range: Some(GetRange::Bounded(0..PART_BYTES)), ..GetOptions::default() };
            match store.get_opts(&path, options).await {
                Ok(found) => Ok(Some((found.meta.size, found.bytes().await.map_err(failed)?))),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(failed(error)),
            }
        });
        let Some((bytes, first)) = found.await? else { return Ok(None) };
        let mut decoder = StreamDecoder::new();
        decoder.decode(&mut Buffer::from(first.clone())).map_err(damaged(&path))?;
        let schema = decoder.schema().ok_or_else(|| Error::Data(format!("{path} has no schema")))?;
        Ok(Some(Self { store, path, bytes, first, schema }))
    }

    /// The schema of the table.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The rows of the table; no batch if there are none.
    pub fn batches(&self) -> BoxStream<'static, Result<RecordBatch>> {
        let (table, first) = (self.clone(), Buffer::from(self.first.clone()));
        let begin = (StreamDecoder::new(), first, self.first.len() as u64);
        stream::try_unfold(begin, move |(mut decoder, mut buffer, mut offset)| {
            let table = table.clone();
            async move {
                loop {
                    if let Some(batch) = decoder.decode(&mut buffer).map_err(damaged(&table.path))? {
                        return Ok(Some((batch, (decoder, buffer, offset))));
                    }
                    if offset >= table.bytes {
                        decoder.finish().map_err(damaged(&table.path))?;
                        return Ok(None);
                    }
                    let part = table.part(offset).await?;
                    offset += part.len() as u64;
                    buffer = Buffer::from(part);
                }
            }
        })
        .boxed()
    }

    /// All rows of the table in at least one batch, which may be empty.
    ///
    /// # Errors
    /// As [`StoredTable::batches`].
    pub async fn whole(&self) -> Result<Vec<RecordBatch>> {
        let batches: Vec<RecordBatch> = self.batches().try_collect().await?;
        Ok(if batches.is_empty() { vec![RecordBatch::new_empty(self.schema())] } else { batches })
    }

    async fn part(&self, offset: u64) -> Result<Bytes> {
        let end = self.bytes.min(offset + PART_BYTES);
        with_retries(|| async {
            let part = self.store.get_range(&self.path, offset..end).await;
            let part = part.map_err(Error::reading(&self.path))?;
            match part.len() as u64 == end - offset {
                true => Ok(part),
                false => Err(Error::Data(format!("{} became shorter while it was read", self.path))),
            }
        })
        .await
    }
}

/// The error of an object that is not a table.
fn damaged(path: &Path) -> impl FnOnce(ArrowError) -> Error {
    move |error| Error::Data(format!("{path} is not a result table: {error}"))
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::ipc::writer::StreamWriter;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn a_table_of_many_parts_is_read_completely() {
        let place = Location::parse_with("s3://memory/state", |_| Ok(Arc::new(InMemory::new()))).unwrap();
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100_000));
        let batch = RecordBatch::try_from_iter([("number", numbers)]).unwrap();
        for copies in [0, 1, 12] {
            let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
            (0..copies).for_each(|_| writer.write(&batch).unwrap());
            let path = place.child("table.arrow");
            place.put(&path, writer.into_inner().unwrap()).await.unwrap();
            let table = StoredTable::open(&place, path).await.unwrap().unwrap();
            assert_eq!(table.schema(), batch.schema());
            let found: Vec<RecordBatch> = table.batches().try_collect().await.unwrap();
            assert_eq!(found, vec![batch.clone(); copies]);
        }
        assert!(StoredTable::open(&place, place.child("other")).await.unwrap().is_none());
        let path = place.child("broken.arrow");
        place.put(&path, b"no table at all".to_vec()).await.unwrap();
        assert!(StoredTable::open(&place, path).await.is_err());
    }
}
