//! Reads a Parquet file with all its columns in their stored types, for rewriting its rows without loss.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use futures::{Stream, StreamExt, TryFutureExt, TryStreamExt};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;

use super::lake_file::LakeFile;
use super::location::Location;
use super::store_reader::{
    StoreReader, catch_decoder_panic, decoder_panic_reason, file_fault, parquet_error,
};
use hindcast_base::catch_panic::panic_text;
use hindcast_base::error::InputFault;
use hindcast_base::time::MICROS_PER_SECOND;
use hindcast_base::{Error, Result};

/// Rows per batch.
const BATCH_ROWS: usize = 8_192;

/// A file whose footer is read.
#[derive(Debug, Clone)]
pub struct StoredFile {
    location: Location,
    file: LakeFile,
    footer: ArrowReaderMetadata,
}

impl StoredFile {
    /// Reads the footer of `file`. INT96 times are read as microseconds: in nanoseconds they would end in 2262.
    ///
    /// # Errors
    /// [`Error::Input`] if the file is not a complete Parquet file, [`Error::Storage`] if the store fails.
    pub async fn open(location: &Location, file: &LakeFile) -> Result<Self> {
        let mut reader = StoreReader::new(location, file);
        let footer = ArrowReaderMetadata::load_async(&mut reader, ArrowReaderOptions::new());
        let footer = catch_decoder_panic(file, footer.map_err(|error| parquet_error(file, &error))).await?;
        let stored = Self { location: location.clone(), file: file.clone(), footer };
        match stored.int96_columns().is_empty() {
            true => Ok(stored),
            false => stored.with_int96_as(TimeUnit::Microsecond),
        }
    }

    /// The file.
    pub fn file(&self) -> &LakeFile {
        &self.file
    }

    /// Its columns.
    pub fn schema(&self) -> &SchemaRef {
        self.footer.schema()
    }

    /// The number of its rows, from the footer.
    pub fn rows(&self) -> u64 {
        self.footer.metadata().file_metadata().num_rows().unsigned_abs()
    }

    /// The program that wrote it, from the footer.
    pub fn written_by(&self) -> Option<&str> {
        self.footer.metadata().file_metadata().created_by()
    }

    /// Its rows, with the named columns or all, in the file's order.
    ///
    /// # Errors
    /// As for [`Self::open`], also in the stream.
    pub fn read(
        &self,
        columns: Option<&[String]>,
    ) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + use<>> {
        let reader = StoreReader::new(&self.location, &self.file);
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, self.footer.clone());
        let places = columns.map(|columns| {
            let fields = self.schema().fields().iter().enumerate();
            fields.filter(|(_, field)| columns.contains(field.name())).map(|(place, _)| place)
        });
        let mask = match places {
            Some(places) => ProjectionMask::roots(builder.parquet_schema(), places),
            None => ProjectionMask::all(),
        };
        let file = self.file.clone();
        let failed = move |error: ParquetError| parquet_error(&file, &error);
        let batches = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(&failed)?;
        let batches = AssertUnwindSafe(batches.map_err(failed)).catch_unwind();
        let file = self.file.clone();
        let fault = move |panic: Box<dyn Any + Send>| {
            Err(file_fault(&file, decoder_panic_reason(panic_text(&*panic))))
        };
        Ok(batches.map(move |batch| batch.unwrap_or_else(&fault)))
    }

    /// A column of INT96 times in which microseconds can't represent every value.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub async fn finer_than_micros(&self) -> Result<Option<String>> {
        let columns = self.int96_columns();
        if columns.is_empty() {
            return Ok(None);
        }
        let [mut seconds, mut micros, mut nanos] = [
            Box::pin(self.with_int96_as(TimeUnit::Second)?.read(Some(&columns))?),
            Box::pin(self.read(Some(&columns))?),
            Box::pin(self.with_int96_as(TimeUnit::Nanosecond)?.read(Some(&columns))?),
        ];
        while let (Some(s), Some(us), Some(ns)) =
            (seconds.try_next().await?, micros.try_next().await?, nanos.try_next().await?)
        {
            for column in &columns {
                if !are_micros(column, &s, &us, &ns) {
                    return Ok(Some(column.clone()));
                }
            }
        }
        Ok(None)
    }

    /// Names of the columns of INT96 times.
    fn int96_columns(&self) -> Vec<String> {
        let leaves = self.footer.metadata().file_metadata().schema_descr().columns();
        let int96 = leaves.iter().filter(|leaf| leaf.physical_type() == PhysicalType::INT96);
        int96.filter_map(|leaf| leaf.path().parts().first().cloned()).collect()
    }

    fn with_int96_as(&self, unit: TimeUnit) -> Result<Self> {
        let int96 = self.int96_columns();
        let mut fields = Vec::new();
        for field in self.schema().fields() {
            let field = field.as_ref().clone();
            fields.push(match field.data_type() {
                DataType::Timestamp(_, zone) if int96.contains(field.name()) => {
                    let in_unit = DataType::Timestamp(unit, zone.clone());
                    field.with_data_type(in_unit)
                }
                _ if int96.contains(field.name()) => return Err(self.nested_int96(&field)),
                _ => field,
            });
        }
        let schema = Schema::new_with_metadata(fields, self.schema().metadata().clone());
        let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
        let footer = ArrowReaderMetadata::try_new(Arc::clone(self.footer.metadata()), options);
        let footer = footer.map_err(|error| parquet_error(&self.file, &error))?;
        Ok(Self { footer, ..self.clone() })
    }

    fn nested_int96(&self, field: &Field) -> Error {
        Error::Input(InputFault {
            file: self.file.path.clone(),
            row_group: None,
            column: Some(field.name().clone()),
            reason: "has INT96 times within a nested type".into(),
        })
    }
}

