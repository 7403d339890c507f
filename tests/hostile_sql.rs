//! Hostile requests by Flight SQL with a reading token: altered handles, deeply nested statements, growing values. None of them ends the
//! coordinator, stops other queries or uses more memory than reserved.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::{Any, CommandPreparedStatementQuery, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightData, FlightDescriptor, Ticket};
use futures::{TryStreamExt, stream};
use prost::Message;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tonic::{Code, Request, Status};

use crate::cluster_security::{READ, guarded};
use crate::flight_sql::{Client, client, number, query, refusal};
use crate::mutated_requests::{mutated, mutations};
use crate::sandbox::{Sandbox, Setup};
use crate::support::Place;

/// Time limit of a query in seconds.
const SECONDS: u64 = 12;
/// Longest time of a refusal: the query's time limit, and the start of its process on a busy machine.
const BOUNDED: Duration = Duration::from_secs(2 * SECONDS);

fn start(place: &Place) -> Sandbox {
    let setup = guarded(place);
    let config = format!("{}[sql]\nseconds = {SECONDS}\n", setup.config);
    Sandbox::start(place, Setup { config, ..setup }, 1)
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// A request with the reader's token.
fn authorised<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {READ}").parse().expect("a header"));
    request
}

async fn get(reader: &mut Client, ticket: Vec<u8>) -> Result<Vec<FlightData>, Status> {
    let answer = reader.inner_mut().do_get(authorised(Ticket::new(ticket))).await?;
    answer.into_inner().try_collect().await
}

/// The handle of a statement from its ticket.
async fn handle_of(reader: &mut Client, sql: &str) -> Vec<u8> {
    let info = reader.execute(sql.into(), None).await.expect("planned");
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    let any = Any::decode(ticket.ticket.as_ref()).expect("a message");
    let ticket: TicketStatementQuery = any.unpack().expect("a ticket").expect("of a statement");
    ticket.statement_handle.to_vec()
}

fn is_alive(sandbox: &Sandbox) {
    assert_eq!(sandbox.get("/healthz").as_deref(), Some("alive\n"), "{}", sandbox.logs());
}

#[test]
fn altered_handles_are_refused() {
    let place = Place::with_demo("--days 1 --rows-per-day 500 --seed 3");
    let sandbox = start(&place);
    block_on(async {
        let mut reader = client(&sandbox, &place, READ).await;
        let handle = handle_of(&mut reader, "SELECT 1 AS one").await;
        let ticket = |handle: Vec<u8>| {
            TicketStatementQuery { statement_handle: handle.into() }.as_any().encode_to_vec()
        };
        get(&mut reader, ticket(handle.clone())).await.expect("rows");
        let whole = ticket(handle.clone());
        for seed in 0..mutations(1_000) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let altered = mutated(&handle, &mut rng);
            if altered != handle {
                let refused = get(&mut reader, ticket(altered.clone())).await;
                assert_eq!(refused.expect_err("refused").code(), Code::InvalidArgument, "seed {seed}");
                let command = CommandPreparedStatementQuery { prepared_statement_handle: altered.into() };
                let command = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
                let refused = reader.inner_mut().get_flight_info(authorised(command)).await;
                assert_eq!(refused.expect_err("refused").code(), Code::InvalidArgument, "seed {seed}");
            }
            // A change around the handle may have the same meaning.
            let _ = get(&mut reader, mutated(&whole, &mut rng)).await;
        }
        is_alive(&sandbox);
        assert_eq!(number(&mut reader, "SELECT 1").await, 1);
    });
}

