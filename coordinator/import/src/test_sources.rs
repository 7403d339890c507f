//! Sources and inputs for unit tests.

use std::sync::{Arc, LazyLock};

use hindcast_lake::{Location, Tables};
use hindcast_records::built_in::Sources;
use hindcast_records::inputs::Input;
use object_store::ObjectStoreExt;

/// The built-in sources of rows of built-in tables.
pub(super) fn built_in() -> Sources {
    static PARSED: LazyLock<Sources> = LazyLock::new(|| Sources::parse(Tables::built_in(), None).unwrap());
    PARSED.clone()
}

/// The file at a location.
pub(super) async fn input_at(place: Location) -> Input {
    let object = place.store().head(place.prefix()).await.unwrap();
    let mut input = Input::of_object(place, object, Arc::default());
    input.name = "file".into();
    input
}
