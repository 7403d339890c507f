//! Runs imports, a compaction, saves and scans concurrently, step by step in seeded orders, with kills between any two operations
//! of the store: no row is lost or duplicated.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use futures::TryStreamExt;
use object_store::ObjectMeta;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::listing::{date_files, table_files};
use super::super::{LakeFile, Location};
use super::stepped::World;
use super::{Change, Made, View, make, prevails, recover, wait_or_take_back};
use hindcast_base::{Error, Result};

/// Number of orders; `HINDCAST_INTERLEAVINGS` sets another.
const SEEDS: u64 = 500;
const SOURCE: &str = "T";
const SAVED: &str = "T_SPRK";
const DATES: [&str; 2] = ["2026-01-01", "2026-01-02"];
const HOUR: u64 = 3_600;

/// The state that actors share in addition to the store.
struct Shared {
    random: ChaCha8Rng,
    ids: u64,
    /// Contents whose import has succeeded.
    imported: BTreeSet<&'static str>,
    /// Scans that saw everything.
    whole_scans: u32,
}

type Common = Rc<RefCell<Shared>>;

impl Shared {
    /// A new id, from a clock that may be wrong.
    fn id(&mut self, kind: &str) -> String {
        self.ids += 1;
        format!("{kind}-{:08x}-0000-7000-8000-{:012x}", self.random.next_u32(), self.ids)
    }
}

fn dates() -> Vec<NaiveDate> {
    DATES.iter().map(|date| date.parse().unwrap()).collect()
}

/// The rows of a content, two per date.
fn rows_of(content: &str, date: NaiveDate) -> BTreeSet<String> {
    (0..2).map(|row| format!("{content} {date} {row}")).collect()
}

fn text(rows: &BTreeSet<String>) -> Vec<u8> {
    rows.iter().cloned().collect::<Vec<_>>().join("\n").into_bytes()
}

/// The rows of files; an error if one is gone.
async fn rows(lake: &Location, files: &[LakeFile]) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    for file in files {
        let gone = Error::reading(&file.path);
        let got = object_store::ObjectStoreExt::get(lake.store(), &file.store_path()).await.map_err(gone)?;
        let bytes = got.bytes().await.map_err(Error::reading("a file"))?;
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        rows.extend(text.lines().map(str::to_owned));
    }
    Ok(rows)
}

async fn files_of(lake: &Location, table: &str, date: NaiveDate) -> Result<Vec<LakeFile>> {
    let (_, files) = date_files(&lake.join(table), &[date], None).await?;
    Ok(files.into_iter().flatten().collect())
}

/// The changes that imported a content, by the markers they put.
async fn markers(lake: &Location, content: &str) -> Result<Vec<String>> {
    let folder = lake.child(&format!("_hindcast/imports/{content}"));
    let listed: Vec<ObjectMeta> =
        lake.store().list(Some(&folder)).try_collect().await.map_err(Error::listing("a file"))?;
    Ok(listed.iter().filter_map(|marker| marker.location.filename().map(str::to_owned)).collect())
}

async fn is_imported(lake: &Location, content: &str) -> Result<bool> {
    loop {
        let mut view = View::of_lake(lake).await?;
        let markers = markers(lake, content).await?;
        if view.still_holds(None).await? {
            return Ok(markers.iter().any(|id| view.shows_change(id)));
        }
    }
}

/// One attempt to import a content, in the steps of an import.
async fn import_once(lake: &Location, shared: &Common, content: &str) -> Result<bool> {
    recover(lake).await?;
    if is_imported(lake, content).await? {
        return Ok(true);
    }
    let id = shared.borrow_mut().id("import");
    let target = |date: &NaiveDate| lake.child(&format!("{SOURCE}/date={date}/{id}-0000.parquet"));
    let marker = lake.child(&format!("_hindcast/imports/{content}/{SOURCE}/{id}"));
    let targets: Vec<_> = dates().iter().map(target).collect();
    let change = Change::of(lake, &id, targets.iter().chain([&marker]), [])?;
    let put = async {
        for (date, target) in dates().into_iter().zip(&targets) {
            lake.put(target, text(&rows_of(content, date))).await?;
        }
        lake.put(&marker, Vec::new()).await?;
        for other in markers(lake, content).await? {
            if other != id && !prevails(lake, &id, &other, Duration::ZERO).await? {
                return Err(Error::Invalid("imported meanwhile".into()));
            }
        }
        Ok(Some(()))
    };
    Ok(matches!(make(lake, &change, put).await?, Made::Done(())))
}

