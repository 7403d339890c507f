//! Commits an import's files in one change, and records the hash of each imported content.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Seek};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use hindcast_base::retry::with_retries;
use hindcast_base::{Error, Result};
use hindcast_lake::Location;
use hindcast_lake::changes::{self, Change, Made, View};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, ObjectStoreExt};
use tokio::io::{AsyncWriteExt, BufReader};

use super::report::FileReport;
use super::runs::Staged;
use super::watch;
use hindcast_records::inputs::Input;
use hindcast_records::rejects::RejectFile;

/// Folder of the markers of imported contents, named CONTENT/TABLE/CHANGE.
const IMPORTED: &str = "_hindcast/imports";
/// Folder of the files with rejected records.
const REJECTS: &str = "_hindcast/rejects";
/// Takes the place of the table in the marker of a watched file without rows.
const NO_TABLE: &str = "-";
/// Contents whose markers are listed one by one. For more than these, all markers are.
const LISTED_CONTENTS: usize = 64;
/// Markers put at the same time.
const CONCURRENT_MARKERS: usize = 16;
/// Files uploaded at the same time.
const CONCURRENT_PUTS: usize = 4;
/// How long to wait for an earlier import of the same content before it counts as dead.
const OTHER_IMPORT_WAIT: Duration = Duration::from_secs(3);
/// Bytes per read of what is uploaded in parts.
const READ_BYTES: usize = 1 << 20;
/// Largest file that is uploaded in one piece.
const PIECE_BYTES: u64 = 8 << 20;

/// The contents of inputs, as markers name them.
pub(super) fn contents(inputs: &[(Input, Result<()>)]) -> Vec<&str> {
    let contents = inputs.iter().flat_map(|(input, _)| input.zip_content.iter().chain([&input.content]));
    contents.map(String::as_str).filter(|content| !content.is_empty()).collect()
}

/// Those of `contents` that were imported into `table`, or into any table if it is `None`; maybe with others.
///
/// # Errors
/// [`Error::Storage`] if the store fails.
pub(super) async fn imported(
    lake: &Location,
    table: Option<&str>,
    contents: &[&str],
) -> Result<HashSet<String>> {
    loop {
        let mut view = View::of_lake(lake).await?;
        let markers = match contents.len() > LISTED_CONTENTS {
            true => markers(lake, "").await?,
            false => {
                let listed = contents.iter().map(|content| markers(lake, content));
                futures::future::try_join_all(listed).await?.concat()
            }
        };
        if !view.still_holds(None).await? {
            continue;
        }
        let is_seen = |marker: &&Marker| {
            view.shows_change(&marker.change)
                && table.is_none_or(|table| table == marker.table)
                && !watch::is_marker(&marker.content)
        };
        return Ok(markers.iter().filter(is_seen).map(|marker| marker.content.clone()).collect());
    }
}

/// Removes the markers of `table`, which is being deleted. Returns how many files they stood for.
///
/// # Errors
/// [`Error::Storage`] if the store fails.
pub async fn forget(lake: &Location, table: &str) -> Result<usize> {
    let mut forgotten = markers(lake, "").await?;
    forgotten.retain(|marker| marker.table == table);
    for marker in &forgotten {
        let deleted = lake.store().delete(&marker.path).await;
        deleted.map_err(Error::deleting(&marker.path))?;
    }
    Ok(forgotten.iter().filter(|marker| !watch::is_marker(&marker.content)).count())
}

/// The marker that a content was imported into a table.
#[derive(Clone)]
pub(super) struct Marker {
    path: Path,
    pub(super) content: String,
    pub(super) table: String,
    pub(super) change: String,
}

impl Marker {
    fn of(object: ObjectMeta, root: &Path) -> Option<Self> {
        let parts: Vec<String> =
            object.location.prefix_match(root)?.map(|part| part.as_ref().to_owned()).collect();
        let [content, table, change] = <[String; 3]>::try_from(parts).ok()?;
        Some(Self { path: object.location, content, table, change })
    }
}

