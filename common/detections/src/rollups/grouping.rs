//! Grouping of a rollup: of a table's rows into stored state, and of states into one state.
//!
//! A value that another measure implies is not stored: a maximum that equals the minimum or the sum is null, and a set is stored
//! without its ends.

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::functions::core::expr_fn::{coalesce, get_field, greatest, least, nullif};
use datafusion::logical_expr::{Expr, cast, ident, lit};
use datafusion::prelude::DataFrame;

use super::{Measure, MeasureKind};
use hindcast_base::time::MICROS_PER_SECOND;
use hindcast_functions::{
    Interner, Operation, distinct_texts, first_of, floor_div, measures, packed_set, paired, samples,
    second_of, sorted_distinct,
};

/// Columns of a grouping's result that are split up again.
const PAIR_COLUMN: &str = "_pair";
const MEASURES_COLUMN: &str = "_measures";

/// The input and the result of a grouping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grouped {
    /// Rows of a table, to stored state.
    Rows,
    /// States, to one complete state.
    States,
    /// States, to one stored state.
    Combined,
}

/// A text key that is grouped as a number.
struct TextKey<'a> {
    name: &'a str,
    interner: Interner,
}

impl TextKey<'_> {
    fn number(&self) -> Expr {
        self.interner.numbers_of(ident(self.name))
    }
}

/// Groups a frame with its text keys as numbers, the first two of them as one number. Rows become stored state, with keys as
/// dictionaries. States become one complete state, with keys as texts and sets as lists, or one stored state.
pub(super) fn group(frame: DataFrame, keys: &[&str], all: &[Measure], of: Grouped) -> Result<DataFrame> {
    let (mut grouped, mut texts) = (Vec::new(), Vec::new());
    for name in keys {
        let data_type = frame.schema().field_with_unqualified_name(name)?.data_type();
        if matches!(data_type, DataType::Utf8View | DataType::Dictionary(_, _)) {
            texts.push(TextKey { name, interner: Interner::default() });
        } else {
            grouped.push(ident(*name));
        }
    }
    let (pair, alone) = texts.split_at(if texts.len() < 2 { 0 } else { 2 });
    if let [first, second] = pair {
        grouped.push(paired(first.number(), second.number()).alias(PAIR_COLUMN));
    }
    grouped.extend(alone.iter().map(|text| text.number().alias(text.name)));

    let key_again = |name: &&str| match texts.iter().position(|text| text.name == *name) {
        None => ident(*name),
        Some(place) => {
            let number = match (place, pair) {
                (0, [_, _]) => first_of(ident(PAIR_COLUMN)),
                (1, [_, _]) => second_of(ident(PAIR_COLUMN)),
                _ => ident(*name),
            };
            let interner = &texts[place].interner;
            match of {
                Grouped::Rows | Grouped::Combined => interner.dictionary_of(number),
                Grouped::States => interner.texts_of(number),
            }
            .alias(*name)
        }
    };
    let mut columns: Vec<Expr> = keys.iter().map(key_again).collect();
    let (mut aggregates, mut side_by_side) = (Vec::new(), Vec::new());
    for measure in all {
        match (measure.operation(), of) {
            (Some(operation), Grouped::Rows) => {
                side_by_side.push((measure.name, operation, measure.of_rows()));
                columns.push(measure.stored(all).alias(measure.name));
            }
            (Some(operation), Grouped::States | Grouped::Combined) => {
                side_by_side.push((measure.name, operation.of_states(), measure.of_state(all)));
                let is_stored = of == Grouped::Combined;
                let value = if is_stored { measure.stored(all) } else { united(measure.name) };
                columns.push(value.alias(measure.name));
            }
            (None, Grouped::Rows) => {
                aggregates.push(measure.gathered(vec![measure.of_rows()]).alias(measure.name));
                columns.push(measure.packed().alias(measure.name));
            }
            (None, Grouped::States | Grouped::Combined) => {
                aggregates.push(measure.gathered(measure.set_of_state()).alias(measure.name));
                let is_stored = of == Grouped::Combined;
                columns.push(if is_stored {
                    measure.packed().alias(measure.name)
                } else {
                    ident(measure.name)
                });
            }
        }
    }
    aggregates.push(measures(side_by_side).alias(MEASURES_COLUMN));
    frame.aggregate(grouped, aggregates)?.select(columns)
}

