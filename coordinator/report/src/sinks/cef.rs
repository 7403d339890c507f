//! Findings in the Common Event Format (CEF) of ArcSight, version 0.

use std::net::IpAddr;

use hindcast_base::entities::EntityKind;
use hindcast_base::time::parse_time_us;
use hindcast_detections::findings::{Finding, Severity};

use super::RunEnd;

/// Longest text of a field in CEF.
const LONGEST_VALUE: usize = 1_023;

/// The event of a finding. Its class is the analysis, so that a collector can count by analysis.
pub(super) fn of_finding(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Low => 3,
        Severity::Medium => 5,
        Severity::High => 8,
        Severity::Critical => 10,
    };
    let mut fields = Fields::default();
    fields.put("externalId", &finding.id);
    fields.put("cat", finding.suite.name());
    fields.put_time("start", finding.first_seen.as_deref());
    fields.put_time("end", finding.last_seen.as_deref());
    fields.put("cnt", &finding.rows.to_string());
    put_names(&mut fields, finding);
    put_addresses(&mut fields, finding);
    fields.put_labelled("cn1", "confidence", &finding.confidence.to_string());
    let techniques: Vec<&str> = finding.techniques.iter().map(|technique| &*technique.id).collect();
    fields.put_labelled("cs1", "techniques", &techniques.join(","));
    let entities = finding.entities.iter().map(|entity| format!("{}:{}", entity.kind.name(), entity.name));
    fields.put_labelled("cs2", "entities", &entities.collect::<Vec<_>>().join(","));
    fields.put("msg", &finding.explanation);
    event(&finding.analysis, &finding.title, severity, &fields)
}

/// The event at the end of a run.
pub(super) fn of_run(end: RunEnd<'_>) -> String {
    let mut fields = Fields::default();
    if !end.job.is_empty() {
        fields.put("externalId", end.job);
    }
    match end.outcome {
        Ok(result) => {
            let summary = &result.report.summary;
            fields.put_time("start", Some(&summary.window.from));
            fields.put_time("end", Some(&summary.window.to));
            fields.put_labelled("cn1", "findings", &summary.findings.to_string());
            fields.put_labelled("cn2", "incidents", &summary.incidents.to_string());
            if let Some(score) = summary.risk.score() {
                fields.put_labelled("cn3", "risk", &score.to_string());
            }
            let outcome = match (summary.risk.is_assessed(), summary.coverage.complete) {
                (false, _) => summary.risk.level().name(),
                (true, false) => "incomplete",
                (true, true) => "complete",
            };
            fields.put("outcome", outcome);
            if !summary.is_whole() {
                fields.put("reason", &summary.reasons().join("; "));
            }
            event("run_end", "Scan ended", 0, &fields)
        }
        Err(error) => {
            fields.put("outcome", "failed");
            fields.put("reason", &error.to_string());
            event("run_end", "Scan failed", 5, &fields)
        }
    }
}

fn event(class: &str, name: &str, severity: u8, fields: &Fields) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let (class, name) = (header(class), header(name));
    format!("CEF:0|Hindcast|Hindcast|{version}|{class}|{name}|{severity}|{}", fields.0)
}

fn put_names(fields: &mut Fields, finding: &Finding) {
    for (kind, key) in
        [(EntityKind::Device, "dvchost"), (EntityKind::User, "suser"), (EntityKind::Url, "request")]
    {
        if let Some(entity) = finding.entities.iter().find(|entity| entity.kind == kind) {
            fields.put(key, entity.full_name.as_ref().unwrap_or(&entity.name));
        }
    }
}

/// The source and destination addresses of the evidence. CEF has separate fields for IPv6 addresses.
fn put_addresses(fields: &mut Fields, finding: &Finding) {
    let address = |column: &str| finding.evidence.get(column)?.as_str()?.parse::<IpAddr>().ok();
    let source = address("source_ip").or_else(|| address("ip"));
    for (address, plain, wide, label) in [
        (source, "src", "c6a2", "Source IPv6 Address"),
        (address("destination_ip"), "dst", "c6a3", "Destination IPv6 Address"),
    ] {
        match address {
            Some(IpAddr::V4(address)) => fields.put(plain, &address.to_string()),
            Some(IpAddr::V6(address)) => fields.put_labelled(wide, label, &address.to_string()),
            None => {}
        }
    }
}

/// `key=value` pairs.
#[derive(Default)]
struct Fields(String);

impl Fields {
    fn put(&mut self, key: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.push_str(key);
        self.0.push('=');
        for character in value.chars().take(LONGEST_VALUE) {
            match character {
                '\\' => self.0.push_str("\\\\"),
                '=' => self.0.push_str("\\="),
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                other => self.0.push(printable(other)),
            }
        }
    }

