//! The Parquet leaves of a place in a file.

use parquet::schema::types::SchemaDescriptor;

use super::resolve::{Place, PlaceStep};

/// The leaf at a place that is a column, or a field of structs, without further parts.
pub fn leaf_of(place: &Place, leaves: &SchemaDescriptor) -> Option<usize> {
    let is_field = |step: &PlaceStep| matches!(step, PlaceStep::Field(_));
    if !place.steps.iter().all(is_field) || place.data_type.is_nested() {
        return None;
    }
    match leaves_of(place, leaves).as_slice() {
        [leaf] if leaves.column(*leaf).max_rep_level() == 0 => Some(*leaf),
        _ => None,
    }
}

/// All leaves at a place, or those of the list or map that it leads into.
pub fn leaves_of(place: &Place, leaves: &SchemaDescriptor) -> Vec<usize> {
    let names: Vec<&str> = place
        .steps
        .iter()
        .map_while(|step| match step {
            PlaceStep::Field(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let is_below = |leaf: &usize| {
        let column = leaves.column(*leaf);
        let parts = column.path().parts().iter().skip(1).map(String::as_str);
        leaves.get_column_root_idx(*leaf) == place.root && parts.take(names.len()).eq(names.iter().copied())
    };
    (0..leaves.num_columns()).filter(is_below).collect()
}
