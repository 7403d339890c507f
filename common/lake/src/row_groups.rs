//! Finds the row groups of a file that can contain a value, by the dictionaries of its columns.
//!
//! If all data pages of a column chunk refer to its dictionary page, the chunk has only the values of that page. So a small read
//! shows that a row group contains no such value, in any case and form. Statistics can't show that.

use std::io::Cursor;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, RowGroupAccess};
use parquet::basic::Type;
use parquet::column::page::{Page, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use super::lake::LakeTable;
use super::lake_file::LakeFile;
use super::store_reader::{catch_decoder_panic, only_dictionary_pages, open_file, parquet_error};
use hindcast_base::Error;
use hindcast_base::catch_panic::catch_panic_sync;
use hindcast_schema::columns::{ColumnSource, FileColumns, Found, MappedValues, leaf_of};

/// Reading a larger dictionary in addition to its column is not worthwhile.
const MAX_DICTIONARY_BYTES: u64 = 8 << 20;

/// The row groups of a file, and whether each is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowGroups {
    /// By index in the file: stored bytes, and whether it is to be read; `None` if it belongs to another range of the file.
    groups: Vec<Option<(u64, bool)>>,
}

/// A dictionary page, which shows whether its row group can contain a value.
struct Dictionary<'a> {
    group: usize,
    /// Index among the requested columns.
    column: usize,
    chunk: &'a ColumnChunkMetaData,
    range: Range<u64>,
}

impl RowGroups {
    /// Number and bytes of all row groups, and of those to be read.
    pub fn counts(&self) -> [(u64, u64); 2] {
        let sum = |is_counted: fn(bool) -> bool| {
            let counted = self.groups.iter().flatten().filter(|(_, is_read)| is_counted(*is_read));
            counted.fold((0, 0), |(count, bytes), (more, _)| (count + 1, bytes + more))
        };
        [sum(|_| true), sum(|is_read| is_read)]
    }

    /// Whether the group of that index is to be read.
    pub(super) fn is_read(&self, index: usize) -> bool {
        matches!(self.groups.get(index), Some(Some((_, true))))
    }

    /// All groups of the file's range, or those to be read of `groups`, without those that `is_wanted` leaves out.
    pub(super) fn limited(
        groups: Option<&Self>,
        file: &LakeFile,
        metadata: &ParquetMetaData,
        is_wanted: &[bool],
    ) -> Self {
        let limited = metadata.row_groups().iter().enumerate().map(|(index, group)| {
            let is_of_range = file.range.is_none_or(|range| is_in_range(group, range));
            let is_read = groups.is_none_or(|groups| groups.is_read(index))
                && is_wanted.get(index).copied().unwrap_or(true);
            is_of_range.then(|| (group.compressed_size().unsigned_abs(), is_read))
        });
        Self { groups: limited.collect() }
    }

    /// The access plan for DataFusion.
    pub(super) fn access_plan(&self) -> ParquetAccessPlan {
        let access = |group: &Option<(u64, bool)>| match group {
            Some((_, true)) => RowGroupAccess::Scan,
            _ => RowGroupAccess::Skip,
        };
        ParquetAccessPlan::new(self.groups.iter().map(access).collect())
    }
}

/// The row groups of `file` that can contain, in any of `columns`, a value for which `may_hold` is true.
///
/// # Errors
/// [`Error::Input`] if the file is not a complete Parquet file, [`Error::Storage`] if the store fails.
pub async fn row_groups_that_may_hold(
    table: &LakeTable,
    file: &LakeFile,
    columns: &[&str],
    may_hold: impl Fn(&str, &str) -> bool,
) -> Result<RowGroups, Error> {
    catch_decoder_panic(file, groups_of(table, file, columns, may_hold)).await
}

