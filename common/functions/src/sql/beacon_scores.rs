//! The parts of a beacon's score, which `beaconing` and `beacon_scores` share.

use super::Documented;
use super::short_form::{Expansion, ShortForm};

pub(super) const FORMS: &[ShortForm] = &[
    ShortForm::new(
        Documented {
            name: "beacon_size_score",
            arguments: &[
                ("size_classes", "integer"),
                ("size_class_squares", "integer"),
                ("sessions", "integer"),
            ],
            result: "float",
            doc: "How alike and how small the sizes of sessions are, 0 to 1, from the sums of `size_class` and of its square over the \
                  sessions; null if no size is known. docs/beacons.md has the formula.",
        },
        Expansion::OfLiterals(|arguments| {
            let [classes, squares, sessions] = [0, 1, 2].map(|place: usize| arguments[place].clone());
            crate::beacon_size_score(classes, squares, sessions).map(Some)
        }),
    ),
    ShortForm::new(
        Documented {
            name: "beacon_polling_score",
            arguments: &[
                ("size_classes", "integer"),
                ("size_class_squares", "integer"),
                ("sessions", "integer"),
            ],
            result: "float",
            doc: "How constant and how small the sizes of sessions are, 0 to 1: as `beacon_size_score`, but 0 from a deviation of half an \
                  octave; null if no size is known or nothing was sent. docs/beacons.md has the formula.",
        },
        Expansion::OfLiterals(|arguments| {
            let [classes, squares, sessions] = [0, 1, 2].map(|place: usize| arguments[place].clone());
            crate::beacon_polling_score(classes, squares, sessions).map(Some)
        }),
    ),
    ShortForm::new(
        Documented {
            name: "beacon_regularity",
            arguments: &[("timing_score", "float"), ("polling_score", "float")],
            result: "float",
            doc: "The larger of timing and half of the polling score; null if both are null. docs/beacons.md has the formula.",
        },
        Expansion::OfAny(|arguments| crate::beacon_regularity(arguments[0].clone(), arguments[1].clone())),
    ),
    ShortForm::new(
        Documented {
            name: "beacon_own_score",
            arguments: &[
                ("regularity", "float"),
                ("size_score", "float"),
                ("coverage_score", "float"),
                ("beats", "integer"),
                ("service_factor", "float"),
            ],
            result: "float",
            doc: "The combined score of a pair before prevalence, 0 to 1; null if it has no regularity. docs/beacons.md has the \
                  formula.",
        },
        Expansion::OfAny(|arguments| {
            let [regularity, size, coverage, beats, factor] =
                [0, 1, 2, 3, 4].map(|place: usize| arguments[place].clone());
            crate::beacon_own_score(regularity, size, coverage, beats, factor)
        }),
    ),
    ShortForm::new(
        Documented {
            name: "beacon_prevalence",
            arguments: &[("distinct_sources", "integer"), ("total_sources", "integer")],
            result: "float",
            doc: "How rare a destination is, from the number of sources that talk to it: 1 for one source, 0 for all sources, of \
                  which at least 20 are assumed; null if `distinct_sources` is null. docs/beacons.md has the formula.",
        },
        Expansion::OfLiterals(|arguments| {
            crate::beacon_prevalence(arguments[0].clone(), arguments[1].clone()).map(Some)
        }),
    ),
];
