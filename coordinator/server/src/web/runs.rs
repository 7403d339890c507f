//! The source of runs: one result folder, or the jobs of a coordinator.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use hindcast_base::{Error, Result};
use hindcast_report::output::findings_of_batches;
use hindcast_report::results::Results;
use tokio::sync::OnceCell;

use super::frame::Problem;
use crate::jobs::{FINDINGS, JobManager, SUPPRESSED, has_results};

/// Runs whose results stay in memory: the most recently used.
const CACHED_RUNS: usize = 4;

/// The runs of a site.
pub enum Runs {
    /// One result folder.
    Folder(Folder),
    /// The jobs of a coordinator.
    Jobs(JobRuns),
}

/// One run, and optionally an earlier one to compare it with.
pub struct Folder {
    pub(super) name: String,
    pub(super) results: Arc<Results>,
    pub(super) earlier: Option<(String, Arc<Results>)>,
}

impl Folder {
    /// Reads the result folders `out` and `earlier`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a folder is not the result of a scan.
    pub fn open(out: &Path, earlier: Option<&Path>) -> Result<Self> {
        let read = |folder: &Path| -> Result<(String, Arc<Results>)> {
            Ok((folder.display().to_string(), Arc::new(Results::open(folder)?)))
        };
        let (name, results) = read(out)?;
        Ok(Self { name, results, earlier: earlier.map(read).transpose()? })
    }
}

type CachedResults = Arc<OnceCell<Arc<Results>>>;

/// The jobs of a coordinator.
pub struct JobRuns {
    pub(super) manager: Arc<JobManager>,
    /// URLs of lakes that jobs may name.
    pub(super) lakes: Vec<String>,
    /// Results by job, the most recently used first.
    cache: Mutex<VecDeque<(String, CachedResults)>>,
}

impl JobRuns {
    /// The runs of `manager`, over `lakes`.
    pub fn new(manager: Arc<JobManager>, lakes: Vec<String>) -> Self {
        Self { manager, lakes, cache: Mutex::default() }
    }

    /// The results of a job; not found if it has none.
    pub(super) async fn results(&self, id: &str) -> Result<Arc<Results>, Problem> {
        let job = self.manager.snapshot(id)?;
        if !has_results(&job) {
            return Err(Problem::not_found("this job has no results"));
        }
        let cached = self.cached(id);
        let results = cached.get_or_try_init(|| self.load(id)).await;
        Ok(Arc::clone(results.map_err(Problem::from)?))
    }

    fn cached(&self, id: &str) -> CachedResults {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let found = cache.iter().position(|(known, _)| known == id).and_then(|index| cache.remove(index));
        let entry = found.unwrap_or_else(|| (id.to_owned(), CachedResults::default()));
        cache.push_front(entry.clone());
        cache.truncate(CACHED_RUNS);
        entry.1
    }

    async fn load(&self, id: &str) -> Result<Arc<Results>> {
        let missing = |what: &str| Error::Data(format!("job {id} has no {what}"));
        let report = self.manager.results().report(id).await?.ok_or_else(|| missing("report"))?;
        let findings = self.manager.table(id, FINDINGS).await?.ok_or_else(|| missing(FINDINGS))?;
        let findings = findings.whole().await?;
        let suppressed = self.manager.table(id, SUPPRESSED).await?.ok_or_else(|| missing(SUPPRESSED))?;
        let suppressed = suppressed.whole().await?;
        let read = move || -> Result<Arc<Results>> {
            let report = serde_json::from_str(&report)
                .map_err(|error| Error::Data(format!("the report can't be read: {error}")))?;
            let (findings, suppressed) = (findings_of_batches(&findings)?, findings_of_batches(&suppressed)?);
            Ok(Arc::new(Results::of_job(report, findings, suppressed)))
        };
        // Reading many findings takes a second, during which other requests are served.
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| Error::Internal("reading results stopped".into()))?
    }
}
