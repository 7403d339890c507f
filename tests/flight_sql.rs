//! Results and rollups of jobs by Flight SQL: allowed and refused queries.

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use arrow_flight::FlightInfo;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables, SqlInfo};
use futures::TryStreamExt;
use tonic::Code;
use tonic::transport::Channel;

use crate::cluster_security::{READ, SUBMIT, ask, channel, guarded};
use crate::sandbox::{Sandbox, Setup};
use crate::support::{Place, stderr, stdout};

pub type Client = FlightSqlServiceClient<Channel>;

pub async fn client(sandbox: &Sandbox, place: &Place, token: &str) -> Client {
    let mut client = Client::new(channel(sandbox, &place.path("certificates/client")).await);
    if !token.is_empty() {
        client.set_token(token.to_owned());
    }
    client
}

/// All rows of `info`, which must have the schema in it.
async fn fetch(client: &mut Client, info: FlightInfo) -> Result<Vec<RecordBatch>, FlightError> {
    let schema = info.clone().try_decode_schema().expect("a schema");
    let mut batches = Vec::new();
    for endpoint in info.endpoint {
        let rows = client.do_get(endpoint.ticket.expect("a ticket")).await?;
        batches.extend(rows.try_collect::<Vec<_>>().await?);
    }
    assert!(batches.iter().all(|batch| *batch.schema() == schema), "{schema:?} was announced");
    Ok(batches)
}

pub async fn query(client: &mut Client, sql: &str) -> Result<Vec<RecordBatch>, FlightError> {
    let info = client.execute(sql.to_owned(), None).await?;
    fetch(client, info).await
}

pub async fn number(client: &mut Client, sql: &str) -> i64 {
    let rows = query(client, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows[0].column(0).as_primitive::<Int64Type>().value(0)
}

pub async fn refusal(client: &mut Client, sql: &str) -> (Code, String) {
    match query(client, sql).await {
        Err(FlightError::Tonic(status)) => (status.code(), status.message().to_owned()),
        Err(other) => panic!("{sql}: {other}"),
        Ok(rows) => panic!("{sql} was answered: {rows:?}"),
    }
}

/// The values of a column of text.
fn texts(batches: &[RecordBatch], column: &str) -> Vec<String> {
    let texts = batches.iter().flat_map(|batch| batch[column].as_string::<i32>().iter().flatten());
    texts.map(str::to_owned).collect()
}

#[test]
fn results_and_rollups_are_queried_by_sql() {
    let place = Place::with_demo("--days 1 --rows-per-day 2000 --seed 3");
    place.scan_well("");
    let mut setup = guarded(&place);
    setup.config += "[sql]\nseconds = 10\nrows = 50000\n";
    let sandbox = Sandbox::start(&place, setup, 1);
    let folder = place.path("certificates/client");
    let scan = format!("scan --lake {} --out {}", place.lake().display(), place.path("remote").display());
    let output = ask(&sandbox, &scan, SUBMIT, Some(&folder));
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    let jobs: serde_json::Value =
        serde_json::from_str(&stdout(&ask(&sandbox, "jobs list --json", READ, Some(&folder)))).expect("jobs");
    let id = jobs[0]["id"].as_str().expect("an id").to_owned();
    // A window of a backfill leaves nothing to query: `latest` stays the scan.
    let span = "--suite firewall --from 2026-01-05 --to 2026-01-06";
    let (lake, out) = (place.lake(), place.path("windows"));
    let windows = format!("backfill --lake {} --out {} {span}", lake.display(), out.display());
    let output = ask(&sandbox, &windows, SUBMIT, Some(&folder));
    assert!(output.status.success(), "{}\n{}", stderr(&output), sandbox.logs());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut reader = client(&sandbox, &place, READ).await;
        query_results(&place, &mut reader, &id).await;
        query_metadata(&mut reader, &id).await;
        assert_refusals(&mut reader).await;
        for (token, expected) in [("", "token is required"), ("guess", "unknown token")] {
            let mut stranger = client(&sandbox, &place, token).await;
            let (code, text) = refusal(&mut stranger, "SELECT 1").await;
            assert_eq!(code, Code::Unauthenticated);
            assert!(text.contains(expected), "{text}");
            assert!(stranger.get_catalogs().await.is_err());
            assert!(stranger.prepare("SELECT 1".into(), None).await.is_err());
        }
    });
}