async fn import(lake: Location, shared: Common, content: &'static str) {
    for _ in 0..6 {
        if import_once(&lake, &shared, content).await.unwrap_or_default() {
            shared.borrow_mut().imported.insert(content);
            break;
        }
    }
    let _ = compact(lake, shared, SOURCE).await;
}

async fn compact(lake: Location, shared: Common, table: &'static str) -> Result<()> {
    recover(&lake).await?;
    for date in dates() {
        let files = files_of(&lake, table, date).await?;
        if files.len() < 2 {
            continue;
        }
        let id = shared.borrow_mut().id("compact");
        let target = lake.child(&format!("{table}/date={date}/{id}-0000.parquet"));
        let replaced: Vec<_> = files.iter().map(LakeFile::store_path).collect();
        let change = Change::of(&lake, &id, [&target], &replaced)?;
        let merge = async {
            let merged = rows(&lake, &files).await?;
            lake.put(&target, merged.join("\n").into_bytes()).await.map(Some)
        };
        make(&lake, &change, merge).await?;
    }
    Ok(())
}

/// Saves all rows of the source, date by date, as `tables save` does; true once all dates are.
async fn save(lake: Location, shared: Common) -> Result<bool> {
    let mut left = dates();
    for _ in 0..12 {
        recover(&lake).await?;
        let before: BTreeMap<_, _> = table_files(&lake.join(SAVED)).await?.into_iter().collect();
        let mut lost = Vec::new();
        for date in left {
            let existing = before.get(&date).cloned().unwrap_or_default();
            match save_date(&lake, &shared, date, &existing).await {
                Ok(Made::Done(())) => {}
                Ok(Made::Lost(conflict)) => {
                    if let Some(conflict) = conflict {
                        wait_or_take_back(&lake, &conflict, Duration::ZERO).await?;
                    }
                    lost.push(date);
                }
                // A file of the source was replaced while it was read.
                Err(_) => lost.push(date),
            }
        }
        if lost.is_empty() {
            return Ok(true);
        }
        left = lost;
    }
    Ok(false)
}

async fn save_date(
    lake: &Location,
    shared: &Common,
    date: NaiveDate,
    existing: &Vec<LakeFile>,
) -> Result<Made<()>> {
    let source = rows(lake, &files_of(lake, SOURCE, date).await?).await?;
    if source.is_empty() {
        return Ok(Made::Done(()));
    }
    let id = shared.borrow_mut().id("save");
    let target = lake.child(&format!("{SAVED}/date={date}/{id}-0000.parquet"));
    let replaced: Vec<_> = existing.iter().map(LakeFile::store_path).collect();
    let change = Change::of(lake, &id, [&target], &replaced)?.exclusive();
    let put = async {
        if files_of(lake, SAVED, date).await? != *existing {
            return Ok(None);
        }
        lake.put(&target, source.join("\n").into_bytes()).await.map(Some)
    };
    make(lake, &change, put).await
}

/// Lists and reads everything, and checks that the rows of an import are all there or not at all, and none is duplicated.
async fn scan(lake: Location, shared: Common, seed: u64) {
    for _ in 0..3 {
        let imported = shared.borrow().imported.clone();
        for table in [SOURCE, SAVED] {
            let (_, files) = date_files(&lake.join(table), &dates(), None).await.unwrap();
            let files: Vec<LakeFile> = files.into_iter().flatten().collect();
            // The coverage would report a file that was replaced meanwhile.
            let Ok(mut found) = rows(&lake, &files).await else { continue };
            found.sort();
            let read = found.len();
            found.dedup();
            assert_eq!(read, found.len(), "seed {seed}: {table} has rows twice in {files:?}");
            if table == SAVED {
                continue;
            }
            for content in ["a", "b"] {
                let of_content = found.iter().filter(|row| row.starts_with(content)).count();
                let least = if imported.contains(content) { 4 } else { 0 };
                assert!(
                    of_content == 4 || of_content == least,
                    "seed {seed}: {of_content} of 4 rows of {content} in {files:?}"
                );
            }
            shared.borrow_mut().whole_scans += 1;
        }
    }
}

type Actor = Pin<Box<dyn Future<Output = ()>>>;