async fn groups_of(
    table: &LakeTable,
    file: &LakeFile,
    columns: &[&str],
    may_hold: impl Fn(&str, &str) -> bool,
) -> Result<RowGroups, Error> {
    let (metadata, file_columns) = {
        let builder = open_file(table, file).await?;
        (Arc::clone(builder.metadata()), table.columns_in(builder.schema(), file))
    };
    let leaves: Vec<Leaf> = columns
        .iter()
        .map(|column| Leaf::of(&metadata, &file_columns, table.mapping.source(column)))
        .collect();
    let is_wanted = |column: usize, value: &str| may_hold(columns[column], leaves[column].read_as(value));
    let mut groups = Vec::new();
    let mut dictionaries = Vec::new();
    for (index, group) in metadata.row_groups().iter().enumerate() {
        let is_of_range = file.range.is_none_or(|range| is_in_range(group, range));
        let values: Vec<ChunkValues<'_>> = leaves.iter().map(|leaf| leaf.values_in(group)).collect();
        let must_read = values.iter().enumerate().any(|(column, values)| match values {
            ChunkValues::Unknown => true,
            ChunkValues::Only(value) => is_wanted(column, value),
            ChunkValues::AllNull | ChunkValues::InDictionary(..) => false,
        });
        groups.push(is_of_range.then(|| (group.compressed_size().unsigned_abs(), must_read)));
        if must_read || !is_of_range {
            continue;
        }
        for (column, values) in values.into_iter().enumerate() {
            if let ChunkValues::InDictionary(chunk, range) = values {
                dictionaries.push(Dictionary { group: index, column, chunk, range });
            }
        }
    }
    let ranges: Vec<Range<u64>> = dictionaries.iter().map(|dictionary| dictionary.range.clone()).collect();
    let path = file.store_path();
    let pages = table.location.store().get_ranges(&path, &ranges).await;
    let pages = pages.map_err(|error| parquet_error(file, &ParquetError::External(Box::new(error))))?;
    for (dictionary, page) in dictionaries.iter().zip(pages) {
        let Some(Some((_, is_read))) = groups.get_mut(dictionary.group) else { continue };
        if !*is_read {
            let column = dictionary.column;
            // If a page can't be decoded, its row group is read, and that reports the fault.
            let found = catch_panic_sync(|| dictionary.any_value(page, |value| is_wanted(column, value)));
            *is_read = !matches!(found, Ok(Ok(false)));
        }
    }
    Ok(RowGroups { groups })
}

/// Whether a row group belongs to a range of its file, by the rule of the engine.
fn is_in_range(group: &RowGroupMetaData, (start, end): (u64, u64)) -> bool {
    let first = group.column(0);
    let offset = first.dictionary_page_offset().unwrap_or_else(|| first.data_page_offset()).unsigned_abs();
    offset >= start && offset < end
}

/// The part of a file that stores a column of the table.
enum Leaf {
    /// The file lacks it.
    Absent,
    /// All rows have this value.
    Constant(String),
    /// A column of text.
    Text(usize),
    /// A column of text whose values are replaced by others.
    Mapped(usize, Box<MappedValues>),
    /// Another type, whose dictionaries are not examined, or computed values.
    Other,
}

