//! Selects an entity's rows: those that name it, and those that name something related to it on that day.
//!
//! Related names count only if a table can't name the entity itself: a firewall knows a device by its address of the day.

mod entity_columns;
mod rows;
mod words;

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

pub use rows::{RowSelector, SelectionStats};

use crate::{TableSpec, Tables};
pub use entity_columns::{EntityColumn, Form, Role};
use hindcast_base::entities::{Entity, EntityKind, UserName, address_or_text_of, host_name};
use hindcast_base::time::{MICROS_PER_DAY, date_start_us};

/// Version of what a selection means, a part of the keys of state. Raise it whenever a selection comes to mean other rows.
pub const SELECTION_VERSION: u32 = 1;

/// The selection of an entity's rows, in all tables or in those of one unit.
///
/// ```
/// use hindcast_base::entities::{Entity, EntityKind};
/// use hindcast_schema::selection::Selection;
///
/// let selection = Selection::of(Entity::of(EntityKind::User, "ada@corp.example").unwrap());
/// assert!(selection.is_named(r"CORP\Ada") && selection.is_named("ada"));
/// assert!(!selection.is_named("ada@other.example"), "another domain");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The entity, by its canonical name; its full name is the requested one, if that has more parts.
    pub entity: Entity,
    /// Names that are related to it, each on one day.
    #[serde(rename = "tied")]
    pub related: BTreeSet<RelatedName>,
    /// Addresses from which a user was seen in the cloud, on any day: network flows are searched for them.
    pub users_addresses: BTreeSet<String>,
}

/// A name that stands for the entity on a day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RelatedName {
    /// Whole days since 1970, UTC.
    pub day: i64,
    /// Kind of the related entity.
    pub kind: EntityKind,
    /// Its canonical name.
    pub name: String,
}

impl Selection {
    /// The rows that name `entity` itself.
    pub fn of(entity: Entity) -> Self {
        Self { entity, related: BTreeSet::new(), users_addresses: BTreeSet::new() }
    }

    /// The part of the selection that matters for a folder's files, whose rows may be off its date by `slack_days`; `None` if
    /// none of their rows can be the entity's.
    pub fn for_folder(&self, table: &TableSpec, date: NaiveDate, slack_days: u32) -> Option<Self> {
        let entity_columns: Vec<&EntityColumn> = self.entity_columns(table).collect();
        let related_kinds: Vec<EntityKind> = entity_columns
            .iter()
            .filter(|entity_column| entity_column.role == Role::Related)
            .map(|entity_column| entity_column.kind)
            .collect();
        let slack = Days::new(u64::from(slack_days));
        let day = |date: Option<NaiveDate>| date.map(|date| date_start_us(date).div_euclid(MICROS_PER_DAY));
        let first = day(date.checked_sub_days(slack)).unwrap_or(i64::MIN);
        let last = day(date.checked_add_days(slack)).unwrap_or(i64::MAX);
        let is_near = |related: &&RelatedName| {
            related_kinds.contains(&related.kind) && related.day >= first && related.day <= last
        };
        let related: BTreeSet<RelatedName> = self.related.iter().filter(is_near).cloned().collect();
        let asks_for_addresses =
            entity_columns.iter().any(|entity_column| entity_column.role == Role::UsersAddress);
        let users_addresses = if asks_for_addresses { self.users_addresses.clone() } else { BTreeSet::new() };
        let names_itself = entity_columns.iter().any(|entity_column| entity_column.is_own());
        (names_itself || !related.is_empty() || !users_addresses.is_empty()).then(|| Self {
            entity: self.entity.clone(),
            related,
            users_addresses,
        })
    }

