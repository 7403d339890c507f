//! Finds units of an earlier list of a table's files that have, together, the same rows as units of the current one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::NaiveDate;
use hindcast_engine::{RollupUnit, units_of_date};
use hindcast_lake::{LakeFile, ListedFiles, LoggedFile, Rewrite};

/// Units of the current list, and units of an earlier one with the same rows in their window.
#[derive(Debug, PartialEq)]
pub(super) struct EqualUnits {
    /// Places of the current units, in order.
    pub(super) current: Vec<usize>,
    /// The earlier ones. Their date is that of their own files.
    pub(super) earlier: Vec<RollupUnit>,
}

/// For units of one table and window, each with its place: which of those at `dates` had other files before `rewrites`. `listed` is
/// the current list. Units that other dates' files were rewritten into, or whose files are not all known, are left out.
pub(super) fn equal_units(
    current: &[(usize, &RollupUnit)],
    dates: &BTreeSet<NaiveDate>,
    listed: &ListedFiles,
    rewrites: &[Arc<Rewrite>],
) -> Vec<EqualUnits> {
    let Some((_, first)) = current.first() else { return Vec::new() };
    let mut graph = Graph::new(current, rewrites);
    graph.link_rewritten(listed);
    let touched = graph.dates_before(dates);
    let before = graph.files_before(&touched);
    let mut earlier: Vec<RollupUnit> = Vec::new();
    for date in &touched {
        let live = listed.by_date.get(date).into_iter().flatten();
        let live = live.filter(|file| !graph.replaces.contains(file.path.as_str()));
        let before = before.get(date).into_iter().flatten().copied();
        let of_date: Vec<LakeFile> = live.chain(before).cloned().collect();
        for (files, is_clipped) in units_of_date(*date, &of_date, &first.window) {
            graph.add_earlier(&files);
            earlier.push(RollupUnit { date: *date, files, is_clipped, ..(*first).clone() });
        }
    }
    graph.equal_units(&touched, &earlier)
}

/// Units and rewrites as nodes; two of them are joined if a file's rows are in both.
struct Graph<'a> {
    current: &'a [(usize, &'a RollupUnit)],
    rewrites: &'a [Arc<Rewrite>],
    /// Current units, by the paths of their files.
    units_of_path: HashMap<&'a str, Vec<usize>>,
    /// Rewrites by their files before.
    rewrite_of: HashMap<LoggedFile, usize>,
    /// Paths of current files that replaced others.
    replaces: HashSet<&'a str>,
    /// The parent of each node: current units, then rewrites, then earlier units.
    parents: Vec<usize>,
    /// Nodes with rows that are in no other node.
    is_open: Vec<bool>,
}