/// Whether `micros` represent the column's times exactly: compared with `seconds` to detect an overflow, and with `nanos` to detect
/// a finer fraction.
fn are_micros(column: &str, seconds: &RecordBatch, micros: &RecordBatch, nanos: &RecordBatch) -> bool {
    let (Some(seconds), Some(micros), Some(nanos)) =
        (seconds.column_by_name(column), micros.column_by_name(column), nanos.column_by_name(column))
    else {
        return false;
    };
    let seconds = seconds.as_primitive::<TimestampSecondType>();
    let micros = micros.as_primitive::<TimestampMicrosecondType>();
    let nanos = nanos.as_primitive::<TimestampNanosecondType>();
    (0..micros.len()).filter(|row| micros.is_valid(*row)).all(|row| {
        let us = micros.value(row);
        us.div_euclid(MICROS_PER_SECOND) == seconds.value(row) && us.wrapping_mul(1_000) == nanos.value(row)
    })
}

#[cfg(test)]
mod tests {
    use parquet::data_type::{Int96, Int96Type};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    /// The Julian day of 2300-01-01, which is beyond the range of nanoseconds in 64 bits.
    const DAY_OF_2300: u32 = 2_440_588 + 120_530;
    const SECONDS_OF_2300: i64 = 120_530 * 86_400;

    /// A file with one row, whose time is `nanos` after 2300-01-01.
    async fn stored(folder: &std::path::Path, nanos: u32) -> StoredFile {
        let mut time = Int96::new();
        time.set_data(nanos, 0, DAY_OF_2300);
        let schema = Arc::new(parse_message_type("message rows { REQUIRED INT96 t; }").unwrap());
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int96Type>().write_batch(&[time], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        let content = writer.into_inner().unwrap();
        let path = folder.join("a.parquet");
        std::fs::write(&path, &content).unwrap();
        let place = Location::parse(&folder.display().to_string()).unwrap();
        let path = place.name_of(&place.child("a.parquet"));
        let file = LakeFile::new(path, content.len() as u64, None);
        StoredFile::open(&place, &file).await.unwrap()
    }

    #[tokio::test]
    async fn int96_times_are_microseconds_and_finer_ones_are_detected() {
        let folder = tempfile::tempdir().unwrap();
        let whole = stored(folder.path(), 7_000).await;
        assert_eq!(whole.finer_than_micros().await.unwrap(), None);
        let rows: Vec<RecordBatch> = whole.read(None).unwrap().try_collect().await.unwrap();
        let micros = rows[0].column(0).as_primitive::<TimestampMicrosecondType>();
        assert_eq!(micros.value(0), SECONDS_OF_2300 * MICROS_PER_SECOND + 7);
        let finer = stored(folder.path(), 7_001).await;
        assert_eq!(finer.finer_than_micros().await.unwrap().as_deref(), Some("t"));
    }
}
