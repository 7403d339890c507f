//! The documentation of detections, generated from their metadata: one page per detection, an index, and reference pages for SQL.

mod markdown;
mod page;
mod presets;
mod reference;

use std::fmt::Write;

use self::markdown::{Table, cell, code};
use super::Detections;
use crate::analyses::{Analysis, Suite};
use crate::config::Config;
use hindcast_base::Result;

/// The first line of every page.
const HEAD: &str = "<!-- Written by `hindcast detections docs docs/detections`. Change the files it is made of, not this one. -->";

/// A page: its file name, and its Markdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Name of its file.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// All pages: the index, one page per detection that people see, and the pages of rollups, tables, functions, presets of mappings and
/// vendors.
///
/// # Errors
/// If a rollup can't be planned.
pub fn pages(detections: Detections) -> Result<Vec<Page>> {
    let config = Config::load_with("default", &[], detections)?;
    let shown = || detections.analyses().iter().chain(detections.investigation()).copied();
    let mut pages = vec![
        Page { name: "README.md".to_owned(), text: index(&shown().collect::<Vec<_>>()) },
        Page { name: "rollups.md".to_owned(), text: reference::rollups(&config)? },
        Page { name: "tables.md".to_owned(), text: reference::tables(detections.tables()) },
        Page { name: "functions.md".to_owned(), text: reference::functions() },
        Page { name: "presets.md".to_owned(), text: presets::presets() },
        Page { name: "vendors.md".to_owned(), text: presets::vendors() },
    ];
    pages.extend(
        shown()
            .map(|analysis| Page { name: format!("{}.md", analysis.id), text: page::of(analysis, &config) }),
    );
    Ok(pages)
}

/// Whether a text is one of these pages.
pub fn is_page(text: &str) -> bool {
    text.starts_with(HEAD)
}

fn index(analyses: &[&Analysis]) -> String {
    let mut text = format!(
        "{HEAD}\n\n# Detections\n\nOne page per detection: what it shows, reads and finds. [Writing detections](../writing-detections.md) explains how to add one; \
         its SQL can use [rollups](rollups.md), [tables](tables.md) and [functions](functions.md).\n"
    );
    let titles = [
        (Suite::Exfiltration, "Exfiltration"),
        (Suite::Firewall, "Firewall"),
        (Suite::Office365, "Office 365"),
        (Suite::Investigation, "Investigations of one entity"),
    ];
    for (suite, title) in titles {
        let of_suite: Vec<&&Analysis> = analyses.iter().filter(|analysis| analysis.suite == suite).collect();
        if of_suite.is_empty() {
            continue;
        }
        let mut table = Table::new(&["detection", "shows", "techniques"]);
        for analysis in of_suite {
            table.row(&[
                format!("[{}]({}.md)", code(analysis.id), analysis.id),
                cell(analysis.title),
                techniques(analysis),
            ]);
        }
        // Writing to a string does not fail.
        let _ = write!(text, "\n## {title}\n\n{table}");
    }
    text
}

fn techniques(analysis: &Analysis) -> String {
    let rule = analysis.finding.iter().flat_map(|rule| rule.techniques.iter());
    rule.map(|technique| format!("[{}]({})", technique.id, technique.url())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use super::*;

    #[test]
    fn pages_are_current() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/detections");
        let pages: BTreeMap<String, String> =
            pages(Detections::built_in()).unwrap().into_iter().map(|page| (page.name, page.text)).collect();
        let again = "run `hindcast detections docs docs/detections` in the repository's folder, and commit what it writes";
        for (name, text) in &pages {
            let there = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            assert!(there == *text, "docs/detections/{name} is not current: {again}");
        }
        let there: BTreeSet<String> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let known: BTreeSet<String> = pages.into_keys().collect();
        let stray: Vec<&String> = there.difference(&known).collect();
        assert!(stray.is_empty(), "docs/detections holds pages of no detection: {stray:?}; delete them");
    }

    #[test]
    fn every_detection_has_a_page_with_its_columns_and_parameters() {
        let pages = pages(Detections::built_in()).unwrap();
        for analysis in Detections::built_in().analyses() {
            let page = pages.iter().find(|page| page.name == format!("{}.md", analysis.id)).unwrap();
            let names = analysis.about.columns.iter().map(|column| column.name);
            let names = names.chain(analysis.about.parameters.keys().map(String::as_str));
            for name in names {
                assert!(page.text.contains(&format!("| `{name}` |")), "{}: {name}", analysis.id);
            }
        }
    }
}
