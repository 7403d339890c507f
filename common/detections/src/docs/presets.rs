//! Reference pages of what maps foreign rows to those of Hindcast: presets of mappings, and the meanings of vendors.

use std::fmt::Write;

use super::HEAD;
use super::markdown::{Table, cell, code, codes, one_line};
use crate::config::vendors::{self, MeaningRule};
use hindcast_lake::{ColumnSource, MappedValues, mapping_presets};

/// The page of presets: every column that each of them maps.
pub(super) fn presets() -> String {
    let mut text = format!(
        "{HEAD}\n\n# Presets of mappings\n\nA preset maps the rows of another schema to a table of Hindcast. [Lakes](../lakes.md#presets) explains how to use one. A path \
         `a.b` is a column of that name or the field `b` of the column `a`. Columns that a preset does not name are read under their own names.\n"
    );
    for preset in mapping_presets() {
        let _ = write!(text, "\n## {}\n\n{}. Rows of `{}`", preset.name, preset.title(), preset.table());
        let _ = writeln!(text, "; [schema]({}).", preset.source());
        if let Some(filter) = preset.filter() {
            let _ = writeln!(text, "\nOnly rows for which this is true:\n\n```sql\n{}\n```", filter.trim());
        }
        let mut table = Table::new(&["column", "from"]);
        for (column, source) in preset.columns() {
            table.row(&[code(column), source_of(source)]);
        }
        let _ = write!(text, "\n{table}");
    }
    text
}

fn source_of(source: &ColumnSource) -> String {
    match source {
        ColumnSource::Path(path) => code(path.text()),
        ColumnSource::Value(value) => format!("the constant {}", code(value)),
        ColumnSource::Sql(sql) => code(&one_line(sql)),
        ColumnSource::Mapped(MappedValues { column, values, otherwise }) => {
            let values = values.iter().map(|(from, to)| format!("{} is {}", code(from), code(to)));
            let others = match otherwise {
                Some(value) => format!("; others are {}", code(value)),
                None => String::new(),
            };
            format!("{}: {}{others}", code(column.text()), values.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The page of vendors: what their rows mean.
pub(super) fn vendors() -> String {
    let mut text = format!(
        "{HEAD}\n\n# Vendors of CommonSecurityLog\n\nDetections read the kind of an event (TRAFFIC or THREAT) and its outcome (Allowed, Blocked, Dropped or Reset) the same way for all \
         vendors. The first rule that fits decides. A row that no rule fits keeps its `DeviceEventClassID` and its `SimplifiedDeviceAction`; so do all rows of other vendors, \
         among them Palo Alto Networks. Texts are compared in any case; `a*` begins with a, `*a*` contains a, `*` is any text that is not empty. \
         [Configuration](../configuration.md#vendors-of-firewalls) explains how to choose vendors and to add meanings.\n"
    );
    for (vendor, meaning) in vendors::built_in() {
        let _ = writeln!(text, "\n## {vendor}");
        for (title, rules) in [("Kind", &meaning.kinds), ("Outcome", &meaning.outcomes)] {
            let mut table = Table::new(&[title, "rows"]);
            for rule in rules {
                table.row(&[cell(&rule.is), rows_of(rule)]);
            }
            let _ = write!(text, "\n{table}");
        }
    }
    text
}

fn rows_of(rule: &MeaningRule) -> String {
    let of_column = rule.texts.iter().map(|(column, texts)| {
        format!("{} is {}", code(column), codes(texts.iter().map(String::as_str)).replace(", ", " or "))
    });
    of_column.collect::<Vec<_>>().join(" and ")
}