#[test]
fn altered_parameters_are_refused() {
    let place = Place::with_demo("--days 1 --rows-per-day 500 --seed 3");
    let sandbox = start(&place);
    block_on(async {
        let mut reader = client(&sandbox, &place, READ).await;
        let handle = handle_of(&mut reader, "SELECT $1 || 'x' AS text").await;
        let value: ArrayRef = Arc::new(StringArray::from(vec!["value"]));
        let row = RecordBatch::try_from_iter([("1", value)]).expect("a row");
        let encoder = FlightDataEncoderBuilder::new().with_schema(row.schema());
        let data: Vec<FlightData> =
            encoder.build(stream::iter([Ok(row)])).try_collect().await.expect("encoded");
        let command = CommandPreparedStatementQuery { prepared_statement_handle: handle.into() };
        let command = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        for seed in 0..mutations(25) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut data = data.clone();
            data[0].flight_descriptor = Some(command.clone());
            // A batch has its lengths in the header and its values in the body.
            let part = if seed % 3 == 0 { &mut data[0].data_header } else { &mut data[1].data_header };
            *part = mutated(part, &mut rng).into();
            if seed % 2 == 0 {
                data[1].data_body = mutated(&data[1].data_body, &mut rng).into();
            }
            let put = reader.inner_mut().do_put(authorised(stream::iter(data))).await;
            let put = match put {
                Ok(answer) => answer.into_inner().try_collect::<Vec<_>>().await,
                Err(status) => Err(status),
            };
            if let Err(status) = put {
                let is_gone = matches!(status.code(), Code::Unavailable | Code::Unknown);
                assert!(!is_gone, "seed {seed}: {status}\n{}", sandbox.logs());
            }
        }
        is_alive(&sandbox);
        assert_eq!(number(&mut reader, "SELECT 1").await, 1);
    });
}

#[test]
fn deep_statements_are_refused_while_others_run() {
    let place = Place::with_demo("--days 1 --rows-per-day 500 --seed 3");
    let sandbox = start(&place);
    block_on(async {
        let mut reader = client(&sandbox, &place, READ).await;
        let mut other = client(&sandbox, &place, READ).await;
        let long = tokio::spawn(async move {
            let endless = "SELECT count(*) FROM generate_series(1, 100000000000) a WHERE a.value % 7 = 8";
            refusal(&mut other, endless).await
        });
        for sql in [
            format!("SELECT 1{}", " + 1".repeat(1_500)),
            format!("SELECT 1{}", "+1".repeat(3_000)),
            format!("SELECT {}1{}", "(".repeat(3_000), ")".repeat(3_000)),
            format!("SELECT 1{}", " UNION SELECT 1".repeat(1_000)),
            format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(1_000), " END".repeat(1_000)),
            format!("SELECT * FROM {}(SELECT 1){}", "(SELECT * FROM ".repeat(500), ")".repeat(500)),
            format!("SELECT {}true", "NOT ".repeat(2_000)),
            format!("SELECT 'a'{}", " || 'a'".repeat(1_500)),
            format!("SELECT 1{}", "::bigint".repeat(2_000)),
            format!("SELECT '{}'", "x".repeat(70_000)),
            "SELECT ((((((((((((((((((((((((((((((((((((((((((((((((((((((((1".to_owned(),
        ] {
            let began = Instant::now();
            let (code, text) = refusal(&mut reader, &sql).await;
            assert_eq!(code, Code::InvalidArgument, "{}: {text}", &sql[..60]);
            assert!(began.elapsed() < Duration::from_secs(3), "{}: {:?}", &sql[..60], began.elapsed());
        }
        // A statement just within the limits is planned; endless planning is cancelled.
        assert_eq!(number(&mut reader, &format!("SELECT 1{}", " + 1".repeat(400))).await, 401);
        let doubled: Vec<String> =
            (1..40).map(|n| format!("c{n} AS (SELECT a.n FROM c{0} a CROSS JOIN c{0} b)", n - 1)).collect();
        let doubled = format!("WITH c0 AS (SELECT 1 AS n), {} SELECT n FROM c39", doubled.join(", "));
        let began = Instant::now();
        assert!(query(&mut reader, &doubled).await.is_err());
        assert!(began.elapsed() < BOUNDED, "{:?}", began.elapsed());
        is_alive(&sandbox);
        let (code, text) = long.await.expect("it ends");
        assert_eq!(code, Code::ResourceExhausted, "{text}");
        for _ in 0..5 {
            assert_eq!(number(&mut reader, "SELECT 1").await, 1);
        }
    });
}

