//! Failures of analyses: a user's own detection fails alone, and anything else fails the scan.

use async_trait::async_trait;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;
use hindcast_base::ErrorKind;
use hindcast_detections::config::Config;
use hindcast_engine::{Engine, Local, Stage, StageTasks};

use super::super::run::{RunOptions, ScanResult, run_plan};
use super::super::test_lake::{TestLake, between};
use super::*;

const OWN: &str = "own_talkers";
const OWN_QUERY: &str = "SELECT source_ip, sum(sessions) AS sessions FROM external_pairs GROUP BY source_ip";

/// A plan of two analyses of the firewall.
async fn plan() -> ScanPlan {
    let lake = TestLake::new();
    lake.write_sessions("2026-03-01", &[("10", "Palo Alto Networks", "10.0.0.1", "203.0.113.1")]);
    let config = lake.config("");
    let window = between("2026-03-01", "2026-03-02");
    lake.plan(&config, &["beaconing", "traffic_overview"], window).await.unwrap()
}

#[tokio::test]
async fn a_failed_analysis_is_disabled_and_a_gap() {
    let plan = plan().await;
    let failed = plan.analyses[0];
    let mut failures = Failures::default();
    failures.add(failed, "first".into());
    failures.add(failed, "second".into());
    assert!(failures.has(failed));
    assert_eq!(failures.remaining(&plan).len(), plan.analyses.len() - 1);
    let reduced = failures.without(&plan);
    assert!(reduced.analyses.iter().all(|analysis| analysis.id != failed.id));
    let disabled = reduced.disabled.iter().find(|disabled| disabled.analysis.id == failed.id).unwrap();
    assert_eq!(disabled.reason, DisabledReason::Failed { error: "first".into() });
    assert_eq!(reduced.gaps.last().unwrap().to_string(), format!("{}: it failed: first", failed.id));
}

#[tokio::test]
async fn analyses_of_a_rollup_that_failed_fail_with_it() {
    let plan = plan().await;
    let rollups = BTreeMap::from([("external_pairs".to_owned(), "no column x".to_owned())]);
    let failures = Failures::of_rollups(&plan, &rollups);
    let reads = |analysis: &&&'static Analysis| {
        let mut read = analysis.rollups.iter().chain(analysis.optional_rollups);
        read.any(|id| *id == "external_pairs")
    };
    assert_eq!(plan.analyses.iter().filter(reads).count(), failures.0.len());
    assert!(failures.0.values().all(|reason| reason == "no column x") && !failures.0.is_empty());
}

#[tokio::test]
async fn an_error_of_a_built_in_analysis_fails_the_scan() {
    let plan = plan().await;
    let mut failures = Failures::default();
    let error = failures.fail(plan.analyses[0], None, Error::Invalid("no column x".into())).unwrap_err();
    assert_eq!(error.to_string(), "no column x");
    assert!(failures.0.is_empty());
}

/// Loses each worker that merges this analysis, and runs all other stages in this process.
struct Losing<'a> {
    engine: &'a Local,
    analysis: &'static str,
}

#[async_trait]
impl Engine for Losing<'_> {
    async fn run(&self, stage: Stage) -> Result<SendableRecordBatchStream> {
        match &stage {
            Stage::Merge(merge) if merge.analyses == [self.analysis] => {
                let tasks = StageTasks::of(stage)?;
                let lost = tasks.given_up(0, Error::Unavailable("its worker was lost".into()));
                Ok(Box::pin(RecordBatchStreamAdapter::new(tasks.schema(), stream::iter([lost]))))
            }
            _ => self.engine.run(stage).await,
        }
    }
}

/// A lake of one session, and parameters with an own detection that has a companion table.
fn with_own(companion: &str) -> (TestLake, Config) {
    let lake = TestLake::new();
    lake.write_sessions("2026-03-01", &[("10", "Palo Alto Networks", "10.0.0.1", "203.0.113.1")]);
    let definition = "version = 1\nsuite = 'firewall'\ntitle = 't'\nshows = 's'\nrollups = ['external_pairs']\n\
        companion = 'own_ratios'\n[[columns]]\nname = 'source_ip'\ntype = 'text'\ndoc = 'd'\n\
        [[columns]]\nname = 'sessions'\ntype = 'integer'\ndoc = 'd'\n";
    let files = [("detection.toml", definition), ("query.sql", OWN_QUERY), ("own_ratios.sql", companion)];
    let config = lake.config_with_own(OWN, &files);
    (lake, config)
}

async fn scanned(lake: &TestLake, config: &Config, loses: &'static str) -> Result<ScanResult> {
    let window = between("2026-03-01", "2026-03-02");
    let plan = lake.plan(config, &["top_talkers", OWN], window).await.unwrap();
    let (state, engine) = (lake.state(), Losing { engine: &lake.engine, analysis: loses });
    run_plan(&plan, &RunOptions { engine: &engine, ..lake.options(config, &state) }, &()).await
}

fn tables(result: &ScanResult) -> Vec<&str> {
    result.tables.iter().map(|table| table.name.as_str()).collect()
}

#[tokio::test]
async fn a_lost_shard_fails_only_the_own_detection_that_it_belongs_to() {
    let (lake, config) = with_own("SELECT source_ip, sessions AS ratio FROM result");
    let whole = scanned(&lake, &config, "nothing").await.unwrap();
    assert_eq!(tables(&whole), ["top_talkers", OWN, "own_ratios"]);
    assert!(whole.report.summary.coverage.complete);

    let result = scanned(&lake, &config, OWN).await.unwrap();
    let summary = &result.report.summary;
    assert_eq!((tables(&result), summary.coverage.complete), (vec!["top_talkers"], false));
    let reason = &summary.disabled[OWN];
    assert!(
        reason.contains("own_talkers/query.sql, line 1") && reason.contains("worker was lost"),
        "{reason}"
    );
    let error = scanned(&lake, &config, "top_talkers").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_companion_that_fails_on_rows_names_its_own_file() {
    let (lake, config) = with_own("-- ratios\nSELECT source_ip, 1 / (sessions - 1) AS ratio FROM result");
    let result = scanned(&lake, &config, "nothing").await.unwrap();
    assert_eq!(tables(&result), ["top_talkers"]);
    let reason = &result.report.summary.disabled[OWN];
    assert!(reason.contains("own_talkers/own_ratios.sql, line 2: "), "{reason}");
    assert!(reason.to_lowercase().contains("divide by zero"), "{reason}");
}
