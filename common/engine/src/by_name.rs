//! Values by name, in little memory: a scan holds the statistics of all its units.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Values by name, in the order of their names. JSON has them as an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByName<T>(Box<[(Box<str>, T)]>);

impl<T> ByName<T> {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&T> {
        let place = self.0.binary_search_by(|(own, _)| own.as_ref().cmp(name)).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }

    /// All names with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Clone> ByName<T> {
    /// Those of these names.
    pub(super) fn of(&self, names: &[&str]) -> Self {
        self.0.iter().filter(|(name, _)| names.contains(&name.as_ref())).cloned().collect()
    }

    /// Both together; `sum` adds the values of a name that both have.
    pub(super) fn with(&self, more: &Self, sum: impl Fn(&T, &T) -> T) -> Self {
        let mut all: BTreeMap<&str, T> = self.iter().map(|(name, value)| (name, value.clone())).collect();
        for (name, value) in more.iter() {
            let both = all.get(name).map_or_else(|| value.clone(), |own| sum(own, value));
            all.insert(name, both);
        }
        all.into_iter().collect()
    }
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<N: Into<Box<str>>, T> FromIterator<(N, T)> for ByName<T> {
    /// If a name occurs several times, its last value counts.
    fn from_iter<I: IntoIterator<Item = (N, T)>>(values: I) -> Self {
        let sorted: BTreeMap<Box<str>, T> =
            values.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Self(sorted.into_iter().collect())
    }
}

impl<T: Serialize> Serialize for ByName<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByName<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(BTreeMap::<String, T>::deserialize(from)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_and_added_by_name_and_json_has_an_object() {
        let left: ByName<u64> = [("b", 2), ("a", 1), ("b", 3)].into_iter().collect();
        let right: ByName<u64> = [("c", 5), ("a", 4)].into_iter().collect();
        let both = left.with(&right, |own, more| own + more);
        assert_eq!(both.iter().collect::<Vec<_>>(), [("a", &5), ("b", &3), ("c", &5)]);
        assert_eq!((both.get("b"), both.get("d")), (Some(&3), None));
        let json = serde_json::to_string(&both).unwrap();
        assert_eq!(json, r#"{"a":5,"b":3,"c":5}"#);
        assert_eq!(serde_json::from_str::<ByName<u64>>(&json).unwrap(), both);
        assert!(ByName::<u64>::default().is_empty() && !both.is_empty());
    }
}
