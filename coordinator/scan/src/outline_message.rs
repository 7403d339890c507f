//! The outline of a plan as a message between a coordinator and its clients.

use hindcast_base::Result;
use hindcast_base::entities::{Entity, EntityKind};
use hindcast_base::time::{format_micros, parse_time};
use hindcast_proto::v1;

use super::gap::{Gap, GapKind, GapRecord};
use super::report::{AnalysisOutline, PlanOutline, TableOutline, WindowSummary};
use crate::geoip::LocationSource;

impl PlanOutline {
    /// The outline as a message.
    ///
    /// # Errors
    /// [`hindcast_base::Error::Invalid`] if the window is not in RFC 3339.
    pub fn to_message(&self) -> Result<v1::PlanOutline> {
        let tables = self.tables.iter().map(|table| v1::TableOutline {
            table: table.table.clone(),
            root: table.root.clone(),
            dates: table.dates.clone(),
            files: table.files,
            bytes: table.bytes,
            version: table.version,
            committed: table.committed.clone(),
        });
        let analyses = self.analyses.iter();
        let analyses = analyses
            .map(|analysis| v1::AnalysisOutline { id: analysis.id.clone(), suite: analysis.suite.clone() });
        let disabled = self.disabled.iter();
        let disabled =
            disabled.map(|(id, reason)| v1::DisabledAnalysis { id: id.clone(), reason: reason.clone() });
        let locations = self.locations.as_ref().map(|source| v1::LocationSource {
            database: source.database.clone(),
            built: source.built.clone(),
        });
        let investigated = self.investigated.as_ref().map(|entity| v1::Entity {
            kind: wire_entity_kind(entity.kind).into(),
            name: entity.name.clone(),
            full_name: entity.full_name.clone(),
        });
        Ok(v1::PlanOutline {
            from_us: parse_time(&self.window.from)?,
            to_us: parse_time(&self.window.to)?,
            tables: tables.collect(),
            missing_tables: self.missing_tables.clone(),
            gaps: self.gaps.iter().cloned().map(gap_message).collect(),
            analyses: analyses.collect(),
            disabled: disabled.collect(),
            locations,
            investigated,
        })
    }

    /// The outline in a message.
    pub fn of_message(message: &v1::PlanOutline) -> Self {
        let tables = message.tables.iter().map(|table| TableOutline {
            table: table.table.clone(),
            root: table.root.clone(),
            dates: table.dates.clone(),
            files: table.files,
            bytes: table.bytes,
            version: table.version,
            committed: table.committed.clone(),
        });
        let analyses = message.analyses.iter();
        let analyses = analyses
            .map(|analysis| AnalysisOutline { id: analysis.id.clone(), suite: analysis.suite.clone() });
        let disabled = message.disabled.iter();
        let disabled = disabled.map(|disabled| (disabled.id.clone(), disabled.reason.clone()));
        let locations = message
            .locations
            .as_ref()
            .map(|source| LocationSource { database: source.database.clone(), built: source.built.clone() });
        let investigated = message.investigated.as_ref().and_then(|entity| {
            let (name, full_name) = (entity.name.clone(), entity.full_name.clone());
            Some(Entity { kind: entity_kind_of(entity.kind())?, name, full_name })
        });
        Self {
            window: WindowSummary { from: format_micros(message.from_us), to: format_micros(message.to_us) },
            tables: tables.collect(),
            missing_tables: message.missing_tables.clone(),
            gaps: message.gaps.iter().filter_map(gap_of).collect(),
            analyses: analyses.collect(),
            disabled: disabled.collect(),
            locations,
            investigated,
        }
    }
}

/// The kind of an entity in a message; unspecified if entities of this kind are not investigated.
fn wire_entity_kind(kind: EntityKind) -> v1::EntityKind {
    match kind {
        EntityKind::User => v1::EntityKind::User,
        EntityKind::Device => v1::EntityKind::Device,
        EntityKind::Ip => v1::EntityKind::Ip,
        EntityKind::Url | EntityKind::StorageAccount => v1::EntityKind::Unspecified,
    }
}

