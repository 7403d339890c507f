//! Reads watchlist files: CSV files relative to the configuration file that names them. They are read before a scan starts, so
//! that a coordinator needs no file of the client.

use std::path::Path;

use hindcast_base::entities::EntityKind;
use hindcast_base::{Error, Result};
use hindcast_detections::Detections;
use hindcast_detections::config::{Config, Layer, Watchlist};

/// The `text` of the configuration file at `path`, with the entries of its watchlist files instead of their names.
///
/// # Errors
/// [`Error::Invalid`] naming a file that can't be read, lacks the column, or has an invalid entry.
pub(super) fn with_watchlists(path: &Path, text: String, detections: Detections) -> Result<String> {
    let shown = path.display().to_string();
    let mut table: toml::Table =
        toml::from_str(&text).map_err(|error| Error::Invalid(format!("{shown}: {error}")))?;
    let lists = table.get_mut("watchlists").and_then(toml::Value::as_array_mut);
    let names_file = |list: &toml::Value| list.get("file").is_some();
    if !lists.as_ref().is_some_and(|lists| lists.iter().any(names_file)) {
        return Ok(text);
    }
    // Check the text before entries are inserted, so that errors have the right lines.
    Config::check_layer(&Layer { name: &shown, text: &text }, detections)?;
    for list in lists.into_iter().flatten().filter_map(toml::Value::as_table_mut) {
        let Some(toml::Value::String(file)) = list.remove("file") else { continue };
        let column = list.remove("column");
        let file = path.parent().unwrap_or(Path::new("")).join(file);
        let text_of = |key: &str| list.get(key).and_then(toml::Value::as_str).unwrap_or_default();
        let kind = EntityKind::by_name(text_of("kind"));
        let mut read = Vec::new();
        for (line, entry) in entries(&file, column.as_ref().and_then(toml::Value::as_str))? {
            if kind.is_some_and(|kind| !Watchlist::is_entry(kind, &entry)) {
                let place = format!("{}, line {line}", file.display());
                return Err(Watchlist::no_entry(&place, text_of("name"), &entry));
            }
            read.push(entry);
        }
        let known = list.entry("entries").or_insert_with(|| toml::Value::Array(Vec::new()));
        if let Some(known) = known.as_array_mut() {
            known.extend(read.into_iter().map(toml::Value::String));
        }
    }
    toml::to_string(&table).map_err(|error| Error::Internal(error.to_string()))
}

/// The cells of a column, the first where none is named, with their lines and without those that are empty.
fn entries(file: &Path, column: Option<&str>) -> Result<Vec<(u64, String)>> {
    let failed =
        |error: csv::Error| Error::Invalid(format!("reading the watchlist {}: {error}", file.display()));
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(file).map_err(failed)?;
    let headers = reader.headers().map_err(failed)?.clone();
    let named = |wanted: &str| {
        headers.iter().position(|header| header.trim_start_matches('\u{feff}').trim() == wanted)
    };
    let index = match column {
        None => 0,
        Some(wanted) => named(wanted).ok_or_else(|| {
            let held: Vec<&str> = headers.iter().collect();
            Error::Invalid(format!(
                "the watchlist {} has no column {wanted:?}: it has {}",
                file.display(),
                held.join(", ")
            ))
        })?,
    };
    let mut entries = Vec::new();
    for record in reader.records() {
        let record = record.map_err(failed)?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = record.get(index).map(str::trim).filter(|cell| !cell.is_empty());
        entries.extend(cell.map(|cell| (line, cell.to_owned())));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> Result<String> {
        with_watchlists(path, super::super::arguments::read_config(path)?, Detections::built_in())
    }

    #[test]
    fn entries_come_from_the_column_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("bad.csv"),
            "\u{feff}note,ip\nseen,192.0.2.7\n\"a, b\",198.51.100.0/24\n,\n",
        )
        .unwrap();
        let config = folder.path().join("own.toml");
        let write = |column: &str| {
            let list = "[[watchlists]]\nname = 'bad'\nkind = 'ip'\neffect = 'raise'\nfile = 'bad.csv'";
            std::fs::write(&config, format!("{list}\ncolumn = '{column}'\n")).unwrap();
            read(&config)
        };
        let text = write("ip").unwrap();
        let config_read = Config::load("default", &[Layer { name: "own", text: &text }]).unwrap();
        let entries: Vec<&str> = config_read.watchlists[0].entries.iter().map(String::as_str).collect();
        assert_eq!(entries, ["192.0.2.7", "198.51.100.0/24"]);
        let error = write("address").unwrap_err().to_string();
        assert!(
            error.contains("bad.csv") && error.contains("address") && error.contains("note, ip"),
            "{error}"
        );
    }

    #[test]
    fn a_cell_that_is_no_address_is_named_with_its_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("own.toml");
        std::fs::write(folder.path().join("bad.csv"), "ip\n192.0.2.7\nnot-an-ip\n").unwrap();
        let write = |kind: &str| {
            let list = format!("[[watchlists]]\nname = 'bad'\nkind = '{kind}'\neffect = 'raise'");
            std::fs::write(&config, format!("{list}\nfile = 'bad.csv'\n")).unwrap();
            read(&config)
        };
        let error = write("ip").unwrap_err().to_string();
        assert!(
            error.contains(
                "bad.csv, line 3: watchlist bad: \"not-an-ip\" is neither an address nor a network"
            ),
            "{error}"
        );
        write("device").unwrap();
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("own.toml");
        std::fs::write(
            &config,
            "[[watchlists]]\nname = 'bad'\nkind = 'ip'\neffect = 'raise'\nfile = 'gone.csv'",
        )
        .unwrap();
        let error = read(&config).unwrap_err().to_string();
        assert!(error.contains("gone.csv"), "{error}");
    }
}