/// The actors of a run, each with the store as it reaches it.
fn actors(world: &Arc<World>, shared: &Common, seed: u64) -> Vec<Option<Actor>> {
    let common = || Rc::clone(shared);
    let lake = |actor| world.lake(actor);
    let ignoring =
        |ended: Pin<Box<dyn Future<Output = Result<()>>>>| -> Actor { Box::pin(async { _ = ended.await }) };
    let saving = |actor| -> Actor {
        let saved = save(lake(actor), common());
        Box::pin(async { _ = saved.await })
    };
    let actors: Vec<Actor> = vec![
        Box::pin(import(lake(0), common(), "a")),
        Box::pin(import(lake(1), common(), "a")),
        Box::pin(import(lake(2), common(), "b")),
        ignoring(Box::pin(compact(lake(3), common(), SOURCE))),
        ignoring(Box::pin(compact(lake(4), common(), SAVED))),
        saving(5),
        saving(6),
        Box::pin(scan(lake(7), common(), seed)),
        Box::pin(scan(lake(8), common(), seed)),
    ];
    actors.into_iter().map(Some).collect()
}

/// Runs one order; returns the number of killed actors, and of scans that saw everything.
fn run(seed: u64) -> (u32, u32) {
    let world = World::new();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let shared = Rc::new(RefCell::new(Shared {
        random: ChaCha8Rng::seed_from_u64(seed + 1_000_000),
        ids: 0,
        imported: BTreeSet::new(),
        whole_scans: 0,
    }));
    let mut actors = actors(&world, &shared, seed);
    let mut late = Vec::new();
    let mut kills = 0;
    while actors.iter().any(Option::is_some) {
        let actor = rng.random_range(0..actors.len());
        let Some(future) = &mut actors[actor] else { continue };
        if actor < 7 && rng.random_range(0..120) == 0 {
            // The store may still run the operation, at once or much later.
            late.extend(world.left_of(actor));
            actors[actor] = None;
            kills += 1;
        } else if !late.is_empty() && rng.random_range(0..30) == 0 {
            let landed = late.swap_remove(rng.random_range(0..late.len()));
            if rng.random_range(0..2) == 0 {
                landed(&world);
            }
        } else {
            if rng.random_range(0..400) == 0 {
                world.pass(rng.random_range(1..8) * HOUR);
            }
            if world.step(actor, future) {
                actors[actor] = None;
            }
        }
    }
    late.into_iter().for_each(|landed| landed(&world));
    world.free();
    futures::executor::block_on(ends_whole(&world, &shared, seed));
    (kills, Rc::clone(&shared).borrow().whole_scans)
}

/// After any kills: if everything is imported and saved again, each row is there once.
async fn ends_whole(world: &Arc<World>, shared: &Common, seed: u64) {
    let lake = world.lake(9);
    scan(lake.clone(), Rc::clone(shared), seed).await;
    for content in ["a", "b"] {
        let was_imported = shared.borrow().imported.contains(content);
        assert!(!was_imported || is_imported(&lake, content).await.unwrap(), "seed {seed}: {content}");
        assert!(import_once(&lake, shared, content).await.unwrap(), "seed {seed}: {content}");
    }
    let expected: Vec<String> = {
        let all =
            ["a", "b"].iter().flat_map(|content| dates().into_iter().map(|date| rows_of(content, date)));
        all.flatten().collect::<BTreeSet<_>>().into_iter().collect()
    };
    for wait in [0, 7 * HOUR, 7 * HOUR] {
        world.pass(wait);
        assert!(save(lake.clone(), Rc::clone(shared)).await.unwrap(), "seed {seed}: saved");
        compact(lake.clone(), Rc::clone(shared), SOURCE).await.unwrap();
        compact(lake.clone(), Rc::clone(shared), SAVED).await.unwrap();
        for table in [SOURCE, SAVED] {
            let files: Vec<LakeFile> = table_files(&lake.join(table))
                .await
                .unwrap()
                .into_iter()
                .flat_map(|(_, files)| files)
                .collect();
            let mut found = rows(&lake, &files).await.unwrap();
            found.sort();
            assert_eq!(found, expected, "seed {seed}: {table}");
        }
    }
}

#[test]
fn no_order_of_writers_readers_and_kills_loses_or_duplicates_a_row() {
    let requested = std::env::var("HINDCAST_INTERLEAVINGS").ok().and_then(|seeds| seeds.parse().ok());
    let (mut kills, mut scans) = (0, 0);
    for seed in 0..requested.unwrap_or(SEEDS) {
        let (killed, whole) = run(seed);
        kills += killed;
        scans += whole;
    }
    println!("{kills} actors killed, {scans} whole scans");
    assert!(kills > 100 && scans > 100);
}
