//! What a lake has of the requested tables.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::delta::{TableVersions, open_logged};
use super::folders::OutsideLayout;
use super::lake::LakeTable;
use super::roots::UnreachableRoot;
use super::table_format::UnsupportedTable;
use hindcast_base::{Error, Result};

/// Parquet files in a table's folder, but outside its layout.
#[derive(Debug, Clone)]
pub struct StrayFiles {
    /// The table.
    pub table: &'static str,
    /// Its root, if the lake has several.
    pub root: Option<Arc<str>>,
    /// The files, and the layout.
    pub outside: OutsideLayout,
}

/// A table whose log can't be read.
#[derive(Debug)]
pub struct UnreadLog {
    /// The table.
    pub table: &'static str,
    /// Why.
    pub error: Error,
}

/// The requested tables that exist.
#[derive(Debug, Default)]
pub struct FoundTables {
    /// Tables that can be read.
    pub readable: Vec<LakeTable>,
    /// Places in `readable` of tables whose logs were not read yet.
    pub(super) logged: BTreeSet<usize>,
    /// Tables of a format that Hindcast does not read.
    pub unsupported: Vec<UnsupportedTable>,
    /// Tables whose logs can't be read, in the chosen version or at all.
    pub unread: Vec<UnreadLog>,
    /// Parquet files outside the layouts of tables: they are not read.
    pub stray_files: Vec<StrayFiles>,
    /// Optional roots that can't be reached.
    pub unreachable: Vec<UnreachableRoot>,
}

impl FoundTables {
    /// The tables, if all of them can be read. For the name of the first that can't, `advice` ends the error message.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a table of an unsupported format, and the error of a log that can't be read.
    pub fn all_readable(self, advice: impl FnOnce(&str) -> String) -> Result<Vec<LakeTable>> {
        match (self.unsupported.first(), self.unread.first()) {
            (Some(table), _) => Err(table.refused(&advice(&table.name))),
            (None, Some(UnreadLog { table, error })) => {
                Err(Error::of_kind(error.kind(), format!("{error}{}", advice(table))))
            }
            (None, None) => Ok(self.readable),
        }
    }

    /// Adds a table whose log is still to be read.
    pub(super) fn add_logged(&mut self, table: LakeTable) {
        self.logged.insert(self.readable.len());
        self.readable.push(table);
    }

    /// Reads the logs of tables, in the versions that are chosen.
    ///
    /// # Errors
    /// As for [`super::Lake::tables`].
    pub(super) async fn open_logged(self, versions: &TableVersions) -> Result<Self> {
        let (readable, unread) = open_logged(self.readable, &self.logged, versions).await?;
        Ok(Self { readable, logged: BTreeSet::new(), unread, ..self })
    }

    /// Names the root to which everything belongs.
    pub(super) fn set_root(&mut self, name: &Arc<str>) {
        self.readable.iter_mut().for_each(|table| table.root = Some(Arc::clone(name)));
        self.stray_files.iter_mut().for_each(|files| files.root = Some(Arc::clone(name)));
    }

    /// Adds what another root has.
    pub(super) fn add(&mut self, more: Self) {
        let own = self.readable.len();
        self.logged.extend(more.logged.into_iter().map(|place| own + place));
        self.readable.extend(more.readable);
        self.unread.extend(more.unread);
        self.unsupported.extend(more.unsupported);
        self.stray_files.extend(more.stray_files);
        self.unreachable.extend(more.unreachable);
    }
}
