//! Tables without folders of dates.

use super::*;

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

fn file_of_times(column: &str, times: &[Option<&str>]) -> Vec<u8> {
    let times = times.iter().map(|time| time.map(|time| parse_time(time).unwrap()));
    let times: TimestampMicrosecondArray = times.collect();
    parquet(vec![(column, Arc::new(times.with_timezone("UTC")))])
}

#[tokio::test]
async fn dates_of_files_in_no_folders_come_from_their_statistics() {
    let store = Store::new(6);
    let text_times: ArrayRef = Arc::new(StringArray::from(vec!["2026-01-09T00:00:00Z"]));
    for (path, content) in [
        (
            "a.parquet",
            file_of_times("TimeGenerated", &[Some("2026-01-01"), None, Some("2026-01-03T10:00:00Z")]),
        ),
        (
            "k=v/b.parquet",
            file_of_times("timegenerated", &[Some("2026-01-05"), Some("2026-01-05T23:00:00Z")]),
        ),
        ("c-text.parquet", parquet(vec![("TimeGenerated", text_times)])),
        ("d-none.parquet", file_of_times("TimeGenerated", &[None])),
        ("e-broken.parquet", b"not Parquet".to_vec()),
        ("old/f.parquet", file_of_times("TimeGenerated", &[Some("2026-01-05")])),
    ] {
        store.put_file(path, content).await;
    }
    let (table, outside) = store.table(None).await;
    let table = table.unwrap();
    assert_eq!(table.layout(), Some(Layout::Flat));
    assert_eq!(outside.unwrap().paths, [format!("lake/{TABLE}/old/f.parquet")]);
    let names = async |from: &str, to: &str| {
        let folders = table.folders(&window(from, to)).await.unwrap();
        let files = folders.iter().flat_map(|folder| &folder.files);
        let mut letters: Vec<&str> = files.map(|file| &file.path.rsplit('/').next().unwrap()[..1]).collect();
        letters.sort_unstable();
        letters.concat()
    };
    // Files whose times are not known are read in any window.
    assert_eq!(names("2026-01-02", "2026-01-03").await, "acde");
    assert_eq!(names("2026-01-05", "2026-01-06").await, "bcde");
    assert_eq!(names("2026-01-04", "2026-01-05").await, "cde");
    assert_eq!(names("2026-01-03T10:00:00Z", "2026-01-05T00:00:00.000001Z").await, "abcde");
    let folders = table.all_folders().await.unwrap();
    let first = folders.iter().find(|folder| folder.date == day("2026-01-01")).unwrap();
    assert_eq!(first.last_date(), day("2026-01-03"));
    // Configured, files in any folder are the table's.
    let (table, outside) = store.table(Some("flat")).await;
    let folders = table.unwrap().all_folders().await.unwrap();
    assert_eq!((folders.iter().map(|folder| folder.files.len()).sum::<usize>(), outside), (6, None));
}