async fn markers(lake: &Location, content: &str) -> Result<Vec<Marker>> {
    let folder = lake.child(&format!("{IMPORTED}/{content}"));
    let objects = lake.list(&folder).await?;
    let root = lake.child(IMPORTED);
    Ok(objects.into_iter().filter_map(|object| Marker::of(object, &root)).collect())
}

/// Calls `visit` for all markers of a lake, of which there may be too many to hold at once.
///
/// # Errors
/// [`Error::Storage`] if the store fails.
pub(super) async fn each_marker(lake: &Location, mut visit: impl FnMut(Marker)) -> Result<()> {
    let root = lake.child(IMPORTED);
    let mut objects = lake.store().list(Some(&root));
    while let Some(object) = objects.try_next().await.map_err(Error::listing(lake.name_of(&root)))? {
        Marker::of(object, &root).into_iter().for_each(&mut visit);
    }
    Ok(())
}

/// The markers that the change `id` adds for a file.
fn markers_of(lake: &Location, id: &str, input: &Input, file: &FileReport) -> Vec<Path> {
    if file.failure.is_some() {
        return Vec::new();
    }
    let place = |name: &str, table: &str| lake.child(&format!("{IMPORTED}/{name}/{table}/{id}"));
    let contents = file.rows.keys().map(|table| place(&input.content, table));
    let watched =
        input.watched.and_then(|watched| watch::marker_of(&watched)).map(|name| match file.rows.is_empty() {
            true => vec![place(&name, NO_TABLE)],
            false => file.rows.keys().map(|table| place(&name, table)).collect(),
        });
    contents.chain(watched.into_iter().flatten()).collect()
}

