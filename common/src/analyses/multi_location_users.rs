//! Accounts that act from several addresses in a place, and how soon they were in another country.
//!
//! Two addresses in one place are a home and a telephone as often as not: what tells an account in two hands is that it
//! is in two countries within hours, which its rows carry in hidden columns.

use arrow::datatypes::DataType;
use datafusion::common::{JoinType, Result};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::expr_fn::{count_distinct, max, min, sum};
use datafusion::functions_window::expr_fn::lag;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, ExprFunctionExt, cast, ident, lit, when};
use datafusion::prelude::DataFrame;

use super::{Analysis, Inputs, Locations, Requirement, Suite};
use crate::findings::{EntityKind, FindingRule, Period, Row, Severity, Stage, technique};
use crate::time::{MICROS_PER_HOUR, MICROS_PER_SECOND};

pub(super) static ANALYSIS: Analysis = Analysis {
    id: "multi_location_users",
    version: 1,
    suite: Suite::Office365,
    title: "Users with several addresses in a place",
    rollups: &["office_accounts"],
    optional_rollups: &[],
    requires: &[Requirement {
        tables: &["OfficeActivity"],
        columns: &["UserType", "Operation", "UserId", "ClientIP"],
    }],
    locations: Locations::Required,
    look_back: None,
    run,
    finish: None,
    order: &[("distinct_ips", true), ("operations", true), ("user", false)],
    limit: None,
    companion: None,
    finding: Some(FindingRule {
        title: "Account used from several places",
        techniques: &[technique("T1078.004", "Valid Accounts: Cloud Accounts")],
        stage: Stage::Audit,
        entities: &[(EntityKind::User, "user")],
        first_seen: "_first_seen",
        last_seen: "_last_seen",
        period: Period::Window,
        // Rows of nobody accuse nobody, and addresses that no database places say nothing of where an account is.
        is_finding: |row, _| {
            row.text("user").is_some() && (row.text("country_code").is_some() || countries(row) > 1)
        },
        severity: |row| match (countries(row) > 1, travelled_too_fast(row)) {
            (true, true) => Severity::High,
            (true, false) => Severity::Medium,
            (false, _) => Severity::Low,
        },
        confidence: |row| match (countries(row) > 1, travelled_too_fast(row)) {
            (true, true) => 70,
            (true, false) => 35,
            (false, _) => 10,
        },
        explain,
    }),
};

/// Countries in which the account was seen in the window.
fn countries(row: &Row<'_>) -> i64 {
    row.integer("_countries").unwrap_or_default()
}

fn travelled_too_fast(row: &Row<'_>) -> bool {
    row.integer("_is_too_fast") == Some(1)
}

fn explain(row: &Row<'_>) -> String {
    let place = match (row.text("city"), row.text("country_code")) {
        (Some(city), Some(country)) => format!("{city}, {country}"),
        (None, Some(country)) => country.to_owned(),
        _ => "an unknown place".to_owned(),
    };
    let operations = row.integer("operations").unwrap_or_default();
    let addresses = row.integer("distinct_ips").unwrap_or_default();
    let travel = match (countries(row), row.integer("_travel_us")) {
        (countries @ 2.., Some(travel_us)) => {
            let told = match travel_us {
                ..MICROS_PER_HOUR => format!("{} minutes", travel_us / (60 * MICROS_PER_SECOND)),
                _ => format!("{} hours", travel_us / MICROS_PER_HOUR),
            };
            format!("; the account was in {countries} countries, in two of them within {told}")
        }
        _ => "; the account was in no other country".to_owned(),
    };
    format!("{operations} operations from {addresses} addresses in {place}{travel}")
}

fn run(inputs: &Inputs<'_>) -> Result<DataFrame> {
    let parameters = &inputs.config.multi_location_users;
    let activity = inputs.merged("office_accounts")?;
    let addresses_of_pair: Expr = WindowFunction::new(count_udaf(), vec![ident("address")]).into();
    let in_places = activity
        .clone()
        .aggregate(
            vec![ident("user"), ident("operation"), ident("address")],
            vec![
                sum(ident("events")).alias("events"),
                min(ident("first_seen")).alias("first_seen"),
                max(ident("last_seen")).alias("last_seen"),
            ],
        )?
        // A row is an address now, so counting the named ones counts the distinct addresses of user and operation.
        .with_column(
            "addresses_of_pair",
            addresses_of_pair.partition_by(vec![ident("user"), ident("operation")]).build()?,
        )?
        .filter(ident("addresses_of_pair").gt(lit(1i64)))?;
    let rows = inputs
        .with_places(in_places)?
        .aggregate(
            vec![ident("user"), ident("country_code"), ident("city")],
            vec![
                count_distinct(ident("address")).alias("distinct_ips"),
                sum(ident("events")).alias("operations"),
                min(ident("first_seen")).alias("_first_seen"),
                max(ident("last_seen")).alias("_last_seen"),
            ],
        )?
        .filter(ident("distinct_ips").gt_eq(lit(parameters.min_ips)))?;
    let is_too_fast = match parameters.travel_window.0 {
        Some(window_us) => ident("_travel_us").lt_eq(lit(window_us)),
        None => ident("_travel_us").is_not_null(),
    };
    rows.join(travels(inputs, activity)?, JoinType::Left, &["user"], &["traveller"], None)?.select(vec![
        ident("user"),
        ident("country_code"),
        ident("city"),
        ident("distinct_ips"),
        ident("operations"),
        ident("_first_seen"),
        ident("_last_seen"),
        ident("_countries"),
        ident("_travel_us"),
        cast(is_too_fast, DataType::Int64).alias("_is_too_fast"),
    ])
}

/// In how many countries each account was, and the shortest time between two of them (microseconds; null in one alone).
fn travels(inputs: &Inputs<'_>, activity: DataFrame) -> Result<DataFrame> {
    let before = |column: &str| {
        lag(ident(column), Some(1), None)
            .partition_by(vec![ident("user")])
            .order_by(vec![ident("first_us").sort(true, false), ident("country_code").sort(true, false)])
            .build()
    };
    // Stays of an account in a country, an hour or less each. In order of their beginning, the stays next to each other
    // hold the shortest time between two countries: those of one country do not overlap.
    let stays = inputs
        .with_places(activity)?
        .filter(ident("country_code").is_not_null().and(ident("user").is_not_null()))?
        .aggregate(
            vec![ident("user"), ident("country_code"), ident("hour_index")],
            vec![
                min(cast(ident("first_seen"), DataType::Int64)).alias("first_us"),
                max(cast(ident("last_seen"), DataType::Int64)).alias("last_us"),
            ],
        )?
        .with_column("country_before", before("country_code")?)?
        .with_column("last_us_before", before("last_us")?)?;
    let apart = ident("first_us") - ident("last_us_before");
    let is_apart = ident("country_before").not_eq(ident("country_code"));
    let apart =
        when(is_apart.clone().and(apart.clone().gt(lit(0i64))), apart).when(is_apart, lit(0i64)).end()?;
    stays.with_column("apart_us", apart)?.aggregate(
        vec![ident("user").alias("traveller")],
        vec![
            count_distinct(ident("country_code")).alias("_countries"),
            min(ident("apart_us")).alias("_travel_us"),
        ],
    )
}
