//! Scalar and aggregate functions the rollups and analyses use beside DataFusion's own.

mod beacon_gaps;
mod bucket;
mod external_address;
mod hosts;
mod matches;
mod rounding;
mod sorted_distinct;
mod text;

pub use beacon_gaps::beacon_gaps;
pub use bucket::{BUCKETS, bucket_of};
pub use external_address::{PrivateSpace, is_external};
pub use hosts::storage_account;
pub use matches::matches;
pub use rounding::{round_half_up, round_half_up_text};
pub use sorted_distinct::sorted_distinct;
