//! State of units as a scan holds it in memory: what its manifests say, without texts that others have too. A scan of months has
//! hundreds of thousands of units, each with the state of several rollups.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::manifest::{Manifest, StateData, UnitStats};
use super::weights::StoredWeights;
use hindcast_lake::StateFile;

/// The folders of state, each held once: `table/date=YYYY-MM-DD/rollup`.
#[derive(Debug, Default)]
pub struct StateFolders(Mutex<HashSet<Arc<str>>>);

impl StateFolders {
    fn shared(&self, folder: &str) -> Arc<str> {
        let mut folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = folders.get(folder) {
            return Arc::clone(known);
        }
        let new: Arc<str> = folder.into();
        folders.insert(Arc::clone(&new));
        new
    }
}

/// The state of one rollup for a unit.
#[derive(Debug, Clone)]
pub struct KnownState {
    folder: Arc<str>,
    name: Name,
    /// The state file; absent if no row matched.
    file: Option<FileSize>,
    /// Rows of the state.
    pub rows: u64,
    /// Statistics of reading the files.
    pub stats: Arc<UnitStats>,
}

/// The size of a state file.
#[derive(Debug, Clone)]
struct FileSize {
    bytes: u64,
    tail_bytes: u64,
    weights: StoredWeights,
}

/// The name of state in its folder, and the hash of its content after a dot.
#[derive(Debug, Clone)]
enum Name {
    /// Two hashes, whose texts have 32 and 16 digits.
    Hashes([u8; 16], [u8; 8]),
    /// Any other name: that of state of one window, or without rows.
    Text(Box<str>),
}

impl Name {
    fn of(name: &str, content: Option<&str>) -> Self {
        let Some(content) = content else { return Self::Text(name.into()) };
        match (bytes_of(name), bytes_of(content)) {
            (Some(name), Some(content)) => Self::Hashes(name, content),
            _ => Self::Text(format!("{name}.{content}").into()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Hashes(name, content) => {
                format!("{:032x}.{:016x}", u128::from_be_bytes(*name), u64::from_be_bytes(*content))
            }
            Self::Text(text) => text.to_string(),
        }
    }
}

/// The bytes of so many hexadecimal digits as hashes have.
fn bytes_of<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != 2 * N || !digits.bytes().all(is_digit) {
        return None;
    }
    let mut bytes = [0; N];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

impl KnownState {
    /// The state that a manifest describes.
    pub fn of(manifest: Manifest, folders: &StateFolders) -> Self {
        let Manifest { key, data, state_rows: rows, stats, .. } = manifest;
        let (folder, name) = key.rsplit_once('/').unwrap_or(("", &key));
        Self {
            folder: folders.shared(folder),
            name: Name::of(name, data.as_ref().map(|data| data.content.as_str())),
            file: data.map(|StateData { bytes, tail_bytes, weights, .. }| FileSize {
                bytes,
                tail_bytes,
                weights,
            }),
            rows,
            stats,
        }
    }

    /// The manifest that describes the state.
    pub fn manifest(&self) -> Manifest {
        let key = self.key();
        let content = self.path().map(|path| path[key.len() + 1..].trim_end_matches(".parquet").to_owned());
        let data =
            content.zip(self.file.clone()).map(|(content, FileSize { bytes, tail_bytes, weights })| {
                StateData { content, bytes, tail_bytes, weights }
            });
        let rollup = self.rollup().to_owned();
        Manifest { key, rollup, stats: Arc::clone(&self.stats), data, state_rows: self.rows }
    }

    /// The rollup.
    pub fn rollup(&self) -> &str {
        self.folder.rsplit('/').next().unwrap_or_default()
    }

    /// The key of its manifest.
    pub fn key(&self) -> String {
        let name = self.name.text();
        let name = match &self.file {
            Some(_) => name.rsplit_once('.').map_or(name.as_str(), |(name, _)| name),
            None => &name,
        };
        format!("{}/{name}", self.folder)
    }

    /// The path of the state file; `None` if no row matched.
    fn path(&self) -> Option<String> {
        self.file.as_ref().map(|_| format!("{}/{}.parquet", self.folder, self.name.text()))
    }