/// The values of a column in a row group, as far as the footer shows them.
enum ChunkValues<'a> {
    /// All its values are null.
    AllNull,
    /// All rows have this value.
    Only(&'a str),
    /// Its values are those of the dictionary in this range.
    InDictionary(&'a ColumnChunkMetaData, Range<u64>),
    /// It may contain any value.
    Unknown,
}

impl Leaf {
    fn of(metadata: &ParquetMetaData, columns: &FileColumns, source: ColumnSource) -> Self {
        let (path, mapped) = match source {
            ColumnSource::Path(path) => (path, None),
            ColumnSource::Mapped(mapped) => (mapped.column.clone(), Some(Box::new(mapped))),
            ColumnSource::Value(value) => return Leaf::Constant(value),
            ColumnSource::Sql(_) => return Leaf::Other,
        };
        let place = match columns.find(&path) {
            Ok(Found::Stored(place)) => place,
            Ok(Found::Partition(Some(value))) => {
                return Leaf::Constant(
                    mapped.map_or(value.clone(), |mapped| mapped.replaced(&value).to_owned()),
                );
            }
            Ok(Found::Partition(None) | Found::Absent) => return Leaf::Absent,
            // Reading the column reports it.
            Err(_) => return Leaf::Other,
        };
        let leaves = metadata.file_metadata().schema_descr();
        let text = leaf_of(&place, leaves);
        match (text.filter(|leaf| leaves.column(*leaf).physical_type() == Type::BYTE_ARRAY), mapped) {
            (Some(leaf), None) => Leaf::Text(leaf),
            (Some(leaf), Some(mapped)) => Leaf::Mapped(leaf, mapped),
            (None, _) => Leaf::Other,
        }
    }

    /// The value as which a stored one is read.
    fn read_as<'a>(&'a self, stored: &'a str) -> &'a str {
        match self {
            Leaf::Mapped(_, mapped) => mapped.replaced(stored),
            _ => stored,
        }
    }

    fn values_in<'a>(&'a self, group: &'a RowGroupMetaData) -> ChunkValues<'a> {
        let chunk = match self {
            Leaf::Absent => return ChunkValues::AllNull,
            Leaf::Constant(value) => return ChunkValues::Only(value),
            Leaf::Other => return ChunkValues::Unknown,
            Leaf::Text(leaf) | Leaf::Mapped(leaf, _) => group.column(*leaf),
        };
        let nulls = chunk.statistics().and_then(|statistics| statistics.null_count_opt());
        if nulls.is_some_and(|nulls| nulls == chunk.num_values().unsigned_abs()) {
            return ChunkValues::AllNull;
        }
        let first_data = chunk.data_page_offset().unsigned_abs();
        match chunk.dictionary_page_offset().map(i64::unsigned_abs) {
            Some(start)
                if start > 0
                    && start < first_data
                    && first_data - start <= MAX_DICTIONARY_BYTES
                    && only_dictionary_pages(chunk) =>
            {
                ChunkValues::InDictionary(chunk, start..first_data)
            }
            _ => ChunkValues::Unknown,
        }
    }
}

impl Dictionary<'_> {
    /// Whether `test` is true for any value of the dictionary in `bytes`.
    fn any_value(&self, bytes: Bytes, test: impl Fn(&str) -> bool) -> Result<bool, ParquetError> {
        let part = Arc::new(FilePart { start: self.range.start, bytes });
        let mut pages = SerializedPageReader::new(part, self.chunk, 0, None)?;
        let Some(Page::DictionaryPage { buf, num_values, .. }) = pages.get_next_page()? else {
            return Err(ParquetError::General("a column chunk does not start with its dictionary".into()));
        };
        let mut values = buf;
        for _ in 0..num_values {
            let cut_short = || ParquetError::EOF("a dictionary is cut short".into());
            let length = values.try_get_u32_le().map_err(|_| cut_short())? as usize;
            if values.remaining() < length {
                return Err(cut_short());
            }
            let value = values.split_to(length);
            // A value that is not text can't be tested.
            let text = std::str::from_utf8(&value).map_err(|error| ParquetError::External(error.into()))?;
            if test(text) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Bytes of a file from `start` on, addressed by their offsets in the file.
struct FilePart {
    start: u64,
    bytes: Bytes,
}

impl Length for FilePart {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for FilePart {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.get_bytes(start, self.len().saturating_sub(start) as usize).map(Cursor::new)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let from = start.checked_sub(self.start).map(|from| from as usize);
        let part = from.filter(|from| from.saturating_add(length) <= self.bytes.len());
        let from =
            part.ok_or_else(|| ParquetError::EOF("outside of the part of the file that was read".into()))?;
        Ok(self.bytes.slice(from..from + length))
    }
}
