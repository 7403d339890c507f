//! The terminal page of an investigated entity: its names, findings, relations, activity and peers, and the data read.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use hindcast_base::Result;
use hindcast_base::format::{counted, format_bytes, format_time};
use hindcast_base::time::date_of_us;
use hindcast_detections::findings::{Finding, Row};
use hindcast_scan::{EntitySummary, Followed, ResultTable, ScanResult};

/// Lines per part. The others are counted; the result tables have all.
const SHOWN: usize = 8;

/// Prints the page of the investigated entity, if `result` has one.
///
/// # Errors
/// If a result table can't be read.
pub fn print_entity_page(result: &ScanResult) -> Result<()> {
    let Some(entity) = &result.report.summary.entity else { return Ok(()) };
    for line in page(result, entity)? {
        println!("{line}");
    }
    Ok(())
}

fn page(result: &ScanResult, entity: &EntitySummary) -> Result<Vec<String>> {
    let mut lines = vec![String::new(), format!("{:<10}{}", entity.kind.name(), entity.requested)];
    let read = &entity.read;
    if entity.rows == 0 {
        lines.push(format!("{:<10}no row of the window names it", ""));
        if !entity.similar_names.is_empty() {
            lines.push(format!("{:<10}did you mean {}?", "", entity.similar_names.join(", ")));
        }
    } else {
        let names: Vec<String> = entity.names.iter().map(|(name, rows)| format!("{name} ({rows})")).collect();
        if !names.is_empty() {
            lines.push(format!("{:<10}{}", "named", shortened(&names, ", ")));
        }
        let span = [&entity.first_seen, &entity.last_seen].map(|time| time.as_deref().unwrap_or("?"));
        lines.push(format!("{:<10}{}, {} to {}", "rows", entity.rows, span[0], span[1]));
        let risk = &entity.risk;
        lines.push(format!("{:<10}{} of 100, {}", "risk", risk.score, risk.level.name()));
        section(&mut lines, "findings", findings(result, entity));
        section(&mut lines, "related", relations(&batches_of(result, "entity_ties")?));
        section(&mut lines, "did", activity(&batches_of(result, "entity_activity")?));
        section(&mut lines, "contacts", peers(&batches_of(result, "entity_peers")?));
        section(&mut lines, "places", places(&batches_of(result, "user_activity_map")?));
    }
    lines.push(format!(
        "{:<10}{} of {} row groups, {} of {}; {} table dates skipped",
        "read",
        read.row_groups_read,
        read.row_groups,
        format_bytes(read.bytes_read),
        format_bytes(read.bytes),
        entity.dates_passed_over
    ));
    Ok(lines)
}

fn section(lines: &mut Vec<String>, title: &str, rows: Vec<String>) {
    for (index, row) in rows.iter().take(SHOWN).enumerate() {
        lines.push(format!("{:<10}{row}", if index == 0 { title } else { "" }));
    }
    if rows.len() > SHOWN {
        lines.push(format!("{:<10}and {} more", "", rows.len() - SHOWN));
    }
}

fn shortened(parts: &[String], separator: &str) -> String {
    match parts.len() {
        count if count > SHOWN => {
            format!("{} and {} more", parts[..SHOWN].join(separator), count - SHOWN)
        }
        _ => parts.join(separator),
    }
}

/// Findings with their points of the risk, most first.
fn findings(result: &ScanResult, entity: &EntitySummary) -> Vec<String> {
    let parts = entity.risk.contributions.iter();
    let points: BTreeMap<&str, u64> =
        parts.filter_map(|part| Some((part.from.finding()?, part.points))).collect();
    let of = |finding: &Finding| points.get(finding.id.as_str()).copied().unwrap_or_default();
    let mut findings: Vec<&Finding> = result.findings.iter().collect();
    findings.sort_by_key(|finding| (Reverse((of(finding), finding.severity)), &finding.first_seen));
    let lines = findings.iter().map(|finding| {
        let time = format_time(finding.first_seen.as_deref());
        let severity = finding.severity.name();
        format!("+{:<3} {severity:<8} {time}  {}: {}", of(finding), finding.analysis, finding.explanation)
    });
    lines.collect()
}

/// The batches of a result table; empty if the table does not exist.
fn batches_of(result: &ScanResult, table: &str) -> Result<Vec<RecordBatch>> {
    let found = result.tables.iter().find(|known| known.name == table);
    found.map_or_else(|| Ok(Vec::new()), ResultTable::batches)
}

