//! Binary formats, whose records are read as text. A file is of a format by its first bytes, also if it is compressed
//! or within an archive.

use std::io;

use hindcast_base::catch_panic::catch_panic_sync;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::super::windows::evtx;
use super::avro::avro;
use super::parquet_text;
use super::streams::{Bytestream, piped, spooled};

/// A format that is not text.
pub struct Format {
    /// Its name, for people.
    pub name: &'static str,
    /// The bytes with which its files begin, at most eight.
    magic: &'static [u8],
    /// Converts a file, which begins with the magic bytes, to text such as NDJSON. An error comes at once if the file
    /// can't be opened, otherwise when the text is read up to it. Formats that need random access use `spooled`; those
    /// that write their text use [`piped`].
    pub read: fn(Bytestream) -> io::Result<Bytestream>,
}

/// The formats.
const FORMATS: [Format; 3] = [
    Format { name: "Parquet", magic: b"PAR1", read: parquet },
    Format { name: "Avro", magic: b"Obj\x01", read: avro },
    Format { name: "a Windows event log (EVTX)", magic: b"ElfFile\0", read: evtx::as_xml },
];

/// The format of a file that begins with `head`.
pub fn format_of(head: &[u8]) -> Option<&'static Format> {
    FORMATS.iter().find(|format| head.starts_with(format.magic))
}

/// Rows of Parquet as NDJSON.
fn parquet(mut stream: Bytestream) -> io::Result<Bytestream> {
    let file = spooled(&mut stream)?;
    let opened = || ParquetRecordBatchReaderBuilder::try_new(file)?.build();
    let rows = catch_panic_sync(opened)
        .map_err(|panic| io::Error::other(format!("its decoder panicked: {panic}")))?
        .map_err(io::Error::other)?;
    piped(move |target| {
        for batch in rows {
            let batch = batch.map_err(io::Error::other)?;
            parquet_text::writer(&mut *target).write(&batch).map_err(io::Error::other)?;
        }
        Ok(())
    })
}
