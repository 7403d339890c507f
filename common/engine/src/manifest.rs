//! Manifests: each describes a unit's state of one rollup, with a checksum and its own key, so that a damaged or misplaced
//! manifest is never used.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::by_name::ByName;
use super::weights::StoredWeights;
use hindcast_base::time::Window;
use hindcast_base::{Error, Result};
use hindcast_lake::StateFile;
use hindcast_lake::selection::SelectionStats;

/// Statistics of reading a unit's files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitStats {
    /// Rows in the window.
    pub rows: u64,
    /// Rows outside the window.
    pub rows_outside: u64,
    /// Rows without a readable time: they belong to no window.
    pub rows_without_time: u64,
    /// First time of the rows in the window, in microseconds.
    #[serde(deserialize_with = "Option::deserialize")]
    pub min_us: Option<i64>,
    /// Last time of the rows in the window, in microseconds.
    #[serde(deserialize_with = "Option::deserialize")]
    pub max_us: Option<i64>,
    /// Values that could not be read as their column's type, by column.
    pub unreadable: ByName<u64>,
    /// Rows by value of the columns by which suites choose rows. Rows without a value count for the empty text.
    #[serde(default, skip_serializing_if = "ByName::is_empty")]
    pub values: ByName<ByName<u64>>,
    /// How much was read to find an entity's rows, if only those are selected. All other counts are then of those rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<Box<SelectionStats>>,
}

impl UnitStats {
    /// Adds the statistics of other rows. Those of selected rows are not added.
    pub fn add(&mut self, more: &Self) {
        self.rows += more.rows;
        self.rows_outside += more.rows_outside;
        self.rows_without_time += more.rows_without_time;
        self.min_us = [self.min_us, more.min_us].into_iter().flatten().min();
        self.max_us = self.max_us.max(more.max_us);
        let sum = |own: &u64, more: &u64| own + more;
        self.unreadable = self.unreadable.with(&more.unreadable, sum);
        self.values = self.values.with(&more.values, |own, more| own.with(more, sum));
    }
}

/// The committed state of one rollup for one unit's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its key: `table/date=YYYY-MM-DD/rollup/hash`, followed by the window if it is stored for that window only.
    pub key: String,
    /// The rollup.
    pub rollup: String,
    /// Statistics of reading the files. Manifests of a unit share them while a scan holds them in memory.
    #[serde(with = "super::shared")]
    pub stats: Arc<UnitStats>,
    /// The state file; absent if no row matched.
    #[serde(deserialize_with = "Option::deserialize")]
    pub data: Option<StateData>,
    /// Rows of the state.
    pub state_rows: u64,
}

/// A state file, which lies next to its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateData {
    /// Hash of its tail, a part of its name.
    pub content: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Bytes of its tail.
    pub tail_bytes: u64,
    /// How its rows are spread over the buckets.
    #[serde(default, skip_serializing_if = "StoredWeights::is_empty")]
    pub weights: StoredWeights,
}

impl StateData {
    /// The file next to the manifest with `key`.
    pub(super) fn file(&self, key: &str) -> StateFile {
        let path = format!("{key}.{}.parquet", self.content);
        StateFile { path, bytes: self.bytes, tail_bytes: self.tail_bytes }
    }
}

impl Manifest {
    /// The state file; `None` if no row matched.
    pub fn file(&self) -> Option<StateFile> {
        self.data.as_ref().map(|data| data.file(&self.key))
    }

    /// Whether it is stored for one window only, because its files have other rows too.
    pub fn is_clipped(&self) -> bool {
        self.key.rsplit('/').next().is_some_and(|name| name.contains('-'))
    }

    /// Whether all its rows lie in `window`.
    pub(super) fn is_within(&self, window: &Window) -> bool {
        self.stats.min_us.is_none_or(|first| first >= window.from_us)
            && self.stats.max_us.is_none_or(|last| last < window.to_us)
    }

