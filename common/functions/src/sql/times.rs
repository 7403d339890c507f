//! Times as numbers and back, and texts as Arrow holds them.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{Expr, cast, lit};

use super::Documented;
use super::literals::integer;
use super::short_form::{Expansion, Gives, ShortForm};
use crate::floor_div;
use hindcast_base::time::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_SECOND};

const OF_TIME: &[(&str, &str)] = &[("time", "time")];

pub(super) const FORMS: &[ShortForm] = &[
    ShortForm::new(
        Documented {
            name: "duration_seconds",
            arguments: &[("text", "text")],
            result: "integer",
            doc: "The whole seconds of a duration in seconds (`3600.07`) or as `h:mm:ss`, rounded down; null for other text.",
        },
        Expansion::OfAny(|text| crate::duration_seconds(text[0].clone())),
    ),
    form("micros", OF_TIME, "integer", "Microseconds since the epoch of a time.", |time| micros(&time[0])),
    form("second_of", OF_TIME, "integer", "Whole seconds since the epoch of a time, rounded down.", |time| {
        floor_div(micros(&time[0]), MICROS_PER_SECOND)
    }),
    form("hour_of", OF_TIME, "integer", "Whole hours since the epoch of a time, rounded down.", |time| {
        floor_div(micros(&time[0]), MICROS_PER_HOUR)
    }),
    form("day_of", OF_TIME, "integer", "Whole UTC days since the epoch of a time, rounded down.", |time| {
        floor_div(micros(&time[0]), MICROS_PER_DAY)
    }),
    ShortForm::new(
        Documented {
            name: "floor_time",
            arguments: &[("time", "time"), ("step_us", "integer literal")],
            result: "time",
            doc: "A time rounded down to a multiple of `step_us` microseconds since the epoch.",
        },
        Expansion::OfLiterals(floor_time),
    )
    .giving(Gives::Time),
    form(
        "time_of_micros",
        &[("micros", "integer")],
        "time",
        "The UTC time from microseconds since the epoch.",
        |micros| time_of(micros[0].clone()),
    ),
    form(
        "time_of_hour",
        &[("hour", "integer")],
        "time",
        "The start of an hour, given as whole hours since the epoch.",
        |hour| time_of(hour[0].clone() * lit(MICROS_PER_HOUR)),
    ),
    form(
        "plain",
        &[("text", "text")],
        "text",
        "A text without a dictionary, as joins and unions of columns need it.",
        |text| cast(text[0].clone(), DataType::Utf8View),
    ),
    form("no_text", &[], "text", "Null as a text.", |_| lit(ScalarValue::Utf8View(None))),
];

const fn form(
    name: &'static str,
    arguments: &'static [(&'static str, &'static str)],
    result: &'static str,
    doc: &'static str,
    expand: fn(&[Expr]) -> Expr,
) -> ShortForm {
    ShortForm::new(Documented { name, arguments, result, doc }, Expansion::OfAny(expand))
}

fn micros(time: &Expr) -> Expr {
    cast(time.clone(), DataType::Int64)
}

fn time_of(micros: Expr) -> Expr {
    cast(micros, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
}

fn floor_time(arguments: &[Expr]) -> Result<Option<Expr>> {
    let Some(step_us) = integer(&arguments[1])? else {
        return Ok(None);
    };
    if step_us < 1 {
        return plan_err!("takes a step of at least 1 microsecond, not {step_us}");
    }
    Ok(Some(time_of(floor_div(micros(&arguments[0]), step_us) * lit(step_us))))
}
