//! Further roots of a lake: places, such as one per region or subscription, whose tables are parts of the lake's tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::found_tables::FoundTables;
use super::lake::{Lake, LakeTable};
use super::location::Location;
use hindcast_base::storage_fault::StorageFault;
use hindcast_base::{Error, Result};
use hindcast_schema::TableMapping;
use hindcast_schema::TableSpec;

/// Name of the lake's own root in the results of a lake with several.
pub const MAIN_ROOT: &str = "main";

/// A further root in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LakeRoot {
    /// Its name in results.
    pub name: String,
    /// Its folder.
    pub url: String,
    /// Whether a scan goes on without it if it can't be reached. The coverage then has a gap.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Mappings of its tables. A table without one has that of the lake, apart from its place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, TableMapping>,
}

/// A root as results name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootName {
    /// Its name.
    pub name: Arc<str>,
    /// Its folder.
    pub url: String,
}

/// A root that can't be reached, although the lake has it.
#[derive(Debug, Clone)]
pub struct UnreachableRoot {
    /// Its name.
    pub name: Arc<str>,
    /// Why.
    pub reason: String,
}

/// A further root of a lake.
#[derive(Debug, Clone)]
pub(super) struct OtherRoot {
    root: RootName,
    is_optional: bool,
    /// The lake of this root alone, or why an optional root can't be opened.
    opened: Result<Lake, String>,
}

impl Lake {
    /// This lake with further roots, each at the location that `place` returns.
    ///
    /// # Errors
    /// [`Error::Invalid`] if roots have the same name or share a place, or a local root does not exist and is not optional.
    pub fn with_roots(
        self,
        roots: &[LakeRoot],
        place: impl Fn(&LakeRoot) -> Result<Location>,
    ) -> Result<Self> {
        let mut roots: Vec<&LakeRoot> = roots.iter().collect();
        roots.sort_by(|left, right| left.name.cmp(&right.name));
        if let Some(pair) = roots.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(Error::Invalid(format!("roots: two roots have the name {}", pair[0].name)));
        }
        let places = roots.iter().map(|root| place(root)).collect::<Result<Vec<_>>>()?;
        let named = roots.iter().map(|root| root.name.as_str()).zip(&places);
        check_roots_apart(&[(MAIN_ROOT, &self.root)].into_iter().chain(named).collect::<Vec<_>>())?;
        let opened = roots.iter().zip(places).map(|(root, place)| OtherRoot::open(root, place, &self));
        let others = opened.collect::<Result<_>>()?;
        Ok(Self { others, ..self })
    }

    /// All roots; none if the lake has one.
    pub fn roots(&self) -> Vec<RootName> {
        if self.others.is_empty() {
            return Vec::new();
        }
        let main = RootName { name: Arc::from(MAIN_ROOT), url: self.root.url().to_owned() };
        [main].into_iter().chain(self.others.iter().map(|other| other.root.clone())).collect()
    }

    /// The lake of each root alone, with its name if there are several. Optional roots that can't be opened are left out.
    pub fn parts(&self) -> Vec<(Option<Arc<str>>, Self)> {
        let name = (!self.others.is_empty()).then(|| Arc::from(MAIN_ROOT));
        let main = (name, Self { others: Vec::new(), ..self.clone() });
        let others = self.others.iter();
        let others =
            others.filter_map(|other| Some((Some(Arc::clone(&other.root.name)), other.lake()?.clone())));
        [main].into_iter().chain(others).collect()
    }

    /// The lake of one root alone: the lake's own, or the one called `name`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no root of that name, or it can't be opened.
    pub fn only(&self, name: Option<&str>) -> Result<Self> {
        let name = name.unwrap_or(MAIN_ROOT);
        let is_it = |(own, _): &(Option<Arc<str>>, Self)| own.as_deref().unwrap_or(MAIN_ROOT) == name;
        if let Some((_, lake)) = self.parts().into_iter().find(is_it) {
            return Ok(lake);
        }
        let roots = self.roots();
        Err(Error::Invalid(match roots.iter().find(|root| &*root.name == name) {
            Some(root) => format!("root {name} does not exist: {}", root.url),
            None => {
                let known = roots.iter().map(|root| &*root.name);
                let known: Vec<&str> = if roots.is_empty() { vec![MAIN_ROOT] } else { known.collect() };
                format!("the lake has no root {name:?}: it has {}", known.join(", "))
            }
        }))
    }

    /// The mapping of a table in the lake's own root.
    pub fn mapping(&self, table: &str) -> TableMapping {
        self.mappings.get(table).cloned().unwrap_or_default()
    }

    /// The tables of the lake's own root, which were `found`, and those of its other roots.
    pub(super) async fn with_other_tables(
        &self,
        mut found: FoundTables,
        wanted: &[&'static TableSpec],
    ) -> Result<FoundTables> {
        found.set_root(&Arc::from(MAIN_ROOT));
        for of_other in try_join_all(self.others.iter().map(|other| other.tables(wanted))).await? {
            found.add(of_other);
        }
        check_tables_apart(&found.readable)?;
        Ok(found)
    }
}

