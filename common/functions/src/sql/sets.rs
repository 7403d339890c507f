//! Sets of texts, and what texts can carry.

use super::Documented;
use super::short_form::{Expansion, ShortForm};

pub(super) const FORMS: &[ShortForm] = &[
    ShortForm::new(
        Documented {
            name: "distinct_count",
            arguments: &[("set", "packed set")],
            result: "integer",
            doc: "The number of texts in a set of `distinct_texts`: exact below 4,096, from there on estimated with a standard error of \
                  1.6 %.",
        },
        Expansion::OfAny(|sets| crate::distinct_count(sets[0].clone())),
    ),
    ShortForm::new(
        Documented {
            name: "shared_part",
            arguments: &[("set", "packed set"), ("other", "packed set")],
            result: "float",
            doc: "The part of the texts of `other` that `set` has too, 0 to 1; 0 if `other` is empty. Both are sets of `distinct_texts`.",
        },
        Expansion::OfAny(|sets| crate::shared_part(sets[0].clone(), sets[1].clone())),
    ),
    ShortForm::new(
        Documented {
            name: "text_bits",
            arguments: &[("text", "text")],
            result: "integer",
            doc: "What the characters of a text can carry: Shannon's entropy of its characters times their number, in bits, as a whole \
                  number, whose sums are exact.",
        },
        Expansion::OfAny(|text| crate::text_bits(text[0].clone())),
    ),
];
