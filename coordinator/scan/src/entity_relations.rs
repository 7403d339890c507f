//! Entities that rows name together, by day: read from the analysis `entity_ties`, and as the result table of an investigation.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use hindcast_base::entities::{Entity, EntityKind};
use hindcast_base::time::{MICROS_PER_DAY, date_of_us};
use hindcast_base::{Error, Result};
use hindcast_detections::findings::Row;
use hindcast_lake::selection::Selection;

use super::table::ResultTable;
use hindcast_risk::correlate::EntityRelation;

/// Name of the result table.
const RELATIONS_TABLE: &str = "entity_ties";

/// The relations in rows of the analysis `entity_ties`.
pub(super) fn relations(rows: &RecordBatch) -> Vec<EntityRelation> {
    let relation = |row: Row<'_>| {
        let entity =
            |kind: &str, name: &str| Entity::of(EntityKind::by_name(row.text(kind)?)?, row.text(name)?);
        let day = row.micros("date")?.div_euclid(MICROS_PER_DAY);
        Some(EntityRelation {
            table: row.text("table")?.to_owned(),
            date: date_of_us(day * MICROS_PER_DAY).to_string(),
            day,
            hub: entity("kind", "name")?,
            other: entity("other_kind", "other_name")?,
            rows: row.integer("events")?.unsigned_abs(),
            degree: row.integer("degree")?.unsigned_abs(),
        })
    };
    (0..rows.num_rows()).filter_map(|index| relation(Row::new(rows, index))).collect()
}

/// Whether a related entity stands for the one under investigation on that day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// Its rows are the entity's too.
    Yes,
    /// Names of its kind do not stand for the entity.
    No,
    /// Too many entities share it.
    TooMany,
}

impl Followed {
    /// The value of the column `followed`.
    pub fn name(self) -> &'static str {
        match self {
            Followed::Yes => "yes",
            Followed::No => "no",
            Followed::TooMany => "too_many",
        }
    }

    /// Whether `related` stands for the entity of `selection`, if at most `max_shared` entities may share it.
    pub(super) fn of(related: &RelatedEntity<'_>, selection: &Selection, max_shared: u64) -> Self {
        if !selection.reads_related_names(related.other.kind) {
            Followed::No
        } else if related.relation.degree > max_shared {
            Followed::TooMany
        } else {
            Followed::Yes
        }
    }
}

/// A relation of the entity under investigation.
#[derive(Debug)]
pub(super) struct RelatedEntity<'a> {
    pub(super) relation: &'a EntityRelation,
    /// The entity on the other side.
    pub(super) other: &'a Entity,
}

impl<'a> RelatedEntity<'a> {
    /// `relation` as one of the entity of `selection`; none if it is on neither side.
    pub(super) fn of(relation: &'a EntityRelation, selection: &Selection) -> Option<Self> {
        if selection.is_entity(&relation.hub) {
            Some(Self { relation, other: &relation.other })
        } else if selection.is_entity(&relation.other) {
            Some(Self { relation, other: &relation.hub })
        } else {
            None
        }
    }
}

/// The relations of the entity of `selection` as a result table, by day.
pub(super) fn relations_table(
    relations: &[EntityRelation],
    selection: &Selection,
    max_shared: u64,
) -> Result<ResultTable> {
    let related = relations.iter().filter_map(|relation| RelatedEntity::of(relation, selection));
    let mut related: Vec<RelatedEntity<'_>> = related.collect();
    related.sort_by_key(|one| (one.relation.day, one.other, &one.relation.table));
    let texts = |text: &dyn Fn(&RelatedEntity<'_>) -> String| -> ArrayRef {
        Arc::new(StringViewArray::from_iter_values(related.iter().map(text)))
    };
    let numbers = |number: &dyn Fn(&EntityRelation) -> u64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(related.iter().map(|one| number(one.relation) as i64)))
    };
    let dates = related.iter().map(|one| one.relation.day * MICROS_PER_DAY);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("date", Arc::new(TimestampMicrosecondArray::from_iter_values(dates).with_timezone("UTC"))),
        ("table", texts(&|one| one.relation.table.clone())),
        ("kind", texts(&|one| one.other.kind.name().to_owned())),
        ("name", texts(&|one| one.other.full_name.as_ref().unwrap_or(&one.other.name).clone())),
        ("rows", numbers(&|relation| relation.rows)),
        ("degree", numbers(&|relation| relation.degree)),
        ("followed", texts(&|one| Followed::of(one, selection, max_shared).name().to_owned())),
    ];
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns);
    let batch = batch.map_err(|error| Error::Engine(error.into()))?;
    ResultTable::held(RELATIONS_TABLE, &[batch])
}

#[cfg(test)]
mod tests {
    use hindcast_base::time::parse_time_us;

    use super::*;

    fn entity(kind: EntityKind, name: &str) -> Entity {
        Entity::of(kind, name).unwrap()
    }

    fn relation(date: &str, hub: &str, other: &str, degree: u64) -> EntityRelation {
        EntityRelation {
            table: "DeviceNetworkEvents".into(),
            date: date.into(),
            day: parse_time_us(&format!("{date}T00:00:00Z")).unwrap() / MICROS_PER_DAY,
            hub: entity(EntityKind::Ip, hub),
            other: entity(EntityKind::Device, other),
            rows: 7,
            degree,
        }
    }

    #[test]
    fn the_other_side_of_a_relation_is_related() {
        let relation = relation("2026-03-01", "10.0.0.1", "ws-1", 1);
        let device = Selection::of(entity(EntityKind::Device, "ws-1"));
        assert_eq!(RelatedEntity::of(&relation, &device).unwrap().other.name, "10.0.0.1");
        let address = Selection::of(entity(EntityKind::Ip, "10.0.0.1"));
        assert_eq!(RelatedEntity::of(&relation, &address).unwrap().other.name, "ws-1");
        assert!(RelatedEntity::of(&relation, &Selection::of(entity(EntityKind::Device, "ws-2"))).is_none());
    }

    #[test]
    fn a_name_that_too_many_share_does_not_stand_for_the_entity() {
        let device = Selection::of(entity(EntityKind::Device, "ws-1"));
        let followed = |degree| {
            let relation = relation("2026-03-01", "10.0.0.1", "ws-1", degree);
            Followed::of(&RelatedEntity::of(&relation, &device).unwrap(), &device, 10)
        };
        assert_eq!((followed(10), followed(11)), (Followed::Yes, Followed::TooMany));
        assert_eq!(
            [Followed::Yes, Followed::No, Followed::TooMany].map(Followed::name),
            ["yes", "no", "too_many"]
        );
    }

    #[test]
    fn the_table_lists_relations_by_day() {
        let relations = [
            relation("2026-03-02", "10.0.0.1", "ws-1", 11),
            relation("2026-03-01", "10.0.0.2", "ws-1", 1),
            relation("2026-03-01", "10.0.0.3", "ws-2", 1),
        ];
        let device = Selection::of(entity(EntityKind::Device, "ws-1"));
        let table = relations_table(&relations, &device, 10).unwrap();
        assert_eq!((table.name.as_str(), table.rows()), ("entity_ties", 2));
        let batches = table.batches().unwrap();
        let texts = |column: &str| -> Vec<String> {
            let rows = (0..2).map(|row| Row::new(&batches[0], row));
            rows.map(|row| row.text(column).unwrap().to_owned()).collect()
        };
        assert_eq!(texts("name"), ["10.0.0.2", "10.0.0.1"]);
        assert_eq!(texts("followed"), ["yes", "too_many"]);
        assert_eq!(texts("kind"), ["ip", "ip"]);
    }
}
