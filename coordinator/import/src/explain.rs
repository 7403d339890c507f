//! Explains why a format and a source were chosen for a file: how many sampled records speak for them, and what other
//! sources lack.

use hindcast_records::built_in::Sources;
use hindcast_records::format::{FileFormat, Kind, Record};
use hindcast_records::source::Source;
use hindcast_records::windows::Events;
use hindcast_records::{detect, messages};

/// Other sources that are named.
const SHOWN_SOURCES: usize = 4;

/// The reasons, one sentence each. `texts` are the sampled records of a file.
pub(super) fn explain(
    (format, texts): (&FileFormat, &[&[u8]]),
    chosen: &Source,
    sources: &Sources,
    requested_table: Option<&str>,
) -> Vec<String> {
    let all = texts.len();
    let votes = |is_so: &dyn Fn(&[u8]) -> bool| texts.iter().filter(|text| is_so(text)).count();
    let mut reasons = vec![format!(
        "of {all} sampled records, {} are JSON objects and {} hold CEF messages",
        votes(&detect::is_document),
        votes(&messages::contains_message)
    )];
    let with_lines = sources.all().iter().filter_map(|source| Some((source, source.lines.as_ref()?)));
    let matching = with_lines.map(|(source, lines)| (&source.name, votes(&|text| lines.takes(text))));
    for (name, count) in matching.filter(|(_, count)| *count > 0) {
        reasons.push(format!("{count} match the lines of {name}"));
    }
    if let Kind::Csv { header, .. } = &format.kind {
        let by = match chosen.names_by_position(header.len()) {
            Some(_) => format!("{} names its cells", chosen.name),
            None => "its first line names the columns".to_owned(),
        };
        reasons.push(format!("the file is read as CSV; {by}: {}", header.join(", ")));
    }
    if sources.named().is_some() {
        reasons.push(format!("the source {} is given, not detected", chosen.name));
        return reasons;
    }
    format.with_records(texts, |records| {
        let (own, others): (Vec<_>, Vec<_>) = sources
            .all()
            .iter()
            .map(|source| (source, Fit::of(source, records, &format.file_name)))
            .partition(|(source, _)| source.name == chosen.name);
        for (source, fit) in own {
            let reason = match &format.messages_in {
                Some(wrapped) => format!("the records hold its messages in the field {}", wrapped.path),
                None => fit.chosen(records.len()),
            };
            reasons.push(format!("source {}: {reason}", source.name));
        }
        let mut close: Vec<_> = others.into_iter().filter(|(_, fit)| fit.fields_found > 0).collect();
        close.sort_by_key(|(_, fit)| (fit.lacks.len(), std::cmp::Reverse(fit.fields_found)));
        for (source, fit) in close.into_iter().take(SHOWN_SOURCES) {
            reasons.push(format!("not {}: {}", source.name, fit.refused(source, requested_table, chosen)));
        }
    });
    reasons
}

/// How well a source's nearest set of fields fits records.
#[derive(Default)]
struct Fit {
    /// Fields of the set that most records have.
    fields_found: usize,
    /// The other fields of the set.
    lacks: Vec<String>,
    set: Vec<String>,
    /// Records that have all fields of a set.
    records: usize,
}

impl Fit {
    fn of(source: &Source, records: &[Record<'_>], file_name: &str) -> Self {
        let fit = |set: &Vec<String>| {
            let is_found = |field: &&String| {
                2 * records.iter().filter(|record| Source::has_field(record, field)).count() > records.len()
            };
            let (found, lacks): (Vec<&String>, Vec<&String>) = set.iter().partition(is_found);
            let lacks = lacks.into_iter().cloned().collect();
            Self { fields_found: found.len(), lacks, set: set.clone(), records: 0 }
        };
        let event_sets = source.events.iter().flat_map(Events::sets);
        let nearest = source.recognised_by.iter().chain(event_sets).map(fit);
        let nearest = nearest.min_by_key(|fit| (fit.lacks.len(), std::cmp::Reverse(fit.fields_found)));
        let records = records.iter().filter(|record| source.is_recognised(record, file_name)).count();
        Self { records, ..nearest.unwrap_or_default() }
    }

    fn chosen(&self, all: usize) -> String {
        match self.set.is_empty() {
            true => "no source before it takes the records".to_owned(),
            false => format!("{} of {all} records have the fields {}", self.records, self.set.join(", ")),
        }
    }

    fn refused(&self, source: &Source, requested_table: Option<&str>, chosen: &Source) -> String {
        match (self.lacks.is_empty(), requested_table) {
            (false, _) => format!("most records lack {}", self.lacks.join(", ")),
            (true, Some(table)) if !source.tables.iter().any(|rule| rule.table.as_deref() == Some(table)) => {
                format!("it has no rule for {table}")
            }
            (true, _) => format!("its fields are there too, but {} is tried before it", chosen.name),
        }
    }
}
