//! The job store: objects below the state, each written once, from which a coordinator that starts recovers all jobs.
//!
//! `jobs/<id>/submitted.pb` is the job as it was accepted, `ended.pb` the job as it ended; `report.json` and
//! `tables/<name>.arrow` are its results. A job without `ended.pb` continues. Configurations that are too long for a request
//! are in `configs/`, named by their hash.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use hindcast_base::storage_fault::{StorageFault, StorageOperation};
use hindcast_base::{Error, Result};
use hindcast_lake::Location;
use hindcast_proto::v1::{Job, JobState, ScanRequest};
use object_store::buffered::BufWriter;
use object_store::{ObjectStoreExt, PutPayload};
use prost::Message;
use tokio::io::AsyncWriteExt;

use super::stored::StoredTable;
use super::without_config;

/// Objects read at once when a coordinator starts.
const CONCURRENT_READS: usize = 32;

/// Jobs below a state location.
#[derive(Debug, Clone)]
pub(super) struct JobStore {
    root: Location,
    configs: Location,
}

impl JobStore {
    pub(super) fn new(state: &Location) -> Self {
        Self { root: state.join("jobs"), configs: state.join("configs") }
    }

    /// The folder of a job.
    pub(super) fn folder(&self, id: &str) -> Location {
        self.root.join(id)
    }

    /// All jobs in their last stored version, oldest first, because ids begin with a time. A job that can't be read gets the
    /// state `UNREADABLE`, so that the others can continue.
    pub(super) async fn all(&self) -> Result<BTreeMap<String, Job>> {
        let listed = self.root.store().list_with_delimiter(Some(self.root.prefix())).await;
        let listed = listed.map_err(Error::listing(self.root.url()))?;
        let ids: Vec<String> = listed
            .common_prefixes
            .iter()
            .filter_map(|path| Some(path.parts().next_back()?.as_ref().to_owned()))
            .collect();
        let jobs: Vec<Option<(String, Job)>> = stream::iter(ids)
            .map(|id| async move {
                let job = match self.read(&id).await {
                    Ok(job) => job?,
                    Err(error) => self.unreadable(&id, &error).await,
                };
                Some((id, job))
            })
            .buffered(CONCURRENT_READS)
            .collect()
            .await;
        Ok(jobs.into_iter().flatten().collect())
    }

    /// What is known about a job whose objects can't be read. Its work is not started, because it may have ended.
    async fn unreadable(&self, id: &str, error: &Error) -> Job {
        tracing::error!(job = id, %error, "a job can't be read: it is listed as unreadable and does not run");
        let submitted = self.stored_job(id, "submitted.pb").await.ok().flatten().map(without_config);
        Job {
            id: id.to_owned(),
            state: JobState::Unreadable.into(),
            error: format!("{error}; restore or remove this object and restart the coordinator"),
            ..submitted.unwrap_or_default()
        }
    }

    /// A job in its last stored version, without the text of its configuration.
    pub(super) async fn read(&self, id: &str) -> Result<Option<Job>> {
        for name in ["ended.pb", "submitted.pb"] {
            if let Some(job) = self.stored_job(id, name).await? {
                return Ok(Some(without_config(job)));
            }
        }
        Ok(None)
    }

    /// The request of a job, with its configuration.
    pub(super) async fn request(&self, id: &str) -> Result<ScanRequest> {
        let job = self.stored_job(id, "submitted.pb").await?;
        let scan = job
            .and_then(|job| job.scan)
            .ok_or_else(|| Error::Data(format!("the request of job {id} was deleted from the state")))?;
        self.with_config(scan).await
    }

    /// A request with the texts of the configuration and of the detections that it references by a hash.
    ///
    /// # Errors
    /// [`Error::NotFound`] if no text with this hash is stored.
    pub(super) async fn with_config(&self, mut scan: ScanRequest) -> Result<ScanRequest> {
        self.fill(&mut scan.config, &scan.config_hash, "configuration").await?;
        self.fill(&mut scan.detections, &scan.detections_hash, "text of detections").await?;
        Ok(scan)
    }

    /// Replaces a hash, if one is given, by the stored text.
    async fn fill(&self, text: &mut String, hash: &str, what: &str) -> Result<()> {
        if hash.is_empty() {
            return Ok(());
        }
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let stored = if is_hash { self.configs.read(&config_file(hash)).await? } else { None };
        let stored = stored.filter(|text| blake3::hash(text).to_hex().as_str() == hash);
        match stored.and_then(|text| String::from_utf8(text.to_vec()).ok()) {
            Some(stored) if text.is_empty() => *text = stored,
            Some(_) => return Err(Error::Invalid(format!("give a {what} or its hash, not both"))),
            None => return Err(Error::NotFound(format!("no {what} with the hash {hash:?} is stored here"))),
        }
        Ok(())
    }

    /// Stores the text of a configuration and returns its hash.
    pub(super) async fn store_config(&self, text: Vec<u8>) -> Result<String> {
        if std::str::from_utf8(&text).is_err() {
            return Err(Error::Invalid("the configuration is not UTF-8 text".into()));
        }
        let hash = blake3::hash(&text).to_hex().to_string();
        self.configs.put(&self.configs.child(&config_file(&hash)), text).await?;
        Ok(hash)
    }