fn rows(batches: &[RecordBatch]) -> impl Iterator<Item = Row<'_>> {
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |index| Row::new(batch, index)))
}

fn count(row: &Row<'_>, column: &str) -> u64 {
    row.integer(column).unwrap_or_default().unsigned_abs()
}

/// A related name over several days.
#[derive(Default)]
struct RelatedName {
    days: BTreeSet<i64>,
    rows: u64,
    most_shared: u64,
    is_shared: bool,
}

fn relations(batches: &[RecordBatch]) -> Vec<String> {
    let mut by_name: BTreeMap<(&str, &str), RelatedName> = BTreeMap::new();
    for row in rows(batches) {
        let (Some(kind), Some(name), Some(day)) = (row.text("kind"), row.text("name"), row.micros("date"))
        else {
            continue;
        };
        let related = by_name.entry((kind, name)).or_default();
        related.days.insert(day);
        related.rows += count(&row, "rows");
        related.most_shared = related.most_shared.max(count(&row, "degree"));
        related.is_shared |= row.text("followed") == Some(Followed::TooMany.name());
    }
    let mut by_rows: Vec<_> = by_name.into_iter().collect();
    by_rows.sort_by_key(|(name, related)| (Reverse(related.rows), *name));
    let lines = by_rows.into_iter().map(|((kind, name), related)| {
        let dates = [related.days.first(), related.days.last()].map(|day| format_date(day.copied()));
        let days = match related.days.len() {
            1 => dates[0].clone(),
            count => format!("{} to {} ({count} days)", dates[0], dates[1]),
        };
        let shared = match related.is_shared {
            true => format!("; shared by {}, so it identifies nobody", related.most_shared),
            false => String::new(),
        };
        format!("{kind:<7} {name}: {}, {days}{shared}", counted(related.rows, "row"))
    });
    lines.collect()
}

fn format_date(day_us: Option<i64>) -> String {
    day_us.map(|micros| date_of_us(micros).to_string()).unwrap_or_default()
}

fn activity(batches: &[RecordBatch]) -> Vec<String> {
    let mut by_what: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for row in rows(batches) {
        let what = (row.text("table").unwrap_or_default(), row.text("what").unwrap_or("(unnamed)"));
        *by_what.entry(what).or_default() += count(&row, "rows");
    }
    let mut by_rows: Vec<_> = by_what.into_iter().collect();
    by_rows.sort_by_key(|(what, rows)| (Reverse(*rows), *what));
    by_rows
        .into_iter()
        .map(|((table, what), rows)| format!("{table}: {what}, {}", counted(rows, "row")))
        .collect()
}

fn peers(batches: &[RecordBatch]) -> Vec<String> {
    let lines = rows(batches).map(|row| {
        let [kind, peer, table] =
            ["kind", "peer", "table"].map(|column| row.text(column).unwrap_or_default());
        let size = match row.integer("bytes") {
            Some(size) => format!(", {}", format_bytes(size.unsigned_abs())),
            None => String::new(),
        };
        format!("{kind:<7} {peer}: {} of {table}{size}", counted(count(&row, "rows"), "row"))
    });
    lines.collect()
}

fn places(batches: &[RecordBatch]) -> Vec<String> {
    let lines = rows(batches).map(|row| {
        let place: Vec<&str> =
            ["city", "country"].into_iter().filter_map(|column| row.text(column)).collect();
        let place = if place.is_empty() { "somewhere".to_owned() } else { place.join(", ") };
        let operations = counted(count(&row, "operations"), "operation");
        format!("{}: {place}, {operations}", row.text("ip").unwrap_or_default())
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_has_its_title_once_and_counts_what_it_leaves_out() {
        let mut lines = Vec::new();
        section(&mut lines, "related", (1..=SHOWN + 2).map(|number| format!("name {number}")).collect());
        assert_eq!(lines.len(), SHOWN + 1);
        assert_eq!(lines[0], "related   name 1");
        assert_eq!(lines[1], "          name 2");
        assert_eq!(lines[SHOWN], "          and 2 more");
        section(&mut lines, "places", Vec::new());
        assert_eq!(lines.len(), SHOWN + 1);
    }

    #[test]
    fn long_lists_are_shortened() {
        let names = |count: usize| (0..count).map(|index| index.to_string()).collect::<Vec<_>>();
        assert_eq!(shortened(&names(2), ", "), "0, 1");
        assert_eq!(shortened(&names(SHOWN + 1), " "), "0 1 2 3 4 5 6 7 and 1 more");
    }
}
