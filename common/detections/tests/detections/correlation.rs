//! The queries of correlation over the state of a few rows: relations, prevalence and known names.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use datafusion::common::Result;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{ident, lit};
use datafusion::prelude::{DataFrame, SessionContext};
use hindcast_base::entities::EntityKind;
use hindcast_base::time::{MICROS_PER_DAY, Window};
use hindcast_detections::Detections;
use hindcast_detections::analyses::correlation::{ENTITY_TIES, KNOWN_NAMES, PREVALENCE};
use hindcast_detections::analyses::{
    Inputs, Scope, SideTable, WANTED_ENTITIES, merged_columns, open_states, rollup,
};
use hindcast_detections::config::Config;
use hindcast_detections::findings::{Prevalence, Row, wanted_rows};
use hindcast_detections::rollups::BUCKET_COLUMN;
use hindcast_functions::BUCKETS;
use hindcast_lake::task_session;

/// State of some rollups, and the wanted entities.
struct Bench {
    session: SessionContext,
    config: Config,
    states: BTreeMap<&'static str, RecordBatch>,
    wanted: RecordBatch,
}

impl Bench {
    async fn new(
        rows: &RecordBatch,
        rollups: &[&'static str],
        wanted: impl IntoIterator<Item = (EntityKind, &'static str)>,
    ) -> Self {
        let session = task_session(Arc::new(RuntimeEnv::default()));
        let config = Config::load("default", &[]).expect("the preset");
        let mut states = BTreeMap::new();
        for id in rollups {
            let table = session.read_batch(rows.clone()).expect("a frame");
            let state = rollup(&config, id).expect("a rollup").build(table, &config).expect("a plan");
            states.insert(*id, collected(state).await);
        }
        let wanted = wanted.into_iter().map(|(kind, name)| (kind, name.to_owned())).collect();
        Self { session, config, states, wanted: wanted_rows(&wanted).expect("a side table") }
    }

    /// The rows of a query, one shard after the other.
    async fn run(&self, query: &str, investigated: Option<EntityKind>, shards: &[(u16, u16)]) -> RecordBatch {
        let mut results = Vec::new();
        for shard in shards {
            results.push(self.run_shard(query, investigated, *shard).await);
        }
        concat_batches(&results[0].schema(), &results).expect("one batch")
    }

    async fn run_shard(
        &self,
        query: &str,
        investigated: Option<EntityKind>,
        buckets: (u16, u16),
    ) -> RecordBatch {
        let open = |id: &str, scope: Scope| -> Result<Option<DataFrame>> {
            let Some(state) = self.states.get(id) else { return Ok(None) };
            let (first, end) = if scope == Scope::Whole { (0, BUCKETS) } else { buckets };
            let in_shard = ident(BUCKET_COLUMN).gt_eq(lit(first)).and(ident(BUCKET_COLUMN).lt(lit(end)));
            let state = self.session.read_batch(state.clone())?.filter(in_shard)?;
            open_states(rollup(&self.config, id)?, state, scope).map(Some)
        };
        let open_side = |table: &SideTable| {
            let is_wanted = table.name == WANTED_ENTITIES.name;
            is_wanted.then(|| self.session.read_batch(self.wanted.clone())).transpose()
        };
        let (columns, state) = (BTreeMap::new(), self.session.state());
        let inputs = Inputs {
            config: &self.config,
            columns: &columns,
            open: &open,
            schema_of: &|id| merged_columns(id, &self.config, &self.session),
            session: &state,
            open_side: &open_side,
            window: Window { from_us: 0, to_us: MICROS_PER_DAY },
            buckets,
            investigated,
        };
        let analysis = Detections::built_in().by_id(query).expect("an analysis");
        collected(analysis.run(&inputs).expect("a plan")).await
    }
}

async fn collected(frame: DataFrame) -> RecordBatch {
    let schema = Arc::clone(frame.schema().inner());
    concat_batches(&schema, &frame.collect().await.expect("rows")).expect("one batch")
}

fn texts<'t>(values: impl IntoIterator<Item = Option<&'t str>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<StringViewArray>())
}

fn times(days: impl IntoIterator<Item = i64>) -> ArrayRef {
    let micros = days.into_iter().map(|day| day * MICROS_PER_DAY);
    Arc::new(TimestampMicrosecondArray::from_iter_values(micros).with_timezone("UTC"))
}

/// Connections: day, device and address.
fn connections(rows: &[(i64, &str, &str)]) -> RecordBatch {
    let columns = [
        ("Timestamp", times(rows.iter().map(|row| row.0))),
        ("DeviceName", texts(rows.iter().map(|row| Some(row.1)))),
        ("LocalIP", texts(rows.iter().map(|row| Some(row.2)))),
    ];
    RecordBatch::try_from_iter(columns).expect("a batch")
}

