//! Result tables as Parquet, CSV, JSON and JSON lines.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::json::writer::{JsonArray, JsonFormat, LineDelimited};
use hindcast_common::{Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::Format;
use crate::scan::ResultTable;

/// Writes one table in each of the formats that has a file a table.
pub(super) fn write(table: &ResultTable, folder: &Path, formats: &[Format]) -> Result<()> {
    let batches = table.batches.iter().map(plain).collect::<Result<Vec<_>>>()?;
    for format in formats {
        let (extension, write) = match format {
            Format::Parquet => ("parquet", write_parquet as Writer),
            Format::Csv => ("csv", write_csv as Writer),
            Format::Json => ("json", write_json as Writer),
            Format::Jsonl => ("jsonl", write_jsonl as Writer),
            // Those have no file a table.
            _ => continue,
        };
        let path = folder.join(format!("{}.{extension}", table.name));
        let action = format!("writing {}", path.display());
        let file = File::create(&path).map_err(Error::io(action.as_str()))?;
        write(file, &batches).map_err(|error| Error::io(action)(std::io::Error::other(error)))?;
    }
    Ok(())
}

type Writer = fn(File, &[RecordBatch]) -> Result<(), BoxedError>;
type BoxedError = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn write_parquet(file: File, batches: &[RecordBatch]) -> Result<(), BoxedError> {
    let properties =
        WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?)).build();
    let mut writer = ArrowWriter::try_new(file, batches[0].schema(), Some(properties))?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.close()?;
    Ok(())
}

pub(super) fn write_csv(file: impl Write, batches: &[RecordBatch]) -> Result<(), BoxedError> {
    let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(file);
    for batch in batches {
        writer.write(batch)?;
    }
    Ok(())
}

fn write_json(file: File, batches: &[RecordBatch]) -> Result<(), BoxedError> {
    write_json_as::<JsonArray>(file, batches)
}

fn write_jsonl(file: File, batches: &[RecordBatch]) -> Result<(), BoxedError> {
    write_json_as::<LineDelimited>(file, batches)
}

fn write_json_as<F: JsonFormat>(file: File, batches: &[RecordBatch]) -> Result<(), BoxedError> {
    let builder = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, F>(BufWriter::new(file));
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    Ok(())
}

/// The batch with plain strings: not every reader of Parquet knows Arrow's string views.
pub fn plain(batch: &RecordBatch) -> Result<RecordBatch> {
    let is_view = |field: &Field| *field.data_type() == DataType::Utf8View;
    let schema = batch.schema();
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| {
            let plain_type = if is_view(field) { DataType::Utf8 } else { field.data_type().clone() };
            Field::new(field.name(), plain_type, true)
        })
        .collect();
    let target: SchemaRef = Arc::new(Schema::new(fields));
    let convert = || {
        let columns = batch
            .columns()
            .iter()
            .zip(target.fields())
            .map(|(column, field)| cast(column, field.data_type()));
        RecordBatch::try_new(Arc::clone(&target), columns.collect::<Result<_, _>>()?)
    };
    convert().map_err(|error| Error::Engine(error.into()))
}