#[test]
fn growing_values_use_no_more_than_the_reserved_memory() {
    let place = Place::with_demo("--days 1 --rows-per-day 500 --seed 3");
    let sandbox = start(&place);
    let before = sandbox.coordinator_peak_kib();
    let watch = sandbox.watch_children();
    let nested = |call: &str, times: usize| {
        (0..times).fold("'xxxxxxxxxxxxxxxx'".to_owned(), |text, _| call.replace('?', &text))
    };
    let rows = |text: &str| format!("SELECT length({text}) FROM generate_series(1, 1000000) AS t(value)");
    block_on(async {
        let mut reader = client(&sandbox, &place, READ).await;
        let ten = ["?"; 10];
        let growing = format!(
            "WITH a AS (SELECT arrow_cast('x', 'Utf8') || random()::text AS x){} SELECT length(x) FROM z9",
            (0..10)
                .map(|n| {
                    let from = if n == 0 { "a".to_owned() } else { format!("z{}", n - 1) };
                    format!(", z{n} AS (SELECT concat(x, x, x, x, x, x, x, x) AS x FROM {from})")
                })
                .collect::<String>()
        );
        for sql in [
            format!("SELECT length({})", nested(&format!("concat({})", ten.join(", ")), 2)),
            growing.clone(),
            growing.replace("concat(x, x, x, x, x, x, x, x)", "x || x || x || x || x || x || x || x"),
            growing.replace("concat(x, x, x, x, x, x, x, x)", "replace(x, 'x', 'xxxxxxxxxxxxxxxxxxxx')"),
            growing.replace("concat(x, x, x, x, x, x, x, x)", "regexp_replace(x, '(.)', '\\1\\1\\1\\1\\1\\1', 'g')"),
            "SELECT length(string_agg(value::text, 'xxxxxxxxxxxxxxxxxxxxxxxx')) FROM generate_series(1, 50000000) AS t(value)".to_owned(),
            "SELECT cardinality(array_agg(value::text || 'xxxxxxxxxxxxxxxxxxxxxx')) FROM generate_series(1, 50000000) AS t(value)".to_owned(),
            "SELECT count(DISTINCT value::text || 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx') FROM generate_series(1, 20000000) AS t(value)".to_owned(),
            rows("concat(value::text, 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')"),
        ] {
            let began = Instant::now();
            if let Err(error) = query(&mut reader, &sql).await {
                let message = error.to_string();
                assert!(!message.contains("Internal"), "{sql}: {message}");
            }
            assert!(began.elapsed() < 2 * BOUNDED, "{sql}: {:?}", began.elapsed());
        }
        assert_eq!(number(&mut reader, "SELECT 1").await, 1);
    });
    is_alive(&sandbox);
    let grown = sandbox.coordinator_peak_kib().saturating_sub(before);
    assert!(grown < 64 << 10, "the coordinator took {grown} KiB more");
    let child = watch.peak_child_kib();
    assert!(child > 0 && child < 320 << 10, "a query's process took {child} KiB");
}

#[test]
fn broken_statements_do_no_harm() {
    let place = Place::with_demo("--days 1 --rows-per-day 500 --seed 3");
    let sandbox = start(&place);
    let statements = [
        "SELECT analysis, count(*) AS n FROM findings WHERE severity = 'high' GROUP BY analysis ORDER BY n DESC LIMIT 5",
        "WITH a AS (SELECT 1 AS n UNION ALL SELECT 2) SELECT sum(n) OVER (ORDER BY n), CASE WHEN n > 1 THEN 'x' END FROM a",
        "SELECT concat('a', 'b') || regexp_replace('abc', '(b)', 'x'), DATE '2026-01-01' + INTERVAL '1 day', 1e3::int, [1, 2]",
    ];
    block_on(async {
        let mut reader = client(&sandbox, &place, READ).await;
        for (kind, sql) in statements.iter().enumerate() {
            for seed in 0..mutations(8) {
                let mut rng = ChaCha8Rng::seed_from_u64(seed * 10 + kind as u64);
                let broken = String::from_utf8_lossy(&mutated(sql.as_bytes(), &mut rng)).into_owned();
                let began = Instant::now();
                let _ = query(&mut reader, &broken).await;
                assert!(began.elapsed() < 2 * BOUNDED, "seed {seed}: {broken}");
            }
        }
        assert_eq!(number(&mut reader, "SELECT 1").await, 1);
    });
    is_alive(&sandbox);
    let logs = sandbox.whole_logs();
    assert!(!logs.contains("panicked"), "{logs}");
}
