//! Side tables: small tables that the coordinator makes for a merge job and stores next to the state, such as the locations of addresses.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

/// A small table next to the state.
#[derive(Debug)]
pub struct SideTable {
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    columns: &'static [(&'static str, DataType)],
}

/// Locations of addresses: one row per address in the location database.
pub static LOCATIONS: SideTable = SideTable {
    name: "locations",
    columns: &[
        // Canonical text of the address.
        ("address", DataType::Utf8View),
        // ISO 3166-1 alpha-2.
        ("country_code", DataType::Utf8View),
        ("country", DataType::Utf8View),
        ("city", DataType::Utf8View),
        // Degrees, WGS 84.
        ("latitude", DataType::Float64),
        ("longitude", DataType::Float64),
    ],
};

/// The entities of candidate rows, about which correlation queries the rollups.
pub static WANTED_ENTITIES: SideTable = SideTable {
    name: "wanted_entities",
    columns: &[
        // The name of an `EntityKind`.
        ("kind", DataType::Utf8View),
        // Canonical name.
        ("name", DataType::Utf8View),
    ],
};

/// The addresses of the investigated entity, by day.
pub static OWN_ADDRESSES: SideTable = SideTable {
    name: "own_addresses",
    columns: &[
        // Canonical text of the address.
        ("address", DataType::Utf8View),
        // Whole days since 1970, UTC.
        ("day", DataType::Int64),
    ],
};

/// Every side table.
static SIDE_TABLES: &[&SideTable] = &[&LOCATIONS, &OWN_ADDRESSES, &WANTED_ENTITIES];

impl SideTable {
    /// Every side table.
    pub fn all() -> &'static [&'static SideTable] {
        SIDE_TABLES
    }

    /// The side table of that name.
    pub fn by_name(name: &str) -> Option<&'static SideTable> {
        SIDE_TABLES.iter().copied().find(|table| table.name == name)
    }

    /// Its schema: all columns are nullable.
    pub fn schema(&self) -> SchemaRef {
        let field = |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone(), true);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }
}
