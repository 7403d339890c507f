//! Names of the objects of changes, and the check of what a change may name.

use chrono::NaiveDate;
use object_store::path::Path;

use super::super::location::Location;
use super::Change;

/// Folder of Hindcast's records of imports: `_hindcast/imports/CONTENT/TABLE/ID` and `_hindcast/rejects/ID.jsonl`.
const OWN: &str = "_hindcast";

/// Whether `text` is the id of a change: lower-case letters, `-`, and a UUID.
pub(super) fn is_id(text: &str) -> bool {
    let Some((kind, uuid)) = text.split_once('-') else { return false };
    let fits = |(place, byte): (usize, u8)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    !kind.is_empty()
        && kind.bytes().all(|byte| byte.is_ascii_lowercase())
        && uuid.len() == 36
        && uuid.bytes().enumerate().all(fits)
}

/// The change that wrote a data file, from the file's name; `None` if no change wrote it.
pub(super) fn change_of(name: &str) -> Option<&str> {
    let (id, number) = name.strip_suffix(".parquet")?.rsplit_once('-')?;
    (number.len() >= 4 && number.bytes().all(|byte| byte.is_ascii_digit()) && is_id(id)).then_some(id)
}

/// The date folder `TABLE/date=DATE` of a path below a lake; `None` if it lies in none.
pub(super) fn date_folder(path: &str) -> Option<&str> {
    let mut parts = path.split('/');
    let (table, date) = (parts.next()?, parts.next()?);
    let is_table = !table.is_empty() && !table.starts_with(['_', '.']);
    let is_date = date.strip_prefix("date=").is_some_and(|date| date.parse::<NaiveDate>().is_ok());
    let has_name = parts.next().is_some_and(|part| !part.is_empty());
    (is_table && is_date && has_name).then(|| &path[..table.len() + 1 + date.len()])
}

/// Whether the change `id` can have added the object at `path` below its lake.
fn could_add(id: &str, path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        [OWN, "imports", content, table, name] => !content.is_empty() && !table.is_empty() && name == id,
        [OWN, "rejects", name] => name.strip_suffix(".jsonl") == Some(id),
        [_, _, .., name] => date_folder(path).is_some() && change_of(name) == Some(id),
        _ => false,
    }
}

/// The part of a list, found in `lake` under `id`, that counts: what a change with that id can have made itself.
pub(super) fn trusted(lake: &Location, id: &str, list: Change) -> Change {
    if list.id != id {
        return Change { id: id.to_owned(), ..Change::default() };
    }
    // Earlier versions wrote paths relative to the store's root.
    let prefix = format!("{}/", lake.prefix());
    let below = |path: String| path.strip_prefix(&prefix).map_or_else(|| path.clone(), str::to_owned);
    let is_sane = |path: &String| absolute(lake, path).is_some();
    let adds: Vec<String> =
        list.adds.into_iter().map(below).filter(|path| could_add(id, path) && is_sane(path)).collect();
    let is_in_added_folder = |path: &String| {
        let folder = date_folder(path);
        folder.is_some() && adds.iter().any(|added| date_folder(added) == folder) && is_sane(path)
    };
    let replaces = list.replaces.into_iter().map(below).filter(is_in_added_folder).collect();
    Change { id: list.id, replaces, exclusive: list.exclusive, adds }
}

/// The path relative to `lake`, with parts as the store writes them; `None` if it is outside of the lake.
pub(super) fn below(lake: &Location, path: &Path) -> Option<String> {
    let parts: Vec<String> = path.prefix_match(lake.prefix())?.map(|part| part.as_ref().to_owned()).collect();
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// The inverse of [`below`]; `None` if it is not the path of an object.
pub(super) fn absolute(lake: &Location, path: &str) -> Option<Path> {
    let absolute = match lake.prefix().as_ref() {
        "" => Path::parse(path),
        prefix => Path::parse(format!("{prefix}/{path}")),
    };
    absolute.ok().filter(|absolute| below(lake, absolute).is_some_and(|below| below == path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "compact-019a0000-0000-7000-8000-000000000001";

    #[test]
    fn names_of_files_contain_their_change() {
        assert_eq!(change_of(&format!("{ID}-0012.parquet")), Some(ID));
        for other in ["part-0001.parquet", "compact-1-0001.parquet", "a.parquet", &format!("{ID}.parquet")] {
            assert_eq!(change_of(other), None, "{other}");
        }
        assert_eq!(date_folder("T/date=2026-01-01/h=1/a.parquet"), Some("T/date=2026-01-01"));
        for other in ["T/a.parquet", "_hindcast/date=2026-01-01/a", "T/date=2026-01-01", "T/date=x/a"] {
            assert_eq!(date_folder(other), None, "{other}");
        }
    }

    #[test]
    fn a_list_counts_only_for_what_its_change_can_have_made() {
        let lake = Location::parse("/tmp/lake").unwrap();
        let own = [
            format!("T/date=2026-01-01/{ID}-0000.parquet"),
            format!("_hindcast/imports/content/T/{ID}"),
            format!("_hindcast/rejects/{ID}.jsonl"),
        ];
        let others = [
            "etc/passwd".to_owned(),
            "tmp/other/T/date=2026-01-01/a.parquet".to_owned(),
            "T/date=2026-01-01/a.parquet".to_owned(),
            format!("../lake2/T/date=2026-01-01/{ID}-0000.parquet"),
            format!("T/../date=2026-01-01/{ID}-0000.parquet"),
            format!("_hindcast/changes/{ID}.json"),
            format!("{ID}-0000.parquet"),
        ];
        let list = Change {
            id: ID.to_owned(),
            adds: own.iter().chain(&others).cloned().collect(),
            replaces: ["T/date=2026-01-01/a.parquet", "tmp/lake/T/date=2026-01-01/b.parquet"]
                .into_iter()
                .chain(["T/date=2026-01-02/a.parquet", "U/date=2026-01-01/a.parquet", "etc/passwd"])
                .chain(["T/date=2026-01-01/../../a.parquet"])
                .map(str::to_owned)
                .collect(),
            exclusive: Vec::new(),
        };
        let trusted_list = trusted(&lake, ID, list.clone());
        assert_eq!(trusted_list.adds, own);
        assert_eq!(trusted_list.replaces, ["T/date=2026-01-01/a.parquet", "T/date=2026-01-01/b.parquet"]);
        let renamed = trusted(&lake, "import-019a0000-0000-7000-8000-000000000001", list);
        assert!(renamed.adds.is_empty() && renamed.replaces.is_empty());
    }
}
