//! Locations from paths and URLs, and their objects.

use super::*;

#[test]
fn paths_and_urls_become_locations() {
    let local = Location::parse("/tmp/lake").unwrap();
    assert_eq!(local.store_url().unwrap().as_str(), "file:///");
    assert_eq!(local.child("AuditLogs/date=2026-01-01").as_ref(), "tmp/lake/AuditLogs/date=2026-01-01");
    assert_eq!(local.join("T").prefix().as_ref(), "tmp/lake/T");
    let parent = local.join("T").parent().unwrap();
    assert_eq!((parent.prefix().as_ref(), parent.local_path()), ("tmp/lake", local.local_path()));
    assert!(Location::parse("ftp://host/lake").is_err());
    let odd = Location::parse("/tmp/soc lake/ü%20").unwrap();
    assert_eq!(odd.join("T").local_path(), Some(PathBuf::from("/tmp/soc lake/ü%20/T")));
    assert_eq!(odd.join("T").prefix().as_ref(), odd.child("T").as_ref());
    assert_eq!(odd.name_of(&odd.join("T").child("a.parquet")), "/tmp/soc lake/ü%20/T/a.parquet");
    let cloud = Location::parse("s3://bucket/lake").unwrap();
    for (place, root) in [(&odd, "/tmp/soc lake/ü%20"), (&cloud, "lake")] {
        for name in ["50%", "a%20b", "#1", "what?", "a b", "ü", "ts=2026-03-01 05%3A00"] {
            let below = place.join(name);
            assert_eq!(below.name_of(below.prefix()), format!("{root}/{name}"));
            // Another process opens it by its URL.
            assert_eq!(Location::parse(below.url()).unwrap().prefix(), below.prefix(), "{name}");
            assert_eq!(place.child(name), *below.prefix());
        }
    }
    assert_eq!((cloud.local_path(), cloud.name_of(cloud.prefix())), (None, "lake".to_owned()));
    let root = cloud.parent().unwrap();
    assert_eq!((root.prefix().as_ref(), root.child("T").as_ref()), ("", "T"));
    assert!(root.parent().is_none());
    assert_eq!(Location::parse("/tmp/no/such/../lake").unwrap().prefix().as_ref(), "tmp/no/lake");
}

#[test]
fn a_lake_on_the_local_disk_is_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.parquet"), "rows").unwrap();
    let checked = |name: &str| {
        let place = Location::parse(&folder.path().join(name).display().to_string()).unwrap();
        place.check_folder().map_err(|error| error.to_string())
    };
    assert_eq!(checked(""), Ok(()));
    assert!(checked("a.parquet").unwrap_err().contains("a.parquet: it is a file: name the folder"));
    assert!(checked("b").unwrap_err().ends_with("/b: the folder does not exist"));
    assert!(Location::parse("s3://bucket/no-lake").unwrap().check_folder().is_ok());
}

#[tokio::test]
async fn an_object_is_put_only_if_it_is_absent() {
    let folder = tempfile::tempdir().unwrap();
    let place = Location::parse(&folder.path().display().to_string()).unwrap();
    let path = place.child("a/b.json");
    assert!(place.put_if_absent(&path, b"first".to_vec()).await.unwrap());
    assert!(!place.put_if_absent(&path, b"second".to_vec()).await.unwrap());
    assert_eq!(place.read("a/b.json").await.unwrap().unwrap().as_ref(), b"first");
    place.put(&path, b"third".to_vec()).await.unwrap();
    assert_eq!(place.read("a/b.json").await.unwrap().unwrap().as_ref(), b"third");
}
