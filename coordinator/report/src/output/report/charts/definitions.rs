//! Draws the charts that a detection defines from the rows of its table.

use hindcast_base::{Error, Result};
use hindcast_detections::analyses::Analysis;
use hindcast_detections::chart::{Amount, ChartDefinition, Colour};
use hindcast_detections::config::Config;
use hindcast_detections::findings::Row;
use hindcast_detections::row_text::{RowText, RowTextReader};
use hindcast_scan::ResultTable;

use super::{COLOURS, Chart, areas, bars, grids, measures, number, parts, points};

/// The parameters that a detection's charts name.
pub(super) struct Parameters<'a> {
    pub(super) analysis: &'static Analysis,
    pub(super) config: &'a Config,
}

impl Parameters<'_> {
    /// A number of a definition. `None` if it names a parameter that is not a number.
    pub(super) fn number(&self, amount: &Amount) -> Option<f64> {
        amount.value(|name| {
            let own = self.config.parameter(&format!("{}.{name}", self.analysis.id));
            let used = || {
                let (_, path) = self.analysis.about.uses.iter().find(|(alias, _)| *alias == name)?;
                self.config.parameter(path)
            };
            own.or_else(used)?.as_f64()
        })
    }
}

/// The charts of a result table. Empty if the table has no row or no detection defines a chart for it.
///
/// # Errors
/// If a table on disk can't be read.
pub(in super::super) fn of_table(table: &ResultTable, config: &Config) -> Result<Vec<Chart>> {
    let Some(analysis) = config.detections.by_table(&table.name) else { return Ok(Vec::new()) };
    let parameters = Parameters { analysis, config };
    let companion = (analysis.id != table.name).then_some(table.name.as_str());
    let mut charts = Vec::new();
    for definition in analysis.about.charts.iter().filter(|chart| chart.table() == companion) {
        let chart = match definition {
            // Points are chosen part by part, because the table may be larger than memory.
            ChartDefinition::Points(definition) => points::draw(definition, table, &parameters)?,
            others => of_rows(others, table, &parameters)?,
        };
        charts.extend(chart.map(|chart| chart.with_note(definition.note())));
    }
    Ok(charts)
}

fn of_rows(
    definition: &ChartDefinition,
    table: &ResultTable,
    parameters: &Parameters<'_>,
) -> Result<Option<Chart>> {
    let batches = table.batches()?;
    let rows: Vec<Row<'_>> = batches
        .iter()
        .flat_map(|batch| (0..batch.num_rows()).map(move |index| Row::new(batch, index)))
        .collect();
    if rows.is_empty() {
        return Ok(None);
    }
    match definition {
        ChartDefinition::Bars(definition) => bars::draw(definition, &rows),
        ChartDefinition::Measures(definition) => measures::draw(definition, &rows, parameters),
        ChartDefinition::Parts(definition) => parts::draw(definition, &rows),
        ChartDefinition::Areas(definition) => areas::draw(definition, &rows, parameters),
        ChartDefinition::Points(definition) => points::draw(definition, table, parameters),
        ChartDefinition::Matrix(definition) => grids::draw_matrix(definition, &rows),
        ChartDefinition::Map(definition) => grids::draw_map(definition, &rows),
    }
}

/// The reader of a text from rows.
///
/// # Errors
/// If the template is broken. Loading the detection checks that too.
pub(super) fn reader(text: &RowText) -> Result<RowTextReader<'_>> {
    text.reader().map_err(Error::Internal)
}

/// The texts of `rows`, unescaped.
///
/// # Errors
/// As [`reader`].
pub(super) fn texts(text: &RowText, rows: &[Row<'_>]) -> Result<Vec<String>> {
    let reader = reader(text)?;
    Ok(rows.iter().map(|row| reader.of(row, str::to_owned)).collect())
}

/// The names of the series of `rows`; empty without series.
///
/// # Errors
/// As [`reader`].
pub(super) fn series(text: Option<&RowText>, rows: &[Row<'_>]) -> Result<Vec<String>> {
    text.map_or_else(|| Ok(vec![String::new(); rows.len()]), |text| texts(text, rows))
}

/// The value of a row; 1 if there is no column of values.
pub(super) fn value(row: &Row<'_>, column: Option<&str>) -> f64 {
    column.map_or(1.0, |column| number(row, column))
}

/// The CSS code of a colour.
pub(super) fn hex(colour: Colour) -> &'static str {
    match colour {
        Colour::Blue => COLOURS[0],
        Colour::Red => COLOURS[1],
        Colour::Green => COLOURS[2],
        Colour::Orange => COLOURS[3],
        Colour::Violet => COLOURS[4],
        Colour::Cyan => COLOURS[5],
        Colour::Pink => COLOURS[6],
        Colour::Lime => COLOURS[7],
        Colour::Brown => COLOURS[8],
        Colour::Grey => COLOURS[9],
        Colour::PaleBlue => "#9dbdeb",
    }
}