/// Whole seconds since the epoch of a time.
fn second_of_time(time: Expr) -> Expr {
    floor_div(cast(time, DataType::Int64), MICROS_PER_SECOND)
}

/// A measure of the grouped rows or states.
fn united(name: &str) -> Expr {
    get_field(ident(MEASURES_COLUMN), name)
}

impl Measure {
    /// Its operation; `None` for sets and samples.
    fn operation(&self) -> Option<Operation> {
        match self.kind {
            MeasureKind::Count | MeasureKind::CountOf(_) => Some(Operation::Count),
            MeasureKind::Sum(_) => Some(Operation::Sum),
            MeasureKind::Min(_) => Some(Operation::Min),
            MeasureKind::Max(_) => Some(Operation::Max),
            MeasureKind::Seconds { .. } | MeasureKind::Distinct(_) | MeasureKind::Samples(_) => None,
        }
    }

    /// The aggregate of a set or samples.
    pub(super) fn gathered(&self, of: Vec<Expr>) -> Expr {
        match (self.kind, of.first()) {
            (MeasureKind::Distinct(_), Some(texts)) => distinct_texts(texts.clone()),
            (MeasureKind::Samples(_), Some(texts)) => samples(texts.clone()),
            _ => sorted_distinct(of),
        }
    }

    /// A set or samples in stored state.
    fn packed(&self) -> Expr {
        match self.kind {
            MeasureKind::Seconds { .. } => packed_set(ident(self.name)),
            _ => ident(self.name),
        }
    }

    /// The value that it aggregates, in rows of a table.
    fn of_rows(&self) -> Expr {
        match self.kind {
            MeasureKind::Count => lit(1i64),
            MeasureKind::CountOf(column)
            | MeasureKind::Sum(column)
            | MeasureKind::Min(column)
            | MeasureKind::Max(column)
            | MeasureKind::Distinct(column)
            | MeasureKind::Samples(column)
            | MeasureKind::Seconds { of: column, .. } => ident(column),
        }
    }

    /// The measure whose value equals this maximum if the group has one row. The maximum is stored only if it differs.
    pub fn twin(&self, all: &[Measure]) -> Option<&'static str> {
        let MeasureKind::Max(of) = self.kind else { return None };
        let is_twin = |other: &&Measure| matches!(other.kind, MeasureKind::Min(column) | MeasureKind::Sum(column) if column == of);
        all.iter().find(is_twin).map(|twin| twin.name)
    }

    /// Its value in stored state: null if it equals its twin.
    fn stored(&self, all: &[Measure]) -> Expr {
        match self.twin(all) {
            Some(twin) => nullif(united(self.name), united(twin)),
            None => united(self.name),
        }
    }

    /// Its value read from stored state.
    fn of_state(&self, all: &[Measure]) -> Expr {
        match self.twin(all) {
            Some(twin) => coalesce(vec![ident(self.name), ident(twin)]),
            None => ident(self.name),
        }
    }

    /// A set's stored form, and its first and last number.
    fn set_of_state(&self) -> Vec<Expr> {
        let MeasureKind::Seconds { ends, .. } = self.kind else { return vec![ident(self.name)] };
        // If the maximum is not stored, the minimum among the ends replaces it.
        let ends: Vec<Expr> = ends.iter().map(|name| ident(*name)).collect();
        vec![ident(self.name), second_of_time(least(ends.clone())), second_of_time(greatest(ends))]
    }
}