/// The kind of an entity from a message.
pub(super) fn entity_kind_of(kind: v1::EntityKind) -> Option<EntityKind> {
    match kind {
        v1::EntityKind::User => Some(EntityKind::User),
        v1::EntityKind::Device => Some(EntityKind::Device),
        v1::EntityKind::Ip => Some(EntityKind::Ip),
        v1::EntityKind::Unspecified => None,
    }
}

fn gap_message(gap: Gap) -> v1::Gap {
    let GapRecord { kind, table, root, reason, looked_for, found } = gap.into();
    let kind = match kind {
        GapKind::Table => v1::GapKind::Table,
        GapKind::Layout => v1::GapKind::Layout,
        GapKind::Columns => v1::GapKind::Columns,
        GapKind::Rows => v1::GapKind::Rows,
        GapKind::Newest => v1::GapKind::Newest,
        GapKind::Detection => v1::GapKind::Detection,
        GapKind::Root => v1::GapKind::Root,
    };
    v1::Gap { kind: kind.into(), table, root, reason, looked_for, found }
}

/// The gap in a message; `None` for a kind that this version does not know.
fn gap_of(message: &v1::Gap) -> Option<Gap> {
    let kind = match message.kind() {
        v1::GapKind::Table => GapKind::Table,
        v1::GapKind::Layout => GapKind::Layout,
        v1::GapKind::Columns => GapKind::Columns,
        v1::GapKind::Rows => GapKind::Rows,
        v1::GapKind::Newest => GapKind::Newest,
        v1::GapKind::Detection => GapKind::Detection,
        v1::GapKind::Root => GapKind::Root,
        v1::GapKind::Unspecified => return None,
    };
    let v1::Gap { table, root, reason, looked_for, found, .. } = message.clone();
    Some(GapRecord { kind, table, root, reason, looked_for, found }.into())
}

#[cfg(test)]
mod tests {
    use super::super::gap::GapCause;
    use super::*;

    #[test]
    fn an_outline_survives_its_message() {
        let gap = |cause| Gap::new("AuditLogs", cause);
        let outline = PlanOutline {
            window: WindowSummary { from: "2026-01-05T00:00:00Z".into(), to: "2026-01-06T12:30:00Z".into() },
            tables: vec![TableOutline {
                table: "SigninLogs".into(),
                root: Some("emea".into()),
                dates: vec!["2026-01-05".into(), "2026-01-06".into()],
                files: 3,
                bytes: 1 << 40,
                version: Some(12),
                committed: Some("2026-01-06T10:00:00Z".into()),
            }],
            missing_tables: vec!["DeviceEvents".into()],
            gaps: vec![
                gap(GapCause::OtherTableName { found: "audit_logs".into() }).in_root(Some(&"emea".into())),
                gap(GapCause::Root { reason: "it is away".into() }),
                gap(GapCause::Layout {
                    layout: "date=YYYY-MM-DD".into(),
                    other_layout: Some("year=%Y".into()),
                    paths: vec!["a.parquet".into()],
                    others: 2,
                }),
                gap(GapCause::Detection { error: "mine/query.sql, line 1: no column x".into() }),
            ],
            analyses: vec![AnalysisOutline { id: "beaconing".into(), suite: "firewall".into() }],
            disabled: [("office365_map".to_owned(), "there is no location database".to_owned())].into(),
            locations: Some(LocationSource {
                database: "GeoLite2-City".into(),
                built: "2026-01-01T00:00:00Z".into(),
            }),
            investigated: Entity::of(EntityKind::User, r"CORP\Ada"),
        };
        let received = PlanOutline::of_message(&outline.to_message().unwrap());
        assert_eq!(serde_json::to_value(received).unwrap(), serde_json::to_value(&outline).unwrap());
    }

    #[test]
    fn gaps_of_unknown_kinds_are_left_out() {
        let message = v1::PlanOutline { gaps: vec![v1::Gap::default()], ..v1::PlanOutline::default() };
        assert!(PlanOutline::of_message(&message).gaps.is_empty());
    }
}
