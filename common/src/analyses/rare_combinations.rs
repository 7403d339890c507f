//! Combinations of country, operation and client that hardly ever occur.
//!
//! Most of them are an odd client of an ordinary user. What stands out is a sensitive operation from a country whence
//! the tenant sees little.

use arrow::datatypes::DataType;
use datafusion::common::{JoinType, Result, ScalarValue};
use datafusion::functions_aggregate::expr_fn::{count, count_distinct, first_value, max, min, sum};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, cast, ident, lit, when};
use datafusion::prelude::DataFrame;

use super::{Analysis, Context, Inputs, Locations, Requirement, Suite};
use crate::findings::{EntityKind, FindingRule, Period, Row, Severity, Stage, technique};
use crate::functions::lowered_name;

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "rare_combinations",
    version: 1,
    suite: Suite::Office365,
    title: "Rare combinations of country, operation and client",
    rollups: &["office_operations"],
    optional_rollups: &[],
    requires: &[Requirement {
        tables: &["OfficeActivity"],
        columns: &["UserType", "Operation", "UserId", "ClientIP", "UserAgent"],
    }],
    locations: Locations::Optional,
    look_back: None,
    run,
    finish: Some(finish),
    order: &[("events", false), ("country_code", false), ("operation", false), ("user_agent", false)],
    limit: None,
    companion: None,
    finding: Some(FindingRule {
        title: "Rare combination of country, operation and client",
        techniques: &[technique("T1078.004", "Valid Accounts: Cloud Accounts")],
        stage: Stage::Audit,
        entities: &[(EntityKind::User, "user"), (EntityKind::Ip, "ip")],
        first_seen: "first_seen",
        last_seen: "last_seen",
        period: Period::Day,
        is_finding: |_, _| true,
        severity: |row| match (is_sensitive(row), is_from_rare_country(row)) {
            (true, true) => Severity::High,
            (true, false) => Severity::Medium,
            (false, _) => Severity::Low,
        },
        confidence: |row| match (is_sensitive(row), is_from_rare_country(row)) {
            (true, true) => 75,
            (true, false) => 25,
            (false, true) => 40,
            (false, false) => 10,
        },
        explain,
    }),
};

fn is_sensitive(row: &Row<'_>) -> bool {
    row.integer("_is_sensitive") == Some(1)
}

fn is_from_rare_country(row: &Row<'_>) -> bool {
    row.integer("_is_rare_country") == Some(1)
}

fn explain(row: &Row<'_>) -> String {
    let country = row.text("country_code").map_or_else(
        || "no known country".to_owned(),
        |code| match row.number("_country_share").filter(|_| is_from_rare_country(row)) {
            Some(share) => format!("{code} ({:.2} % of what users do)", 100.0 * share),
            None => code.to_owned(),
        },
    );
    let sensitive = if is_sensitive(row) { "sensitive operation " } else { "" };
    let operation = row.text("operation").unwrap_or("unnamed operation");
    let agent =
        row.text("user_agent").map_or_else(|| "no user agent".to_owned(), |agent| format!("`{agent}`"));
    let times = match row.integer("events") {
        Some(1) => "once".to_owned(),
        events => format!("{} times", events.unwrap_or_default()),
    };
    format!("{sensitive}{operation} with {agent} from {country}, seen {times} in the window")
}

/// The shard's rare combinations; and how many pairs of operation and user it has from each country, as rows without an
/// operation that carry them in `_country_pairs`. Pairs, not events: reading mail in bulk makes no country common. An
/// operation is in one shard, so the sums over shards are exact.
fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let parameters = &inputs.config.rare_combinations;
    let located = inputs.with_places(inputs.merged("office_operations")?)?;
    let no = |data_type: &DataType| ScalarValue::try_from(data_type).map(lit);
    let first = |column: &str| {
        let order = ["first_seen", "user", "address"].map(|column| ident(column).sort(true, false));
        first_value(ident(column), order.to_vec())
    };
    let sensitive = parameters.sensitive_operations.iter().map(|name| lit(name.to_lowercase())).collect();
    let is_sensitive = lowered_name(ident("operation")).in_list(sensitive, false);
    let rare = located
        .clone()
        .aggregate(
            vec![ident("country_code"), ident("operation"), ident("user_agent")],
            vec![
                sum(ident("events")).alias("total_events"),
                count_distinct(ident("user")).alias("users"),
                first("user").alias("first_user"),
                first("address").alias("ip"),
                min(ident("first_seen")).alias("earliest"),
                max(ident("last_seen")).alias("latest"),
            ],
        )?
        .filter(ident("total_events").lt_eq(lit(parameters.max_events)))?
        .select(vec![
            ident("country_code"),
            ident("operation"),
            ident("user_agent"),
            ident("total_events").alias("events"),
            ident("users"),
            ident("first_user").alias("user"),
            ident("ip"),
            ident("earliest").alias("first_seen"),
            ident("latest").alias("last_seen"),
            cast(is_sensitive, DataType::Int64).alias("_is_sensitive"),
            no(&DataType::Int64)?.alias("_country_pairs"),
        ])?;
    let by_country = located
        .filter(ident("country_code").is_not_null())?
        .select(vec![ident("country_code"), ident("operation"), ident("user")])?
        .distinct()?
        .aggregate(vec![ident("country_code")], vec![count(lit(1i64)).alias("_country_pairs")])?;
    let mut columns = Vec::new();
    for field in rare.schema().fields() {
        columns.push(match field.name().as_str() {
            name @ ("country_code" | "_country_pairs") => ident(name),
            name => no(field.data_type())?.alias(name),
        });
    }
    rare.clone().union(by_country.select(columns)?)
}

/// Tells of each combination whether its country is a rare one in the whole tenant.
fn finish(rows: DataFrame, context: &Context<'_>) -> Result<DataFrame> {
    let whole = |column: &str| -> Expr { WindowFunction::new(sum_udaf(), vec![ident(column)]).into() };
    let as_float = |expression: Expr| cast(expression, DataType::Float64);
    let shares = rows
        .clone()
        .filter(ident("_country_pairs").is_not_null())?
        .aggregate(
            vec![ident("country_code").alias("country_of_share")],
            vec![sum(ident("_country_pairs")).alias("country_pairs")],
        )?
        .with_column("all_pairs", whole("country_pairs"))?
        .select(vec![
            ident("country_of_share"),
            (as_float(ident("country_pairs")) / as_float(ident("all_pairs"))).alias("_country_share"),
        ])?;
    let is_rare = ident("_country_share").lt_eq(lit(context.config.rare_combinations.rare_country_share));
    let combinations = rows.filter(ident("_country_pairs").is_null())?.drop_columns(&["_country_pairs"])?;
    combinations
        .join(shares, JoinType::Left, &["country_code"], &["country_of_share"], None)?
        .drop_columns(&["country_of_share"])?
        .with_column("_is_rare_country", when(is_rare, lit(1i64)).otherwise(lit(0i64))?)
}