    fn put_labelled(&mut self, key: &str, label: &str, value: &str) {
        self.put(key, value);
        self.put(&format!("{key}Label"), label);
    }

    /// Milliseconds since 1970.
    fn put_time(&mut self, key: &str, text: Option<&str>) {
        if let Some(micros) = text.and_then(parse_time_us) {
            self.put(key, &micros.div_euclid(1_000).to_string());
        }
    }
}

/// A field of the header, with backslashes and bars escaped.
fn header(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars().take(LONGEST_VALUE) {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '|' => escaped.push_str("\\|"),
            other => escaped.push(printable(other)),
        }
    }
    escaped
}

/// Replaces a control character, such as one that moves the cursor of a terminal, by a space.
fn printable(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}

#[cfg(test)]
mod tests {
    use hindcast_risk::RunRisk;
    use hindcast_scan::ScanResult;

    use super::*;
    use crate::output::example::{beacon, result, staging};

    const PREFIX: &str = concat!("CEF:0|Hindcast|Hindcast|", env!("CARGO_PKG_VERSION"), "|");

    #[test]
    fn a_finding_of_a_device_names_host_and_user() {
        let expected = "compression_staging|Data was compressed|8|externalId=f-staging cat=exfiltration \
                        start=1767592800123 end=1767596400000 cnt=3 dvchost=ws-1.corp.example suser=corp\\\\ada \
                        cn1=80 cn1Label=confidence cs1=T1560.001 cs1Label=techniques \
                        cs2=device:ws-1,user:ada cs2Label=entities msg=7z packed files";
        assert_eq!(of_finding(&staging()), format!("{PREFIX}{expected}"));
    }

    #[test]
    fn a_finding_of_addresses_names_source_and_destination() {
        let expected = "beaconing|A beacon|10|externalId=f-beacon cat=firewall start=1767600000000 \
                        end=1767600000000 cnt=1 src=10.0.0.1 dst=198.51.100.3 cn1=70 cn1Label=confidence \
                        cs1=T1071 cs1Label=techniques cs2=ip:10.0.0.1,ip:198.51.100.3 cs2Label=entities \
                        msg=it calls out";
        assert_eq!(of_finding(&beacon()), format!("{PREFIX}{expected}"));
        let mut wide = beacon();
        wide.evidence = serde_json::json!({ "ip": "2001:db8::1", "destination_ip": "files.example" });
        let event = of_finding(&wide);
        assert!(event.contains(" c6a2=2001:db8::1 c6a2Label=Source IPv6 Address cn1="), "{event}");
    }

    #[test]
    fn severities_are_on_the_scale_of_the_format() {
        let severities = Severity::ALL.map(|severity| {
            let event = of_finding(&Finding { severity, ..beacon() });
            event.split('|').nth(6).map(str::to_owned)
        });
        assert_eq!(severities, ["3", "5", "8", "10"].map(|text| Some(text.to_owned())));
    }

    #[test]
    fn the_end_of_a_run_has_its_numbers_or_its_error() {
        let mut result = result();
        let window = "start=1767225600000 end=1769904000000";
        let numbers = "cn1=2 cn1Label=findings cn2=1 cn2Label=incidents";
        let of = |result: &ScanResult, job| of_run(RunEnd { job, outcome: Ok(result) });
        let whole = format!(
            "{PREFIX}run_end|Scan ended|0|externalId=7 {window} {numbers} cn3=85 cn3Label=risk outcome=complete"
        );
        assert_eq!(of(&result, "7"), whole);
        result.report.summary.risk = RunRisk::NotAssessed(vec!["no file".into(), "no row".into()]);
        let unread = format!(
            "{PREFIX}run_end|Scan ended|0|{window} {numbers} outcome=not assessed reason=no file; no row"
        );
        assert_eq!(of(&result, ""), unread);
        let error = hindcast_base::Error::Busy("the store is away".into());
        let failed =
            format!("{PREFIX}run_end|Scan failed|5|externalId=7 outcome=failed reason=the store is away");
        assert_eq!(of_run(RunEnd { job: "7", outcome: Err(&error) }), failed);
    }

    #[test]
    fn hostile_values_stay_in_their_field() {
        let mut fields = Fields::default();
        fields.put("msg", "a=b\\c\nCEF:0|x\r\u{1b}[31m|");
        fields.put("suser", "ada");
        assert_eq!(fields.0, "msg=a\\=b\\\\c\\nCEF:0|x\\r [31m| suser=ada");
        assert_eq!(header("a|b\\c\nd"), "a\\|b\\\\c d");
        let mut long = Fields::default();
        long.put("msg", &"ü".repeat(2_000));
        assert_eq!(long.0.chars().count(), "msg=".len() + LONGEST_VALUE);
    }
}
