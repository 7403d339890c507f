//! Hours in which a device sends far more than it did in the hours before.

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition, cast,
    ident, lit, when,
};
use datafusion::prelude::DataFrame;

use super::{Analysis, Inputs, Requirement, Suite, time_of_micros};
use crate::config::{Baseline, EgressSpikes};
use crate::findings::{EntityKind, FindingRule, Period, Severity, Stage, technique};
use crate::time::MICROS_PER_SECOND;

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "egress_spikes",
    suite: Suite::Exfiltration,
    title: "Spikes of bytes sent by device and hour",
    rollups: &["device_hours"],
    optional_rollups: &[],
    requires: &[Requirement { tables: &["DeviceNetworkEvents"], columns: &["DeviceName", "BytesSent"] }],
    run,
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

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let parameters = &inputs.config.egress_spikes;
    let frame = frame_of(parameters);
    let over_frame = |function| -> Result<Expr> {
        let call =
            WindowFunction::new(WindowFunctionDefinition::AggregateUDF(function), vec![ident("bytes_sent")]);
        Expr::WindowFunction(Box::new(call))
            .partition_by(vec![ident("device_name")])
            .order_by(vec![ident("hour_index").sort(true, false)])
            .window_frame(frame.clone())
            .build()
    };
    let bytes = cast(ident("bytes_sent"), DataType::Float64);
    let is_spike = bytes
        .clone()
        .gt(ident("baseline") * lit(parameters.factor))
        .and(ident("_hours_seen").gt_eq(lit(parameters.min_history)))
        .and(ident("bytes_sent").gt_eq(lit(parameters.min_bytes)));
    inputs
        .merged("device_hours")?
        .select(vec![
            ident("device_name"),
            ident("hour_index"),
            ident("bytes_sent"),
            over_frame(sum_udaf())?.alias("frame_bytes"),
            over_frame(count_udaf())?.alias("_hours_seen"),
        ])?
        .with_column(
            "baseline",
            cast(coalesce(vec![ident("frame_bytes"), lit(0i64)]), DataType::Float64)
                / lit(parameters.hours as f64),
        )?
        .filter(is_spike)?
        .select(vec![
            ident("device_name"),
            time_of_micros(ident("hour_index") * lit(3_600 * MICROS_PER_SECOND)).alias("hour"),
            ident("bytes_sent"),
            ident("baseline"),
            when(ident("baseline").gt(lit(0.0)), bytes / ident("baseline"))
                .otherwise(lit(ScalarValue::Float64(None)))?
                .alias("ratio"),
            ident("_hours_seen"),
        ])
}

fn frame_of(parameters: &EgressSpikes) -> WindowFrame {
    let whole_hours = |hours| ScalarValue::Int64(Some(hours));
    let rows = |count: i64| ScalarValue::UInt64(Some(count.unsigned_abs()));
    match parameters.baseline {
        Baseline::PrecedingHours => WindowFrame::new_bounds(
            WindowFrameUnits::Range,
            WindowFrameBound::Preceding(whole_hours(parameters.hours)),
            WindowFrameBound::Preceding(whole_hours(1)),
        ),
        Baseline::LastRows => WindowFrame::new_bounds(
            WindowFrameUnits::Rows,
            WindowFrameBound::Preceding(rows(parameters.hours - 1)),
            WindowFrameBound::CurrentRow,
        ),
    }
}