impl<'a> Graph<'a> {
    fn new(current: &'a [(usize, &'a RollupUnit)], rewrites: &'a [Arc<Rewrite>]) -> Self {
        let mut units_of_path: HashMap<&str, Vec<usize>> = HashMap::new();
        for (node, (_, unit)) in current.iter().enumerate() {
            for file in &unit.files {
                units_of_path.entry(&file.path).or_default().push(node);
            }
        }
        let before = rewrites.iter().enumerate();
        let before =
            before.flat_map(|(index, rewrite)| rewrite.before().map(move |(_, file)| (file.logged(), index)));
        let nodes = current.len() + rewrites.len();
        Self {
            current,
            rewrites,
            units_of_path,
            rewrite_of: before.collect(),
            replaces: rewrites.iter().flat_map(|rewrite| rewrite.after()).map(String::as_str).collect(),
            parents: (0..nodes).collect(),
            is_open: vec![false; nodes],
        }
    }

    /// Joins rewrites with the current units that have their files.
    fn link_rewritten(&mut self, listed: &ListedFiles) {
        let Some((_, first)) = self.current.first() else { return };
        // A current file in no unit of this window may have rows in it that another unit reads.
        let live = listed.by_date.values().flatten().filter(|file| file.may_touch(&first.window));
        let unread: HashSet<&str> = live
            .map(|file| file.path.as_str())
            .filter(|path| !self.units_of_path.contains_key(*path))
            .collect();
        for (index, rewrite) in self.rewrites.iter().enumerate() {
            let node = self.current.len() + index;
            for path in rewrite.after() {
                self.is_open[node] |= unread.contains(path.as_str());
                for unit in self.units_of_path.get(path.as_str()).cloned().unwrap_or_default() {
                    self.join(node, unit);
                }
            }
        }
    }

    /// `dates`, and those of the earlier files of units at these dates.
    fn dates_before(&self, dates: &BTreeSet<NaiveDate>) -> BTreeSet<NaiveDate> {
        let at_dates = |path: &String| {
            let mut units = self.units_of_path.get(path.as_str()).into_iter().flatten().copied();
            units.any(|unit| dates.contains(&self.current[unit].1.date))
        };
        let of_dates = self.rewrites.iter().filter(|rewrite| rewrite.after().iter().any(at_dates));
        let before = of_dates.flat_map(|rewrite| rewrite.before().map(|(date, _)| date));
        dates.iter().copied().chain(before).collect()
    }

    /// The files before rewrites, by date. Rewrites of files at dates beyond `touched` are not followed.
    fn files_before(&mut self, touched: &BTreeSet<NaiveDate>) -> BTreeMap<NaiveDate, Vec<&'a LakeFile>> {
        let Some((_, first)) = self.current.first() else { return BTreeMap::new() };
        let mut by_date: BTreeMap<NaiveDate, Vec<&LakeFile>> = BTreeMap::new();
        for (index, rewrite) in self.rewrites.iter().enumerate() {
            for (date, file) in rewrite.before() {
                let is_beyond = !touched.contains(&date) && file.may_touch(&first.window);
                self.is_open[self.current.len() + index] |= is_beyond;
                by_date.entry(date).or_default().push(file);
            }
        }
        by_date
    }

    /// Adds an earlier unit of these files.
    fn add_earlier(&mut self, files: &[LakeFile]) {
        let node = self.parents.len();
        self.parents.push(node);
        self.is_open.push(false);
        for file in files {
            if let Some(rewrite) = self.rewrite_of.get(&file.logged()).copied() {
                self.join(node, self.current.len() + rewrite);
                continue;
            }
            let units = self.units_of_path.get(file.path.as_str()).cloned().unwrap_or_default();
            let has_part = |unit: &usize| self.current[*unit].1.files.contains(file);
            let unit = units.into_iter().find(has_part);
            match unit {
                Some(unit) => self.join(node, unit),
                None => self.is_open[node] = true,
            }
        }
    }

    /// Groups of joined units without rows of other units.
    fn equal_units(mut self, touched: &BTreeSet<NaiveDate>, earlier: &[RollupUnit]) -> Vec<EqualUnits> {
        let mut groups: BTreeMap<usize, (EqualUnits, bool)> = BTreeMap::new();
        let first_earlier = self.current.len() + self.rewrites.len();
        for node in 0..self.parents.len() {
            let root = self.root(node);
            let empty = || (EqualUnits { current: Vec::new(), earlier: Vec::new() }, false);
            let (units, is_open) = groups.entry(root).or_insert_with(empty);
            *is_open |= self.is_open[node];
            if node < self.current.len() {
                units.current.push(node);
            } else if node >= first_earlier {
                units.earlier.push(earlier[node - first_earlier].clone());
            }
        }
        let unit = |node: usize| self.current[node].1;
        let is_usable = |units: &EqualUnits| {
            let Some(first) = units.current.first().map(|node| unit(*node)) else { return false };
            let is_alike = |other: &RollupUnit| other.date == first.date && other.rollups == first.rollups;
            let is_same =
                units.earlier.len() == 1 && units.current.len() == 1 && units.earlier[0].files == first.files;
            touched.contains(&first.date)
                && !units.earlier.is_empty()
                && units.current.iter().all(|node| is_alike(unit(*node)))
                && !is_same
        };
        let usable = groups.into_values().filter(|(units, is_open)| !is_open && is_usable(units));
        let place = |node: &usize| self.current[*node].0;
        usable
            .map(|(units, _)| EqualUnits { current: units.current.iter().map(place).collect(), ..units })
            .collect()
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.parents[one.max(other)] = one.min(other);
    }

    fn root(&mut self, node: usize) -> usize {
        let mut root = node;
        while self.parents[root] != root {
            self.parents[root] = self.parents[self.parents[root]];
            root = self.parents[root];
        }
        root
    }
}

#[cfg(test)]
#[path = "earlier_units_tests.rs"]
mod tests;