    /// Columns that may name the entity, or something related to it.
    fn entity_columns(&self, table: &TableSpec) -> impl Iterator<Item = &'static EntityColumn> {
        let kind = self.entity.kind;
        let names_itself = names_itself(table, kind);
        table.entity_columns.iter().filter(move |entity_column| match entity_column.role {
            Role::Own | Role::OwnWhereKnown | Role::OwnUnless(_) => entity_column.kind == kind,
            Role::Related => !names_itself,
            Role::UsersAddress => kind == EntityKind::User,
        })
    }

    /// Whether any table is searched for related names of that kind. Own tables are searched for no other kinds than the built-in
    /// ones.
    pub fn reads_related_names(&self, kind: EntityKind) -> bool {
        let is_searched = |entity_column: &'static EntityColumn| {
            entity_column.role == Role::Related && entity_column.kind == kind
        };
        Tables::built_in().all().iter().any(|table| self.entity_columns(table).any(is_searched))
    }

    /// Columns of `table` that the selection reads.
    pub fn columns(&self, table: &TableSpec) -> BTreeSet<&'static str> {
        let others = |entity_column: &EntityColumn| match entity_column.role {
            Role::OwnUnless(other) => Some(other),
            _ => None,
        };
        self.entity_columns(table)
            .flat_map(|entity_column| [Some(entity_column.column), others(entity_column)])
            .flatten()
            .collect()
    }

    /// Whether `name`, of the entity's kind, is a form of the entity's name.
    pub fn is_named(&self, name: &str) -> bool {
        let lowered = name.trim().to_lowercase();
        match self.entity.kind {
            EntityKind::Device => host_name(&lowered) == self.entity.name,
            EntityKind::User => {
                let user = UserName::parse(&lowered);
                let is_same_domain = match (user.domain, self.entity.domain()) {
                    (Some(domain), Some(own)) => domain.trim_end_matches('\\') == own,
                    _ => true,
                };
                user.account == self.entity.name && is_same_domain
            }
            _ => address_or_text_of(&lowered).is_some_and(|name| name == self.entity.name),
        }
    }

    /// Whether `other` is the same entity. Users with different domains differ only if both names have a domain.
    pub fn is_entity(&self, other: &Entity) -> bool {
        other.kind == self.entity.kind && self.is_named(other.full_name.as_ref().unwrap_or(&other.name))
    }

    /// The requested name, lower-cased.
    pub fn requested_name(&self) -> &str {
        self.entity.full_name.as_ref().unwrap_or(&self.entity.name)
    }

    /// The text that cloud ids must contain: the requested name, without a domain in front of it.
    fn term(&self) -> &str {
        match &self.entity.full_name {
            Some(full_name) if !full_name.contains('\\') => full_name,
            _ => &self.entity.name,
        }
    }
}

/// Whether every row of the table names its entity of that kind, if it has one.
fn names_itself(table: &TableSpec, kind: EntityKind) -> bool {
    let mut of_table = table.entity_columns.iter();
    of_table.any(|entity_column| entity_column.kind == kind && entity_column.role == Role::Own)
}

impl EntityColumn {
    fn is_own(&self) -> bool {
        matches!(self.role, Role::Own | Role::OwnWhereKnown | Role::OwnUnless(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: EntityKind, name: &str) -> Selection {
        Selection::of(Entity::of(kind, name).unwrap())
    }

    fn date(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, day).unwrap()
    }

    #[test]
    fn a_selection_recognises_all_forms_of_a_name() {
        let ada = of(EntityKind::User, "ADA@corp.example");
        for name in ["CORP\\ada", "ada@corp.example", "Ada", " ada@CORP.other "] {
            assert!(ada.is_named(name), "{name}");
        }
        for name in ["adam", "ada@other.example", "OTHER\\ada", "ad"] {
            assert!(!ada.is_named(name), "{name}");
        }
        assert!(of(EntityKind::User, "ada").is_named("OTHER\\ada"));
        assert!(of(EntityKind::Device, "WS-1.corp.example").is_named("ws-1"));
        assert!(!of(EntityKind::Device, "ws-1").is_named("ws-11.corp.example"));
        assert!(of(EntityKind::Ip, "2001:db8::1").is_named("[2001:DB8:0::1]:443"));
    }

    #[test]
    fn a_folder_is_skipped_only_if_no_row_can_name_the_entity() {
        let mut device = of(EntityKind::Device, "ws-1");
        let day = date_start_us(date(2)).div_euclid(MICROS_PER_DAY);
        device.related.insert(RelatedName { day, kind: EntityKind::Ip, name: "10.0.0.5".into() });
        let at = |table: &str, day: u32, slack: u32| {
            device.for_folder(TableSpec::by_name(table).unwrap(), date(day), slack)
        };
        assert!(at("DeviceFileEvents", 1, 0).is_some_and(|own| own.related.is_empty()));
        assert!(at("StorageBlobLogs", 1, 0).is_none());
        assert!(at("StorageBlobLogs", 2, 0).is_some_and(|own| own.related.len() == 1));
        assert!(at("StorageBlobLogs", 3, 1).is_some_and(|own| own.related.len() == 1));
        // The firewall may name the device itself.
        assert!(at("CommonSecurityLog", 1, 0).is_some_and(|own| own.related.is_empty()));
    }
}
