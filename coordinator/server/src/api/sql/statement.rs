//! A prepared statement: its text, the job that `latest` named when it was created, and the values of its parameters. Handles
//! that leave the coordinator are sealed, so that it only accepts handles it has issued.

use arrow::array::RecordBatch;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use bytes::Bytes;
use datafusion::common::{ParamValues, ScalarValue};
use futures::{StreamExt, TryStreamExt, stream};
use hindcast_base::retry::with_retries;
use hindcast_base::{Error, Result};
use hindcast_lake::Location;
use prost::Message;
use ring::rand::{SecureRandom, SystemRandom};

/// Name of the key below the state.
const KEY_FILE: &str = "sql.key";
/// Bytes of the key and of a seal.
const SEAL_BYTES: usize = 32;

/// The content of tickets and of prepared statements. Coordinators do not store it, so every coordinator with the key of the
/// state can answer, even after a restart.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Statement {
    /// The query.
    #[prost(string, tag = "1")]
    pub(super) sql: String,
    /// The job that had ended last; empty if there was none.
    #[prost(string, tag = "2")]
    pub(super) latest: String,
    /// The messages with one row of parameter values, if any. Only the process of the query decodes them.
    #[prost(bytes = "vec", repeated, tag = "3")]
    parameters: Vec<Vec<u8>>,
}

impl Statement {
    pub(super) fn new(sql: String, latest: String) -> Self {
        Self { sql, latest, parameters: Vec::new() }
    }

    /// Sets the parameter values from the messages of one row.
    pub(super) fn bind(&mut self, row: &[FlightData]) {
        self.parameters = row.iter().map(Message::encode_to_vec).collect();
    }

    /// The values of the parameters, in order.
    ///
    /// # Errors
    /// If there is not exactly one row.
    pub(super) async fn values(&self) -> Result<Option<ParamValues>> {
        if self.parameters.is_empty() {
            return Ok(None);
        }
        let data = self.parameters.iter().map(|bytes| FlightData::decode(bytes.as_slice()));
        let data: Vec<FlightData> = data.collect::<Result<_, _>>().map_err(|error| unreadable(&error))?;
        let data = stream::iter(data.into_iter().map(Ok));
        let rows = FlightRecordBatchStream::new_from_flight_data(data.boxed());
        let batches: Vec<RecordBatch> = rows.try_collect().await.map_err(|error| unreadable(&error))?;
        let [row] = batches.as_slice() else { return Err(one_row()) };
        if row.num_rows() != 1 {
            return Err(one_row());
        }
        let values = row.columns().iter().map(|column| ScalarValue::try_from_array(column, 0));
        let values: Vec<ScalarValue> =
            values.collect::<Result<_, _>>().map_err(|error| unreadable(&error))?;
        Ok(Some(ParamValues::from(values)))
    }
}

fn one_row() -> Error {
    Error::Invalid("give one row of parameters".into())
}

fn unreadable(error: &dyn std::fmt::Display) -> Error {
    Error::Invalid(format!("the parameters can't be read: {error}"))
}

/// Creates handles of statements, and verifies them.
pub(super) struct Seal {
    key: [u8; SEAL_BYTES],
}

impl Seal {
    /// The seal of all coordinators of a state, created if it does not exist.
    ///
    /// # Errors
    /// [`Error::Storage`] if the state can't be read or written, [`Error::Data`] if the stored key is invalid.
    pub(super) async fn of(state: &Location) -> Result<Self> {
        let mut key = [0; SEAL_BYTES];
        SystemRandom::new()
            .fill(&mut key)
            .map_err(|_| Error::Internal("the system provides no random numbers".into()))?;
        let path = state.child(KEY_FILE);
        let place = state.name_of(&path);
        // If a coordinator has created a key before, that one counts.
        with_retries(|| state.put_if_absent(&path, key.to_vec())).await?;
        let stored = state.read(KEY_FILE).await?.unwrap_or_default();
        let key = <[u8; SEAL_BYTES]>::try_from(stored.as_ref());
        key.map(|key| Self { key }).map_err(|_| {
            Error::Data(format!(
                "{place} is not a key of {SEAL_BYTES} bytes: remove it, and the coordinator creates a new one"
            ))
        })
    }

    /// The handle of a statement.
    pub(super) fn close(&self, statement: &Statement) -> Bytes {
        let text = statement.encode_to_vec();
        let seal = blake3::keyed_hash(&self.key, &text);
        [seal.as_bytes().as_slice(), &text].concat().into()
    }

    /// The statement of a handle.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the handle was not sealed with this key.
    pub(super) fn open(&self, handle: &[u8]) -> Result<Statement> {
        let strange = || Error::Invalid("this coordinator did not issue the handle".into());
        let (seal, text) = handle.split_at_checked(SEAL_BYTES).ok_or_else(strange)?;
        let seal = <[u8; SEAL_BYTES]>::try_from(seal).map_err(|_| strange())?;
        // The comparison takes the same time however many bytes match.
        if blake3::keyed_hash(&self.key, text) != blake3::Hash::from(seal) {
            return Err(strange());
        }
        Statement::decode(text).map_err(|_| strange())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow_flight::encode::FlightDataEncoderBuilder;
    use object_store::memory::InMemory;

    async fn data_of(rows: usize) -> Vec<FlightData> {
        let columns: Vec<(&str, arrow::array::ArrayRef)> = vec![
            ("1", Arc::new(StringArray::from(vec!["high"]))),
            ("2", Arc::new(Int64Array::from(vec![7]))),
        ];
        let row = RecordBatch::try_from_iter(columns).unwrap().slice(0, rows);
        let encoder = FlightDataEncoderBuilder::new().with_schema(row.schema());
        encoder.build(stream::iter([Ok(row)])).try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn a_handle_contains_the_parameters() {
        let state = Location::parse_with("s3://memory/state", |_| Ok(Arc::new(InMemory::new()))).unwrap();
        let mut statement = Statement::new("SELECT $1, $2".into(), String::new());
        assert!(statement.values().await.unwrap().is_none());
        statement.bind(&data_of(1).await);
        let handle = Seal::of(&state).await.unwrap().close(&statement);
        // A restarted coordinator reads it.
        let seal = Seal::of(&state).await.unwrap();
        let read = seal.open(&handle).unwrap();
        let Some(ParamValues::List(values)) = read.values().await.unwrap() else { panic!("no values") };
        let values: Vec<ScalarValue> = values.into_iter().map(|value| value.value).collect();
        assert_eq!(values, [ScalarValue::from("high"), ScalarValue::from(7i64)]);
        statement.bind(&data_of(0).await);
        assert!(statement.values().await.is_err());
        let other = Location::parse_with("s3://memory/other", |_| Ok(Arc::new(InMemory::new()))).unwrap();
        assert!(Seal::of(&other).await.unwrap().open(&handle).is_err());
    }

    #[tokio::test]
    async fn altered_handles_are_refused() {
        let state = Location::parse_with("s3://memory/state", |_| Ok(Arc::new(InMemory::new()))).unwrap();
        let seal = Seal::of(&state).await.unwrap();
        let handle = seal.close(&Statement::new("SELECT 1".into(), "latest".into()));
        for at in 0..handle.len() {
            for bit in 0..8 {
                let mut altered = handle.to_vec();
                altered[at] ^= 1 << bit;
                assert!(seal.open(&altered).is_err(), "byte {at}, bit {bit}");
            }
            assert!(seal.open(&handle[..at]).is_err(), "cut at {at}");
        }
    }
}
