//! Tables in every layout: what is detected, which files belong to which dates, and how many listings that takes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use async_trait::async_trait;
use chrono::NaiveDate;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, stream};
use hindcast_base::time::{Window, parse_time};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parquet::arrow::ArrowWriter;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::{DateFolder, Lake, LakeTable, Location, OutsideLayout, TableMapping, Tables, refuse_unwritable};
use hindcast_schema::{Layout, Pattern};

#[path = "flat_tests.rs"]
mod without_folders;

const TABLE: &str = "AuditLogs";

/// A store in memory that lists in random order and counts listings.
#[derive(Debug)]
struct Store {
    inner: InMemory,
    random: Mutex<ChaCha8Rng>,
    listings: AtomicUsize,
}

impl fmt::Display for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a store of random order")
    }
}

impl Store {
    fn new(seed: u64) -> Arc<Self> {
        let random = Mutex::new(ChaCha8Rng::seed_from_u64(seed));
        Arc::new(Self { inner: InMemory::new(), random, listings: AtomicUsize::new(0) })
    }

    async fn put_all(&self, paths: &[String]) {
        for path in paths {
            self.put_file(path, b"x".to_vec()).await;
        }
    }

    async fn put_file(&self, path: &str, content: Vec<u8>) {
        let path = Path::parse(format!("lake/{TABLE}/{path}")).unwrap();
        self.inner.put(&path, content.into()).await.unwrap();
    }

    fn lake(self: &Arc<Self>, mapping: TableMapping) -> Lake {
        let store = Arc::clone(self) as Arc<dyn ObjectStore>;
        let root = Location::parse_with("s3://memory/lake", |_| Ok(store)).unwrap();
        Lake::open(root, &BTreeMap::from([(TABLE.to_owned(), mapping)]), Tables::built_in()).unwrap()
    }

    /// The table as `layout` says, or as detected, and what lies outside its layout.
    async fn table(self: &Arc<Self>, layout: Option<&str>) -> (Option<LakeTable>, Option<OutsideLayout>) {
        let mapping = TableMapping { layout: layout.map(|text| text.parse().unwrap()), ..Default::default() };
        let found = self.lake(mapping).tables(|name| name == TABLE).await.unwrap();
        let outside = found.stray_files.into_iter().next().map(|stray| stray.outside);
        (found.readable.into_iter().next(), outside)
    }

    fn shuffle<T>(&self, items: &mut [T]) {
        items.shuffle(&mut *self.random.lock().unwrap());
    }
}

#[async_trait]
impl ObjectStore for Store {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotImplemented { operation: "put_multipart".into(), implementer: "test".into() })
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listings.fetch_add(1, Ordering::Relaxed);
        let listed = self.inner.list(prefix).try_collect::<Vec<_>>();
        let mut listed = listed.now_or_never().expect("memory does not wait").unwrap();
        self.shuffle(&mut listed);
        stream::iter(listed.into_iter().map(Ok)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.listings.fetch_add(1, Ordering::Relaxed);
        let shuffled = |mut listed: ListResult| {
            self.shuffle(&mut listed.common_prefixes);
            self.shuffle(&mut listed.objects);
            listed
        };
        self.inner.list_with_delimiter(prefix).map_ok(shuffled).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented { operation: "copy".into(), implementer: "test".into() })
    }
}

/// Every layout with folders by date.
const LAYOUTS: [&str; 15] = [
    "date=%Y-%m-%d",
    "dt=%Y-%m-%d",
    "day=%Y%m%d",
    "eventDay=%Y%m%d",
    "%Y-%m-%d",
    "timestamp=%Y-%m-%dT%H",
    "%Y%m%d%H",
    "year=%Y/month=%m/day=%d",
    "year=%Y/month=%m/day=%d/hour=%H",
    "y=%Y/m=%m/d=%d/h=%H/m=%M",
    "%Y/%m/%d",
    "%Y/%m/%d/%H",
    "region=*/accountId=*/eventDay=%Y%m%d",
    "region=*/year=%Y/month=%m/day=%d",
    "resourceId=/*/*/y=%Y/m=%m/d=%d/h=%H/m=%M",
];

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn window(from: &str, to: &str) -> Window {
    Window::new(parse_time(from).unwrap(), parse_time(to).unwrap()).unwrap()
}

/// The name of the folder of `level` for the date.
fn name_for(level: &Pattern, date: NaiveDate, hour: u32) -> String {
    let name =
        date.format(&level.to_string().replace("%H", &format!("{hour:02}")).replace("%M", "00")).to_string();
    name.replace('*', "any")
}

fn path(layout: &Layout, date: NaiveDate, hour: u32) -> String {
    let Layout::Dated(levels) = layout else { panic!("{layout} has no dates") };
    let folders: Vec<String> = levels.iter().map(|level| name_for(level, date, hour)).collect();
    format!("{}/{hour:02}.parquet", folders.join("/"))
}

/// A file for each of two hours of each of `dates`.
fn paths(layout: &str, dates: impl Iterator<Item = NaiveDate>) -> Vec<String> {
    let layout: Layout = layout.parse().unwrap();
    dates.flat_map(|date| [7, 21].map(|hour| path(&layout, date, hour))).collect()
}

