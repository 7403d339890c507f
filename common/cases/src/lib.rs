//! Cases of a detection: a few input rows, and the expected table and findings. They run in memory, without files: rows become state
//! of several units, which is cut, shuffled, united and merged in random shards, as in a scan on a cluster.

mod check;
mod compare;
mod form;
mod lines;
mod outcome;
mod rng;
mod rows;
mod states;
#[cfg(test)]
#[path = "../../detections/src/test_texts.rs"]
mod test_texts;

use std::fmt;

pub use compare::Difference;
pub use form::{Case, CaseWindow, ExpectedFinding, Place, parse};
pub use outcome::{CaseOutcome, run_case};

use self::compare::differences;
use hindcast_base::{Error, Result};
use hindcast_detections::Detections;
use hindcast_detections::analyses::Analysis;

/// Seeds for the random split and merge of each case.
const SEEDS: [u64; 2] = [1, 2];

/// The outcome of a case.
#[derive(Debug, Clone)]
pub struct CaseReport {
    /// The detection.
    pub detection: &'static str,
    /// Its `cases.toml`.
    pub file: &'static str,
    /// First line of the case, counted from 1.
    pub line: usize,
    /// The case's name.
    pub case: String,
    /// Input rows of the case.
    pub input_rows: usize,
    /// Rows of the result.
    pub rows: usize,
    /// Number of findings.
    pub findings: usize,
    /// Whether the case has expected findings.
    pub names_findings: bool,
    /// The seed with which it failed.
    pub seed: Option<u64>,
    /// Differences from the expectations.
    pub differences: Vec<Difference>,
}

impl CaseReport {
    /// Whether the outcome is as expected.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }

    /// The outcome in the format that editors understand: `file:line: message`, one line per difference. `file` is the path of its
    /// `cases.toml`.
    pub fn message(&self, file: &str) -> String {
        if self.passed() {
            return format!("{file}:{}: case {:?} passed", self.line, self.case);
        }
        let seed = self.seed.map(|seed| format!(" (seed {seed})")).unwrap_or_default();
        let messages = self.differences.iter().map(|difference| {
            // The actual values follow on separate lines.
            let (first, rest) = difference.message.split_once('\n').unwrap_or((&difference.message, ""));
            let rest = if rest.is_empty() { String::new() } else { format!("\n{rest}") };
            format!("{file}:{}: case {:?}: {first}{seed}{rest}", difference.line, self.case)
        });
        messages.collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for CaseReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message(self.file))
    }
}

/// Runs all cases of the detection `id`; empty if it has no `cases.toml`.
///
/// # Errors
/// [`Error::Invalid`] if there is no such detection, or with file and line if its `cases.toml` has another format.
pub async fn run(detections: &Detections, id: &str) -> Result<Vec<CaseReport>> {
    let analysis = detections.by_id(id);
    let analysis = analysis.ok_or_else(|| Error::Invalid(format!("there is no detection {id}")))?;
    let Some((file, text)) = analysis.about.cases else { return Ok(Vec::new()) };
    let mut reports = Vec::new();
    for case in parse(file, text)? {
        reports.push(report(*detections, analysis, file, &case).await);
    }
    Ok(reports)
}

/// Mistakes in the cases of `analysis`, found without running them: the first mistake in the format, or all mistakes in names and
/// configurations, each with file and line.
pub fn problems(detections: Detections, analysis: &Analysis) -> Vec<Error> {
    let Some((file, text)) = analysis.about.cases else { return Vec::new() };
    let cases = match parse(file, text) {
        Ok(cases) => cases,
        Err(error) => return vec![error],
    };
    let wrong = cases.iter().flat_map(|case| {
        let wrong = check::check(case, analysis, detections).err().unwrap_or_default();
        let in_case = move |one: Difference| {
            Error::in_file(file, one.line, format!("case {:?}: {}", case.name, one.message))
        };
        wrong.into_iter().map(in_case)
    });
    wrong.collect()
}

