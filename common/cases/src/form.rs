//! The format of `cases.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Table;

use super::lines::{CaseLines, lines};
use hindcast_base::Result;
use hindcast_detections::config::Layer;
use hindcast_detections::findings::Severity;

/// The header of a case in the file.
const CASE_HEADER: &str = "[[case]]";
/// The default preset of a case.
const DEFAULT_PRESET: &str = "default";

/// A few rows and the expected result of a detection.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Configuration that overrides the preset, as TOML.
    #[serde(default)]
    pub config: String,
    /// The preset.
    #[serde(default = "default_preset")]
    pub preset: String,
    /// The window; the whole days of the rows if absent.
    #[serde(default)]
    pub window: Option<CaseWindow>,
    /// Locations of addresses; no location database if absent.
    #[serde(default)]
    pub places: Option<Vec<Place>>,
    /// Rows by table.
    #[serde(default)]
    pub rows: BTreeMap<String, Vec<Table>>,
    /// All rows of the result, in order, with the columns that matter.
    pub expect: Vec<Table>,
    /// All rows of the companion table, in order, with the columns that matter.
    #[serde(default)]
    pub summary: Option<Vec<Table>>,
    /// All findings, in order, with the fields that matter.
    #[serde(default)]
    pub findings: Option<Vec<ExpectedFinding>>,
    /// Its lines in the file.
    #[serde(skip)]
    pub(super) lines: CaseLines,
}

/// A window, as in `--from` and `--to`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseWindow {
    /// Its first instant.
    pub from: String,
    /// The first instant after it.
    pub to: String,
}

/// The location of an address.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Its canonical text.
    pub address: String,
    /// ISO 3166-1 alpha-2.
    pub country_code: Option<String>,
    /// Name of the country.
    pub country: Option<String>,
    /// Name of the city.
    pub city: Option<String>,
    /// Degrees, WGS 84.
    pub latitude: Option<f64>,
    /// Degrees, WGS 84.
    pub longitude: Option<f64>,
}

/// The expected fields of a finding; absent fields are not checked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectedFinding {
    /// Its title.
    pub title: Option<String>,
    /// Its severity.
    pub severity: Option<Severity>,
    /// Its confidence, 0 to 100.
    pub confidence: Option<u8>,
    /// Kind and name of each entity, in any order.
    pub entities: Option<Vec<String>>,
    /// Its explanation.
    pub explanation: Option<String>,
    /// Number of rows of evidence.
    pub rows: Option<u64>,
    /// First instant of the evidence.
    pub first_seen: Option<String>,
    /// Last instant of the evidence.
    pub last_seen: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CasesFile {
    #[serde(default)]
    case: Vec<Case>,
}

fn default_preset() -> String {
    DEFAULT_PRESET.to_owned()
}

/// The cases of a `cases.toml` at `path`.
///
/// # Errors
/// [`hindcast_base::Error::Invalid`] with file and line if the file has another format.
///
/// ```
/// use hindcast_cases::parse;
///
/// let cases = parse("mine/cases.toml", "[[case]]\nname = 'no rows'\nexpect = []")?;
/// assert_eq!((cases.len(), cases[0].name.as_str()), (1, "no rows"));
/// # Ok::<(), hindcast_base::Error>(())
/// ```
pub fn parse(path: &str, text: &str) -> Result<Vec<Case>> {
    let file: CasesFile = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        Layer { name: path, text }.error_at(start, error.message())
    })?;
    let headers = text.lines().enumerate().filter(|(_, line)| line.trim() == CASE_HEADER);
    let firsts = headers.map(|(index, _)| index + 1).chain(std::iter::repeat(1));
    let parts = lines(&Layer { name: path, text }).into_iter().chain(std::iter::repeat(CaseLines::default()));
    let placed = file.case.into_iter().zip(parts).zip(firsts);
    let placed = placed.map(|((case, mut lines), line)| {
        lines.line = line;
        Case { lines, ..case }
    });
    Ok(placed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_form_is_refused_with_its_line() {
        let cases = parse("mine/cases.toml", "# what\n\n[[case]]\nname = 'one'\nexpect = []\n").unwrap();
        assert_eq!((cases.len(), cases[0].lines.line, cases[0].preset.as_str()), (1, 3, "default"));
        let error = parse("mine/cases.toml", "[[case]]\nname = 'one'\nexpct = []\n").unwrap_err().to_string();
        assert!(error.starts_with("mine/cases.toml, line 3: unknown field `expct`"), "{error}");
    }
}