/// Commits files, rejects and markers in one change. Returns the URL of the rejects, if there are any.
///
/// # Errors
/// [`Error::Storage`] if the store fails, [`Error::Conflict`] if another process imports one of the files. Readers then see nothing of
/// this import.
pub(super) async fn publish(
    lake: &Location,
    id: &str,
    staged: &[Staged],
    rejects: RejectFile,
    inputs: &[Input],
    files: &[FileReport],
) -> Result<Option<String>> {
    let targets: Vec<Path> = staged
        .iter()
        .enumerate()
        .map(|(number, file)| {
            lake.child(&format!("{}/date={}/{id}-{number:04}.parquet", file.table, file.date))
        })
        .collect();
    let markers: Vec<Path> =
        inputs.iter().zip(files).flat_map(|(input, file)| markers_of(lake, id, input, file)).collect();
    let reject_path = lake.child(&format!("{REJECTS}/{id}.jsonl"));
    let reject_file = rejects.finish()?;
    let rejected = reject_file.as_ref().map(|_| &reject_path);
    let adds = targets.iter().chain(&markers).chain(rejected);
    let change = Change::of(lake, id, adds, [])?;
    let put = async {
        put_files(lake, staged, &targets).await?;
        if let Some(file) = &reject_file {
            put_in_parts(lake, &reject_path, file).await?;
        }
        let puts = markers.iter().map(|marker| lake.put(marker, Vec::new()));
        let puts: Vec<_> = puts.collect();
        let put: Vec<Result<()>> =
            futures::stream::iter(puts).buffer_unordered(CONCURRENT_MARKERS).collect().await;
        put.into_iter().collect::<Result<()>>()?;
        check_no_other_import(lake, id, inputs, files).await.map(Some)
    };
    match changes::make(lake, &change, put).await? {
        Made::Done(()) => {
            let url = format!("{}/{REJECTS}/{id}.jsonl", lake.url().trim_end_matches('/'));
            Ok(reject_file.is_some().then_some(url))
        }
        Made::Lost(_) => Err(Error::Conflict(format!(
            "another process took the import of {} back, as it had not ended for hours or brings the same: nothing of it is in the \
             lake; run it again",
            inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// Uploads the files: small ones at the same time, and large ones one after the other. Returns an error only when no upload is
/// running any more.
async fn put_files(lake: &Location, staged: &[Staged], targets: &[Path]) -> Result<()> {
    let (small, large): (Vec<_>, Vec<_>) =
        staged.iter().zip(targets).partition(|(file, _)| file.bytes <= PIECE_BYTES);
    let puts = small.into_iter().map(|(file, target)| async move {
        let bytes = fs::read(&file.path).map_err(Error::io(format!("reading {}", file.path.display())))?;
        lake.put(target, bytes).await
    });
    let put: Vec<Result<()>> = futures::stream::iter(puts).buffer_unordered(CONCURRENT_PUTS).collect().await;
    put.into_iter().collect::<Result<()>>()?;
    for (file, target) in large {
        let content =
            File::open(&file.path).map_err(Error::io(format!("opening {}", file.path.display())))?;
        put_in_parts(lake, target, &content).await?;
    }
    Ok(())
}

/// Uploads a file in parts, so that it need not fit in memory.
async fn put_in_parts(lake: &Location, path: &Path, file: &File) -> Result<()> {
    let failed = |error: io::Error| match error.downcast::<StoreError>() {
        Ok(failure) => Error::writing(&path)(failure),
        Err(error) => Error::io(format!("writing {path}"))(error),
    };
    with_retries(|| async {
        let reading = || Error::io(format!("reading what becomes {path}"));
        let mut source = file.try_clone().map_err(reading())?;
        source.rewind().map_err(reading())?;
        let mut source = BufReader::with_capacity(READ_BYTES, tokio::fs::File::from_std(source));
        let mut target =
            BufWriter::new(Arc::clone(lake.store()), path.clone()).with_max_concurrency(CONCURRENT_PUTS);
        if let Err(error) = tokio::io::copy_buf(&mut source, &mut target).await {
            // Uploaded parts are not visible. A failure to delete them is only logged.
            if let Err(left) = target.abort().await {
                tracing::warn!(%path, error = %left, "parts of an upload are left in the store");
            }
            return Err(failed(error));
        }
        target.shutdown().await.map_err(failed)
    })
    .await
}

/// Checks that no other change imports the same content into the same table. Of two running imports, one is rolled back.
async fn check_no_other_import(
    lake: &Location,
    id: &str,
    inputs: &[Input],
    files: &[FileReport],
) -> Result<()> {
    let mut undone = HashSet::new();
    for (input, file) in inputs.iter().zip(files) {
        for marker in markers(lake, &input.content).await? {
            let is_other = marker.change != id && file.rows.contains_key(&marker.table);
            if !is_other || undone.contains(&marker.change) {
                continue;
            }
            if !changes::prevails(lake, id, &marker.change, OTHER_IMPORT_WAIT).await? {
                return Err(Error::Conflict(format!(
                    "{} was imported by another process meanwhile",
                    input.name
                )));
            }
            undone.insert(marker.change);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn contents_are_remembered_by_table_until_they_are_forgotten() {
        let lake = Location::parse_with("s3://memory/lake", |_| Ok(Arc::new(InMemory::new()))).unwrap();
        let change = "import-019a0000-0000-7000-8000-000000000001";
        let watched = format!("watched-{0:032x}-5-{0:032x}/Own", 7);
        for marker in ["c1/AuditLogs", "c1/Own", "c2/Own", &watched] {
            lake.put(&lake.child(&format!("{IMPORTED}/{marker}/{change}")), Vec::new()).await.unwrap();
        }
        // Not a marker.
        lake.put(&lake.child(&format!("{IMPORTED}/c3/Own")), Vec::new()).await.unwrap();
        let contents = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<HashSet<_>>();
        let all = ["c1", "c2", "c3"];
        assert_eq!(imported(&lake, None, &all).await.unwrap(), contents(&["c1", "c2"]));
        assert_eq!(imported(&lake, None, &["c2"]).await.unwrap(), contents(&["c2"]));
        assert_eq!(
            imported(&lake, None, &["c1"; LISTED_CONTENTS + 1]).await.unwrap(),
            contents(&["c1", "c2"])
        );
        assert_eq!(imported(&lake, Some("AuditLogs"), &all).await.unwrap(), contents(&["c1"]));
        assert_eq!(forget(&lake, "Own").await.unwrap(), 2);
        assert_eq!(forget(&lake, "Own").await.unwrap(), 0);
        assert_eq!(imported(&lake, None, &all).await.unwrap(), contents(&["c1"]));
    }
}
