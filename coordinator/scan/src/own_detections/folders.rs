//! Folders of detections, on a local disk or in an object store: which ones a configuration names, and the files they hold.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use hindcast_base::retry::with_retries;
use hindcast_base::{Error, Result};
use hindcast_lake::Location;
use object_store::path::Path;
use toml::de::{DeTable, DeValue};
use url::Url;

use super::files::{MAX_FILE_BYTES, MAX_FILES, OwnFiles};

/// The configuration key that names folders of detections.
const KEY: &str = "detections";
/// Folders of rollups and tables.
const SHARED: [&str; 2] = ["rollups", TABLES];
/// The folder of tables.
const TABLES: &str = "tables";
/// The file that every detection's folder has.
const DETECTION_FILE: &str = "detection.toml";
/// Endings of ignored files: notes, and files that editors leave behind.
const IGNORED_ENDINGS: [&str; 7] = [".md", "~", ".bak", ".orig", ".swp", ".swo", ".tmp"];
/// Time limit for listing a folder or reading one of its files.
const LONGEST_READ: Duration = Duration::from_secs(30);

/// The folders that a configuration names under `detections`, and its text without that key, with unchanged line numbers. A text
/// that is not TOML is returned unchanged; its reader reports the error.
///
/// # Errors
/// [`Error::Invalid`] with file and line if the key is not a list of strings.
pub fn take_folders(name: &str, text: &str) -> Result<(Vec<String>, String)> {
    let Ok(table) = DeTable::parse(text) else { return Ok((Vec::new(), text.to_owned())) };
    let Some((key, value)) = table.get_ref().iter().find(|(key, _)| key.get_ref() == KEY) else {
        return Ok((Vec::new(), text.to_owned()));
    };
    let line = 1 + text[..key.span().start].matches('\n').count();
    let wrong = || Error::in_file(name, line, format!("{KEY} is a list of folders or URLs"));
    let DeValue::Array(list) = value.get_ref() else { return Err(wrong()) };
    let folders = list.iter().map(|folder| folder.get_ref().as_str().map(str::to_owned).ok_or_else(wrong));
    let folders = folders.collect::<Result<Vec<_>>>()?;
    let taken = key.span().start..value.span().end;
    // Later errors keep their line numbers.
    let breaks: String = text[taken.clone()].chars().filter(|c| *c == '\n').collect();
    Ok((folders, format!("{}{breaks}{}", &text[..taken.start], &text[taken.end..])))
}

/// Whether a folder named in a file is an absolute place, not one below that file.
pub fn is_elsewhere(folder: &str) -> bool {
    // A one-letter scheme is a drive, not a store.
    folder.starts_with('/') || Url::parse(folder).is_ok_and(|url| url.scheme().len() > 1)
}

/// The files of `folders`. Each holds folders of detections with `rollups` and `tables` next to them, is the folder of one detection,
/// or is named `rollups` or `tables` and holds nothing else. Hidden files, editors' backups and Markdown are ignored.
///
/// # Errors
/// [`Error::Invalid`] naming a folder without a detection or table, or a file that belongs to neither; [`Error::Storage`] if a store
/// fails.
pub async fn read_folders(folders: &[Location]) -> Result<OwnFiles> {
    let mut files = OwnFiles::default();
    for folder in folders {
        for path in listed(folder).await? {
            let place = folder.name_of(&folder.child(&path));
            let bytes = folder.read_bounded(&path, MAX_FILE_BYTES, LONGEST_READ).await?;
            // It was deleted after the listing.
            let Some(bytes) = bytes else { continue };
            let text = String::from_utf8(bytes.to_vec())
                .map_err(|_| Error::of_file(&place, "it is not UTF-8 text"))?;
            files.add(&path_of(folder, &path), text, &place)?;
        }
    }
    Ok(files)
}

/// A file's path for the loader: in the folder of one detection its id is added.
fn path_of(folder: &Location, path: &str) -> String {
    match (path.contains('/'), folder.prefix().parts().next_back()) {
        (false, Some(id)) => format!("{}/{path}", id.as_ref()),
        _ => path.to_owned(),
    }
}

/// Sorted paths of the files below the folder.
async fn listed(folder: &Location) -> Result<Vec<String>> {
    let listing = with_retries(|| async {
        let mut paths = Vec::new();
        let mut objects = folder.store().list(Some(folder.prefix())).boxed();
        let failed = |error| Error::listing(folder.url())(error);
        while let Some(object) = objects.try_next().await.map_err(failed)? {
            paths.extend(below(folder, &object.location));
            if paths.len() > MAX_FILES {
                let url = folder.url();
                return Err(Error::Invalid(format!("{url} holds more than {MAX_FILES} files of detections")));
            }
        }
        paths.sort();
        Ok(paths)
    });
    let paths = tokio::time::timeout(LONGEST_READ, listing).await.unwrap_or_else(|_| {
        let url = folder.url();
        Err(Error::Invalid(format!("{url} could not be listed within {} s", LONGEST_READ.as_secs())))
    })?;
    let is_useful = |path: &String| {
        path.rsplit('/').next() == Some(DETECTION_FILE) || path.split('/').next() == Some(TABLES)
    };
    let is_shared = !paths.is_empty()
        && folder.prefix().parts().next_back().is_some_and(|name| SHARED.contains(&name.as_ref()));
    if !is_shared && !paths.iter().any(is_useful) {
        return Err(Error::Invalid(format!(
            "{} holds no detection: a folder of detections holds <id>/{DETECTION_FILE}, or {TABLES}/<Name>.toml",
            folder.url()
        )));
    }
    let is_one = is_shared || paths.iter().any(|path| path == DETECTION_FILE);
    match paths.iter().find(|path| path.contains('/') == is_one) {
        Some(stray) if is_one => Err(Error::of_file(
            folder.name_of(&folder.child(stray)),
            format!("the file does not belong to the folder {}", folder.url()),
        )),
        Some(stray) => {
            Err(Error::of_file(folder.name_of(&folder.child(stray)), "the file is in no detection's folder"))
        }
        None => Ok(paths),
    }
}

