//! Checks a case before it runs: its configuration, and the names of tables and columns.

use std::collections::BTreeSet;

use super::Difference;
use super::compare::unknown_columns;
use super::form::Case;
use super::rows::{check_column, table_named};
use hindcast_base::Error;
use hindcast_detections::Detections;
use hindcast_detections::analyses::Analysis;
use hindcast_detections::config::{Config, Layer};

/// Name of a case's configuration in errors, before their line is translated to a line of the file.
const NAME: &str = "config";

/// The parameters of a case of `analysis`, if the case has no mistake.
///
/// # Errors
/// All mistakes.
pub(super) fn check(
    case: &Case,
    analysis: &Analysis,
    detections: Detections,
) -> Result<Config, Vec<Difference>> {
    let mut wrong = Vec::new();
    let lines = &case.lines;
    for (name, rows) in &case.rows {
        match table_named(name, detections.tables()) {
            Ok(table) => {
                let columns: BTreeSet<&String> = rows.iter().flat_map(toml::Table::keys).collect();
                let unknown = columns.into_iter();
                let unknown = unknown.filter_map(|column| Some((column, check_column(table, column).err()?)));
                wrong.extend(
                    unknown.map(|(column, message)| Difference::new(lines.of_column(name, column), message)),
                );
            }
            Err(message) => wrong.push(Difference::new(lines.of_table(name), message)),
        }
    }
    let columns: Vec<&str> = analysis.about.columns.iter().map(|column| column.name).collect();
    wrong.extend(unknown_columns("row", (&case.expect, &lines.expect), &columns));
    if case.summary.is_some() && analysis.companion.is_none() {
        let message = "the detection has no companion table".to_owned();
        wrong.push(Difference::new(lines.summary.line_or(lines.line), message));
    }
    match parameters(case, detections) {
        Ok(config) if wrong.is_empty() => Ok(config),
        Ok(_) => Err(wrong),
        Err(difference) => {
            wrong.push(difference);
            Err(wrong)
        }
    }
}

/// The parameters of a case: its configuration over its preset.
fn parameters(case: &Case, detections: Detections) -> Result<Config, Difference> {
    let layer = Layer { name: NAME, text: &case.config };
    let difference = |line: usize, message: &str| {
        Difference::new(case.lines.of_config(line), format!("{NAME}: {message}"))
    };
    if let Err(error) = toml::from_str::<toml::Table>(&case.config) {
        let line = error.span().map_or(1, |span| layer.line_of(span.start));
        return Err(difference(line, error.message()));
    }
    Config::load_with(&case.preset, &[layer], detections).map_err(|error| match error {
        Error::File(fault) if fault.file == NAME => difference(fault.line.unwrap_or(1), &fault.message),
        other => difference(1, &other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::parse;

    fn wrong_in(text: &str) -> Vec<(usize, String)> {
        let detections = Detections::built_in();
        let analysis = detections.by_id("dns_tunneling").unwrap();
        let case = &parse("dns_tunneling/cases.toml", text).unwrap()[0];
        let wrong = check(case, analysis, detections).err().unwrap_or_default();
        wrong.into_iter().map(|difference| (difference.line, difference.message)).collect()
    }

    #[test]
    fn mistakes_in_the_configuration_of_a_case_have_lines_of_its_file() {
        let of = |config: &str| wrong_in(&format!("[[case]]\nname = 'x'\nconfig = {config}\nexpect = []\n"));
        assert!(of("\"[dns_tunneling]\\nmin_queries = 2\"").is_empty());
        let unknown = "config: there is no parameter dns_tunneling.min_querys; did you mean min_queries?";
        assert_eq!(of("\"[dns_tunneling]\\nmin_querys = 2\""), [(3, unknown.to_owned())]);
        assert_eq!(of("'''\n[dns_tunneling]\nmin_querys = 2\n'''"), [(5, unknown.to_owned())]);
        let broken = of("\"\"\"[dns_tunneling]\nmin_queries = \n\"\"\"");
        assert_eq!((broken.len(), broken[0].0), (1, 4), "{broken:?}");
        let type_difference = of("'''\n[firewall]\nvendor = 3\n'''");
        assert_eq!(
            (type_difference.len(), type_difference[0].0, type_difference[0].1.lines().count()),
            (1, 5, 1),
            "{type_difference:?}"
        );
        let none = of("'[x]'");
        assert_eq!(none, [(3, "config: there is no section x".to_owned())]);
    }

    #[test]
    fn names_of_rows_and_expectations_are_checked() {
        let wrong = wrong_in(
            "[[case]]\nname = 'x'\nrows.CommonSecurityLog = [\n  { SourceIP = 'a' },\n  { SourceIp = 'a' },\n]\n\
             rows.AuditLog = []\nexpect = [\n  { source_ip = 'a' },\n  { source_ipp = 'a', zzz = 1 },\n]\nsummary = []\n",
        );
        let of = |line: usize, message: &str| (line, message.to_owned());
        assert_eq!(
            wrong,
            [
                of(7, "there is no table AuditLog; did you mean AuditLogs?"),
                of(5, "CommonSecurityLog has no column SourceIp; did you mean SourceIP?"),
                of(10, "the rows have no column source_ipp; did you mean source_ip?"),
                of(10, "the rows have no column zzz"),
                of(12, "the detection has no companion table"),
            ]
        );
    }
}