/// Runs a case with each seed, up to the first that fails.
async fn report(
    detections: Detections,
    analysis: &'static Analysis,
    file: &'static str,
    case: &Case,
) -> CaseReport {
    let mut report = CaseReport {
        detection: analysis.id,
        file,
        line: case.lines.line,
        case: case.name.clone(),
        input_rows: case.rows.values().map(Vec::len).sum(),
        rows: 0,
        findings: 0,
        names_findings: case.findings.is_some(),
        seed: None,
        differences: Vec::new(),
    };
    let config = match check::check(case, analysis, detections) {
        Ok(config) => config,
        Err(wrong) => {
            report.differences = wrong;
            return report;
        }
    };
    for seed in SEEDS {
        match run_case(analysis, case, &config, seed).await {
            Ok(outcome) => {
                report.differences = differences(case, &outcome);
                report.rows = outcome.result.num_rows();
                report.findings = outcome.findings.len();
            }
            Err(error) => report.differences.push(Difference::new(report.line, error.to_string())),
        }
        if !report.passed() {
            report.seed = Some(seed);
            break;
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_texts::{DEFINITION, QUERY};

    /// A case with two destinations of one source.
    fn case_of(name: &str, expect: &str) -> String {
        let row = |second: u32, destination: &str| {
            format!(
                "{{ TimeGenerated = '2026-03-01T10:00:{second:02}Z', SourceIP = '10.0.0.1', DestinationIP = '{destination}', \
                 DeviceEventClassID = 'TRAFFIC', DeviceVendor = 'Palo Alto Networks' }}"
            )
        };
        let rows = [row(1, "8.8.8.8"), row(2, "9.9.9.9")].join(",\n");
        format!(
            "[[case]]\nname = '{name}'\nrows.CommonSecurityLog = [\n{rows},\n]\nexpect = [\n{expect}\n]\n"
        )
    }

    fn with_cases(cases: &str) -> Detections {
        let files = [
            ("mine/counted/detection.toml", DEFINITION),
            ("mine/counted/query.sql", QUERY),
            ("mine/counted/cases.toml", cases),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text.to_owned())).to_vec();
        Detections::with_own(files).unwrap()
    }

    async fn reports_of(cases: &str) -> Vec<CaseReport> {
        run(&with_cases(cases), "counted").await.unwrap()
    }

    #[test]
    fn mistakes_in_cases_are_found_without_running_them() {
        let errors_of = |cases: &str| {
            let detections = with_cases(cases);
            let errors = problems(detections, detections.by_id("counted").unwrap());
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let unknown = "mine/counted/cases.toml, line 8: case \"wrong\": the rows have no column source_ipp; did you mean source_ip?";
        assert_eq!(errors_of(&case_of("wrong", "{ source_ipp = '10.0.0.1' },")), [unknown]);
        let form = errors_of("[[case]]\nname = 'one'\nexpct = []\n");
        assert!(
            form.len() == 1 && form[0].starts_with("mine/counted/cases.toml, line 3: unknown field"),
            "{form:?}"
        );
    }

    #[tokio::test]
    async fn a_case_passes_or_reports_the_line_of_each_difference() {
        let right = case_of("right", "{ source_ip = '10.0.0.1', destinations = 2 },");
        let wrong = case_of("wrong", "{ source_ip = '10.0.0.2', destinations = 3 },");
        let reports = reports_of(&format!("{right}{wrong}")).await;
        assert_eq!((reports.len(), reports[0].passed(), reports[0].rows), (2, true, 1));
        assert_eq!(reports[0].message("cases.toml"), "cases.toml:1: case \"right\" passed");
        assert_eq!(reports[0].input_rows, 2);
        // The expectation of the second case is on its eighth line.
        assert_eq!(
            reports[1].message("cases.toml"),
            "cases.toml:17: case \"wrong\": row 1: destinations is 2, but the case expects 3 (seed 1)\n\
             cases.toml:17: case \"wrong\": row 1: source_ip is \"10.0.0.1\", but the case expects \"10.0.0.2\" (seed 1)"
        );
    }

    #[tokio::test]
    async fn another_number_of_rows_is_reported_with_the_actual_rows() {
        let reports = reports_of(&case_of("none", "")).await;
        let message = reports[0].message("cases.toml");
        assert!(
            message.starts_with("cases.toml:7: case \"none\": 1 row, but the case expects 0 (seed 1)\n"),
            "{message}"
        );
        assert!(message.contains("10.0.0.1"), "{message}");
    }

    #[tokio::test]
    async fn a_detection_without_cases_has_no_report_and_an_unknown_one_is_refused() {
        let detections = Detections::built_in();
        assert!(run(&detections, "users_addresses").await.unwrap().is_empty());
        let error = run(&detections, "nothing").await.unwrap_err().to_string();
        assert_eq!(error, "there is no detection nothing");
    }
}
