//! Where the runs come from that pages show: one result folder, or the jobs of a coordinator.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use hindcast_common::{Error, Result};
use tokio::sync::OnceCell;

use super::frame::Problem;
use crate::jobs::{FINDINGS, JobManager, SUPPRESSED, has_results};
use crate::output::findings_of_batches;
use crate::results::Results;

/// Runs whose results are kept in memory, the last looked at.
const KEPT_RUNS: usize = 4;

/// The runs of a site.
pub(crate) enum Runs {
    Folder(Folder),
    Jobs(JobRuns),
}

/// One run, and one to compare it with where it was named.
pub(crate) struct Folder {
    pub(super) name: String,
    pub(super) results: Arc<Results>,
    pub(super) earlier: Option<(String, Arc<Results>)>,
}

impl Folder {
    /// Reads the result folder `out`, and `earlier` where it is named.
    ///
    /// # Errors
    /// [`Error::Config`] where a folder holds no result of a scan.
    pub(crate) fn open(out: &Path, earlier: Option<&Path>) -> Result<Self> {
        let read = |folder: &Path| -> Result<(String, Arc<Results>)> {
            Ok((folder.display().to_string(), Arc::new(Results::open(folder)?)))
        };
        let (name, results) = read(out)?;
        Ok(Self { name, results, earlier: earlier.map(read).transpose()? })
    }
}

type Kept = Arc<OnceCell<Arc<Results>>>;

/// The jobs of a coordinator.
pub(crate) struct JobRuns {
    pub(super) manager: Arc<JobManager>,
    /// URLs of lakes that jobs may name.
    pub(super) lakes: Vec<String>,
    /// By job, the last looked at first.
    kept: Mutex<VecDeque<(String, Kept)>>,
}

impl JobRuns {
    pub(crate) fn new(manager: Arc<JobManager>, lakes: Vec<String>) -> Self {
        Self { manager, lakes, kept: Mutex::default() }
    }

    /// The results of a job that has some.
    pub(super) async fn results(&self, id: &str) -> Result<Arc<Results>, Problem> {
        let Some(job) = self.manager.snapshot(id) else {
            return Err(Problem::not_found("there is no such job"));
        };
        if !has_results(&job) {
            return Err(Problem::not_found("this job has no results"));
        }
        let kept = self.kept(id);
        let results = kept.get_or_try_init(|| self.load(id)).await;
        Ok(Arc::clone(results.map_err(Problem::from)?))
    }

    fn kept(&self, id: &str) -> Kept {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(known, _)| known == id).and_then(|index| kept.remove(index));
        let entry = found.unwrap_or_else(|| (id.to_owned(), Kept::default()));
        kept.push_front(entry.clone());
        kept.truncate(KEPT_RUNS);
        entry.1
    }

    async fn load(&self, id: &str) -> Result<Arc<Results>> {
        let missing = |what: &str| Error::Internal(format!("job {id} has left no {what}"));
        let report = self.manager.results().report(id).await?.ok_or_else(|| missing("report"))?;
        let findings = self.manager.table(id, FINDINGS).await?.ok_or_else(|| missing(FINDINGS))?;
        let findings = findings.whole().await?;
        let suppressed = self.manager.table(id, SUPPRESSED).await?.ok_or_else(|| missing(SUPPRESSED))?;
        let suppressed = suppressed.whole().await?;
        let read = move || -> Result<Arc<Results>> {
            let report = serde_json::from_str(&report)
                .map_err(|error| Error::Internal(format!("the report can't be read: {error}")))?;
            let (findings, suppressed) = (findings_of_batches(&findings)?, findings_of_batches(&suppressed)?);
            Ok(Arc::new(Results::of_job(report, findings, suppressed)))
        };
        // Many findings take a second: others are served meanwhile.
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| Error::Internal("reading results stopped".into()))?
    }
}
