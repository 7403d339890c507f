//! What a suite's choice of rows kept and left out, by the value of the column by which it chooses.

use std::collections::BTreeMap;
use std::fmt;

use hindcast_base::format::format_count;
use hindcast_detections::config::Config;
use hindcast_detections::rollups::{POPULATIONS, Population};
use serde::{Deserialize, Serialize};

use super::plan::ScanPlan;
use super::unit_record::UnitRecord;

/// Values in a summary, those of the most rows.
const MOST_VALUES: usize = 20;
/// Values in a sentence, those of the most rows.
const SHOWN: usize = 5;

/// The rows of a table in the window by the column by which a suite chooses rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowFilter {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// The parameter with the values that are kept.
    pub parameter: String,
    /// Rows that were kept.
    pub kept: u64,
    /// Rows that were left out.
    pub left_out: u64,
    /// The most frequent values.
    pub values: Vec<ValueRows>,
    /// Rows with further values.
    #[serde(default)]
    pub others: u64,
}

/// The rows with one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueRows {
    /// The value; empty for rows without one.
    pub value: String,
    /// Number of rows.
    pub rows: u64,
    /// Whether they were kept.
    pub kept: bool,
}

/// What the filters of a plan kept and left out, from the statistics of its units.
pub(super) fn row_filters(plan: &ScanPlan, records: &[UnitRecord], config: &Config) -> Vec<RowFilter> {
    let mut filters = Vec::new();
    for population in POPULATIONS.iter().filter(|population| population.is_counted) {
        let of_table =
            |record: &&UnitRecord| plan.tables[record.unit.table].table.spec.name == population.table;
        let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
        for record in records.iter().filter(of_table) {
            let counts = record
                .states
                .iter()
                .filter_map(|state| Some((state.rollup(), state.stats.values.get(population.column)?)));
            // Each rollup of a unit that reads the column has the same counts, from one manifest or several.
            let first = counts.clone().next().map(|(rollup, _)| rollup);
            let own = counts.filter(|(rollup, _)| Some(*rollup) == first);
            for (value, count) in own.flat_map(|(_, own)| own.iter()) {
                *rows.entry(value).or_default() += count;
            }
        }
        filters.extend((!rows.is_empty()).then(|| RowFilter::of(population, rows, config)));
    }
    filters
}

impl RowFilter {
    fn of(population: &Population, rows: BTreeMap<&str, u64>, config: &Config) -> Self {
        let wanted = (population.values)(config);
        let is_kept = |value: &str| wanted.is_empty() || wanted.iter().any(|one| one == value);
        let of_value =
            |(value, rows): (&str, u64)| ValueRows { value: value.to_owned(), rows, kept: is_kept(value) };
        let mut values: Vec<ValueRows> = rows.into_iter().map(of_value).collect();
        values.sort_by(|left, right| right.rows.cmp(&left.rows).then_with(|| left.value.cmp(&right.value)));
        let sum = |values: &[ValueRows], kept: bool| -> u64 {
            values.iter().filter(|value| value.kept == kept).map(|value| value.rows).sum()
        };
        Self {
            table: population.table.to_owned(),
            column: population.column.to_owned(),
            parameter: population.parameter.unwrap_or_default().to_owned(),
            kept: sum(&values, true),
            left_out: sum(&values, false),
            others: values.iter().skip(MOST_VALUES).map(|value| value.rows).sum(),
            values: values.into_iter().take(MOST_VALUES).collect(),
        }
    }

    fn shown(&self, kept: bool) -> String {
        let values: Vec<&ValueRows> = self.values.iter().filter(|value| value.kept == kept).collect();
        let shown = values.iter().take(SHOWN).map(|value| {
            let name = if value.value.is_empty() { "no value" } else { &value.value };
            format!("{name} ({})", format_count(value.rows))
        });
        let shown: Vec<String> = shown.collect();
        let all = if kept { self.kept } else { self.left_out };
        let further = all - values.iter().take(SHOWN).map(|value| value.rows).sum::<u64>();
        let others =
            if further > 0 { format!(" and others ({})", format_count(further)) } else { String::new() };
        format!("{}{others}", shown.join(", "))
    }
}

impl fmt::Display for RowFilter {
    /// The filter as a sentence.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, column, parameter, .. } = self;
        match (self.kept, self.left_out) {
            (_, 0) => write!(formatter, "{table}: all rows were read, {column} {}", self.shown(true)),
            (0, _) => write!(
                formatter,
                "{table}: no row was read; {parameter} left out {column} {}; add those to read to {parameter} in the file of --config",
                self.shown(false)
            ),
            _ => write!(
                formatter,
                "{table}: {column} {} was read; {parameter} left out {}",
                self.shown(true),
                self.shown(false)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hindcast_detections::config::Layer;

    fn filter(config: &str, rows: &[(&str, u64)]) -> RowFilter {
        let config = Config::load("default", &[Layer { name: "mine.toml", text: config }]).unwrap();
        let vendor = POPULATIONS.iter().find(|population| population.name == "device_vendor").unwrap();
        RowFilter::of(vendor, rows.iter().copied().collect(), &config)
    }

    #[test]
    fn rows_are_kept_and_left_out_by_vendor() {
        let rows = [("Palo Alto Networks", 1_200), ("Fortinet", 300), ("", 7)];
        let one = filter("", &rows);
        assert_eq!((one.kept, one.left_out, one.others), (1_200, 307, 0));
        assert_eq!(
            one.to_string(),
            "CommonSecurityLog: DeviceVendor Palo Alto Networks (1,200) was read; firewall.vendors left out \
             Fortinet (300), no value (7)"
        );
        let none = filter("[firewall]\nvendors = ['Cisco']", &rows);
        assert!(
            none.to_string().starts_with("CommonSecurityLog: no row was read; firewall.vendors left out")
        );
        let all = filter("[firewall]\nvendors = []", &rows);
        assert_eq!((all.kept, all.left_out), (1_507, 0));
        assert!(
            all.to_string()
                .contains("all rows were read, DeviceVendor Palo Alto Networks (1,200), Fortinet (300)")
        );
    }

    #[test]
    fn further_values_are_counted_together() {
        let names: Vec<String> = (0..30).map(|number| format!("vendor {number:02}")).collect();
        let rows: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 2)).collect();
        let filter = filter("", &rows);
        assert_eq!((filter.values.len(), filter.others, filter.left_out), (MOST_VALUES, 20, 60));
        assert!(filter.to_string().contains("vendor 04 (2) and others (50); add those"), "{filter}");
    }
}
