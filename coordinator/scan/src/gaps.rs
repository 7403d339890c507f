//! What is present but can't be looked at, as far as listings and footers show: tables and columns under other names, files outside
//! the layout, newest dates that can't be read.

use std::collections::BTreeSet;
use std::sync::Arc;

use hindcast_base::nearest::{closest, is_same_name};
use hindcast_detections::analyses::{Analysis, one_of};
use hindcast_detections::rollups::Rollup;
use hindcast_lake::{
    DateFolder, LakeTable, MappingPreset, OutsideLayout, StrayFiles, TableSpec, UnreachableRoot,
};

use super::disabled::Disabled;
use super::gap::{AbsentColumn, ColumnEffect, Gap, GapCause};
use super::newest::{Newest, UnreadNewest};

/// Names and paths shown of a gap; there may be many more.
const SHOWN: usize = 3;

/// Files of tables that lie outside their layouts.
pub(super) fn layout_gaps(stray_files: &[StrayFiles]) -> Vec<Gap> {
    let gap = |StrayFiles { table, root, outside }: &StrayFiles| {
        let OutsideLayout { layout, other_layout, paths } = outside;
        let cause = GapCause::Layout {
            layout: layout.folders(),
            other_layout: other_layout.clone(),
            paths: paths.iter().take(SHOWN).cloned().collect(),
            others: paths.len().saturating_sub(SHOWN),
        };
        Gap::new(*table, cause).in_root(root.as_ref())
    };
    stray_files.iter().map(gap).collect()
}

/// Roots of which nothing can be looked at.
pub(super) fn root_gaps(unreachable: &[UnreachableRoot]) -> Vec<Gap> {
    let gap = |UnreachableRoot { name, reason }: &UnreachableRoot| {
        Gap::new(&**name, GapCause::Root { reason: format!("it can't be reached: {reason}") })
    };
    unreachable.iter().map(gap).collect()
}

/// Tables that a root lacks, if one of `folders` has almost the same name.
pub(super) fn table_gaps(absent: &[&str], folders: &[String], root: Option<&Arc<str>>) -> Vec<Gap> {
    let gap = |table: &&str| {
        let found = folders.iter().find(|folder| is_same_name(folder, table))?;
        let cause = GapCause::OtherTableName { found: found.clone() };
        Some(Gap::new(*table, cause).in_root(root))
    };
    absent.iter().filter_map(gap).collect()
}

/// Newest dates that could not be read to find where the window ends.
pub(super) fn newest_gaps(newest: &Newest) -> Vec<Gap> {
    let gap = |UnreadNewest { table, root, date, faults }: &UnreadNewest| {
        let cause = GapCause::Newest { date: *date, faults: faults.clone() };
        Gap::new(*table, cause).in_root(root.as_ref())
    };
    newest.unread.iter().map(gap).collect()
}

/// A table of a plan, or its part in one of several roots, with the columns that it has.
pub(super) struct TableColumns<'a> {
    pub(super) table: &'a LakeTable,
    pub(super) folders: &'a [DateFolder],
    /// Its columns, by Hindcast's names.
    pub(super) known: &'a BTreeSet<String>,
    /// The columns of the table in any root.
    pub(super) in_lake: &'a BTreeSet<String>,
    /// The rollups that its rows feed, if any.
    pub(super) rollups: Option<&'a Vec<&'static Rollup>>,
}

/// Missing columns that are a gap: those without which most or all analyses of a table can't run, and those present under a similar
/// name. A column that a product does not log, and that few analyses read, is no gap. In an investigation (`of_entity`) a column
/// that only other analyses read is no gap either: the entity's rows are shown all the same. A column that another root has, and
/// that an analysis needs, is a gap: the analysis runs, without this root.
pub(super) fn column_gaps(
    tables: &[TableColumns<'_>],
    of_entity: bool,
    disabled: &[Disabled],
    enabled: &[&'static Analysis],
) -> Vec<Gap> {
    let gap = |table: &TableColumns<'_>| {
        let spec = table.table.spec;
        let wanted = columns_wanted(spec, disabled, table.rollups, enabled);
        let absent: Vec<&str> = wanted.into_iter().filter(|column| !table.known.contains(*column)).collect();
        if absent.is_empty() {
            return None;
        }
        let stored = table.table.stored_columns(table.folders);
        let others: Vec<&str> =
            stored.iter().map(String::as_str).filter(|name| !table.table.refers_to(name)).collect();
        let is_there = |column: &str| others.iter().any(|other| is_same_name(other, column));
        let lacks = Lacks::of(spec, disabled, enabled);
        let is_unread = table.rollups.is_none() && !lacks.disabled.is_empty();
        let is_reported = |column: &&str| {
            let is_wanted = !of_entity && lacks.disables_most(column);
            let is_elsewhere = table.in_lake.contains(*column) && is_required(spec, column, enabled);
            is_elsewhere || is_unread || *column == spec.time_column || is_there(column) || is_wanted
        };
        let shown_names: Vec<&str> = absent.into_iter().filter(is_reported).collect();
        let has_preset = table.table.mapping.preset.is_some();
        let preset = if has_preset { None } else { MappingPreset::fitting(spec.name, &stored) };
        (!shown_names.is_empty()).then(|| {
            column_gap(table.table, &shown_names, &others, is_unread, preset)
                .in_root(table.table.root.as_ref())
        })
    };
    tables.iter().filter_map(gap).collect()
}

/// How many analyses of a table can't run because columns are missing.
struct Lacks<'a> {
    /// The columns that each disabled analysis lacks.
    disabled: Vec<&'a [&'static str]>,
    /// Number of analyses that need the table and run.
    enabled: usize,
}