/// The path of a file below the folder; none for ignored files: hidden files and folders, backups, and notes.
fn below(folder: &Location, path: &Path) -> Option<String> {
    let parts: Vec<String> =
        path.prefix_match(folder.prefix())?.map(|part| part.as_ref().to_owned()).collect();
    let is_hidden = parts.iter().any(|part| part.starts_with('.'));
    let is_ignored = |name: &String| IGNORED_ENDINGS.iter().any(|ending| name.ends_with(ending));
    let is_note = parts.last().is_none_or(is_ignored);
    (!is_hidden && !is_note).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::ObjectStore;
    use object_store::memory::InMemory;

    use super::*;

    fn write(folder: &std::path::Path, path: &str, text: &str) {
        let file = folder.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    async fn read(folder: &std::path::Path) -> Result<String> {
        read_folders(&[Location::parse(&folder.display().to_string())?]).await?.to_request()
    }

    #[test]
    fn the_key_is_taken_out_and_lines_stay() {
        let text = "[a]\nb = 1\n";
        assert_eq!(take_folders("x", text).unwrap(), (vec![], text.to_owned()));
        let text = "# lake\ndetections = [\n  'own',\n  \"s3://b/d\",\n] # ours\n[a]\nb = 1\n";
        let (folders, rest) = take_folders("x", text).unwrap();
        assert_eq!(folders, ["own", "s3://b/d"]);
        assert_eq!(rest, "# lake\n\n\n\n # ours\n[a]\nb = 1\n");
        for text in ["a = 1\ndetections = 'own'", "\ndetections = [1]"] {
            let error = take_folders("mine.toml", text).unwrap_err().to_string();
            assert!(error.contains("mine.toml, line 2"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_folder_holds_detections_and_rollups_or_is_one() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        assert!(read(folder).await.unwrap_err().to_string().contains("holds no detection"));
        write(folder, "mine/detection.toml", "a");
        write(folder, "mine/query.sql", "b");
        write(folder, "rollups/pairs.toml", "c");
        write(folder, ".git/config", "no");
        write(folder, "README.md", "no");
        for name in [".DS_Store", "detection.toml.bak", "query.sql~", ".query.sql.swp", "cases.toml.orig"] {
            write(folder, &format!("mine/{name}"), "no");
        }
        let all = read(folder).await.unwrap();
        assert_eq!(all, r#"{"mine/detection.toml":"a","mine/query.sql":"b","rollups/pairs.toml":"c"}"#);
        let one = read(&folder.join("mine")).await.unwrap();
        assert_eq!(one, r#"{"mine/detection.toml":"a","mine/query.sql":"b"}"#);
        assert_eq!(read(&folder.join("rollups")).await.unwrap(), r#"{"rollups/pairs.toml":"c"}"#);
        write(folder, "query.sql", "stray");
        let error = read(folder).await.unwrap_err().to_string();
        assert!(error.contains("/query.sql: the file is in no detection's folder"), "{error}");
    }

    #[tokio::test]
    async fn a_folder_may_hold_only_tables() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        write(folder, "tables/Proxy_CL.toml", "a");
        write(folder, "tables/README.md", "no");
        let expected = r#"{"tables/Proxy_CL.toml":"a"}"#;
        assert_eq!(read(folder).await.unwrap(), expected);
        assert_eq!(read(&folder.join("tables")).await.unwrap(), expected);
        write(folder, "tables/old/Proxy_CL.toml", "a");
        let error = read(&folder.join("tables")).await.unwrap_err().to_string();
        assert!(error.contains("old/Proxy_CL.toml: the file does not belong to the folder"), "{error}");
    }

    #[tokio::test]
    async fn a_folder_may_lie_in_an_object_store() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let folder = Location::parse_with("s3://memory/soc/own", |_| Ok(Arc::clone(&store))).unwrap();
        for (path, text) in [("mine/detection.toml", "a"), ("rollups/pairs.toml", "b")] {
            folder.put(&folder.child(path), text.into()).await.unwrap();
        }
        let one = folder.join("mine");
        let all = read_folders(&[folder]).await.unwrap().to_request().unwrap();
        assert_eq!(all, r#"{"mine/detection.toml":"a","rollups/pairs.toml":"b"}"#);
        let one = read_folders(&[one]).await.unwrap().to_request().unwrap();
        assert_eq!(one, r#"{"mine/detection.toml":"a"}"#);
    }

    #[tokio::test]
    async fn files_that_cannot_be_text_of_a_detection_are_named() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        write(folder, "mine/detection.toml", "a");
        std::fs::write(folder.join("mine/query.sql"), [0xff, 0xfe]).unwrap();
        let error = read(folder).await.unwrap_err().to_string();
        assert!(error.contains("mine/query.sql: it is not UTF-8 text"), "{error}");
        std::fs::File::create(folder.join("mine/query.sql")).unwrap().set_len(2 << 20).unwrap();
        let error = read(folder).await.unwrap_err().to_string();
        assert!(error.contains("mine/query.sql is longer than"), "{error}");
    }
}
