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

    /// The state files of rollups that a job used. Empty if the job did not use the cache, or if another version stored them in
    /// another form.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hindcast_proto::v1::{Job, JobState, ScanRequest};
    use object_store::memory::InMemory;

    use super::*;

    const ID: &str = "0198f1c2-0000-7000-8000-000000000000";

    fn state() -> Location {
        Location::parse_with("s3://memory/state", |_| Ok(Arc::new(InMemory::new()))).unwrap()
    }

    fn job(id: &str, state: JobState, backfill_window: bool) -> Job {
        let scan = ScanRequest { backfill_window, ..ScanRequest::default() };
        Job { id: id.into(), state: state.into(), scan: Some(scan), ..Job::default() }
    }

    #[tokio::test]
    async fn only_finished_scans_have_results() {
        for (ended, is_window, expected) in [
            (Some(JobState::Done), false, true),
            (Some(JobState::Done), true, false),
            (Some(JobState::Failed), false, false),
            (None, false, false),
        ] {
            let state = state();
            let (results, store) = (JobResults::new(state.clone()), JobStore::new(&state));
            store.submit(&job(ID, JobState::Queued, is_window)).await.unwrap();
            if let Some(ended) = ended {
                store.end(&job(ID, ended, is_window)).await.unwrap();
            }
            assert_eq!(results.exist(ID).await.unwrap(), expected, "{ended:?} {is_window}");
            assert!(!results.exist("../jobs").await.unwrap());
        }
    }

    #[tokio::test]
    async fn names_of_tables_are_no_paths_and_damaged_lists_of_rollups_are_empty() {
        let state = state();
        let (results, store) = (JobResults::new(state.clone()), JobStore::new(&state));
        assert!(results.table(ID, "../../secret").await.unwrap().is_none());
        assert!(results.report(ID).await.unwrap().is_none());
        assert!(results.rollups(ID).await.unwrap().is_empty());
        store.put(ID, run::ROLLUPS.into(), b"[{\"of\": \"another version\"}]".to_vec()).await.unwrap();
        assert!(results.rollups(ID).await.unwrap().is_empty());
    }
}
