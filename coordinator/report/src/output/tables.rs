//! Result tables as Parquet, CSV, JSON and JSON lines.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::iter;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::json::writer::{JsonArray, JsonFormat, LineDelimited};
use hindcast_base::{Error, Result};
use hindcast_scan::{Parts, ResultTable, recut};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::escape::escaped;
use super::unwritten::{Unwritten, whole_or_none};
use super::{Choice, Format};

/// Writes one table in each format that has one file per table. Returns the files that failed.
pub fn write(table: &ResultTable, folder: &Path, choice: Choice<'_>) -> Vec<Unwritten> {
    let write_as = |format: &Format| {
        let (extension, write) = match format {
            Format::Parquet => ("parquet", write_parquet as Writer),
            Format::Csv => ("csv", write_csv as Writer),
            Format::Json => ("json", write_json as Writer),
            Format::Jsonl => ("jsonl", write_jsonl as Writer),
            // The other formats have no file per table.
            _ => return None,
        };
        let name = format!("{}.{extension}", table.name);
        let written = whole_or_none(&folder.join(&name), &format!("tables/{name}"), |path| {
            let action = format!("writing {}", path.display());
            let file = File::create(path).map_err(Error::io(action.as_str()))?;
            let parts = recut(table.parts());
            let parts = match format {
                Format::Csv if choice.escapes_formulas => escaped(parts),
                _ => parts,
            };
            write(file, parts).map_err(|error| Error::io(action)(std::io::Error::other(error)))
        });
        written.err()
    };
    choice.formats.iter().filter_map(write_as).collect()
}

type Writer = fn(File, Parts<'_>) -> Result<(), BoxedError>;
pub(super) type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// One batch as Parquet.
pub fn write_batch(file: File, batch: &RecordBatch) -> Result<(), BoxedError> {
    write_parquet(file, recut(alone(batch)))
}

/// One batch as CSV.
pub(super) fn write_csv_batch(
    file: impl Write,
    batch: &RecordBatch,
    choice: Choice<'_>,
) -> Result<(), BoxedError> {
    let parts = recut(alone(batch));
    write_csv(file, if choice.escapes_formulas { escaped(parts) } else { parts })
}

fn write_parquet(file: File, mut parts: Parts<'_>) -> Result<(), BoxedError> {
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?)).build();
    let first = parts.next().ok_or("a table without columns")??;
    let mut writer = ArrowWriter::try_new(file, first.schema(), Some(properties))?;
    writer.write(&first)?;
    for part in parts {
        writer.write(&part?)?;
    }
    writer.close()?;
    Ok(())
}

fn write_csv(file: impl Write, parts: Parts<'_>) -> Result<(), BoxedError> {
    let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(file);
    for part in parts {
        writer.write(&part?)?;
    }
    Ok(())
}

fn write_json(file: File, parts: Parts<'_>) -> Result<(), BoxedError> {
    write_json_as::<JsonArray>(file, parts)
}

fn write_jsonl(file: File, parts: Parts<'_>) -> Result<(), BoxedError> {
    write_json_as::<LineDelimited>(file, parts)
}

fn write_json_as<F: JsonFormat>(file: File, parts: Parts<'_>) -> Result<(), BoxedError> {
    let builder = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, F>(BufWriter::new(file));
    for part in parts {
        writer.write(&part?)?;
    }
    writer.finish()?;
    Ok(())
}

fn alone(batch: &RecordBatch) -> Parts<'static> {
    Box::new(iter::once(Ok(batch.clone())))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn batch() -> RecordBatch {
        let columns: [(&str, ArrayRef); 2] = [
            ("text", Arc::new(StringArray::from(vec![Some("=1+1"), Some("a,\"b\""), None]))),
            ("number", Arc::new(Int64Array::from(vec![Some(5), Some(-5), None]))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
    }

    /// The text of the table's file in a format, written in two parts.
    fn written(format: Format, extension: &str, escapes_formulas: bool) -> String {
        let (first, second) = (batch().slice(0, 1), batch().slice(1, 2));
        let table = ResultTable::held("t", &[first, second]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let failed = write(&table, folder.path(), Choice { formats: &[format], escapes_formulas });
        assert!(failed.is_empty(), "{failed:?}");
        fs::read_to_string(folder.path().join(format!("t.{extension}"))).unwrap()
    }

    #[test]
    fn csv_has_a_header_quotes_and_escapes_on_request() {
        let plain = "text,number\n=1+1,5\n\"a,\"\"b\"\"\",-5\n,\n";
        assert_eq!(written(Format::Csv, "csv", false), plain);
        assert_eq!(written(Format::Csv, "csv", true), plain.replace("=1+1", "'=1+1"));
    }

    #[test]
    fn json_has_every_column_also_of_nulls() {
        let rows = [
            r#"{"text":"=1+1","number":5}"#,
            r#"{"text":"a,\"b\"","number":-5}"#,
            r#"{"text":null,"number":null}"#,
        ];
        assert_eq!(written(Format::Jsonl, "jsonl", true), rows.join("\n") + "\n");
        assert_eq!(written(Format::Json, "json", true), format!("[{}]", rows.join(",")));
    }

    #[test]
    fn parquet_keeps_types_and_nulls() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        write_batch(File::create(&path).unwrap(), &batch()).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
        let found: Vec<RecordBatch> = reader.build().unwrap().map(|part| part.unwrap()).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(&found[0]["number"], &batch()["number"]);
        assert_eq!(found[0].num_rows(), 3);
    }

    #[test]
    fn formats_without_a_file_per_table_write_none() {
        let table = ResultTable::held("t", &[batch()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let formats = &[Format::Html, Format::Stix, Format::Xlsx];
        assert!(write(&table, folder.path(), Choice { formats, escapes_formulas: false }).is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
