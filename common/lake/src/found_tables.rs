//! What a lake has of the requested tables.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::folders::OutsideLayout;
use super::delta::{TableVersions, open_logged};
use super::lake::LakeTable;
use super::roots::UnreachableRoot;
use super::table_format::UnsupportedTable;
use hindcast_base::Result;

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

/// The requested tables that exist.
#[derive(Debug, Default)]
pub struct FoundTables {
    /// Tables that can be read.
    pub readable: Vec<LakeTable>,
    /// Places in `readable` of tables whose logs were not read yet.
    pub(super) logged: BTreeSet<usize>,
    /// Tables of a format that Hindcast does not read.
    pub unsupported: Vec<UnsupportedTable>,
    /// Parquet files outside the layouts of tables: they are not read.
    pub stray_files: Vec<StrayFiles>,
    /// Optional roots that can't be reached.
    pub unreachable: Vec<UnreachableRoot>,
}

impl FoundTables {
    /// The tables, if all of them can be read. For the first that can't, `advice` ends the error message.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Invalid`] for a table of an unsupported format.
    pub fn all_readable(self, advice: impl FnOnce(&UnsupportedTable) -> String) -> Result<Vec<LakeTable>> {
        match self.unsupported.first() {
            None => Ok(self.readable),
            Some(table) => Err(table.refused(&advice(table))),
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
        let readable = open_logged(self.readable, &self.logged, versions).await?;
        Ok(Self { readable, logged: BTreeSet::new(), ..self })
    }

    /// Names the root to which everything belongs.
    pub(super) fn set_root(&mut self, name: &Arc<str>) {
        self.readable.iter_mut().for_each(|table| table.root = Some(Arc::clone(name)));
        self.stray_files.iter_mut().for_each(|files| files.root = Some(Arc::clone(name)));
    }

    /// Adds what another root has.
    pub(super) fn add(&mut self, more: Self) {
        self.logged.extend(more.logged.into_iter().map(|place| self.readable.len() + place));
        self.readable.extend(more.readable);
        self.unsupported.extend(more.unsupported);
        self.stray_files.extend(more.stray_files);
        self.unreachable.extend(more.unreachable);
    }
}
