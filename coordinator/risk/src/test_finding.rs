//! A finding for unit tests, of which each test sets the fields that it is about.

use std::collections::BTreeSet;

use hindcast_detections::analyses::Suite;
use hindcast_detections::findings::{Finding, KillChainPhase, Severity};

/// A finding of one row at `time` without entities and techniques.
pub fn finding(id: impl Into<String>, time: &str) -> Finding {
    Finding {
        id: id.into(),
        analysis: "beaconing".into(),
        suite: Suite::Firewall,
        title: String::new(),
        severity: Severity::Medium,
        confidence: 60,
        first_seen: Some(time.into()),
        last_seen: Some(time.into()),
        rows: 1,
        stage: KillChainPhase::Beacon,
        entities: BTreeSet::new(),
        techniques: Vec::new(),
        explanation: String::new(),
        evidence: serde_json::Value::Null,
        watchlists: Vec::new(),
        roots: BTreeSet::new(),
    }
}
