//! Numbers: steps, rounding, sizes.

use arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{Expr, cast, lit};

use super::Documented;
use super::literals::integer;
use super::short_form::{Expansion, Gives, ShortForm};
use crate::transfer_score::BYTES_PER_MEGABYTE;

/// Most decimals: a float has no more that are significant.
const MAX_DIGITS: i64 = 15;

pub(super) const FORMS: &[ShortForm] = &[
    ShortForm::new(
        Documented {
            name: "floor_div",
            arguments: &[("number", "integer"), ("step", "integer literal")],
            result: "integer",
            doc: "A number divided by the step, rounded down, also below zero.",
        },
        Expansion::OfLiterals(floor_div),
    )
    .of_integers()
    .giving(Gives::Integer),
    ShortForm::new(
        Documented {
            name: "round_half_up",
            arguments: &[("value", "number"), ("digits", "integer literal")],
            result: "float",
            doc: "A number rounded half away from zero to `digits` decimals (0 to 15) of its shortest decimal form.",
        },
        Expansion::OfLiterals(round_half_up),
    )
    .giving(Gives::Float),
    ShortForm::new(
        Documented {
            name: "megabytes",
            arguments: &[("bytes", "number")],
            result: "float",
            doc: "Bytes as megabytes (1,048,576 bytes), rounded to two decimals.",
        },
        Expansion::OfAny(|bytes| {
            let megabytes = cast(bytes[0].clone(), DataType::Float64) / lit(BYTES_PER_MEGABYTE);
            crate::round_half_up(megabytes, 2)
        }),
    ),
    ShortForm::new(
        Documented {
            name: "transfer_score",
            arguments: &[("sent", "number"), ("received", "number"), ("rarity", "float")],
            result: "float",
            doc: "How much a transfer looks like data that leaves, 0 to 1: rarity times 0.4 of the ratio of sent to received bytes, from 1 to \
                  1,000, and 0.6 of the sent bytes, from 1 MB to 10 GB, both by their logarithms. The ratio counts a half if `received` is \
                  null; `rarity` counts 1 if it is null.",
        },
        Expansion::OfAny(|arguments| {
            let [sent, received, rarity] = [0, 1, 2].map(|place: usize| arguments[place].clone());
            crate::transfer_score(sent, received, rarity)
        }),
    ),
    ShortForm::new(
        Documented {
            name: "size_class",
            arguments: &[("bytes", "integer")],
            result: "integer",
            doc: "A size in sixteenths of an octave (a doubling), as a whole number, whose sums are exact; 0 for 0 and for null.",
        },
        Expansion::OfAny(|bytes| crate::size_class(bytes[0].clone())),
    )
    .of_integers(),
    ShortForm::new(
        Documented {
            name: "only_where",
            arguments: &[("value", "any"), ("condition", "boolean")],
            result: "type of value",
            doc: "The value if the condition is true; null if it is false or null.",
        },
        Expansion::OfAny(|arguments| crate::only_where(arguments[0].clone(), arguments[1].clone())),
    ),
];

fn floor_div(arguments: &[Expr]) -> Result<Option<Expr>> {
    match integer(&arguments[1])? {
        None => Ok(None),
        Some(step @ 1..) => Ok(Some(crate::floor_div(arguments[0].clone(), step))),
        Some(step) => plan_err!("takes a step above 0, not {step}"),
    }
}

fn round_half_up(arguments: &[Expr]) -> Result<Option<Expr>> {
    match integer(&arguments[1])? {
        None => Ok(None),
        Some(digits @ 0..=MAX_DIGITS) => Ok(Some(crate::round_half_up(arguments[0].clone(), digits as u8))),
        Some(digits) => plan_err!("takes 0 to {MAX_DIGITS} digits, not {digits}"),
    }
}
