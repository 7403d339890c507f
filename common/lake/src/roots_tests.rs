//! Lakes with several roots: names, places, mappings, and roots that are absent.

use std::fs;
use std::path::Path;

use super::*;
use crate::{ColumnSource, Tables};

fn root(name: &str, url: impl Into<String>) -> LakeRoot {
    LakeRoot { name: name.into(), url: url.into(), optional: false, tables: BTreeMap::new() }
}

fn place(path: &Path) -> Location {
    Location::parse(&path.display().to_string()).unwrap()
}

/// Folders with a table AuditLogs each, of which the first is the lake.
fn folders(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let date = folder.path().join(name).join("AuditLogs/date=2026-01-05");
        fs::create_dir_all(&date).unwrap();
        fs::write(date.join("a.parquet"), "x").unwrap();
    }
    folder
}

fn lake(folder: &tempfile::TempDir, roots: &[LakeRoot]) -> Result<Lake> {
    let main = Lake::open(place(&folder.path().join("lake")), &BTreeMap::new(), Tables::built_in())?;
    main.with_roots(roots, |root| Location::parse(&root.url))
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

async fn found(lake: &Lake) -> Vec<String> {
    let found = lake.tables(|name| name == "AuditLogs").await.unwrap().readable;
    found.iter().map(|table| format!("{} of {}", table.spec.name, table.root_name())).collect()
}

#[tokio::test]
async fn a_table_has_a_part_in_each_root_in_the_order_of_their_names() {
    let folder = folders(&["lake", "emea", "apac"]);
    let roots = [root("emea", path(&folder, "emea")), root("apac", path(&folder, "apac"))];
    let parts = ["AuditLogs of main", "AuditLogs of apac", "AuditLogs of emea"];
    assert_eq!(found(&lake(&folder, &roots).unwrap()).await, parts);
    let turned = [roots[1].clone(), roots[0].clone()];
    let lake = lake(&folder, &turned).unwrap();
    assert_eq!(found(&lake).await, parts);
    let names: Vec<String> = lake.roots().iter().map(|root| root.name.to_string()).collect();
    assert_eq!(names, ["main", "apac", "emea"]);
    assert_eq!(found(&lake.only(Some("emea")).unwrap()).await, ["AuditLogs of main"]);
    assert!(lake.only(None).unwrap().roots().is_empty());
    let error = lake.only(Some("amer")).unwrap_err().to_string();
    assert!(error.contains("main, apac, emea"), "{error}");
}

#[tokio::test]
async fn a_lake_with_one_root_names_none() {
    let folder = folders(&["lake"]);
    let lake = lake(&folder, &[]).unwrap();
    assert!(lake.roots().is_empty());
    let tables = lake.tables(|name| name == "AuditLogs").await.unwrap();
    assert!(tables.readable[0].root.is_none() && tables.unreachable.is_empty());
}

#[test]
fn names_are_plain_and_taken_once() {
    for name in ["", "a b", "a/b", "ü", MAIN_ROOT] {
        assert!(root(name, "/x").check_name().is_err(), "{name}");
    }
    root("emea-1_a", "/x").check_name().unwrap();
    let folder = folders(&["lake", "a", "b"]);
    let roots = [root("emea", path(&folder, "a")), root("emea", path(&folder, "b"))];
    let error = lake(&folder, &roots).unwrap_err().to_string();
    assert!(error.contains("two roots have the name emea"), "{error}");
}

#[test]
fn no_root_lies_in_another() {
    let folder = folders(&["lake", "lake/inner", "other"]);
    for (url, hint) in [
        (path(&folder, "lake"), "is the same place as"),
        (path(&folder, "lake/inner"), "lies in"),
        (folder.path().display().to_string(), "contains"),
    ] {
        let error = lake(&folder, &[root("emea", url)]).unwrap_err().to_string();
        assert!(error.starts_with("root emea") && error.contains(hint), "{error}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(path(&folder, "lake"), path(&folder, "link")).unwrap();
        assert!(lake(&folder, &[root("emea", path(&folder, "link"))]).is_err());
    }
    let cloud = |url| Location::parse(url).unwrap();
    let (outer, inner) = (cloud("s3://bucket/lake/"), cloud("s3://bucket/lake/a"));
    assert!(check_roots_apart(&[("a", &outer), ("b", &inner)]).is_err());
    let others = [cloud("s3://bucket/lake2"), cloud("s3://other/lake")];
    check_roots_apart(&[("a", &outer), ("b", &others[0]), ("c", &others[1])]).unwrap();
}

#[tokio::test]
async fn two_roots_do_not_share_a_table() {
    let folder = folders(&["lake", "emea"]);
    let url = Some(path(&folder, "lake/AuditLogs"));
    let mapping = TableMapping { url, ..TableMapping::default() };
    let tables = BTreeMap::from([("AuditLogs".to_owned(), mapping)]);
    let roots = [LakeRoot { tables, ..root("emea", path(&folder, "emea")) }];
    let error = lake(&folder, &roots).unwrap().tables(|_| true).await.unwrap_err().to_string();
    assert!(error.contains("roots main and emea have AuditLogs in the same place"), "{error}");
}

#[tokio::test]
async fn an_absent_root_is_an_error_unless_it_is_optional() {
    let folder = folders(&["lake"]);
    let gone = root("emea", path(&folder, "gone"));
    let error = lake(&folder, std::slice::from_ref(&gone)).unwrap_err().to_string();
    assert!(error.starts_with("root emea: there is no lake at"), "{error}");
    let lake = lake(&folder, &[LakeRoot { optional: true, ..gone }]).unwrap();
    let tables = lake.tables(|name| name == "AuditLogs").await.unwrap();
    let [unreachable] = tables.unreachable.as_slice() else { panic!("{:?}", tables.unreachable) };
    assert_eq!((&*unreachable.name, tables.readable.len()), ("emea", 1));
    assert!(lake.only(Some("emea")).unwrap_err().to_string().contains("does not exist"));
}

#[test]
fn a_root_has_the_columns_of_the_lake_unless_it_names_its_own() {
    let mapping = |column: &str, url: Option<&str>| TableMapping {
        url: url.map(str::to_owned),
        columns: BTreeMap::from([(
            "OperationName".to_owned(),
            column.parse().map(ColumnSource::Path).unwrap(),
        )]),
        ..TableMapping::default()
    };
    let of_lake = BTreeMap::from([("AuditLogs".to_owned(), mapping("op", Some("/elsewhere")))]);
    assert_eq!(root("emea", "/x").mappings(&of_lake)["AuditLogs"], mapping("op", None));
    let tables = BTreeMap::from([("AuditLogs".to_owned(), mapping("what", None))]);
    let own = LakeRoot { tables, ..root("emea", "/x") };
    assert_eq!(own.mappings(&of_lake)["AuditLogs"], mapping("what", None));
}
