//! Stored rows of merges: what the analyses of a shard returned, under a key of all that they depend on. The same merge reads them
//! again, and a merge of other dates computes only the keys that have rows in a date that it does not share with the earlier one.
//!
//! Like all state they are a cache: if anything can't be read, the shard is merged as if there were no stored rows.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use super::manifest::{StateData, sealed, unsealed};
use super::state::{MANIFEST_ENDING, StateStore};
use super::write_state::encode_batch;
use hindcast_base::Result;
use hindcast_lake::StateFile;

/// Where the rows of a merge are stored, and those of an earlier merge that it can use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredResult {
    /// The key of its rows. The rows of each shard are below it.
    pub key: String,
    /// The text columns of state and of rows that identify what a row depends on: the state with the same values.
    pub per_key: Vec<String>,
    /// Rows of an earlier merge in the same shards.
    pub earlier: Option<EarlierResult>,
}

/// Rows of an earlier merge of the same analyses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierResult {
    /// The key of its rows.
    pub key: String,
    /// The state files that only one of both merges reads, by rollup.
    pub changed: BTreeMap<String, Vec<StateFile>>,
}

/// The rows of one analysis in a shard.
#[derive(Debug, Clone)]
pub(super) struct KeptRows {
    pub(super) rows: RecordBatch,
    /// Whether these are all rows, and not only the first ones in the analysis's order.
    pub(super) is_all: bool,
}

/// The manifest of a shard's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShardRows {
    /// Its key.
    key: String,
    /// The rows, by analysis.
    pub(super) analyses: BTreeMap<String, RowsData>,
}

/// Where the rows of an analysis are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowsData {
    /// The file; absent if there are no rows.
    #[serde(deserialize_with = "Option::deserialize")]
    data: Option<StateData>,
    pub(super) is_all: bool,
}

/// The key of a shard's rows.
pub(super) fn shard_key(key: &str, (from, to): (u16, u16)) -> String {
    format!("{key}/{from}-{to}")
}

impl ShardRows {
    /// The file with the rows of an analysis; `None` if there are none.
    pub(super) fn file(&self, analysis: &str) -> Option<StateFile> {
        let data = self.analyses.get(analysis)?.data.as_ref()?;
        Some(data.file(&format!("{}.{analysis}", self.key)))
    }

    fn decode(bytes: &[u8], key: &str) -> std::result::Result<Self, String> {
        let rows: Self = unsealed(bytes)?;
        if rows.key == key { Ok(rows) } else { Err(format!("it belongs to {}", rows.key)) }
    }
}

impl StateStore {
    /// The stored rows of the shard with `key`, if they can be used.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Storage`] if the store fails.
    pub(super) async fn find_rows(&self, key: &str) -> Result<Option<ShardRows>> {
        let file = format!("{key}{MANIFEST_ENDING}");
        let Some(bytes) = self.location().read(&file).await? else { return Ok(None) };
        let decoded = ShardRows::decode(&bytes, key);
        Ok(decoded.inspect_err(|reason| tracing::warn!(file, reason, "stored rows count as absent")).ok())
    }

    /// Stores the rows of a shard: the rows first, then the manifest.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Storage`] if the store fails.
    pub(super) async fn commit_rows(&self, key: &str, kept: &BTreeMap<String, KeptRows>) -> Result<()> {
        let mut analyses = BTreeMap::new();
        for (analysis, KeptRows { rows, is_all }) in kept {
            let data = match rows.num_rows() {
                0 => None,
                _ => Some(self.put_data(&format!("{key}.{analysis}"), encode_batch(rows)?).await?.1),
            };
            analyses.insert(analysis.clone(), RowsData { data, is_all: *is_all });
        }
        let json = sealed(&ShardRows { key: key.to_owned(), analyses })?;
        let path = self.location().child(&format!("{key}{MANIFEST_ENDING}"));
        if !self.location().put_if_absent(&path, json.clone()).await? && self.find_rows(key).await?.is_none()
        {
            self.location().put(&path, json).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};
    use hindcast_lake::Location;
    use object_store::memory::InMemory;

    use super::*;

    fn kept(rows: i64, is_all: bool) -> KeptRows {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        KeptRows { rows: RecordBatch::try_from_iter([("number", numbers)]).unwrap(), is_all }
    }

    #[tokio::test]
    async fn stored_rows_are_found_and_damaged_ones_are_replaced() {
        let location = Location::parse_with("s3://memory/state", |_| Ok(Arc::new(InMemory::new()))).unwrap();
        let store = StateStore::new(location);
        let key = shard_key("results/0123/4567", (0, 64));
        assert!(store.find_rows(&key).await.unwrap().is_none());
        let rows = BTreeMap::from([("one".to_owned(), kept(3, true)), ("none".to_owned(), kept(0, false))]);
        store.commit_rows(&key, &rows).await.unwrap();
        let found = store.find_rows(&key).await.unwrap().unwrap();
        assert!(found.file("one").unwrap().path.starts_with("results/0123/4567/0-64.one."));
        assert!(
            found.file("none").is_none() && found.analyses["one"].is_all && !found.analyses["none"].is_all
        );
        let path = store.location().child(&format!("{key}.json"));
        store.location().put(&path, b"{}".to_vec()).await.unwrap();
        assert!(store.find_rows(&key).await.unwrap().is_none());
        store.commit_rows(&key, &rows).await.unwrap();
        assert_eq!(store.find_rows(&key).await.unwrap().unwrap(), found);
        let json = sealed(&found).unwrap();
        assert!(ShardRows::decode(&json, "results/0123/4567/64-128").is_err());
    }
}
