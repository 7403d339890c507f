//! Which versions of tables with a log are read.

use std::collections::BTreeMap;

use hindcast_base::{Error, Result};

/// The version of a table that is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TableVersion {
    /// The latest one.
    #[default]
    Latest,
    /// The one with this number.
    Number(u64),
    /// The latest one that was committed at this time, in microseconds since 1970, or before.
    AsOf(i64),
}

/// The versions that a request chooses; the latest ones if it chooses none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableVersions {
    /// The version of the lake's only table with a log.
    pub only: Option<u64>,
    /// Versions by the names of tables.
    pub by_table: BTreeMap<String, u64>,
    /// A time in microseconds since 1970, for the tables without a number.
    pub as_of_us: Option<i64>,
}

impl TableVersions {
    /// The version of the table `name`.
    pub(super) fn of(&self, name: &str) -> TableVersion {
        match (self.by_table.get(name).copied().or(self.only), self.as_of_us) {
            (Some(number), _) => TableVersion::Number(number),
            (None, Some(time_us)) => TableVersion::AsOf(time_us),
            (None, None) => TableVersion::Latest,
        }
    }

    /// Checks that the choice fits the lake: `logged` are its tables with a log, `plain` those without one.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a number fits no table or several ones.
    pub(super) fn check(&self, logged: &[&str], plain: &[&str]) -> Result<()> {
        if let Some(name) = self.by_table.keys().find(|name| plain.contains(&name.as_str())) {
            return Err(Error::Invalid(format!("{name} has no versions: it is not a Delta table")));
        }
        let (is_chosen, is_numbered) = (self.only.is_some() || self.as_of_us.is_some(), self.only.is_some());
        match logged {
            [] if is_chosen => Err(Error::Invalid(format!(
                "none of the tables that are read has versions: {}",
                if plain.is_empty() { "there is none".to_owned() } else { plain.join(", ") }
            ))),
            [_, _, ..] if is_numbered => Err(Error::Invalid(format!(
                "several tables have versions: name one, as --version {}=N; they are {}",
                logged[0],
                logged.join(", ")
            ))),
            _ => {
                let repeated = |name: &&String| logged.iter().filter(|other| *other == name).count() > 1;
                match self.by_table.keys().find(repeated) {
                    Some(name) => Err(Error::Invalid(format!(
                        "{name} has several roots, whose versions differ: give a time with --as-of instead"
                    ))),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_of_the_only_table_or_of_a_named_one() {
        let only = TableVersions { only: Some(3), ..TableVersions::default() };
        assert!(only.check(&["A"], &["B"]).is_ok());
        assert!(only.check(&["A", "C"], &[]).unwrap_err().to_string().contains("--version A=N"));
        assert!(only.check(&[], &["B"]).is_err());
        let named = TableVersions { by_table: [("A".to_owned(), 3)].into(), ..TableVersions::default() };
        assert!(named.check(&["A", "C"], &["B"]).is_ok());
        assert!(named.check(&["A", "A"], &[]).unwrap_err().to_string().contains("--as-of"));
        assert!(named.check(&["C"], &["A"]).unwrap_err().to_string().contains("not a Delta table"));
        assert_eq!((named.of("A"), named.of("C")), (TableVersion::Number(3), TableVersion::Latest));
    }

    #[test]
    fn a_time_is_of_all_tables_without_a_number() {
        let by_table = [("A".to_owned(), 3)].into();
        let both = TableVersions { only: None, by_table, as_of_us: Some(7) };
        assert!(both.check(&["A", "C"], &["B"]).is_ok());
        assert_eq!((both.of("A"), both.of("C")), (TableVersion::Number(3), TableVersion::AsOf(7)));
        assert!(TableVersions { as_of_us: Some(7), ..TableVersions::default() }.check(&[], &["B"]).is_err());
        assert!(TableVersions::default().check(&[], &[]).is_ok());
    }
}
