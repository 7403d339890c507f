//! Single changes with files on the local disk.

use futures::TryStreamExt;
use object_store::{ObjectStoreExt, PutPayload};

use super::super::{Location, date_files};
use super::*;

const IDS: [&str; 3] = [
    "import-019a0000-0000-7000-8000-000000000001",
    "compact-019a0000-0000-7000-8000-000000000002",
    "save-019a0000-0000-7000-8000-000000000003",
];

fn lake_in(folder: &tempfile::TempDir) -> Location {
    Location::parse(&folder.path().display().to_string()).unwrap()
}

async fn put(lake: &Location, name: &str, content: &str) {
    lake.store().put(&lake.child(name), PutPayload::from(content.to_owned())).await.unwrap();
}

/// The visible files of the date.
async fn shown(lake: &Location) -> Vec<String> {
    let (_, files) = date_files(&lake.join("T"), &["2026-01-01".parse().unwrap()], None).await.unwrap();
    files.into_iter().flatten().filter_map(|file| Some(file.path.rsplit_once('/')?.1.to_owned())).collect()
}

/// All files of the table.
async fn all(lake: &Location) -> Vec<String> {
    let found: Vec<_> = lake.store().list(Some(&lake.child("T"))).try_collect().await.unwrap();
    let mut names: Vec<String> =
        found.iter().filter_map(|object| object.location.filename().map(str::to_owned)).collect();
    names.sort();
    names
}

fn added(id: &str) -> String {
    format!("T/date=2026-01-01/{id}-0000.parquet")
}

fn change(id: &str, replaces: &[&str]) -> Change {
    let replaces = replaces.iter().map(|name| format!("T/date=2026-01-01/{name}")).collect();
    Change { id: id.to_owned(), adds: vec![added(id)], replaces, exclusive: Vec::new() }
}

#[tokio::test]
async fn files_are_added_and_replaced_together() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(&folder);
    put(&lake, "T/date=2026-01-01/old.parquet", "x").await;
    let merged = change(IDS[1], &["old.parquet"]);
    let made = make(&lake, &merged, async {
        put(&lake, &added(IDS[1]), "y").await;
        assert_eq!(shown(&lake).await, ["old.parquet"]);
        Ok(Some(5))
    });
    assert!(matches!(made.await.unwrap(), Made::Done(5)));
    assert_eq!(all(&lake).await, shown(&lake).await);
    assert_eq!(shown(&lake).await, [format!("{}-0000.parquet", IDS[1])]);
}

#[tokio::test]
async fn a_change_that_fails_or_is_taken_back_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(&folder);
    put(&lake, "T/date=2026-01-01/old.parquet", "x").await;
    let merged = change(IDS[1], &["old.parquet"]);
    let failed = make(&lake, &merged, async {
        put(&lake, &added(IDS[1]), "y").await;
        Err::<Option<()>, _>(Error::Internal("full".into()))
    });
    assert!(failed.await.unwrap_err().to_string().contains("full"));
    assert_eq!(all(&lake).await, ["old.parquet"]);
    // Another process takes it back. Files that it puts later are not read, and it deletes them when it notices.
    let imported = change(IDS[0], &[]);
    let late = make(&lake, &imported, async {
        put(&lake, &added(IDS[0]), "y").await;
        assert!(take_back(&lake, IDS[0]).await.unwrap());
        assert_eq!(all(&lake).await, ["old.parquet"]);
        put(&lake, &added(IDS[0]), "y").await;
        assert_eq!(shown(&lake).await, ["old.parquet"]);
        Ok(Some(()))
    });
    assert!(matches!(late.await.unwrap(), Made::Lost(None)));
    assert_eq!(all(&lake).await, ["old.parquet"]);
    put(&lake, &added(IDS[0]), "later still").await;
    assert_eq!(shown(&lake).await, ["old.parquet"]);
}

