//! A statement on its way: the text, the job that `latest` was when it was made, and the values of its parameters.

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use datafusion::common::{ParamValues, ScalarValue};
use prost::Message;
use tonic::Status;

/// What tickets and prepared statements hold. A coordinator keeps none of it, so any may answer, also one that has started
/// again.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Statement {
    /// The query.
    #[prost(string, tag = "1")]
    pub(super) sql: String,
    /// The job that had ended last; empty where there was none.
    #[prost(string, tag = "2")]
    pub(super) latest: String,
    /// One row of values as an Arrow IPC stream; empty where none were given.
    #[prost(bytes = "vec", tag = "3")]
    parameters: Vec<u8>,
}

impl Statement {
    pub(super) fn new(sql: String, latest: String) -> Self {
        Self { sql, latest, parameters: Vec::new() }
    }

    pub(super) fn from_handle(handle: &[u8]) -> Result<Self, Status> {
        Self::decode(handle).map_err(|_| Status::invalid_argument("the handle is none of this coordinator's"))
    }

    pub(super) fn to_handle(&self) -> Bytes {
        self.encode_to_vec().into()
    }

    /// Takes the only row of `batch` as the parameters' values.
    pub(super) fn bind(&mut self, batch: &RecordBatch) -> Result<(), Status> {
        if batch.num_rows() != 1 {
            return Err(Status::invalid_argument("give one row of parameters"));
        }
        let write = || {
            let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
            writer.write(batch)?;
            writer.into_inner()
        };
        self.parameters = write().map_err(|error| unreadable(&error))?;
        Ok(())
    }

    /// The values of its parameters in their order.
    pub(super) fn values(&self) -> Result<Option<ParamValues>, Status> {
        if self.parameters.is_empty() {
            return Ok(None);
        }
        let mut reader =
            StreamReader::try_new(self.parameters.as_slice(), None).map_err(|error| unreadable(&error))?;
        let batch = reader.next().transpose().map_err(|error| unreadable(&error))?;
        let row = batch.filter(|batch| batch.num_rows() == 1);
        let row = row.ok_or_else(|| Status::invalid_argument("there is no row of parameters"))?;
        let values = row.columns().iter().map(|column| ScalarValue::try_from_array(column, 0));
        let values: Vec<ScalarValue> =
            values.collect::<Result<_, _>>().map_err(|error| unreadable(&error))?;
        Ok(Some(ParamValues::from(values)))
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> Status {
    Status::invalid_argument(format!("the parameters can't be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    #[test]
    fn parameters_travel_in_the_handle() {
        let columns: Vec<(&str, arrow::array::ArrayRef)> = vec![
            ("1", Arc::new(StringArray::from(vec!["high"]))),
            ("2", Arc::new(Int64Array::from(vec![7]))),
        ];
        let row = RecordBatch::try_from_iter(columns).unwrap();
        let mut statement = Statement::new("SELECT $1, $2".into(), String::new());
        assert!(statement.values().unwrap().is_none());
        statement.bind(&row).unwrap();
        let read = Statement::from_handle(&statement.to_handle()).unwrap();
        let Some(ParamValues::List(values)) = read.values().unwrap() else { panic!("no values") };
        let values: Vec<ScalarValue> = values.into_iter().map(|value| value.value).collect();
        assert_eq!(values, [ScalarValue::from("high"), ScalarValue::from(7i64)]);
        assert!(statement.bind(&row.slice(0, 0)).is_err());
        assert!(Statement::from_handle(b"\xff\xff\xff").is_err());
    }
}
