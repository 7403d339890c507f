//! One Parquet file of a lake: what identifies its content, and what its table says about it.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use hindcast_base::time::Window;
use object_store::path::Path;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Values of partition columns, by their names in the lake; `None` is null.
pub type PartitionValues = BTreeMap<String, Option<String>>;

/// One Parquet file. Clones share its description: listings, plans and units hold the same files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LakeFile(Arc<FileDescription>);

/// What identifies the content of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDescription {
    /// Path below the store's root; absolute on the local disk, as from [`super::Location::name_of`].
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// The store's entity tag, if it has one.
    pub etag: Option<String>,
    /// Byte range of the row groups to read (a group belongs to the range that contains its start); all if absent.
    pub range: Option<(u64, u64)>,
    /// Values of the partition columns, by their names in the lake; `None` is null. The file itself may lack these columns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub partition: PartitionValues,
    /// The rows that a Delta table has deleted from the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<DeletionVector>,
    /// First and last time of its rows in microseconds, if statistics show them. Its content decides them, so no key of state has them.
    #[serde(skip)]
    pub times_us: Option<(i64, i64)>,
    /// When it was written, in milliseconds, if its table lists its files: units of such files are grouped by it. No key has it.
    #[serde(skip)]
    pub modified_ms: i64,
}

/// Where a Delta table stores the positions of a file's deleted rows. The fields are those of the Delta protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionVector {
    /// `u` for a file named by a UUID, `p` for one named by its path, `i` for inline.
    pub storage_type: String,
    /// The encoded UUID, the path, or the encoded vector.
    pub path_or_inline: String,
    /// Where the vector starts in its file.
    pub offset: Option<i32>,
    /// Its size in bytes.
    pub size_in_bytes: i32,
    /// Number of deleted rows.
    pub cardinality: i64,
}

impl Deref for LakeFile {
    type Target = FileDescription;

    fn deref(&self) -> &FileDescription {
        &self.0
    }
}

impl Serialize for LakeFile {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for LakeFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        FileDescription::deserialize(from).map(|file| Self(Arc::new(file)))
    }
}

impl LakeFile {
    /// A whole file without partition values or deleted rows.
    pub fn new(path: String, bytes: u64, etag: Option<String>) -> Self {
        Self(Arc::new(FileDescription { path, bytes, etag, ..FileDescription::default() }))
    }

    /// The file with another description. Other clones keep theirs.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut FileDescription)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Whether some of its rows may be in `window`.
    pub fn may_touch(&self, window: &Window) -> bool {
        self.times_us.is_none_or(|(first, last)| first < window.to_us && last >= window.from_us)
    }

    /// Whether all its rows are in `window`; none if statistics do not show it.
    pub fn is_within(&self, window: &Window) -> Option<bool> {
        self.times_us.map(|(first, last)| first >= window.from_us && last < window.to_us)
    }

    /// The path in the store's form.
    pub fn store_path(&self) -> Path {
        // Listed paths are already percent-encoded, and parsing does not change them.
        Path::parse(&self.path).unwrap_or_else(|_| self.path.as_str().into())
    }
}