async fn query_results(place: &Place, reader: &mut Client, id: &str) {
    let findings = place.findings();
    assert_eq!(number(reader, "SELECT count(*) FROM findings").await, findings.len() as i64);
    let talkers = place.table("top_talkers").len() as i64;
    assert_eq!(number(reader, &format!("SELECT count(*) FROM \"{id}\".top_talkers")).await, talkers);
    assert_eq!(number(reader, "SELECT count(*) FROM latest.top_talkers").await, talkers);
    let risks = number(reader, "SELECT max(score) FROM entities").await;
    assert!((1..=100).contains(&risks), "{risks}");
    assert!(number(reader, "SELECT count(*) FROM incidents").await > 0);
    assert_eq!(number(reader, "SELECT count(*) FROM risk_by_day").await, 1);

    // Rollups cover all traffic, not only findings.
    let pairs = query(reader, "SELECT * FROM rollup_internal_pairs LIMIT 5").await.expect("rows");
    assert_eq!(pairs.iter().map(RecordBatch::num_rows).sum::<usize>(), 5);
    let distinct = number(reader, "SELECT count(*) FROM (SELECT DISTINCT * FROM rollup_threat_counts)").await;
    assert_eq!(distinct, number(reader, "SELECT count(*) FROM rollup_threat_counts").await);

    // A prepared statement, with its parameter's value separate from the text.
    let sql = "SELECT id FROM findings WHERE severity = $1 ORDER BY id";
    let mut prepared = reader.prepare(sql.into(), None).await.expect("prepared");
    assert_eq!(prepared.parameter_schema().expect("a schema").fields().len(), 1);
    let value: arrow::array::ArrayRef = std::sync::Arc::new(StringArray::from(vec!["high"]));
    prepared.set_parameters(RecordBatch::try_from_iter([("1", value)]).expect("a row")).expect("bound");
    let info = prepared.execute().await.expect("executed");
    let mut high: Vec<String> = findings
        .iter()
        .filter(|finding| finding["severity"] == "high")
        .filter_map(|finding| Some(finding["id"].as_str()?.to_owned()))
        .collect();
    high.sort();
    assert!(!high.is_empty());
    assert_eq!(texts(&fetch(reader, info).await.expect("rows"), "id"), high);
    prepared.close().await.expect("closed");
}

async fn query_metadata(reader: &mut Client, id: &str) {
    let info = reader.get_catalogs().await.expect("catalogs");
    assert_eq!(texts(&fetch(reader, info).await.expect("rows"), "catalog_name"), ["hindcast"]);
    let all = CommandGetDbSchemas { catalog: None, db_schema_filter_pattern: None };
    let info = reader.get_db_schemas(all).await.expect("schemas");
    let schemas = texts(&fetch(reader, info).await.expect("rows"), "db_schema_name");
    assert!(schemas.len() == 2 && schemas.contains(&"latest".to_owned()) && schemas.contains(&id.to_owned()));
    for include_schema in [false, true] {
        let of_latest = CommandGetTables {
            catalog: Some("hindcast".into()),
            db_schema_filter_pattern: Some("latest".into()),
            table_name_filter_pattern: None,
            table_types: vec!["TABLE".into()],
            include_schema,
        };
        let info = reader.get_tables(of_latest).await.expect("tables");
        let tables = texts(&fetch(reader, info).await.expect("rows"), "table_name");
        for name in ["beaconing", "entities", "findings", "incidents", "rollup_internal_pairs", "suppressed"]
        {
            assert!(tables.contains(&name.to_owned()), "{name} is not in {tables:?}");
        }
    }
    let info = reader.get_table_types().await.expect("types");
    assert_eq!(texts(&fetch(reader, info).await.expect("rows"), "table_type"), ["TABLE"]);
    let info = reader.get_sql_info(vec![SqlInfo::FlightSqlServerReadOnly]).await.expect("abilities");
    assert_eq!(fetch(reader, info).await.expect("rows")[0].num_rows(), 1);
}

async fn assert_refusals(reader: &mut Client) {
    for sql in [
        "CREATE TABLE t AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "COPY findings TO '/tmp/findings.csv' STORED AS CSV",
        "INSERT INTO findings SELECT * FROM findings",
        "DELETE FROM findings",
        "DROP TABLE findings",
        "SET datafusion.runtime.memory_limit = '100G'",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM 'file:///etc/passwd'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM \"../jobs\".findings",
        "SELECT * FROM latest.\"../report\"",
        "SELECT * FROM rollup_nothing",
        "SELECT repeat('x', 1000000000)",
    ] {
        let (code, text) = refusal(reader, sql).await;
        assert_eq!(code, Code::InvalidArgument, "{sql}: {text}");
    }
    assert!(reader.execute_update("DELETE FROM findings".into(), None).await.is_err());
    // More rows than allowed, and a query that takes longer than allowed.
    let (code, text) = refusal(reader, "SELECT * FROM generate_series(1, 60000)").await;
    assert_eq!(code, Code::ResourceExhausted, "{text}");
    assert!(text.contains("50000 rows"), "{text}");
    let endless = "SELECT count(*) FROM generate_series(1, 100000000000) a WHERE a.value % 7 = 8";
    let (code, text) = refusal(reader, endless).await;
    assert_eq!(code, Code::ResourceExhausted, "{text}");
    assert!(text.contains("10 seconds"), "{text}");
    // None of these still occupies a slot.
    for _ in 0..5 {
        assert_eq!(number(reader, "SELECT 1").await, 1);
    }
}

#[test]
fn before_any_job_there_is_nothing_to_query() {
    let place = Place::with_demo("--days 1 --rows-per-day 500 --seed 3");
    let sandbox = Sandbox::start(&place, Setup::local(&place), 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let address = format!("http://127.0.0.1:{}", sandbox.port);
        let channel = Channel::from_shared(address).expect("an address").connect().await.expect("connected");
        let mut anybody = Client::new(channel);
        let (code, text) = refusal(&mut anybody, "SELECT * FROM findings").await;
        assert_eq!(code, Code::InvalidArgument);
        assert!(text.contains("findings"), "{text}");
        assert_eq!(number(&mut anybody, "SELECT 1").await, 1);
    });
}