impl LakeRoot {
    /// Checks its name.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the name is empty, has other characters than letters, digits, `-` and `_`, or is taken.
    pub fn check_name(&self) -> Result<()> {
        let name = &self.name;
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(Error::Invalid(format!(
                "roots: {name:?} can't be the name of a root: use letters, digits, - and _"
            )));
        }
        if name == MAIN_ROOT {
            return Err(Error::Invalid(format!(
                "roots: {MAIN_ROOT} is the name of the lake's own root: give this root another one"
            )));
        }
        Ok(())
    }

    /// The mappings of its tables, if those of the lake are `of_lake`.
    fn mappings(&self, of_lake: &BTreeMap<String, TableMapping>) -> BTreeMap<String, TableMapping> {
        let inherited =
            |mapping: &TableMapping| TableMapping { url: None, workspace: None, ..mapping.clone() };
        let mut all: BTreeMap<String, TableMapping> =
            of_lake.iter().map(|(table, mapping)| (table.clone(), inherited(mapping))).collect();
        all.extend(self.tables.clone());
        all
    }
}

impl OtherRoot {
    /// Opens the root at `place`, with the mappings and tables of the lake `main`.
    fn open(root: &LakeRoot, place: Location, main: &Lake) -> Result<Self> {
        let url = place.url().to_owned();
        let name = RootName { name: Arc::from(root.name.as_str()), url };
        let is_absent = place.local_path().is_some_and(|path| !path.is_dir());
        let opened = if root.optional && is_absent {
            Err("the folder does not exist".to_owned())
        } else {
            let opened = Lake::open(place, &root.mappings(&main.mappings), main.known);
            Ok(opened.map_err(|error| in_root(&root.name, error))?)
        };
        Ok(Self { root: name, is_optional: root.optional, opened })
    }

    /// The lake of this root alone; none if it can't be opened.
    fn lake(&self) -> Option<&Lake> {
        self.opened.as_ref().ok()
    }

    /// Its tables. If it is optional and can't be reached, only that is found.
    async fn tables(&self, wanted: &[&'static TableSpec]) -> Result<FoundTables> {
        let name = &self.root.name;
        let unreachable = |reason: String| {
            let root = UnreachableRoot { name: Arc::clone(name), reason };
            FoundTables { unreachable: vec![root], ..FoundTables::default() }
        };
        let lake = match &self.opened {
            Ok(lake) => lake,
            Err(reason) => return Ok(unreachable(reason.clone())),
        };
        match lake.own_tables(wanted).await {
            Ok(mut found) => {
                found.set_root(name);
                Ok(found)
            }
            Err(Error::Storage(fault)) if self.is_optional => Ok(unreachable(fault.to_string())),
            Err(error) => Err(in_root(name, error)),
        }
    }
}

/// The error with the name of its root.
pub fn in_root(name: &str, error: Error) -> Error {
    match error {
        Error::Invalid(text) => Error::Invalid(format!("root {name}: {text}")),
        Error::Storage(fault) => {
            let object = format!("root {name}, {}", fault.object);
            Error::Storage(StorageFault { object, ..fault })
        }
        other => other,
    }
}

/// Fails if one root lies in another or is the same, because its rows would count twice.
fn check_roots_apart(roots: &[(&str, &Location)]) -> Result<()> {
    for (index, (name, place)) in roots.iter().enumerate() {
        for (other_name, other) in &roots[..index] {
            let relation = match (contains(place, other), contains(other, place)) {
                (true, true) => "is the same place as",
                (true, false) => "contains",
                (false, true) => "lies in",
                (false, false) => continue,
            };
            return Err(Error::Invalid(format!(
                "root {name} ({}) {relation} root {other_name} ({}): its rows would count twice",
                place.url(),
                other.url()
            )));
        }
    }
    Ok(())
}

/// Fails if two parts of one table share a folder.
fn check_tables_apart(tables: &[LakeTable]) -> Result<()> {
    for (index, table) in tables.iter().enumerate() {
        let same_name = tables[..index].iter().filter(|other| other.spec.name == table.spec.name);
        for other in same_name {
            if contains(&table.location, &other.location) || contains(&other.location, &table.location) {
                return Err(Error::Invalid(format!(
                    "roots {} and {} have {} in the same place, {}: its rows would count twice",
                    other.root_name(),
                    table.root_name(),
                    table.spec.name,
                    table.location.url()
                )));
            }
        }
    }
    Ok(())
}

/// Whether `inner` is `outer` or lies in it. On a local disk the targets of links are compared.
fn contains(outer: &Location, inner: &Location) -> bool {
    match (outer.real_path(), inner.real_path()) {
        (Some(outer), Some(inner)) => inner.starts_with(outer),
        (None, None) => {
            let is_same_store = match (outer.store_url(), inner.store_url()) {
                (Ok(outer), Ok(inner)) => outer == inner,
                _ => false,
            };
            is_same_store && inner.prefix().prefix_matches(outer.prefix())
        }
        _ => false,
    }
}

#[cfg(test)]
#[path = "roots_tests.rs"]
mod tests;