/// Firewall sessions: source and destination.
fn sessions(rows: &[(Option<&str>, &str)]) -> RecordBatch {
    let count = rows.len();
    let numbers = || Arc::new(Int64Array::from(vec![Some(100); count])) as ArrayRef;
    let same = |text: &'static str| texts((0..count).map(|_| Some(text)));
    let columns = [
        ("TimeGenerated", times((0..count).map(|_| 0))),
        ("DeviceVendor", same("Palo Alto Networks")),
        ("DeviceEventClassID", same("TRAFFIC")),
        ("Activity", same("TRAFFIC")),
        ("SourceIP", texts(rows.iter().map(|row| row.0))),
        ("DestinationIP", texts(rows.iter().map(|row| Some(row.1)))),
        ("DestinationPort", numbers()),
        ("DeviceCustomNumber3", same("700")),
        ("DeviceCustomNumber3Label", same("Elapsed time in seconds")),
        ("SentBytes", numbers()),
        ("ReceivedBytes", numbers()),
        ("SourceUserName", texts((0..count).map(|_| None))),
        ("SourceHostName", texts((0..count).map(|_| None))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
        .expect("a batch")
}

/// Day, address, device, events and degree of relations, in order.
fn relations(rows: &RecordBatch) -> Vec<(i64, String, String, i64, i64)> {
    let mut relations: Vec<_> = (0..rows.num_rows())
        .map(|index| {
            let row = Row::new(rows, index);
            let text = |column| row.text(column).expect("a text").to_owned();
            let number = |column| row.integer(column).expect("a number");
            let day = row.micros("date").expect("a time") / MICROS_PER_DAY;
            assert_eq!((row.text("kind"), row.text("other_kind")), (Some("ip"), Some("device")));
            (day, text("name"), text("other_name"), number("events"), number("degree"))
        })
        .collect();
    relations.sort();
    relations
}

const WHOLE: [(u16, u16); 1] = [(0, BUCKETS)];
const SHARDS: [(u16, u16); 3] = [(0, 1_300), (1_300, 1_301), (1_301, BUCKETS)];

#[tokio::test]
async fn relations_are_of_wanted_entities_by_day_with_the_degree_of_the_address() {
    let rows = connections(&[
        (0, "WS-1.corp.example", "10.0.0.5"),
        (0, "ws-1", "10.0.0.5:443"),
        (0, "ws-2", "10.0.0.5"),
        (0, "ws-3", "10.0.0.9"),
        (1, "ws-1", "10.0.0.7"),
    ]);
    let relation = |day, address: &str, device: &str, events, degree| {
        (day, address.to_owned(), device.to_owned(), events, degree)
    };
    let of_device = [relation(0, "10.0.0.5", "ws-1", 2, 2), relation(1, "10.0.0.7", "ws-1", 1, 1)];
    let bench = Bench::new(&rows, &["device_addresses"], [(EntityKind::Device, "ws-1")]).await;
    assert_eq!(relations(&bench.run(ENTITY_TIES, None, &WHOLE).await), of_device);
    assert_eq!(relations(&bench.run(ENTITY_TIES, None, &SHARDS).await), of_device);

    let wanted = [(EntityKind::Ip, "10.0.0.5"), (EntityKind::User, "ws-3")];
    let bench = Bench::new(&rows, &["device_addresses"], wanted).await;
    let of_address = [relation(0, "10.0.0.5", "ws-1", 2, 2), relation(0, "10.0.0.5", "ws-2", 1, 2)];
    assert_eq!(relations(&bench.run(ENTITY_TIES, None, &SHARDS).await), of_address);
}

#[tokio::test]
async fn prevalence_counts_each_source_once_in_any_shards() {
    let rows = sessions(&[
        (Some("10.0.0.1"), "203.0.113.9"),
        (Some("10.0.0.1"), "203.0.113.9"),
        (Some("10.0.0.2"), "203.0.113.9"),
        (Some("10.0.0.3"), "::ffff:203.0.113.9"),
        (None, "203.0.113.9"),
        (Some("10.0.0.1"), "10.0.0.200"),
        (Some("10.0.0.2"), "198.51.100.1"),
    ]);
    let names = ["203.0.113.9", "10.0.0.200", "192.0.2.1"];
    let wanted = names.map(|name| (EntityKind::Ip, name));
    let rollups = ["external_pairs", "internal_pairs", "firewall_identities"];
    let bench = Bench::new(&rows, &rollups, wanted).await;
    for shards in [&WHOLE[..], &SHARDS] {
        let prevalence = Prevalence::of_rows(&bench.run(PREVALENCE, None, shards).await);
        let sources: Vec<(&str, u64)> =
            prevalence.sources.iter().map(|(name, sources)| (name.as_str(), *sources)).collect();
        assert_eq!(sources, [("10.0.0.200", 1), ("203.0.113.9", 3)], "{shards:?}");
        assert_eq!(prevalence.total, 3, "{shards:?}");
    }
}

#[tokio::test]
async fn known_names_are_those_of_the_investigated_kind() {
    let rows = connections(&[(0, "ws-2", "10.0.0.5"), (0, "WS-1", "10.0.0.5"), (1, "ws-1", "10.0.0.7")]);
    let bench = Bench::new(&rows, &["device_addresses"], []).await;
    for (kind, expected) in [
        (EntityKind::Device, &["ws-1", "ws-2"][..]),
        (EntityKind::Ip, &["10.0.0.5", "10.0.0.7"]),
        (EntityKind::User, &[]),
    ] {
        let rows = bench.run(KNOWN_NAMES, Some(kind), &SHARDS).await;
        let names = (0..rows.num_rows()).map(|index| Row::new(&rows, index));
        let mut names: Vec<String> = names.map(|row| row.text("name").expect("a name").to_owned()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names, expected, "{kind:?}");
    }
}