    /// The state file; `None` if no row matched.
    pub fn file(&self) -> Option<StateFile> {
        let FileSize { bytes, tail_bytes, .. } = *self.file.as_ref()?;
        Some(StateFile { path: self.path()?, bytes, tail_bytes })
    }

    /// Whether it has a state file.
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Whether its state file has this path.
    pub fn is_at(&self, path: &str) -> bool {
        path.strip_prefix(&*self.folder).is_some_and(|rest| rest.starts_with('/'))
            && self.path().is_some_and(|own| own == path)
    }

    /// How its rows are spread over the buckets; `None` if no row matched.
    pub fn weights(&self) -> Option<&StoredWeights> {
        self.file.as_ref().map(|file| &file.weights)
    }

    /// Whether it is stored for one window only, because its files have other rows too.
    pub fn is_clipped(&self) -> bool {
        matches!(&self.name, Name::Text(name) if name.contains('-'))
    }
}

/// Which state there is, in little memory, whatever its order. Names are hashes, so that other state has another sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fingerprint {
    count: u64,
    sum: u128,
}

impl Fingerprint {
    /// Adds state.
    pub fn add(&mut self, state: &KnownState) {
        self.count += 1;
        let own = match &state.name {
            Name::Hashes(name, content) => {
                u128::from_be_bytes(*name).wrapping_add(u128::from(u64::from_be_bytes(*content)) << 64)
            }
            Name::Text(text) => {
                let [hash, _] = *blake3::hash(text.as_bytes()).as_bytes().as_chunks::<16>().0 else { return };
                u128::from_be_bytes(hash)
            }
        };
        self.sum = self.sum.wrapping_add(own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0f23456789abcdef0123456789abcdef";

    fn manifest(name: &str, content: Option<&str>) -> Manifest {
        let data = content.map(|content| StateData {
            content: content.into(),
            bytes: 900,
            tail_bytes: 400,
            weights: StoredWeights::default(),
        });
        Manifest {
            key: format!("CommonSecurityLog/date=2026-03-01/external_pairs/{name}"),
            rollup: "external_pairs".into(),
            stats: Arc::new(UnitStats { rows: 7, ..UnitStats::default() }),
            state_rows: if data.is_some() { 3 } else { 0 },
            data,
        }
    }

    #[test]
    fn known_state_says_what_its_manifest_says() {
        let folders = StateFolders::default();
        let clipped = format!("{HASH}-0-100");
        for name in [HASH, clipped.as_str(), "any", &HASH.to_uppercase()] {
            for content in [Some("00ff00ff00ff00ff"), Some("00ff"), None] {
                let manifest = manifest(name, content);
                let known = KnownState::of(manifest.clone(), &folders);
                assert_eq!((known.manifest(), known.key()), (manifest.clone(), manifest.key.clone()));
                assert_eq!((known.rollup(), known.file()), ("external_pairs", manifest.file()));
                assert_eq!(known.is_clipped(), manifest.is_clipped());
                assert_eq!(known.weights().is_some(), known.has_file());
                assert!(manifest.file().is_none_or(|file| known.is_at(&file.path)) && !known.is_at("any"));
            }
        }
        assert_eq!(folders.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_fingerprint_depends_on_names_and_contents_and_not_on_their_order() {
        let of = |names: &[(&str, &str)]| {
            let mut all = Fingerprint::default();
            for (name, content) in names {
                all.add(&KnownState::of(manifest(name, Some(content)), &StateFolders::default()));
            }
            all
        };
        let (one, other) = ("00ff00ff00ff00ff", "00ff00ff00ff00fe");
        assert_eq!(of(&[(HASH, one), ("any", other)]), of(&[("any", other), (HASH, one)]));
        assert_ne!(of(&[(HASH, one)]), of(&[(HASH, other)]));
        assert_ne!(of(&[(HASH, one)]), of(&[(HASH, one), (HASH, one)]));
        assert_ne!(of(&[("any", one)]), of(&[("any", other)]));
    }

    #[test]
    fn known_state_is_small() {
        assert!(size_of::<KnownState>() <= 112, "{}", size_of::<KnownState>());
    }
}
