//! A store in memory whose operations run one by one, in an order that a test chooses, with a clock that the test sets.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, future, stream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::super::location::Location;

thread_local! {
    /// Seconds by which the clock of this thread's store is set forward.
    static PASSED: Cell<u64> = const { Cell::new(0) };
}

/// The time by which clocks are set forward.
pub(super) fn passed() -> Duration {
    Duration::from_secs(PASSED.get())
}

/// The state that all actors share.
#[derive(Debug, Default)]
pub(super) struct World {
    inner: InMemory,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The actor that may take a step.
    turn: Option<usize>,
    /// Whether all actors may act.
    is_free: bool,
    /// Times at which objects were put, in seconds.
    written: HashMap<Path, u64>,
    /// Operations that actors are about to run, by actor and order.
    under_way: BTreeMap<(usize, u64), Act>,
    acts: u64,
}

/// An operation on the store.
#[derive(Debug, Clone)]
enum Act {
    Put(Path, PutPayload, PutOptions),
    Delete(Path),
    Nothing,
}

impl World {
    pub(super) fn new() -> Arc<Self> {
        PASSED.set(0);
        Arc::default()
    }

    /// The lake, as an actor reaches it.
    pub(super) fn lake(self: &Arc<Self>, actor: usize) -> Location {
        let store: Arc<dyn ObjectStore> = Arc::new(Stepped { world: Arc::clone(self), actor });
        Location::parse_with("s3://bucket/lake", |_| Ok(store)).unwrap()
    }

    /// Sets clocks forward.
    pub(super) fn pass(&self, seconds: u64) {
        PASSED.set(PASSED.get() + seconds);
    }

    /// Lets all actors act without turns.
    pub(super) fn free(&self) {
        self.state.lock().unwrap().is_free = true;
    }

    /// Polls an actor until its next operation; true if it is done.
    pub(super) fn step<F: Future + Unpin>(&self, actor: usize, future: &mut F) -> bool {
        self.state.lock().unwrap().turn = Some(actor);
        future.poll_unpin(&mut std::task::Context::from_waker(Waker::noop())).is_ready()
    }

    /// The operations that a killed actor was about to run, which the store may still run.
    pub(super) fn left_of(&self, actor: usize) -> Vec<impl FnOnce(&World) + use<>> {
        let mut state = self.state.lock().unwrap();
        let mut left = state.under_way.split_off(&(actor, 0));
        let mut others = left.split_off(&(actor + 1, 0));
        state.under_way.append(&mut others);
        left.into_values().map(|act| move |world: &World| drop(world.execute(&act))).collect()
    }

    fn execute(&self, act: &Act) -> Result<Option<PutResult>> {
        match act {
            Act::Put(path, payload, options) => {
                let put = self.inner.put_opts(path, payload.clone(), options.clone());
                let result = put.now_or_never().expect("memory does not wait")?;
                self.state.lock().unwrap().written.insert(path.clone(), PASSED.get());
                Ok(Some(result))
            }
            Act::Delete(path) => {
                self.inner.delete(path).now_or_never().expect("memory does not wait").map(|()| None)
            }
            Act::Nothing => Ok(None),
        }
    }

    fn dated(&self, mut meta: ObjectMeta) -> ObjectMeta {
        let written = self.state.lock().unwrap().written.get(&meta.location).copied().unwrap_or_default();
        meta.last_modified = DateTime::from_timestamp(written as i64, 0).unwrap();
        meta
    }

    /// The objects below `prefix` now.
    fn objects(&self, prefix: Option<&Path>) -> Result<Vec<ObjectMeta>> {
        let listed = self.inner.list(prefix).try_collect::<Vec<_>>();
        let listed = listed.now_or_never().expect("memory does not wait")?;
        Ok(listed.into_iter().map(|meta| self.dated(meta)).collect())
    }
}

/// The store as one actor reaches it.
#[derive(Debug, Clone)]
struct Stepped {
    world: Arc<World>,
    actor: usize,
}

impl Stepped {
    /// Waits for a turn.
    async fn turn(&self, act: &Act) {
        let place = {
            let mut state = self.world.state.lock().unwrap();
            state.acts += 1;
            let place = (self.actor, state.acts);
            state.under_way.insert(place, act.clone());
            place
        };
        future::poll_fn(|context| {
            let mut state = self.world.state.lock().unwrap();
            if !state.is_free && state.turn != Some(self.actor) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            state.turn = None;
            state.under_way.remove(&place);
            Poll::Ready(())
        })
        .await;
    }

    async fn act(&self, act: Act) -> Result<Option<PutResult>> {
        self.turn(&act).await;
        self.world.execute(&act)
    }

    /// A listing in two pages, in either order, between which other actors act.
    async fn list_halves(self, prefix: Option<Path>) -> Result<Vec<ObjectMeta>> {
        self.turn(&Act::Nothing).await;
        let first = self.world.objects(prefix.as_ref())?;
        self.turn(&Act::Nothing).await;
        let second = self.world.objects(prefix.as_ref())?;
        let middle = first.get(first.len() / 2).map(|meta| meta.location.clone()).unwrap_or_default();
        let is_low_first = self.world.state.lock().unwrap().acts.is_multiple_of(2);
        let early = first.into_iter().filter(|meta| (meta.location < middle) == is_low_first);
        let late = second.into_iter().filter(|meta| (meta.location < middle) != is_low_first);
        Ok(early.chain(late).collect())
    }
}

impl fmt::Display for Stepped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a stepped store of actor {}", self.actor)
    }
}

#[async_trait]
impl ObjectStore for Stepped {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let put = self.act(Act::Put(path.clone(), payload, options)).await?;
        put.ok_or(Error::NotImplemented { operation: "put".into(), implementer: "test".into() })
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotImplemented { operation: "put_multipart".into(), implementer: "test".into() })
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.turn(&Act::Nothing).await;
        let mut got = self.world.inner.get_opts(path, options).await?;
        got.meta = self.world.dated(got.meta);
        Ok(got)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        paths
            .and_then(move |path| {
                let store = store.clone();
                async move { store.act(Act::Delete(path.clone())).await.map(|_| path) }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.clone().list_halves(prefix.cloned());
        listed.map_ok(|metas| stream::iter(metas.into_iter().map(Ok))).try_flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.turn(&Act::Nothing).await;
        self.world.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented { operation: "copy".into(), implementer: "test".into() })
    }
}