    async fn stored_job(&self, id: &str, name: &str) -> Result<Option<Job>> {
        let path = format!("{id}/{name}");
        let Some(bytes) = self.root.read(&path).await? else { return Ok(None) };
        let place = self.root.name_of(&self.root.child(&path));
        match Job::decode(bytes) {
            Ok(job) if job.id == id => Ok(Some(job)),
            Ok(_) => Err(Error::Data(format!("{place} belongs to another job"))),
            Err(error) => Err(Error::Data(format!("{place} is not a valid job: {error}"))),
        }
    }

    /// Stores an accepted job. Returns false if there is a job with its id.
    pub(super) async fn submit(&self, job: &Job) -> Result<bool> {
        self.create(&format!("{}/submitted.pb", job.id), job.encode_to_vec()).await
    }

    /// Stores the end of a job. Returns the job as it ended: an end that was stored before wins.
    pub(super) async fn end(&self, job: &Job) -> Result<Job> {
        let path = format!("{}/ended.pb", job.id);
        if self.create(&path, job.encode_to_vec()).await? {
            return Ok(job.clone());
        }
        let earlier = self.stored_job(&job.id, "ended.pb").await?;
        earlier.map(without_config).ok_or_else(|| Error::Data(format!("{path} can't be read")))
    }

    async fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool> {
        self.root.put_if_absent(&self.root.child(name), bytes).await
    }

    /// Writes a result object, replacing one of the same name.
    pub(super) async fn put(&self, id: &str, name: String, bytes: Vec<u8>) -> Result<()> {
        let path = self.root.child(&format!("{id}/{name}"));
        let put = self.root.store().put(&path, PutPayload::from(bytes)).await;
        put.map(drop).map_err(Error::writing(&path))
    }

    /// Writes a result object part by part, replacing one of the same name.
    pub(super) async fn put_parts(
        &self,
        id: &str,
        name: &str,
        parts: impl Iterator<Item = Result<Bytes>> + Send,
    ) -> Result<()> {
        let path = self.root.child(&format!("{id}/{name}"));
        let unwritten = |error: std::io::Error| {
            let fault = StorageFault::temporary(StorageOperation::Writing, &path, error);
            Error::Storage(fault)
        };
        let mut target = BufWriter::new(Arc::clone(self.root.store()), path.clone());
        for part in parts {
            target.put(part?).await.map_err(|error| unwritten(error.into()))?;
        }
        target.shutdown().await.map_err(unwritten)
    }

    /// Writes a result table as an Arrow IPC stream, part by part. There is at least one batch, and all have the same schema.
    pub(super) async fn put_table(
        &self,
        id: &str,
        name: &str,
        mut batches: impl Iterator<Item = Result<RecordBatch>> + Send,
    ) -> Result<()> {
        let failed = |error: arrow::error::ArrowError| Error::Engine(error.into());
        let first = batches.next();
        let first = first.ok_or_else(|| Error::Internal("a result table has no record batch".into()))??;
        let mut writer = StreamWriter::try_new(Vec::new(), first.schema_ref()).map_err(failed)?;
        let mut batches = std::iter::once(Ok(first)).chain(batches);
        let mut is_open = true;
        let parts = std::iter::from_fn(move || {
            let mut write = |batch: Option<Result<RecordBatch>>| {
                match batch {
                    Some(batch) => writer.write(&batch?).map_err(failed)?,
                    None => writer.finish().map_err(failed)?,
                }
                Ok(Bytes::from(std::mem::take(writer.get_mut())))
            };
            let batch = batches.next();
            is_open.then(|| {
                is_open = batch.is_some();
                write(batch)
            })
        });
        self.put_parts(id, &format!("tables/{name}.arrow"), parts).await
    }

    pub(super) async fn get(&self, id: &str, name: &str) -> Result<Option<Bytes>> {
        self.root.read(&format!("{id}/{name}")).await
    }

    pub(super) async fn table(&self, id: &str, name: &str) -> Result<Option<StoredTable>> {
        StoredTable::open(&self.root, self.root.child(&format!("{id}/tables/{name}.arrow"))).await
    }

    /// Names of the stored result tables.
    pub(super) async fn tables(&self, id: &str) -> Result<Vec<String>> {
        let folder = self.root.child(&format!("{id}/tables"));
        let found = self.root.list(&folder).await?;
        let mut names: Vec<String> = found
            .iter()
            .filter_map(|object| Some(object.location.filename()?.strip_suffix(".arrow")?.to_owned()))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Removes all objects below `name` in the folder of a job.
    pub(super) async fn remove(&self, id: &str, name: &str) -> Result<()> {
        let folder = self.root.child(&format!("{id}/{name}"));
        let store = self.root.store();
        let paths = store.list(Some(&folder)).map_ok(|object| object.location).boxed();
        let removed = store.delete_stream(paths).try_collect::<Vec<_>>().await;
        removed.map(drop).map_err(Error::deleting(&folder))
    }
}

fn config_file(hash: &str) -> String {
    format!("{hash}.toml")
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
