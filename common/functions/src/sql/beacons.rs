//! Statistics of the sessions of a pair, and the services that are periodic by nature.

use datafusion::common::{Result, ScalarValue, plan_datafusion_err};
use datafusion::logical_expr::{Expr, is_true, lit, when};
use serde::Deserialize;

use super::Documented;
use super::literals::text;
use super::short_form::{Expansion, ShortForm};
use super::text_tests;
use crate::Patterns;

const DESTINATION_AND_RECORDS: &[(&str, &str)] =
    &[("address", "text"), ("host", "text"), ("records", "text literal")];
const PORT_AND_RECORDS: &[(&str, &str)] = &[("port", "integer"), ("records", "text literal")];

pub(super) const FORMS: &[ShortForm] = &[
    ShortForm::new(
        Documented {
            name: "beacon_gaps",
            arguments: &[("seconds", "array of integers")],
            result: "struct of avg_delta, std_delta, min_delta, max_delta, intervals, jitter",
            doc: "Statistics of the gaps between sorted, distinct whole seconds. Expensive: compute it once in a subquery.",
        },
        Expansion::OfAny(|arguments| crate::beacon_gaps(arguments[0].clone())),
    )
    .costly(),
    ShortForm::new(
        Documented {
            name: "beacon_rhythm",
            arguments: &[
                ("seconds", "array of integers"),
                ("sessions", "integer"),
                ("least_timing", "number literal"),
            ],
            result: "struct of interval_s, second_interval_s, beats, missed_beats, timing_score, coverage_score",
            doc: "The interval of the sorted, distinct whole seconds of `sessions` sessions, and how well they keep it. All fields are \
                  null if there are fewer than five seconds, or if the timing is far below `least_timing`. Expensive: compute it once in a subquery.",
        },
        Expansion::OfAny(|arguments| {
            crate::beacon_rhythm(arguments[0].clone(), arguments[1].clone(), arguments[2].clone())
        }),
    )
    .costly(),
    ShortForm::new(
        Documented {
            name: "seconds_near",
            arguments: &[
                ("seconds", "array of integers"),
                ("others", "array of integers"),
                ("within", "integer literal"),
            ],
            result: "integer",
            doc: "How many of the sorted, distinct whole seconds are at most `within` seconds away from one of the others; 0 if either is \
                  null. Expensive: compute it once in a subquery.",
        },
        Expansion::OfAny(|arguments| {
            crate::seconds_near(arguments[0].clone(), arguments[1].clone(), arguments[2].clone())
        }),
    )
    .costly(),
    ShortForm::new(
        Documented {
            name: "known_service_name",
            arguments: PORT_AND_RECORDS,
            result: "text",
            doc: "The `name` of the first record with this `port`, from records of `name`, `port` and `factor`; null if there is none.",
        },
        Expansion::OfLiterals(|arguments| {
            of_service(arguments, lit(ScalarValue::Utf8(None)), |service| lit(service.name.as_str()))
        }),
    ),
    ShortForm::new(
        Documented {
            name: "known_service_factor",
            arguments: PORT_AND_RECORDS,
            result: "float",
            doc: "The `factor` of the first record with this `port`, from records of `name`, `port` and `factor`; 1 if there is none.",
        },
        Expansion::OfLiterals(|arguments| of_service(arguments, lit(1.0), |service| lit(service.factor))),
    ),
    ShortForm::new(
        Documented {
            name: "periodic_service_name",
            arguments: DESTINATION_AND_RECORDS,
            result: "text",
            doc: "The `name` of the first record one of whose `networks` has the address, or whose pattern `hosts` matches the host name, \
                  from records of `name`, `networks` (separated by spaces), `hosts` and `factor`; null if there is none.",
        },
        Expansion::OfLiterals(|arguments| {
            of_periodic(arguments, lit(ScalarValue::Utf8(None)), |service| lit(service.name.as_str()))
        }),
    ),
    ShortForm::new(
        Documented {
            name: "periodic_service_factor",
            arguments: DESTINATION_AND_RECORDS,
            result: "float",
            doc: "The `factor` of that record; 1 if there is none.",
        },
        Expansion::OfLiterals(|arguments| of_periodic(arguments, lit(1.0), |service| lit(service.factor))),
    ),
];

/// A service in the parameter of a detection.
#[derive(Deserialize)]
struct Service {
    name: String,
    port: i64,
    factor: f64,
}

/// A service in the parameter of a detection, recognised by where it is.
#[derive(Deserialize)]
struct Periodic {
    name: String,
    #[serde(default)]
    networks: String,
    #[serde(default)]
    hosts: String,
    factor: f64,
}

/// `of_one` of the first service at the address or host; `of_none` if there is none.
fn of_periodic(
    arguments: &[Expr],
    of_none: Expr,
    of_one: impl Fn(&Periodic) -> Expr,
) -> Result<Option<Expr>> {
    let Some(records) = text(&arguments[2])? else {
        return Ok(None);
    };
    let services: Vec<Periodic> = serde_json::from_str(records).map_err(|error| {
        plan_datafusion_err!("takes records of name, networks, hosts and factor: {error}")
    })?;
    let of_others = |others: Expr, service: &Periodic| {
        let networks: Vec<String> = service.networks.split_whitespace().map(str::to_owned).collect();
        let mut is_service = text_tests::is_in_networks(arguments[0].clone(), &networks)?;
        if !service.hosts.is_empty() {
            let hosts =
                Patterns::of(&[service.hosts.as_str()]).map_err(|error| plan_datafusion_err!("{error}"))?;
            is_service = is_service.or(is_true(crate::matches(arguments[1].clone(), &hosts)));
        }
        when(is_service, of_one(service)).otherwise(others)
    };
    services.iter().rev().try_fold(of_none, of_others).map(Some)
}

/// `of_one` of the first service at the port; `of_none` if there is none.
fn of_service(arguments: &[Expr], of_none: Expr, of_one: impl Fn(&Service) -> Expr) -> Result<Option<Expr>> {
    let Some(records) = text(&arguments[1])? else {
        return Ok(None);
    };
    let services: Vec<Service> = serde_json::from_str(records)
        .map_err(|error| plan_datafusion_err!("takes records of name, port and factor: {error}"))?;
    let of_others = |others: Expr, service: &Service| {
        when(arguments[0].clone().eq(lit(service.port)), of_one(service)).otherwise(others)
    };
    services.iter().rev().try_fold(of_none, of_others).map(Some)
}
