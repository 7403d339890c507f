//! Levels: the state of a rollup for whole dates, combined, so that merges read few files instead of those of every unit. Like all
//! state they are a cache: any of them may be deleted.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::combine_stage::LevelFile;
use super::manifest::{StateData, sealed, unsealed};
use super::stage::StateFault;
use super::state::{MANIFEST_ENDING, StateStore};
use super::state_key::{hash_of, state_version};
use super::weights::StoredWeights;
use super::write_state::EncodedState;
use hindcast_base::Result;
use hindcast_detections::rollups::Rollup;
use hindcast_functions::BUCKETS;

/// The folder of levels below that of state.
pub const LEVELS: &str = "levels";
/// Version of their format.
const LEVEL_FORMAT: u32 = 1;

/// The key of the level of `days` dates from `first` on that combines these state files. It depends on their contents, which are part
/// of their names, and not on the levels from which it is made.
///
/// # Errors
/// [`hindcast_base::Error::Internal`] if the parts can't be encoded as JSON.
pub fn level_key(
    rollup: &Rollup,
    table: &str,
    first: NaiveDate,
    days: u32,
    mut sources: Vec<&str>,
) -> Result<String> {
    sources.sort_unstable();
    let hash = hash_of(&(LEVEL_FORMAT, state_version(rollup), sources))?;
    Ok(format!("{LEVELS}/{table}/{}/{first}-{days}d/{hash}", rollup.id))
}

/// The manifest of a level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Its key.
    pub key: String,
    /// Its parts, in the order of their buckets. They have all buckets.
    pub parts: Vec<LevelPart>,
    /// How its rows are spread over the buckets.
    #[serde(default, skip_serializing_if = "StoredWeights::is_empty")]
    pub weights: StoredWeights,
}

/// The rows of a level in some buckets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelPart {
    /// Its buckets `[from, to)`.
    pub buckets: (u16, u16),
    /// The state file; absent if there are no rows.
    #[serde(deserialize_with = "Option::deserialize")]
    pub data: Option<StateData>,
    /// Its rows.
    pub rows: u64,
}

impl Level {
    /// The files of its parts.
    pub fn files(&self) -> impl Iterator<Item = LevelFile> {
        self.parts.iter().filter_map(|part| {
            let data = part.data.as_ref()?;
            Some(LevelFile { buckets: part.buckets, file: data.file(&part_key(&self.key, part.buckets)) })
        })
    }

    /// Bytes of its files.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().filter_map(|part| part.data.as_ref()).map(|data| data.bytes).sum()
    }

    /// Rows of its files.
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    /// Whether `file` is one of its files, or its manifest.
    pub fn has_file(&self, file: &str) -> bool {
        file.strip_prefix(&self.key).is_some_and(|rest| rest.starts_with('.'))
    }

    /// Decodes the manifest that was read under `key`.
    ///
    /// # Errors
    /// The reason why it can't be used.
    fn decode(bytes: &[u8], key: &str) -> Result<Self, String> {
        let level: Self = unsealed(bytes)?;
        if level.key != key {
            return Err(format!("it belongs to {}", level.key));
        }
        let mut end = 0;
        for part in &level.parts {
            let (from, to) = part.buckets;
            if from != end || to <= from {
                return Err(format!("its parts do not follow each other at bucket {from}"));
            }
            if part.data.is_some() != (part.rows > 0) {
                return Err("the number of rows and the data of a part disagree".into());
            }
            end = to;
        }
        if end == BUCKETS { Ok(level) } else { Err("it lacks buckets".into()) }
    }
}

fn part_key(key: &str, (from, to): (u16, u16)) -> String {
    format!("{key}.{from}-{to}")
}

impl StateStore {
    /// The level under `key`, or its fault; `None` if there is none.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Storage`] if the store fails.
    pub async fn find_level(&self, key: &str) -> Result<Option<Result<Level, StateFault>>> {
        let file = format!("{key}{MANIFEST_ENDING}");
        let Some(bytes) = self.location().read(&file).await? else { return Ok(None) };
        let decoded = Level::decode(&bytes, key).map_err(|reason| {
            tracing::warn!(file, reason, "a level has changed since it was written: it counts as absent");
            StateFault { file, reason: format!("the manifest has changed since it was written: {reason}") }
        });
        Ok(Some(decoded))
    }

    /// Commits a level whose parts are stored: only the first of several attempts puts its manifest. One that is damaged or can't be read
    /// is replaced.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Storage`] if the store fails.
    pub async fn commit_level(&self, level: Level) -> Result<Level> {
        let json = sealed(&level)?;
        let path = self.location().child(&format!("{}{MANIFEST_ENDING}", level.key));
        if self.location().put_if_absent(&path, json.clone()).await? {
            return Ok(level);
        }
        // Another attempt was first. Its level is equal, because it has the same sources.
        if let Ok(Some(Ok(committed))) = self.find_level(&level.key).await {
            return Ok(committed);
        }
        self.location().put(&path, json).await?;
        Ok(level)
    }

