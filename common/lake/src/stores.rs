//! The registry of object stores for the query engine: it opens each store at its first use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreRegistry;
use object_store::ObjectStore;
use url::Url;

use super::location::Location;

/// Opens the store of any URL with the credentials of the environment, and caches its client.
#[derive(Debug, Default)]
pub struct Stores {
    opened: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(root_of(url), store)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = opened.get(&root_of(url)) {
            return Ok(Arc::clone(store));
        }
        let location =
            Location::parse(url.as_str()).map_err(|error| DataFusionError::External(Box::new(error)))?;
        opened.insert(root_of(url), Arc::clone(location.store()));
        Ok(Arc::clone(location.store()))
    }
}

fn root_of(url: &Url) -> String {
    url[..url::Position::BeforePath].to_owned()
}
