//! Findings, incidents and result tables as one workbook, with one sheet each.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use hindcast_base::time::format_micros;
use hindcast_base::{Error, Result};
use hindcast_scan::{ResultTable, ScanResult};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Workbook, Worksheet, XlsxError};

use super::findings_file::{findings_batch, incidents_batch};
use super::tables::BoxedError;

/// Rows that a sheet can hold, including the header.
const SHEET_ROWS: usize = 1_048_576;
/// UTF-16 code units that a cell can hold. A character beyond the first 65,536 counts as two.
const CELL_UNITS: usize = 32_767;
/// Larger whole numbers are written as text: the number of a cell is a double.
const EXACT_INTEGER: i64 = 1 << 53;

/// The workbook. The last row of a truncated sheet says how many rows are missing.
pub(super) fn workbook(result: &ScanResult) -> Result<Vec<u8>> {
    let firsts = [
        ResultTable::held("findings", &[findings_batch(&result.findings)?])?,
        ResultTable::held("incidents", &[incidents_batch(&result.report.incidents)?])?,
    ];
    let build = || -> Result<Vec<u8>, BoxedError> {
        let mut workbook = Workbook::new();
        // The time of creation is fixed, so that the same result makes the same bytes.
        let created = ExcelDateTime::from_ymd(2000, 1, 1)?;
        workbook.set_properties(&DocProperties::new().set_creation_datetime(&created));
        for table in firsts.iter().chain(&result.tables) {
            let sheet = workbook.add_worksheet().set_name(&table.name)?;
            write_sheet(sheet, table)?;
        }
        Ok(workbook.save_to_buffer()?)
    };
    build().map_err(|error| Error::Internal(format!("making tables.xlsx: {error}")))
}

fn write_sheet(sheet: &mut Worksheet, table: &ResultTable) -> Result<(), BoxedError> {
    let schema = table.schema();
    for (column, field) in schema.fields().iter().enumerate() {
        sheet.write_string(0, column as u16, field.name())?;
    }
    sheet.set_freeze_panes(1, 0)?;
    let mut row = 1;
    for part in table.parts() {
        let batch = &part?;
        for index in 0..batch.num_rows() {
            if row == SHEET_ROWS - 1 && table.rows() > SHEET_ROWS - 1 {
                let left_out = table.rows() - (SHEET_ROWS - 2);
                sheet.write_string(row as u32, 0, format!("{left_out} more rows do not fit this sheet"))?;
                return Ok(());
            }
            write_row(sheet, row as u32, batch, index)?;
            row += 1;
        }
    }
    Ok(())
}

fn write_row(sheet: &mut Worksheet, row: u32, batch: &RecordBatch, index: usize) -> Result<(), XlsxError> {
    for (column, array) in batch.columns().iter().enumerate().filter(|(_, array)| array.is_valid(index)) {
        let column = column as u16;
        match array.data_type() {
            DataType::Int64 => {
                let value = array.as_primitive::<Int64Type>().value(index);
                if value.abs() <= EXACT_INTEGER {
                    sheet.write_number(row, column, value as f64)?;
                } else {
                    sheet.write_string(row, column, value.to_string())?;
                }
            }
            DataType::Float64 => {
                sheet.write_number(row, column, array.as_primitive::<Float64Type>().value(index))?;
            }
            DataType::Timestamp(_, _) => {
                let micros = array.as_primitive::<TimestampMicrosecondType>().value(index);
                sheet.write_string(row, column, format_micros(micros))?;
            }
            // Text is written as text, never as a formula.
            _ => {
                let text = match (array.as_string_view_opt(), array.as_string_opt::<i32>()) {
                    (Some(texts), _) => texts.value(index),
                    (None, Some(texts)) => texts.value(index),
                    (None, None) => "",
                };
                sheet.write_string(row, column, fitting(text))?;
            }
        }
    }
    Ok(())
}

/// The beginning of `text` that fits in a cell.
fn fitting(text: &str) -> &str {
    let mut units = 0;
    let end = text.char_indices().find(|(_, character)| {
        units += character.len_utf16();
        units > CELL_UNITS
    });
    end.map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_cut_by_utf16_units_and_between_characters() {
        let units = |text: &str| text.encode_utf16().count();
        let emoji = "\u{1f600}".repeat(20_000);
        assert_eq!(units(fitting(&emoji)), CELL_UNITS - 1);
        let (most, more) = ("ä".repeat(CELL_UNITS), "ä".repeat(CELL_UNITS + 1));
        assert_eq!(fitting(&most), most);
        assert_eq!(fitting(&more), most);
        assert_eq!(fitting(""), "");
        let mut workbook = Workbook::new();
        workbook.add_worksheet().write_string(0, 0, fitting(&emoji)).unwrap();
    }
}