impl<'a> Lacks<'a> {
    fn of(spec: &TableSpec, disabled: &'a [Disabled], enabled: &[&'static Analysis]) -> Self {
        let lacking = disabled.iter().filter_map(|disabled| disabled.reason.lacking_columns(spec.name));
        let needs = |analysis: &&&'static Analysis| {
            analysis.requires.iter().any(|required| required.tables.contains(&spec.name))
        };
        Self { disabled: lacking.collect(), enabled: enabled.iter().filter(needs).count() }
    }

    fn disables_most(&self, column: &str) -> bool {
        let names = |columns: &&&[&str]| columns.iter().any(|names| one_of(names).any(|name| name == column));
        let disabled = self.disabled.iter().filter(names).count();
        2 * disabled > self.disabled.len() + self.enabled
    }
}

/// Whether one of the `enabled` analyses needs a column of the table.
fn is_required(spec: &TableSpec, column: &str, enabled: &[&'static Analysis]) -> bool {
    let required = enabled.iter().flat_map(|analysis| analysis.requires);
    let mut of_table = required.filter(|required| required.tables.contains(&spec.name));
    of_table.any(|required| required.columns.iter().any(|names| one_of(names).any(|name| name == column)))
}

/// Columns of the table that analyses need: those that disabled ones lack, and those that rollups read.
fn columns_wanted(
    spec: &TableSpec,
    disabled: &[Disabled],
    rollups: Option<&Vec<&'static Rollup>>,
    enabled: &[&'static Analysis],
) -> BTreeSet<&'static str> {
    let lacking = disabled.iter().filter_map(|disabled| disabled.reason.lacking_columns(spec.name));
    let of_disabled = lacking.flatten().flat_map(|names| one_of(names));
    let required = enabled.iter().flat_map(|analysis| analysis.requires);
    let required = required.filter(|required| required.tables.contains(&spec.name));
    let read = rollups.into_iter().flatten().flat_map(|rollup| rollup.columns);
    let of_table = |column: &&'static str| spec.column(column).is_some();
    let mut all: BTreeSet<&'static str> = of_disabled.chain(read.copied()).filter(of_table).collect();
    all.extend(required.flat_map(|required| required.columns).flat_map(|names| one_of(names)));
    all.insert(spec.time_column);
    all
}

fn column_gap(
    table: &LakeTable,
    absent: &[&str],
    others: &[&str],
    is_unread: bool,
    preset: Option<&MappingPreset>,
) -> Gap {
    let spec = table.spec;
    let absent_column = |column: &&str| {
        let source = table.mapping.columns.get(*column).map(ToString::to_string);
        let nearest = closest(source.as_deref().unwrap_or(column), others.iter().copied());
        // With a preset that fits, nobody needs to look for names.
        let nearest = nearest.filter(|_| preset.is_none());
        // An expression may have several lines.
        let source = source.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        AbsentColumn { name: (*column).to_owned(), nearest: nearest.map(str::to_owned), source }
    };
    let effect = match absent.contains(&spec.time_column) {
        _ if is_unread => ColumnEffect::NoAnalysis,
        true => ColumnEffect::NoTime,
        false => ColumnEffect::Incomplete,
    };
    let absent = absent.iter().map(absent_column).collect();
    let preset = preset.map(|preset| preset.name);
    Gap::new(spec.name, GapCause::Columns { effect, absent, preset })
}