    /// Decodes the manifest that was read under `key`.
    ///
    /// # Errors
    /// The reason why it can't be used.
    pub(super) fn decode(bytes: &[u8], key: &str) -> Result<Self, String> {
        let manifest: Self = unsealed(bytes)?;
        if manifest.key != key {
            return Err(format!("it belongs to {}", manifest.key));
        }
        if key.split('/').nth_back(1) != Some(&manifest.rollup) {
            return Err(format!("it belongs to the rollup {}", manifest.rollup));
        }
        if manifest.data.is_some() != (manifest.state_rows > 0) {
            return Err("its number of rows and its data disagree".into());
        }
        Ok(manifest)
    }
}

/// JSON with its checksum.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<'a> {
    checksum: String,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// Encodes `value` as JSON with a checksum.
///
/// # Errors
/// [`Error::Internal`] if it can't be encoded as JSON.
pub fn sealed(value: &impl Serialize) -> Result<Vec<u8>> {
    let failed = |error: serde_json::Error| Error::Internal(error.to_string());
    let content = serde_json::value::to_raw_value(value).map_err(failed)?;
    let sealed = Sealed { checksum: checksum(content.get()), content: &content };
    serde_json::to_vec(&sealed).map_err(failed)
}

/// Decodes the value that [`sealed`] encoded.
///
/// # Errors
/// The reason, if any bit has changed or the fields differ.
pub fn unsealed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let Sealed { checksum: expected, content } =
        serde_json::from_slice(bytes).map_err(|error| format!("it can't be read: {error}"))?;
    if checksum(content.get()) != expected {
        return Err("its checksum differs".into());
    }
    serde_json::from_str(content.get()).map_err(|error| format!("it can't be read: {error}"))
}

fn checksum(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "CommonSecurityLog/date=2026-03-01/external_pairs/0123456789abcdef";

    fn manifest() -> Manifest {
        Manifest {
            key: KEY.into(),
            rollup: "external_pairs".into(),
            stats: Arc::new(UnitStats { rows: 7, min_us: Some(1), max_us: Some(2), ..UnitStats::default() }),
            data: Some(StateData {
                content: "00ff00ff00ff00ff".into(),
                bytes: 900,
                tail_bytes: 400,
                weights: StoredWeights::default(),
            }),
            state_rows: 3,
        }
    }

    #[test]
    fn any_flipped_bit_is_detected() {
        let bytes = sealed(&manifest()).unwrap();
        assert_eq!(Manifest::decode(&bytes, KEY).unwrap(), manifest());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&flipped, KEY).is_err(), "bit {bit}");
        }
        assert!((0..bytes.len()).all(|length| Manifest::decode(&bytes[..length], KEY).is_err()));
    }

    #[test]
    fn a_manifest_of_another_unit_or_rollup_is_refused() {
        let bytes = sealed(&manifest()).unwrap();
        let of_another_day = KEY.replace("2026-03-01", "2026-03-02");
        assert!(Manifest::decode(&bytes, &of_another_day).unwrap_err().contains("2026-03-01"));
        let of_another = Manifest { rollup: "internal_pairs".into(), ..manifest() };
        assert!(Manifest::decode(&sealed(&of_another).unwrap(), KEY).unwrap_err().contains("internal_pairs"));
        let without_data = Manifest { data: None, ..manifest() };
        assert!(Manifest::decode(&sealed(&without_data).unwrap(), KEY).unwrap_err().contains("disagree"));
    }

    #[test]
    fn missing_and_unknown_fields_are_refused() {
        let whole = serde_json::to_value(manifest()).unwrap();
        assert!(Manifest::decode(&sealed(&whole).unwrap(), KEY).is_ok());
        for name in ["key", "rollup", "stats", "data", "state_rows"] {
            let mut less = whole.clone();
            less.as_object_mut().unwrap().remove(name);
            assert!(Manifest::decode(&sealed(&less).unwrap(), KEY).unwrap_err().contains(name));
        }
        for name in ["rows", "rows_outside", "rows_without_time", "min_us", "max_us", "unreadable"] {
            let mut less = whole.clone();
            less["stats"].as_object_mut().unwrap().remove(name);
            assert!(Manifest::decode(&sealed(&less).unwrap(), KEY).unwrap_err().contains(name));
        }
        let mut more = whole.clone();
        more["note"] = "x".into();
        assert!(Manifest::decode(&sealed(&more).unwrap(), KEY).unwrap_err().contains("note"));
    }
}
