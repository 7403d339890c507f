//! Fetches task results from workers by Arrow Flight.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use ballista_core::client::BallistaClient;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use futures::TryStreamExt;
use hindcast_node::{STAGE_MESSAGE_BYTES, Tls, node_endpoints};

use super::job_status::ResultLocation;

/// Connections to workers, opened on first use.
pub(super) struct Fetcher {
    connections: Mutex<HashMap<(String, u16), BallistaClient>>,
    endpoint: Arc<BallistaConfigGrpcEndpoint>,
    use_tls: bool,
    timeout: Duration,
}

impl Fetcher {
    /// A fetch that takes longer than `timeout` fails.
    pub(super) fn new(tls: Option<Tls>, timeout: Duration) -> Self {
        Self {
            connections: Mutex::default(),
            use_tls: tls.is_some(),
            endpoint: Arc::new(BallistaConfigGrpcEndpoint::new(node_endpoints(tls))),
            timeout,
        }
    }

    /// Returns all rows of a partition.
    ///
    /// # Errors
    /// Why the rows could not be fetched. A later attempt may succeed.
    pub(super) async fn fetch(&self, location: &ResultLocation) -> Result<Vec<RecordBatch>, String> {
        let fetched = tokio::time::timeout(self.timeout, self.try_fetch(location)).await;
        let fetched = fetched.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.timeout)));
        if fetched.is_err() {
            self.connections
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&(location.host.clone(), location.port));
        }
        fetched
    }

    async fn try_fetch(&self, location: &ResultLocation) -> Result<Vec<RecordBatch>, String> {
        let mut client = self.connect(location).await?;
        // Fetch the blocks as the worker wrote them: a stream that is decoded and encoded again loses its dictionaries.
        let rows = client
            .fetch_partition(&location.executor, &location.partition, location.file, location.layout, false)
            .await
            .map_err(|error| error.to_string())?;
        rows.try_collect().await.map_err(|error| error.to_string())
    }

    async fn connect(&self, location: &ResultLocation) -> Result<BallistaClient, String> {
        let address = (location.host.clone(), location.port);
        let known = self.connections.lock().unwrap_or_else(PoisonError::into_inner).get(&address).cloned();
        if let Some(client) = known {
            return Ok(client);
        }
        let endpoint = Some(Arc::clone(&self.endpoint));
        let client = BallistaClient::try_new(
            &location.host,
            location.port,
            STAGE_MESSAGE_BYTES,
            self.use_tls,
            endpoint,
            1,
            0,
            0,
            0,
        )
        .await
        .map_err(|error| error.to_string())?;
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).insert(address, client.clone());
        Ok(client)
    }
}