#[tokio::test]
async fn only_one_of_two_changes_that_replace_a_file_commits() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(&folder);
    for name in ["a.parquet", "b.parquet"] {
        put(&lake, &format!("T/date=2026-01-01/{name}"), "x").await;
    }
    let (first, second) =
        (change(IDS[1], &["a.parquet", "b.parquet"]), change(&IDS[1].replace('2', "3"), &["b.parquet"]));
    let write = |id: String| {
        let lake = lake.clone();
        async move {
            put(&lake, &added(&id), "y").await;
            Ok(Some(()))
        }
    };
    // The later change gives way while the first is open, and a third one finds its file gone.
    let made = make(&lake, &first, async {
        let lost = make(&lake, &second, write(second.id.clone())).await.unwrap();
        assert!(matches!(lost, Made::Lost(Some(id)) if id == first.id));
        write(first.id.clone()).await
    });
    assert!(matches!(made.await.unwrap(), Made::Done(())));
    let third = change(&IDS[1].replace('2', "4"), &["b.parquet"]);
    assert!(matches!(make(&lake, &third, write(third.id.clone())).await.unwrap(), Made::Lost(None)));
    assert_eq!(all(&lake).await, shown(&lake).await);
    assert_eq!(shown(&lake).await, [format!("{}-0000.parquet", first.id)]);
    // A save takes back a compaction that began earlier.
    let saved = change(IDS[2], &[&format!("{}-0000.parquet", first.id)]);
    let compaction = change(&IDS[1].replace('2', "1"), &[&format!("{}-0000.parquet", first.id)]);
    let lost = make(&lake, &compaction, async {
        let made = make(&lake, &saved, write(saved.id.clone())).await.unwrap();
        assert!(matches!(made, Made::Done(())));
        write(compaction.id.clone()).await
    });
    assert!(matches!(lost.await.unwrap(), Made::Lost(None)));
    assert_eq!(all(&lake).await, [format!("{}-0000.parquet", IDS[2])]);
}

#[tokio::test]
async fn forged_lists_delete_nothing_and_block_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(&folder).join("lake");
    put(&lake, "T/date=2026-01-01/a.parquet", "x").await;
    let outside = lake_in(&folder);
    put(&outside, "victim", "x").await;
    let victims = [outside.child("victim"), lake.child("T/date=2026-01-01/a.parquet")];
    let forged = |id: &str| Change {
        id: id.to_owned(),
        adds: victims.iter().map(|path| path.to_string()).chain(["../victim".to_owned()]).collect(),
        replaces: victims.iter().map(|path| path.to_string()).collect(),
        exclusive: Vec::new(),
    };
    for (id, decision) in [(IDS[0], "aborted"), (IDS[1], "committed")] {
        let list = serde_json::to_string(&forged(id)).unwrap();
        put(&lake, &format!("_hindcast/changes/{id}.json"), &list).await;
        put(&lake, &format!("_hindcast/changes/{id}.decision"), decision).await;
    }
    put(&lake, &format!("_hindcast/changes/{}.json", IDS[2]), "{\"id\":").await;
    put(&lake, "_hindcast/changes/notes.json", "hello").await;
    put(&lake, &added(IDS[2]), "of a change with a broken list").await;
    assert_eq!(shown(&lake).await, ["a.parquet"]);
    assert_eq!(recover(&lake).await.unwrap(), 0);
    assert_eq!(shown(&lake).await, ["a.parquet"]);
    for victim in &victims {
        assert!(lake.store().head(victim).await.is_ok(), "{victim}");
    }
}

#[tokio::test]
async fn a_view_that_is_too_old_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_in(&folder);
    let world = stepped::World::new();
    let mut view = View::of_lake(&lake).await.unwrap();
    assert!(view.still_holds(None).await.unwrap() && view.shows_change(IDS[0]));
    let list = serde_json::to_string(&change(IDS[0], &[])).unwrap();
    put(&lake, &format!("_hindcast/changes/{}.json", IDS[0]), &list).await;
    world.pass(2 * 60 * 60);
    // The records of ended changes may be deleted; those that exist count.
    assert!(!view.still_holds(None).await.unwrap());
    assert!(!view.shows_change(IDS[0]));
    stepped::World::new();
}
