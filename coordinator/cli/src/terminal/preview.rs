//! What an import would store, before it does.

use hindcast_base::format::counted;
use hindcast_import::{FilePreview, FileReport, ImportReport, TablePreview};
use serde_json::Value;

/// Most columns, fields and rejects that are named, of those that are not stored.
const SHOWN_NAMES: usize = 12;
/// Most characters of a value.
const SHOWN_CHARACTERS: usize = 160;

/// Prints what would be stored of each file.
pub fn print_preview(report: &ImportReport) {
    for file in &report.files {
        if let Some(preview) = &file.preview {
            print_file(file, preview);
        }
    }
    println!("dry run   nothing was written");
}

fn print_file(file: &FileReport, preview: &FilePreview) {
    let container = match preview.container.as_slice() {
        [] => String::new(),
        layers => format!("{}, ", layers.join(", ")),
    };
    println!("detected  {}: {container}{}; {}", file.file, preview.encoding, preview.framing);
    println!("          {}, from the source {}", preview.format, file.source);
    for reason in &preview.explanation {
        println!("because   {reason}");
    }
    for (table, rows) in &preview.tables {
        print_table(table, file.rows.get(table).copied().unwrap_or_default(), rows);
    }
    for reject in &preview.rejects {
        println!("reject    line {}: {}: {}", reject.line, reject.reason, shortened(&reject.text));
    }
}

fn print_table(table: &str, all: u64, preview: &TablePreview) {
    let width = preview.rows.iter().flat_map(|row| row.keys()).map(String::len).max().unwrap_or_default();
    for (number, row) in preview.rows.iter().enumerate() {
        println!("row       {} of {} of {table}", number + 1, counted(all, "row"));
        for (column, value) in row {
            let text = match value {
                Value::String(text) => shortened(text),
                other => other.to_string(),
            };
            println!("          {column:<width$}  {text}");
        }
    }
    let empty =
        preview.empty_columns.iter().map(|(column, fields)| format!("{column} ({})", fields.join(", ")));
    print_names("empty", &format!("no row of {table} has a value for"), empty);
    let undefined = preview.undefined_columns.iter().cloned();
    print_names("undefined", &format!("{table} does not define the columns"), undefined);
    let additional = preview.additional_fields.iter().cloned();
    print_names(
        "fields",
        &format!("{table} has no column for these, they go to AdditionalFields:"),
        additional,
    );
}

fn print_names(label: &str, sentence: &str, names: impl Iterator<Item = String>) {
    let mut names: Vec<String> = names.collect();
    if names.is_empty() {
        return;
    }
    let more = names.len().saturating_sub(SHOWN_NAMES);
    names.truncate(SHOWN_NAMES);
    let more = if more > 0 { format!(", and {more} more (all with --json)") } else { String::new() };
    println!("{label:<9} {sentence} {}{more}", names.join(", "));
}

/// A value on one line.
fn shortened(text: &str) -> String {
    let is_control = |character: char| character.is_control();
    let line: String = text.chars().take(SHOWN_CHARACTERS).collect::<String>().replace(is_control, " ");
    if text.chars().nth(SHOWN_CHARACTERS).is_some() { format!("{line}…") } else { line }
}