/// Dates with the paths of their files, below the table.
fn text(folders: &[DateFolder]) -> Vec<String> {
    let name = |path: &str| path.split_once(&format!("{TABLE}/")).unwrap().1.to_owned();
    let files = |folder: &DateFolder| {
        let files: Vec<String> = folder.files.iter().map(|file| name(&file.path)).collect();
        format!("{}: {}", folder.date, files.join(" "))
    };
    folders.iter().map(files).collect()
}

#[tokio::test]
async fn every_layout_is_detected_and_its_files_belong_to_their_dates() {
    for layout in LAYOUTS {
        let store = Store::new(1);
        let dates = ["2025-12-31", "2026-01-05", "2026-02-28"].map(day);
        store.put_all(&paths(layout, dates.into_iter())).await;
        store.put_all(&["_SUCCESS".into(), "_temporary/0/a.parquet".into(), ".old/b.parquet".into()]).await;
        for configured in [None, Some(layout)] {
            let (table, outside) = store.table(configured).await;
            let table = table.unwrap_or_else(|| panic!("{layout}, configured: {configured:?}"));
            assert_eq!(table.layout().unwrap().to_string(), layout);
            assert_eq!(outside, None, "{layout}");
            let expected: Vec<String> = dates
                .iter()
                .map(|date| format!("{date}: {}", paths(layout, [*date].into_iter()).join(" ")))
                .collect();
            assert_eq!(text(&table.all_folders().await.unwrap()), expected, "{layout}");
            assert_eq!(table.date_bounds(), Some((dates[0], dates[2])));
            let cut = table.folders(&window("2026-01-05T08:00:00Z", "2026-01-05T09:00:00Z")).await.unwrap();
            assert_eq!(text(&cut), expected[1..2], "{layout}");
            assert_eq!(table.last_dates(), [dates[2], dates[1], dates[0]]);
        }
    }
}

#[tokio::test]
async fn any_order_of_listings_gives_the_same_files() {
    for layout in LAYOUTS.into_iter().chain(["flat"]) {
        let mut first = None;
        for seed in 0..8 {
            let store = Store::new(seed);
            let dates = || day("2025-12-28").iter_days().step_by(9).take(5);
            match layout {
                "flat" => {
                    store.put_all(&["a.parquet".into(), "k=1/b.parquet".into(), "k=2/c.parquet".into()]).await
                }
                _ => store.put_all(&paths(layout, dates())).await,
            }
            if layout != "flat" {
                store.put_all(&paths("older=%Y-%m-%d", dates().take(2))).await;
            }
            let (table, outside) = store.table(None).await;
            let table = table.unwrap();
            let mut outside = outside.map(|outside| outside.paths).unwrap_or_default();
            outside.sort();
            let found = (table.layout(), text(&table.all_folders().await.unwrap()), outside);
            assert_eq!(*first.get_or_insert(found.clone()), found, "{layout}, seed {seed}");
        }
    }
}

#[tokio::test]
async fn five_thousand_dates_take_few_listings() {
    let dates = || day("2012-05-01").iter_days().take(5_000);
    let last_week = window("2026-01-01", "2026-01-08");
    // Listings for all dates, and for the seven last ones.
    for (layout, most_for_all, most_for_week) in [
        ("date=%Y-%m-%d", 5_010, 20),
        ("dt=%Y-%m-%d", 20, 20),
        ("eventDay=%Y%m%d", 20, 20),
        ("timestamp=%Y-%m-%dT%H", 20, 30),
        ("year=%Y/month=%m/day=%d", 380, 220),
        ("y=%Y/m=%m/d=%d/h=%H/m=%M", 380, 220),
        ("%Y/%m/%d", 380, 220),
        ("region=*/accountId=*/eventDay=%Y%m%d", 20, 20),
    ] {
        let store = Store::new(2);
        store.put_all(&paths(layout, dates())).await;
        for (window, most) in
            [(&last_week, most_for_week), (&window("2000-01-01", "2030-01-01"), most_for_all)]
        {
            store.listings.store(0, Ordering::Relaxed);
            let (table, _) = store.table(None).await;
            let folders = table.unwrap().folders(window).await.unwrap();
            let files: usize = folders.iter().map(|folder| folder.files.len()).sum();
            assert_eq!(files, 2 * folders.len());
            let listings = store.listings.load(Ordering::Relaxed);
            assert!(listings <= most, "{layout}: {listings} listings for {} dates", folders.len());
        }
    }
}

#[tokio::test]
async fn folders_of_one_date_below_several_others_are_one_date() {
    let store = Store::new(3);
    let of = |region: &str, day: &str, file: &str| format!("region={region}/dt={day}/{file}.parquet");
    let files = [of("eu", "20260105", "a"), of("us", "20260105", "b"), of("us", "20260106", "c")];
    store.put_all(&files).await;
    let (table, _) = store.table(None).await;
    let table = table.unwrap();
    assert_eq!(table.layout().unwrap().to_string(), "region=*/dt=%Y%m%d");
    let folders = table.all_folders().await.unwrap();
    assert_eq!(
        text(&folders),
        [format!("2026-01-05: {} {}", files[0], files[1]), format!("2026-01-06: {}", files[2])]
    );
    let regions: Vec<_> =
        folders.iter().flat_map(|folder| &folder.files).map(|file| &file.partition["region"]).collect();
    assert_eq!(regions, [&Some("eu".to_owned()), &Some("us".to_owned()), &Some("us".to_owned())]);
}