    /// Puts the state of some buckets as a part of the level with `key`.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Storage`] if the store fails.
    pub(super) async fn put_part(
        &self,
        key: &str,
        buckets: (u16, u16),
        state: EncodedState,
    ) -> Result<LevelPart> {
        let rows = state.rows;
        let data = match rows {
            0 => None,
            _ => Some(self.put_data(&part_key(key, buckets), state).await?.1),
        };
        Ok(LevelPart { buckets, data, rows })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hindcast_detections::Detections;
    use hindcast_lake::Location;
    use object_store::memory::InMemory;

    use super::*;

    const KEY: &str = "levels/CommonSecurityLog/external_pairs/2026-01-05-7d/0123456789abcdef";

    fn level() -> Level {
        let data = |content: &str| StateData {
            content: content.into(),
            bytes: 900,
            tail_bytes: 400,
            weights: StoredWeights::default(),
        };
        let part = |from, to, data: Option<StateData>| LevelPart {
            buckets: (from, to),
            rows: if data.is_some() { 3 } else { 0 },
            data,
        };
        let parts = vec![
            part(0, 1_024, Some(data("00ff00ff00ff00ff"))),
            part(1_024, 2_048, None),
            part(2_048, BUCKETS, Some(data("11ff00ff00ff00ff"))),
        ];
        Level { key: KEY.into(), parts, weights: StoredWeights::default() }
    }

    fn store() -> StateStore {
        StateStore::new(Location::parse_with("s3://memory/state", |_| Ok(Arc::new(InMemory::new()))).unwrap())
    }

    #[test]
    fn any_flipped_bit_and_any_missing_part_is_detected() {
        let bytes = sealed(&level()).unwrap();
        assert_eq!(Level::decode(&bytes, KEY).unwrap(), level());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Level::decode(&flipped, KEY).is_err(), "bit {bit}");
        }
        assert!(Level::decode(&bytes, "levels/other").is_err());
        for place in 0..3 {
            let mut without = level();
            without.parts.remove(place);
            assert!(Level::decode(&sealed(&without).unwrap(), KEY).is_err(), "without part {place}");
        }
    }

    #[test]
    fn a_key_depends_on_the_files_and_not_on_their_order() {
        let rollup = Detections::built_in().rollup("external_pairs").unwrap();
        let first = "2026-01-05".parse().unwrap();
        let key = |days, sources: &[&str]| {
            level_key(rollup, "CommonSecurityLog", first, days, sources.to_vec()).unwrap()
        };
        assert_eq!(key(7, &["a", "b"]), key(7, &["b", "a"]));
        assert_ne!(key(7, &["a", "b"]), key(7, &["a", "c"]));
        assert_ne!(key(7, &["a", "b"]), key(1, &["a", "b"]));
        assert!(key(7, &["a"]).starts_with("levels/CommonSecurityLog/external_pairs/2026-01-05-7d/"));
    }

    #[tokio::test]
    async fn the_first_commit_stays_and_a_damaged_one_is_replaced() {
        let store = store();
        assert!(store.find_level(KEY).await.unwrap().is_none());
        assert_eq!(store.commit_level(level()).await.unwrap(), level());
        let mut second = level();
        second.parts[0].rows = 4;
        assert_eq!(store.commit_level(second.clone()).await.unwrap(), level());
        let path = store.location().child(&format!("{KEY}.json"));
        store.location().put(&path, b"{}".to_vec()).await.unwrap();
        assert!(store.find_level(KEY).await.unwrap().unwrap().is_err());
        assert_eq!(store.commit_level(second.clone()).await.unwrap(), second);
        store.forget(KEY).await.unwrap();
        assert!(store.find_level(KEY).await.unwrap().is_none());
    }

    #[test]
    fn files_are_those_of_its_parts() {
        let files: Vec<LevelFile> = level().files().collect();
        assert_eq!(files[0].file.path, format!("{KEY}.0-1024.00ff00ff00ff00ff.parquet"));
        assert_eq!(
            (files.len(), files[1].buckets, level().bytes(), level().rows()),
            (2, (2_048, BUCKETS), 1_800, 6)
        );
        assert!(level().has_file(&files[1].file.path) && level().has_file(&format!("{KEY}.json")));
        assert!(!level().has_file("levels/other.json") && !level().has_file(&format!("{KEY}0.json")));
    }
}
