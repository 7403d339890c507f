//! The results of finished jobs, read from the job store alone, so that a process without a job manager can read them too.

use hindcast_base::Result;
use hindcast_lake::Location;
use uuid::Uuid;

use super::store::JobStore;
use super::stored::StoredTable;
use super::{has_results, run};
use hindcast_scan::RollupFiles;

/// The results of jobs below a state location.
#[derive(Debug, Clone)]
pub struct JobResults {
    store: JobStore,
    state: Location,
}

impl JobResults {
    /// The results below `state`.
    pub fn new(state: Location) -> Self {
        Self { store: JobStore::new(&state), state }
    }

    /// Whether there is a job with this id that is done and has the results of a scan.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Storage`] if the job can't be read.
    pub async fn exist(&self, id: &str) -> Result<bool> {
        // An id becomes part of a path.
        if Uuid::parse_str(id).is_err() {
            return Ok(false);
        }
        Ok(self.store.read(id).await?.is_some_and(|job| has_results(&job)))
    }

    /// The report of a finished job as JSON.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Storage`] if it can't be read.
    pub async fn report(&self, id: &str) -> Result<Option<String>> {
        let bytes = self.store.get(id, "report.json").await?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Names of a job's result tables.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Storage`] if they can't be listed.
    pub async fn tables(&self, id: &str) -> Result<Vec<String>> {
        self.store.tables(id).await
    }

    /// A result table of a finished job.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Storage`] if it can't be read.
    pub async fn table(&self, id: &str, name: &str) -> Result<Option<StoredTable>> {
        let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_plain {
            return Ok(None);
        }
        self.store.table(id, name).await
    }

    /// The state files of rollups that a job used. Empty if the job did not use the cache, or if another version stored them in another form.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Storage`] if they can't be read.
    pub async fn rollups(&self, id: &str) -> Result<Vec<RollupFiles>> {
        let Some(bytes) = self.store.get(id, run::ROLLUPS).await? else { return Ok(Vec::new()) };
        let rollups = serde_json::from_slice(&bytes);
        Ok(rollups
            .inspect_err(|error| tracing::warn!(id, %error, "a job's rollups can't be read"))
            .unwrap_or_default())
    }

    /// Location of the state.
    pub fn state(&self) -> &Location {
        &self.state
    }
}
