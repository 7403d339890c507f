//! The messages to a webhook: the run, and its findings in several messages if there are many.

use hindcast_detections::findings::Finding;
use serde_json::{Value, json};

use super::RunEnd;

/// Most findings in one message.
const FINDINGS_PER_MESSAGE: usize = 200;

/// The messages at the end of a run: at least one, so that a run without findings is reported too.
pub(super) fn messages(end: RunEnd<'_>, findings: &[&Finding]) -> Vec<Value> {
    let run = run(end);
    let chunks: Vec<&[&Finding]> =
        if findings.is_empty() { vec![findings] } else { findings.chunks(FINDINGS_PER_MESSAGE).collect() };
    let parts = chunks.len();
    let message = |(index, chunk): (usize, &&[&Finding])| {
        json!({
            "source": "hindcast",
            "version": env!("CARGO_PKG_VERSION"),
            "run": run,
            "part": index + 1,
            "parts": parts,
            "findings": chunk,
            // The first message holds the incidents of all findings.
            "incidents": if index == 0 { incidents(end, findings) } else { Vec::new() },
        })
    };
    chunks.iter().enumerate().map(message).collect()
}

fn run(end: RunEnd<'_>) -> Value {
    let job = (!end.job.is_empty()).then_some(end.job);
    match end.outcome {
        Ok(result) => {
            let summary = &result.report.summary;
            json!({
                "job": job,
                "state": "done",
                "window": summary.window,
                "risk": { "score": summary.risk.score(), "level": summary.risk.level() },
                "findings": summary.findings,
                "incidents": summary.incidents,
                "complete": summary.coverage.complete,
                "not_read": summary.reasons(),
                "config_hash": summary.config_hash,
            })
        }
        Err(error) => json!({ "job": job, "state": "failed", "error": error.to_string() }),
    }
}

fn incidents(end: RunEnd<'_>, findings: &[&Finding]) -> Vec<Value> {
    let Ok(result) = end.outcome else { return Vec::new() };
    let sent: std::collections::BTreeSet<&str> = findings.iter().map(|finding| finding.id.as_str()).collect();
    let incidents = result.report.incidents.iter();
    let related = incidents.filter(|incident| incident.findings.iter().any(|id| sent.contains(id.as_str())));
    related.map(|incident| json!(incident)).collect()
}

#[cfg(test)]
mod tests {
    use hindcast_base::Error;

    use super::*;
    use crate::output::example::result;

    #[test]
    fn a_message_has_the_run_its_findings_and_their_incidents() {
        let result = result();
        let end = RunEnd { job: "", outcome: Ok(&result) };
        let findings: Vec<&Finding> = result.findings.iter().collect();
        let sent = messages(end, &findings);
        let [message] = sent.as_slice() else { panic!("{sent:?}") };
        let run = json!({
            "job": null, "state": "done",
            "window": { "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z" },
            "risk": { "score": 85, "level": "HIGH" }, "findings": 2, "incidents": 1, "complete": true,
            "not_read": [], "config_hash": "abc",
        });
        assert_eq!(message["run"], run);
        assert_eq!((&message["part"], &message["parts"]), (&json!(1), &json!(1)));
        assert_eq!(message["source"], "hindcast");
        assert_eq!(message["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(message["findings"], json!(result.findings));
        assert_eq!(message["incidents"], json!(result.report.incidents));
        assert_eq!(message["incidents"][0]["score"], 85);
    }

    #[test]
    fn incidents_without_a_finding_of_the_message_are_left_out() {
        let mut result = result();
        result.report.incidents[0].findings = vec!["f-staging".into()];
        let count = |index: usize| {
            let sent = messages(RunEnd { job: "7", outcome: Ok(&result) }, &[&result.findings[index]]);
            sent[0]["incidents"].as_array().map(Vec::len)
        };
        assert_eq!((count(0), count(1)), (Some(1), Some(0)));
    }

    #[test]
    fn many_findings_make_several_messages_and_none_make_one() {
        let finding: Finding = serde_json::from_value(json!({
            "id": "a", "analysis": "beaconing", "suite": "firewall", "title": "A beacon", "severity": "high",
            "confidence": 70, "first_seen": null, "last_seen": null, "rows": 1, "stage": "beacon", "entities": [],
            "techniques": [], "explanation": "it beats", "evidence": {},
        }))
        .unwrap();
        let failed = Error::Busy("the store is away".into());
        let end = RunEnd { job: "7", outcome: Err(&failed) };
        let all = vec![&finding; 2 * FINDINGS_PER_MESSAGE + 1];
        let sent = messages(end, &all);
        let counts: Vec<_> =
            sent.iter().map(|message| message["findings"].as_array().map(Vec::len)).collect();
        assert_eq!(counts, [Some(FINDINGS_PER_MESSAGE), Some(FINDINGS_PER_MESSAGE), Some(1)]);
        assert_eq!((&sent[2]["part"], &sent[2]["parts"]), (&json!(3), &json!(3)));
        let none = messages(end, &[]);
        assert_eq!(none.len(), 1);
        assert_eq!(none[0]["run"], json!({ "job": "7", "state": "failed", "error": "the store is away" }));
    }
}
