//! The plan of a scan, before it runs.

use std::collections::BTreeMap;

use hindcast_base::format::format_bytes;
use hindcast_base::{Error, Result};
use hindcast_scan::{PlanOutline, UnitOutline};

use super::print_json;

/// Prints what the scan will read and run.
pub fn print_plan(plan: &PlanOutline) {
    if let Some(entity) = &plan.investigated {
        println!("{:<9} {}", entity.kind.name(), entity.full_name.as_ref().unwrap_or(&entity.name));
    }
    println!("window    {} to {}", plan.window.from, plan.window.to);
    for table in &plan.tables {
        let dates = format_dates(&table.dates);
        let root = table.root.as_ref().map(|root| format!("{root}: ")).unwrap_or_default();
        let committed = table.committed.as_ref().map(|time| format!(" of {time}")).unwrap_or_default();
        let version =
            table.version.map(|number| format!(", version {number}{committed}")).unwrap_or_default();
        println!(
            "table     {:<22} {root}{dates}, {} files, {}{version}",
            table.table,
            table.files,
            format_bytes(table.bytes)
        );
    }
    for name in &plan.missing_tables {
        println!("table     {name:<22} not in the lake");
    }
    for gap in &plan.gaps {
        println!("NOT READ  {gap}");
    }
    let mut by_suite: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for analysis in &plan.analyses {
        by_suite.entry(&analysis.suite).or_default().push(&analysis.id);
    }
    for (suite, analyses) in by_suite {
        println!("analyses  {suite}: {}", analyses.join(", "));
    }
    if let Some(locations) = &plan.locations {
        println!("locations {}, built {}", locations.database, locations.built);
    }
    for (analysis, reason) in &plan.disabled {
        println!("disabled  {analysis}: {reason}");
    }
}

/// Prints what the scan would read and run, and its units.
///
/// # Errors
/// [`Error::Internal`] if the plan can't be written as JSON.
pub fn print_dry_run(plan: &PlanOutline, units: &[UnitOutline], as_json: bool) -> Result<()> {
    if as_json {
        let mut value = serde_json::to_value(plan).map_err(|error| Error::Internal(error.to_string()))?;
        value["units"] = serde_json::to_value(units).map_err(|error| Error::Internal(error.to_string()))?;
        return print_json(&value);
    }
    print_plan(plan);
    println!("units     {}", units.len());
    for unit in units {
        let cut = match (unit.is_past, unit.is_clipped) {
            (true, _) => ", before the window",
            (false, true) => ", cut by the window",
            (false, false) => "",
        };
        let (files, size) = (unit.files, format_bytes(unit.bytes));
        let root = unit.root.as_ref().map(|root| format!("{root}: ")).unwrap_or_default();
        println!(
            "  {:<22} {root}{} {files} files, {size}{cut}: {}",
            unit.table,
            unit.date,
            unit.rollups.join(", ")
        );
    }
    Ok(())
}

fn format_dates(dates: &[String]) -> String {
    match (dates.first(), dates.last()) {
        (Some(first), Some(last)) if first == last => first.clone(),
        (Some(first), Some(last)) => format!("{first} to {last} ({} dates)", dates.len()),
        _ => "no date in the window".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::format_dates;

    #[test]
    fn dates_are_a_range_with_their_number() {
        let dates = ["2026-01-05", "2026-01-07"].map(str::to_owned);
        assert_eq!(format_dates(&dates), "2026-01-05 to 2026-01-07 (2 dates)");
        assert_eq!(format_dates(&dates[..1]), "2026-01-05");
        assert_eq!(format_dates(&[]), "no date in the window");
    }
}
