//! Which rows are an entity's: those that name it, and those that name what it was tied to on that day.
//!
//! Tied names count only where a table can't name the entity itself: a firewall knows a device by its address of the day.

mod entity_columns;
mod rows;
mod words;

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

pub use rows::{RowSelector, SelectionStats};

use crate::catalog::{TABLES, TableSpec};
use crate::entities::{Entity, EntityKind, UserName, address_or_text_of, host_name};
use crate::time::{MICROS_PER_DAY, date_start_us};
use entity_columns::{ENTITY_COLUMNS, EntityColumn, Form, Role};

/// Raised whenever a selection comes to mean other rows: state of selected rows is kept under it.
pub const SELECTION_VERSION: u32 = 1;

/// An entity's rows, or those of a unit's table and date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The entity, by its canonical name; its full name is as it was asked for, where that says more.
    pub entity: Entity,
    /// Names tied to it, each on a day.
    #[serde(rename = "tied")]
    pub related: BTreeSet<RelatedName>,
    /// Addresses a user was seen at in the cloud, on any day: network flows are looked through for them.
    pub users_addresses: BTreeSet<String>,
}

/// A name that stands for the entity on a day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RelatedName {
    /// Whole days since 1970, UTC.
    pub day: i64,
    /// What it is.
    pub kind: EntityKind,
    /// Its canonical name.
    pub name: String,
}

impl Selection {
    /// The rows that name `entity` itself.
    pub fn of(entity: Entity) -> Self {
        Self { entity, related: BTreeSet::new(), users_addresses: BTreeSet::new() }
    }

    /// What of it matters to a folder's files, whose rows may be `slack_days` off its date; `None` where no row of them
    /// can be the entity's.
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

    /// Columns that may name the entity, or what is tied to it.
    fn entity_columns(&self, table: &TableSpec) -> impl Iterator<Item = &'static EntityColumn> {
        let kind = self.entity.kind;
        let (table, names_itself) = (table.name, names_itself(table, kind));
        ENTITY_COLUMNS.iter().filter(move |entity_column| {
            entity_column.table == table
                && match entity_column.role {
                    Role::Own | Role::OwnWhereKnown | Role::OwnUnless(_) => entity_column.kind == kind,
                    Role::Related => !names_itself,
                    Role::UsersAddress => kind == EntityKind::User,
                }
        })
    }

    /// Whether any table is asked for tied names of that kind.
    pub fn reads_related_names(&self, kind: EntityKind) -> bool {
        let is_asked = |entity_column: &'static EntityColumn| {
            entity_column.role == Role::Related && entity_column.kind == kind
        };
        TABLES.iter().any(|table| self.entity_columns(table).any(is_asked))
    }

    /// Columns of `table` that are read to tell its rows.
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

    /// Whether `name`, of the entity's kind, is one of its forms.
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

    /// Whether the two are one entity: a user's domain tells two apart only where both have one.
    pub fn is_entity(&self, other: &Entity) -> bool {
        other.kind == self.entity.kind && self.is_named(other.full_name.as_ref().unwrap_or(&other.name))
    }

    /// The name as it was asked for, lower-cased.
    pub fn requested_name(&self) -> &str {
        self.entity.full_name.as_ref().unwrap_or(&self.entity.name)
    }

    /// What cloud ids must contain: the name as it was asked for; without the domain where that stands before it.
    fn term(&self) -> &str {
        match &self.entity.full_name {
            Some(full_name) if !full_name.contains('\\') => full_name,
            _ => &self.entity.name,
        }
    }
}

/// Whether every row of the table says whether it is an entity's of that kind.
fn names_itself(table: &TableSpec, kind: EntityKind) -> bool {
    let of_kind =
        |entity_column: &&EntityColumn| entity_column.table == table.name && entity_column.kind == kind;
    ENTITY_COLUMNS.iter().filter(of_kind).any(|entity_column| entity_column.role == Role::Own)
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
    fn one_entity_is_written_in_many_ways() {
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
    fn a_folder_is_passed_over_only_where_nothing_can_name_the_entity() {
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
