//! Fetches results from the workers that hold them, by Arrow Flight.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use ballista_core::client::BallistaClient;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use futures::TryStreamExt;
use hindcast_common::cluster::{STAGE_MESSAGE_BYTES, Tls, node_endpoints};

use super::job_status::ResultLocation;

/// Connections to workers, opened when first needed.
pub(super) struct Fetcher {
    connections: Mutex<HashMap<(String, u16), BallistaClient>>,
    endpoint: Arc<BallistaConfigGrpcEndpoint>,
    use_tls: bool,
    timeout: Duration,
}

impl Fetcher {
    /// A worker that answers nothing for `timeout` is taken for gone.
    pub(super) fn new(tls: Option<Tls>, timeout: Duration) -> Self {
        Self {
            connections: Mutex::default(),
            use_tls: tls.is_some(),
            endpoint: Arc::new(BallistaConfigGrpcEndpoint::new(node_endpoints(tls))),
            timeout,
        }
    }

    /// All rows of a partition: whole, or not at all.
    ///
    /// # Errors
    /// Why they could not be fetched; another time they may be.
    pub(super) async fn fetch(&self, held: &ResultLocation) -> Result<Vec<RecordBatch>, String> {
        let fetched = tokio::time::timeout(self.timeout, self.try_fetch(held)).await;
        let fetched = fetched.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.timeout)));
        if fetched.is_err() {
            self.connections
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&(held.host.clone(), held.port));
        }
        fetched
    }

    async fn try_fetch(&self, held: &ResultLocation) -> Result<Vec<RecordBatch>, String> {
        let mut client = self.connect(held).await?;
        // Blocks as the worker wrote them: a stream decoded and encoded again would lose its dictionaries.
        let rows = client
            .fetch_partition(&held.executor, &held.partition, held.file, held.layout, false)
            .await
            .map_err(|error| error.to_string())?;
        rows.try_collect().await.map_err(|error| error.to_string())
    }

    async fn connect(&self, held: &ResultLocation) -> Result<BallistaClient, String> {
        let address = (held.host.clone(), held.port);
        let known = self.connections.lock().unwrap_or_else(PoisonError::into_inner).get(&address).cloned();
        if let Some(client) = known {
            return Ok(client);
        }
        let endpoint = Some(Arc::clone(&self.endpoint));
        let client = BallistaClient::try_new(
            &held.host,
            held.port,
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
