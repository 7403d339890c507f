//! Scalar, aggregate and window functions in addition to DataFusion's. SQL calls them by the names in [`sql`].

mod beacon_gaps;
mod beacon_rhythm;
mod beacon_score;
mod bucket;
mod distinct_texts;
mod dns_words;
mod domains;
mod duration;
mod external_address;
mod floor_div;
mod hashing;
mod hosts;
mod interned;
mod json_text;
mod keys;
mod matches;
mod measures;
mod names;
mod one_of;
mod only_where;
mod packed_set;
mod paired;
mod patterns;
mod rounding;
mod samples;
mod seasonal;
mod seconds_near;
mod set_functions;
mod size_class;
mod sorted_distinct;
mod sorted_window;
pub mod sql;
mod text;
mod text_bits;
mod text_test;
mod trailing;
mod transfer_score;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray};
use arrow::datatypes::Int64Type;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator, Signature, Volatility};

use beacon_gaps::beacon_gaps;
pub use beacon_rhythm::beacon_rhythm;
use beacon_score::{
    beacon_own_score, beacon_polling_score, beacon_prevalence, beacon_regularity, beacon_size_score,
};
pub use bucket::{BUCKETS, bucket_of};
pub use distinct_texts::{MAX_HASHES, distinct_texts};
use duration::duration_seconds;
pub use external_address::{PrivateSpace, is_external};
pub use floor_div::floor_div;
pub use hosts::storage_account;
pub use interned::Interner;
use json_text::json_text;
pub use keys::{KeySet, is_key_of, key_number};
use matches::matches;
pub use measures::{Operation, measures};
pub use names::{account_name, canonical_address};
use names::{
    address_or_text, canonical_host, destination_name, extended_user_agent, initiator, initiator_address,
    lowered_name, record_type, registered_domain, response_code, subdomain,
};
use one_of::is_one_of;
use only_where::only_where;
pub use packed_set::{pack, packed_set};
pub use paired::{first_of, paired, second_of};
pub use patterns::Patterns;
use rounding::round_half_up;
pub use samples::samples;
use seconds_near::seconds_near;
use set_functions::{distinct_count, shared_part};
use size_class::{CLASSES_PER_OCTAVE, size_class};
pub use sorted_distinct::sorted_distinct;
pub use text::as_texts;
use text_bits::text_bits;
use transfer_score::transfer_score;

/// Version of the functions' results, including the bucket of a key. Raise it whenever a result changes: it is part of the key of state.
pub const FUNCTIONS_VERSION: u32 = 2;

/// The signature of a function that is expensive per row, with this number of arguments. It is declared volatile although it is
/// not. Otherwise the optimiser copies the call to every use of its result, such as struct fields and filters, and below filters.
fn costly(arguments: usize) -> Signature {
    Signature::any(arguments, Volatility::Volatile)
}

/// An argument of `function` as 64-bit integers.
fn integers<'a>(array: &'a ArrayRef, function: &str) -> Result<&'a Int64Array> {
    let other = || exec_datafusion_err!("{function} takes 64-bit integers, not {}", array.data_type());
    array.as_primitive_opt::<Int64Type>().ok_or_else(other)
}

/// An argument of `function` as lists of 64-bit integers, with the values of all lists.
fn lists_of_integers<'a>(array: &'a ArrayRef, function: &str) -> Result<(&'a ListArray, &'a [i64])> {
    let other = || exec_datafusion_err!("{function} takes lists of integers, not {}", array.data_type());
    let lists = array.as_list_opt::<i32>().ok_or_else(other)?;
    let numbers = lists.values().as_primitive_opt::<Int64Type>().ok_or_else(other)?;
    Ok((lists, numbers.values()))
}

/// The state of a new accumulator in which each row is one group.
fn rows_as_groups(
    mut accumulator: impl GroupsAccumulator,
    values: &[ArrayRef],
    filter: Option<&BooleanArray>,
) -> Result<Vec<ArrayRef>> {
    let groups: Vec<usize> = (0..values[0].len()).collect();
    accumulator.update_batch(values, &groups, filter, groups.len())?;
    accumulator.state(EmitTo::All)
}
