//! The documentation of sources, generated from their files: a table of all, and for each one which fields fill which columns.

use std::fmt::Write;

use hindcast_base::Result;
use hindcast_lake::Tables;

use hindcast_records::built_in::Sources;
use hindcast_records::source::{OneOrMore, Source, TableRule, Tried};

/// The first lines of the page.
const HEAD: &str = "<!-- Written by `hindcast sources --docs docs/import-sources.md`. Change coordinator/records/data, not this file. -->

# Sources

What `hindcast import` reads without a mapping file. [Import](import.md) explains how a source is detected, and what happens to fields
that no column here takes. `hindcast sources NAME` prints the part of one source.
";
/// Most replaced values that are listed.
const LISTED_VALUES: usize = 8;

/// The documentation of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceDocs {
    /// Its name.
    pub name: String,
    /// What it reads, in one sentence.
    pub doc: String,
    /// Its tables, its columns and the fields that fill them, and what it was tried with, as Markdown.
    pub text: String,
    /// The tables, as a cell of Markdown.
    tables: String,
    /// What it was tried with, and where that came from, as cells of Markdown.
    tried: (String, String),
}

/// The documentation of all sources, in the order in which they are tried.
///
/// # Errors
/// [`hindcast_base::Error::Invalid`] if a built-in source is invalid.
pub fn source_docs() -> Result<Vec<SourceDocs>> {
    Ok(Sources::parse(Tables::built_in(), None)?.all().iter().map(|source| SourceDocs::of(source)).collect())
}

/// The page with these sources.
pub fn sources_page(sources: &[SourceDocs]) -> String {
    let mut page =
        HEAD.to_owned() + "\n| source | reads | tables | tried with | files from |\n|---|---|---|---|---|\n";
    let mut by_name: Vec<&SourceDocs> = sources.iter().collect();
    by_name.sort_by(|left, right| left.name.cmp(&right.name));
    for SourceDocs { name, doc, tables, tried: (versions, samples), .. } in &by_name {
        // Writing to a string does not fail.
        let _ = writeln!(page, "| [`{name}`](#{name}) | {} | {tables} | {versions} | {samples} |", cell(doc));
    }
    for source in by_name {
        let _ = write!(page, "\n## {}\n\n{}\n\n{}", source.name, source.doc, source.text);
    }
    page
}

impl SourceDocs {
    fn of(source: &Source) -> Self {
        let mut tables: Vec<String> = source.tables.iter().map(table_of).collect();
        tables.sort();
        tables.dedup();
        let lines = |text: fn(&Tried) -> &str| {
            source.tried.iter().map(|tried| cell(text(tried))).collect::<Vec<_>>().join("<br>")
        };
        Self {
            name: source.name.clone(),
            doc: source.doc.clone(),
            text: source.tables.iter().map(rule_text).collect::<Vec<_>>().join("\n") + &made_text(source),
            tables: tables.join(", "),
            tried: (lines(|tried| &tried.version), lines(|tried| &tried.sample)),
        }
    }
}

/// The name of a rule's table, or how records name it.
fn table_of(rule: &TableRule) -> String {
    match (&rule.table, &rule.named_by) {
        (Some(table), _) => code(table),
        (None, Some(field)) => format!("the one that {} names", code(field)),
        (None, None) => "the one of `--table`".to_owned(),
    }
}

/// Which records a rule takes, and which fields fill which columns.
fn rule_text(rule: &TableRule) -> String {
    let mut text = format!("**{}**{}\n", table_of(rule), conditions(rule));
    if !rule.time.is_empty() {
        let _ = writeln!(text, "\nTime: {}.", codes(&rule.time));
    }
    let mut rows: Vec<(&String, String)> =
        rule.columns.iter().map(|(column, fields)| (column, fields_of(rule, column, fields))).collect();
    rows.extend(rule.constants.iter().map(|(column, value)| (column, format!("always {}", code(value)))));
    rows.sort();
    if !rows.is_empty() {
        text += "\n| column | field |\n|---|---|\n";
    }
    for (column, fields) in rows {
        let _ = writeln!(text, "| {} | {fields} |", code(column));
    }
    text
}

/// The fields that are made of others.
fn made_text(source: &Source) -> String {
    let made =
        source.made.iter().map(|(field, template)| format!("{} is {}", code(field), code(&template.text)));
    let made: Vec<String> = made.collect();
    if made.is_empty() { String::new() } else { format!("\nFields made of others: {}.\n", made.join(", ")) }
}

fn conditions(rule: &TableRule) -> String {
    let mut parts: Vec<String> = Vec::new();
    if !rule.has.is_empty() {
        parts.push(format!("with {}", codes(&rule.has)));
    }
    parts.extend(rule.when.iter().map(|(field, values)| format!("with {} {}", code(field), codes(values))));
    let records = if parts.is_empty() { String::new() } else { format!(": records {}", parts.join(" and ")) };
    let on_request = if rule.on_request { ", only if `--table` names it" } else { "" };
    let also = if rule.also { ", which other tables may take too" } else { "" };
    format!("{records}{also}{on_request}")
}

/// The fields that fill a column, and what happens to their values.
fn fields_of(rule: &TableRule, column: &String, fields: &OneOrMore) -> String {
    let mut text = codes(fields.all());
    if let Some(separator) = rule.behind.get(column) {
        let _ = write!(text, ", after the last {}", code(separator));
    }
    if let Some(separator) = rule.before.get(column) {
        let _ = write!(text, ", before the first {}", code(separator));
    }
    if let Some(values) = rule.values.get(column) {
        let replaced = values.iter().take(LISTED_VALUES);
        let listed: Vec<String> =
            replaced.map(|(from, to)| format!("{} is {}", code(from), code(to))).collect();
        let more = values.len().saturating_sub(LISTED_VALUES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = write!(text, "; {}{more}", listed.join(", "));
    }
    text
}

fn codes(names: &[String]) -> String {
    names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", ")
}

/// A name or value as code in a cell.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

/// Text as the content of a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_current() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/import-sources.md");
        let page = sources_page(&source_docs().unwrap());
        assert!(
            std::fs::read_to_string(path).unwrap_or_default() == page,
            "docs/import-sources.md is not current: run `hindcast sources --docs docs/import-sources.md`, and commit what it writes"
        );
    }

    #[test]
    fn a_rule_is_described_by_its_conditions_and_columns() {
        let text = "doc = \"Rows.\"\ntried = [{ version = \"1\", sample = \"a|b\" }]\n[[tables]]\ntable = \"Own\"\non_request = true\n\
                    also = true\nhas = [\"a\", \"b.c\"]\nwhen.kind = [\"x\"]\ntime = [\"ts\"]\n[tables.columns]\nPath = [\"p\", \"q\"]\n\
                    [tables.constants]\nVendor = \"V\"\n[tables.behind]\nPath = '\\'\n[tables.values.Path]\n1 = \"one\"";
        let docs = SourceDocs::of(&Source::parse("own", text, Tables::built_in()).unwrap());
        assert_eq!((docs.tables.as_str(), docs.tried), ("`Own`", ("1".to_owned(), "a\\|b".to_owned())));
        assert_eq!(
            docs.text,
            "**`Own`**: records with `a`, `b.c` and with `kind` `x`, which other tables may take too, only if `--table` names it\n\nTime: `ts`.\n\n\
             | column | field |\n|---|---|\n| `Path` | `p`, `q`, after the last `\\`; `1` is `one` |\n| `Vendor` | always `V` |\n"
        );
    }
}
