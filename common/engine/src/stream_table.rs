//! A stream as a table that can be read once.

use std::sync::{Arc, Mutex};

use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;

/// A table of the rows of a stream. Reading it a second time is an error.
pub(super) fn stream_table(rows: SendableRecordBatchStream) -> Result<StreamingTable> {
    let schema = rows.schema();
    let part = StreamPartition { schema: Arc::clone(&schema), rows: Mutex::new(Some(rows)) };
    StreamingTable::try_new(schema, vec![Arc::new(part)])
}

struct StreamPartition {
    schema: SchemaRef,
    rows: Mutex<Option<SendableRecordBatchStream>>,
}

impl std::fmt::Debug for StreamPartition {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("StreamPartition").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl PartitionStream for StreamPartition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().ok().and_then(|mut slot| slot.take());
        rows.unwrap_or_else(|| {
            let read_before = stream::iter([Err(internal_datafusion_err!("a stream was read twice"))]);
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), read_before))
        })
    }
}
