//! Searches findings: one pass over all findings in memory, then the requested page.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::fields::{Field, FieldValue};
use super::query::{Clause, Condition, Query, Test};
use super::{Entry, Results};

/// The result of a search.
pub struct Found<'a> {
    /// The number of findings that match.
    pub total: usize,
    /// The findings of the page.
    pub page: Vec<&'a Entry>,
    /// The number of matches by severity, worst first, without zeros.
    pub severities: Vec<(&'static str, usize)>,
    /// The number of matches by analysis, most first.
    pub analyses: Vec<(&'a str, usize)>,
}

impl Results {
    /// At most `limit` findings that match `query`, from `offset` on.
    pub fn search(&self, query: &Query, offset: usize, limit: usize) -> Found<'_> {
        let mut matching: Vec<&Entry> = self.entries.iter().filter(|entry| query.matches(entry)).collect();
        let mut severities = BTreeMap::new();
        let mut analyses: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in &matching {
            *severities.entry(entry.severity).or_insert(0) += 1;
            *analyses.entry(&entry.analysis).or_insert(0) += 1;
        }
        let total = matching.len();
        if !query.sort.is_empty() {
            matching = first_sorted(matching, &query.sort, offset.saturating_add(limit));
        }
        let mut analyses: Vec<(&str, usize)> = analyses.into_iter().collect();
        analyses.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
        Found {
            total,
            page: matching.into_iter().skip(offset).take(limit).collect(),
            severities: severities.into_iter().rev().map(|(level, count)| (level.name(), count)).collect(),
            analyses,
        }
    }
}

/// An entry with its first sort value and its position by risk.
type Keyed<'a> = (Option<FieldValue<'a>>, usize, &'a Entry);

/// The first `count` entries by these fields. Entries without a value come last; equal entries stay ordered by risk.
fn first_sorted<'a>(entries: Vec<&'a Entry>, sort: &[(Field, bool)], count: usize) -> Vec<&'a Entry> {
    let Some(((first, is_down), others)) = sort.split_first() else { return entries };
    let key = |(place, entry): (usize, &'a Entry)| -> Keyed<'a> { (sort_value(first, entry), place, entry) };
    let mut keyed: Vec<Keyed<'a>> = entries.into_iter().enumerate().map(key).collect();
    let order = |left: &Keyed<'a>, right: &Keyed<'a>| {
        let by_others = || {
            let orders = others.iter().map(|(field, is_down)| {
                ordered(sort_value(field, left.2), sort_value(field, right.2), *is_down)
            });
            orders.fold(Ordering::Equal, Ordering::then)
        };
        ordered(left.0, right.0, *is_down).then_with(by_others).then(left.1.cmp(&right.1))
    };
    // A page is a small part of all entries, so the entries after it are not sorted.
    if count < keyed.len() {
        keyed.select_nth_unstable_by(count, order);
        keyed.truncate(count);
    }
    keyed.sort_unstable_by(order);
    keyed.into_iter().map(|(_, _, entry)| entry).collect()
}

/// The sort value of an entry.
fn sort_value<'a>(field: &Field, entry: &'a Entry) -> Option<FieldValue<'a>> {
    let time = |micros: Option<i64>| micros.map(|micros| FieldValue::Number(micros as f64));
    match field {
        Field::First => return time(entry.first_us),
        Field::Last => return time(entry.last_us),
        _ => {}
    }
    let mut value = None;
    field.any(entry, true, &mut |found| {
        value = Some(found);
        true
    });
    value
}

fn ordered(left: Option<FieldValue<'_>>, right: Option<FieldValue<'_>>, is_down: bool) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) if is_down => compared(right, left),
        (Some(left), Some(right)) => compared(left, right),
        (left, right) => left.is_none().cmp(&right.is_none()),
    }
}

fn compared(left: FieldValue<'_>, right: FieldValue<'_>) -> Ordering {
    match (left, right) {
        (FieldValue::Number(left), FieldValue::Number(right)) => left.total_cmp(&right),
        (FieldValue::Text(left), FieldValue::Text(right)) => left.cmp(right),
        (FieldValue::Number(_), FieldValue::Text(_)) => Ordering::Less,
        (FieldValue::Text(_), FieldValue::Number(_)) => Ordering::Greater,
    }
}

impl Query {
    fn matches(&self, entry: &Entry) -> bool {
        self.clauses.iter().all(|clause| clause.holds(entry))
    }
}

impl Clause {
    fn holds(&self, entry: &Entry) -> bool {
        let holds = match &self.condition {
            Condition::Word(word) => entry.text.contains(word),
            Condition::Field(field, test) => {
                let is_ordered = !matches!(test, Test::Is(..));
                field.any(entry, is_ordered, &mut |value| test.holds(value))
            }
        };
        holds == self.is_wanted
    }
}

impl Test {
    fn holds(&self, value: FieldValue<'_>) -> bool {
        match (self, value) {
            (Test::Is(_, number), FieldValue::Number(value)) => *number == Some(value),
            (Test::Is(pattern, _), FieldValue::Text(text)) => is_like(text, pattern),
            (Test::Number(order, number), FieldValue::Number(value)) => order.holds(value.total_cmp(number)),
            (Test::Text(order, bound), FieldValue::Text(text)) => {
                order.holds(text.to_lowercase().as_str().cmp(bound))
            }
            (Test::Number(..), FieldValue::Text(_)) | (Test::Text(..), FieldValue::Number(_)) => false,
        }
    }
}

/// Whether `text` matches the lower-cased `pattern`, in which `*` stands for any text.
fn is_like(text: &str, pattern: &str) -> bool {
    if !pattern.contains('*') && text.is_ascii() {
        return text.eq_ignore_ascii_case(pattern);
    }
    let lowered = text.to_lowercase();
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| lowered.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn a_star_stands_for_any_text() {
        for (text, pattern, is_so) in [
            ("Ada", "ada", true),
            ("adam", "ada", false),
            ("adam", "ada*", true),
            ("ws-ops-0003", "ws-*-0003", true),
            ("ws-0003", "ws-*-0003", false),
            ("abcabc", "*bc", true),
            ("anything", "*", true),
            ("ÄRGER", "ä*r", true),
            ("aba", "ab*ba", false),
        ] {
            assert_eq!(is_like(text, pattern), is_so, "{text} {pattern}");
        }
    }
}
