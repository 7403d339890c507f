//! Runs all cases of all built-in detections, split, shuffled and merged in several ways.

use std::thread;

use hindcast_cases::CaseReport;
use hindcast_detections::Detections;

/// The reports of all detections that have cases.
fn reports() -> Vec<CaseReport> {
    let detections = Detections::built_in();
    let run = |id: &'static str| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
        runtime.block_on(hindcast_cases::run(&detections, id)).unwrap_or_else(|error| panic!("{error}"))
    };
    thread::scope(|scope| {
        let ids = detections.all().iter().map(|analysis| analysis.id);
        let running: Vec<_> = ids.map(|id| scope.spawn(move || run(id))).collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

#[test]
fn detections_give_what_their_cases_say() {
    let reports = reports();
    let failed: Vec<String> =
        reports.iter().filter(|report| !report.passed()).map(|report| format!("{report}")).collect();
    assert!(failed.is_empty(), "{} of {} cases\n{}", failed.len(), reports.len(), failed.join("\n"));
    for analysis in Detections::built_in().analyses() {
        let of_this: Vec<&CaseReport> =
            reports.iter().filter(|report| report.detection == analysis.id).collect();
        let id = analysis.id;
        assert!(of_this.iter().any(|report| report.rows > 0), "{id}: no case gives a row");
        if analysis.finding.is_some() {
            let named = of_this.iter().filter(|report| report.names_findings && report.input_rows > 0);
            let (hits, misses): (Vec<&&CaseReport>, Vec<&&CaseReport>) =
                named.partition(|report| report.findings > 0);
            assert!(!hits.is_empty(), "{id}: no case names findings that must be raised");
            assert!(!misses.is_empty(), "{id}: no case has `findings = []`: rows that must raise none");
        }
    }
}
