//! Hours in which a device sends far more than it did in the hours before, also in those before the window.

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::functions_aggregate::expr_fn::{bool_or, sum};
use datafusion::logical_expr::{Expr, ExprFunctionExt, cast, ident, lit, when};
use datafusion::prelude::DataFrame;

use super::{Analysis, Inputs, Locations, LookBack, Requirement, Suite, time_of_micros};
use crate::config::{Baseline, Config, EgressSpikes};
use crate::findings::{EntityKind, FindingRule, Period, Severity, Stage, technique};
use crate::functions::{Trail, trailing};
use crate::time::MICROS_PER_HOUR;

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "egress_spikes",
    version: 2,
    suite: Suite::Exfiltration,
    title: "Spikes of bytes sent by device and hour",
    rollups: &["device_hours"],
    optional_rollups: &[],
    requires: &[Requirement { tables: &["DeviceNetworkEvents"], columns: &["DeviceName", "BytesSent"] }],
    locations: Locations::Unused,
    look_back: Some(LookBack { rollups: &["device_hours"], start: first_hour }),
    run,
    finish: None,
    order: &[("bytes_sent", true), ("hour", false)],
    limit: None,
    companion: None,
    finding: Some(FindingRule {
        title: "Spike of outbound traffic",
        techniques: &[technique("T1048", "Exfiltration Over Alternative Protocol")],
        stage: Stage::Egress,
        entities: &[(EntityKind::Device, "device_name")],
        first_seen: "hour",
        last_seen: "hour",
        period: Period::Hour,
        is_finding: |_, _| true,
        severity: |row| match row.number("ratio") {
            // With little history behind it a baseline is low of itself.
            _ if row.integer("_hours_seen").is_some_and(|hours| hours < 12) => Severity::Low,
            Some(ratio) if ratio >= 20.0 => Severity::High,
            _ => Severity::Medium,
        },
        confidence: |row| row.integer("_hours_seen").map_or(50, |hours| (20 + hours * 2).clamp(20, 70) as u8),
        explain: |row| {
            let sent = row.integer("bytes_sent").unwrap_or_default();
            match row.number("ratio") {
                Some(ratio) => format!("{sent} bytes sent in the hour, {ratio:.1} times the baseline"),
                None => format!("{sent} bytes sent in the hour, after hours without any"),
            }
        },
    }),
};

/// Where the first hour begins that counts in the baseline of the window's first hour.
fn first_hour(config: &Config, from_us: i64) -> Option<i64> {
    let EgressSpikes { baseline, hours, .. } = config.egress_spikes;
    let first_of_window = from_us.div_euclid(MICROS_PER_HOUR) * MICROS_PER_HOUR;
    (baseline == Baseline::PrecedingHours)
        .then(|| first_of_window.saturating_sub(hours.saturating_mul(MICROS_PER_HOUR)))
}

/// Bytes by device and hour, those before the window among them, and whether any of the hour's rows lie in the window.
fn device_hours(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let columns = |in_window: Expr| {
        vec![ident("device_name"), ident("hour_index"), ident("bytes_sent"), in_window.alias("_in_window")]
    };
    let of_window = inputs.merged("device_hours")?.select(columns(lit(true)))?;
    let Some(past) = inputs.past("device_hours")? else { return Ok(of_window) };
    let in_window = (ident("hour_index") * lit(MICROS_PER_HOUR)).gt_eq(lit(inputs.window.from_us));
    // The window may begin within an hour, which then has rows on both sides.
    of_window.union(past.select(columns(in_window))?)?.aggregate(
        vec![ident("device_name"), ident("hour_index")],
        vec![sum(ident("bytes_sent")).alias("bytes_sent"), bool_or(ident("_in_window")).alias("_in_window")],
    )
}

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let parameters = &inputs.config.egress_spikes;
    let trail = match parameters.baseline {
        Baseline::PrecedingHours => Trail::Positions(parameters.hours),
        Baseline::LastRows => Trail::Rows(parameters.hours.unsigned_abs() as usize),
    };
    let before = trailing(ident("hour_index"), ident("bytes_sent"), trail)
        .partition_by(vec![ident("device_name")])
        .order_by(vec![ident("hour_index").sort(true, false)])
        .build()?;
    let bytes = cast(ident("bytes_sent"), DataType::Float64);
    let is_spike = bytes
        .clone()
        .gt(ident("baseline") * lit(parameters.factor))
        .and(ident("_hours_seen").gt_eq(lit(parameters.min_history)))
        .and(ident("bytes_sent").gt_eq(lit(parameters.min_bytes)));
    device_hours(inputs)?
        .with_column("before", before)?
        .select(vec![
            ident("device_name"),
            ident("hour_index"),
            ident("bytes_sent"),
            ident("_in_window"),
            (cast(get_field(ident("before"), "sum"), DataType::Float64) / lit(parameters.hours as f64))
                .alias("baseline"),
            get_field(ident("before"), "count").alias("_hours_seen"),
        ])?
        .filter(is_spike.and(ident("_in_window")))?
        .select(vec![
            ident("device_name"),
            time_of_micros(ident("hour_index") * lit(MICROS_PER_HOUR)).alias("hour"),
            ident("bytes_sent"),
            ident("baseline"),
            when(ident("baseline").gt(lit(0.0)), bytes / ident("baseline"))
                .otherwise(lit(ScalarValue::Float64(None)))?
                .alias("ratio"),
            ident("_hours_seen"),
        ])
}