#[tokio::test]
async fn numbers_without_leading_zeros_and_encoded_colons_are_dates() {
    for (file, layout, date) in [
        ("year=2026/month=1/day=5/a.parquet", "year=%Y/month=%m/day=%d", "2026-01-05"),
        ("ts=2026-01-05T08%3A00%3A00/a.parquet", "ts=%Y-%m-%dT%H:%M:%S", "2026-01-05"),
        ("month=2026-01/day=2026-01-05/a.parquet", "month=*/day=%Y-%m-%d", "2026-01-05"),
        ("year=2026/dt=2026-01-05/a.parquet", "year=*/dt=%Y-%m-%d", "2026-01-05"),
    ] {
        let store = Store::new(4);
        store.put_all(&[file.to_owned()]).await;
        let (table, _) = store.table(None).await;
        let table = table.unwrap_or_else(|| panic!("{file}"));
        assert_eq!(table.layout().unwrap().to_string(), layout);
        assert_eq!(table.date_bounds(), Some((day(date), day(date))), "{file}");
        assert_eq!(table.all_folders().await.unwrap()[0].files.len(), 1, "{file}");
    }
}

#[tokio::test]
async fn what_lies_outside_the_layout_is_named() {
    let table = |files: &'static [&'static str], layout: Option<&'static str>| async move {
        let store = Store::new(5);
        store.put_all(&files.iter().map(|file| (*file).to_owned()).collect::<Vec<_>>()).await;
        let (table, outside) = store.table(layout).await;
        let read = table.map(|table| table.layout().unwrap().to_string());
        (read, outside.map(|outside| (outside.layout.to_string(), outside.other_layout, outside.paths)))
    };
    let path = |below: &str| format!("lake/{TABLE}/{below}");
    // Files next to folders of dates.
    let (read, outside) = table(&["date=2026-01-05/a.parquet", "b.parquet", "notes/readme.txt"], None).await;
    assert_eq!(read.as_deref(), Some("date=%Y-%m-%d"));
    assert_eq!(outside, Some(("date=%Y-%m-%d".into(), None, vec![path("b.parquet")])));
    // Two layouts.
    let two = &["date=2026-01-05/a.parquet", "year=2026/month=01/day=06/b.parquet"];
    let (read, outside) = table(two, None).await;
    assert_eq!(read.as_deref(), Some("date=%Y-%m-%d"));
    assert_eq!(outside, Some(("date=%Y-%m-%d".into(), Some("year=%Y".into()), vec![path("year=2026")])));
    let (read, outside) = table(two, Some("year=%Y/month=%m/day=%d")).await;
    assert_eq!(read.as_deref(), Some("year=%Y/month=%m/day=%d"));
    let (layout, other, paths) = outside.unwrap();
    assert_eq!((layout.as_str(), other.as_deref()), ("year=%Y/month=%m/day=%d", Some("date=%Y-%m-%d")));
    assert_eq!(paths, [path("date=2026-01-05")]);
    // On a deeper level, and a date that the calendar lacks.
    let deeper =
        &["region=eu/dt=20260105/a.parquet", "region=us/c.parquet", "region=eu/dt=20260230/d.parquet"];
    let (read, outside) = table(deeper, None).await;
    assert_eq!(read.as_deref(), Some("region=*/dt=%Y%m%d"));
    assert_eq!(outside.unwrap().2, [path("region=us/c.parquet"), path("region=eu/dt=20260230")]);
    // No known layout.
    let (read, outside) = table(&["batch-7/a.parquet"], None).await;
    assert_eq!((read, outside.unwrap().2), (None, vec![path("batch-7")]));
}

#[tokio::test]
async fn only_the_standard_layout_is_written_to() {
    for (file, refused) in [
        ("date=2026-01-05/a.parquet", None),
        ("date=2026-01-05/hour=05/a.parquet", None),
        ("batch-7/a.parquet", None),
        ("dt=2026-01-05/a.parquet", Some("dt=%Y-%m-%d")),
        ("year=2026/month=01/day=05/a.parquet", Some("year=%Y/month=%m/day=%d")),
        ("a.parquet", Some("flat")),
    ] {
        let store = Store::new(7);
        store.put_all(&[file.to_owned()]).await;
        let table = store.lake(TableMapping::default()).root().join(TABLE);
        match (refuse_unwritable(&table, TABLE).await, refused) {
            (Ok(()), None) => {}
            (Err(error), Some(layout)) => {
                let error = error.to_string();
                assert!(
                    error.contains(&format!("has the layout {layout}.")) && error.contains(TABLE),
                    "{error}"
                );
            }
            (other, _) => panic!("{file}: {other:?}"),
        }
    }
}
