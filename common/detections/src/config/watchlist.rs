//! Watchlists: entities that a company knows something about, and their effect on findings that name them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::Layer;
use crate::Detections;
use hindcast_base::entities::{Entity, EntityKind, address_of};
use hindcast_base::nearest::did_you_mean;
use hindcast_base::{Error, Result};

/// `[[watchlists]]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchlist {
    /// Name in output.
    pub name: String,
    /// Kind of its entries.
    pub kind: EntityKind,
    /// Effect on a finding that names one of them.
    pub effect: Effect,
    /// For `weigh`: factor for the evidence of a finding, 1 to 1,000.
    #[serde(default = "one")]
    pub weight: f64,
    /// For `allow`: the analyses whose findings it sets aside; all if empty.
    #[serde(default)]
    pub analyses: Vec<String>,
    /// A CSV file with a header row, next to the configuration file; read before the scan starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Column of the file; the first if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The entries: names, and for addresses also networks.
    #[serde(default)]
    pub entries: BTreeSet<String>,
}

fn one() -> f64 {
    1.0
}

/// Effect of a watchlist on findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Raises the severity by one step: known to be bad.
    Raise,
    /// Multiplies the evidence: an asset of high value.
    Weigh,
    /// Sets the finding aside, counted: known to be harmless.
    Allow,
}

impl Watchlist {
    pub(super) fn check(&self) -> Result<()> {
        if let Some(file) = &self.file {
            return Err(Error::Invalid(format!(
                "watchlist {}: the file {file} is not read here: only the file named by --config may name others",
                self.name
            )));
        }
        Ok(())
    }

    /// Whether `entry` is valid in a list of this kind; a list of addresses takes addresses and networks.
    pub fn is_entry(kind: EntityKind, entry: &str) -> bool {
        kind != EntityKind::Ip || entry.trim().parse::<IpNet>().is_ok() || address_of(entry).is_some()
    }

    /// The error for an invalid entry of the list `name` at `place`.
    pub fn no_entry(place: &str, name: &str, entry: &str) -> Error {
        Error::Invalid(format!("{place}: watchlist {name}: {entry:?} is neither an address nor a network"))
    }

    /// The entries as an index for lookups.
    pub fn index(&self) -> WatchlistIndex {
        let mut index = WatchlistIndex { kind: self.kind, ..WatchlistIndex::default() };
        for entry in &self.entries {
            match entry.trim().parse::<IpNet>() {
                Ok(network) if self.kind == EntityKind::Ip => index.networks.push(network),
                _ => index.names.extend(Entity::of(self.kind, entry)),
            }
        }
        index
    }
}

/// The watchlists of a configuration file with the places of their names and entries.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    watchlists: Vec<WrittenList>,
}

#[derive(Deserialize)]
struct WrittenList {
    name: String,
    kind: EntityKind,
    #[serde(default)]
    analyses: Vec<Spanned<String>>,
    #[serde(default)]
    entries: Vec<Spanned<String>>,
}

/// Checks the watchlists in `layer`, which has already been read as a configuration.
pub(super) fn check_lists(layer: &Layer<'_>, detections: Detections) -> Result<()> {
    let written: Written = toml::from_str(layer.text).map_err(|error| layer.error(&error))?;
    let place = |text: &Spanned<String>| format!("{}, line {}", layer.name, layer.line_of(text.span().start));
    for list in &written.watchlists {
        let names = || detections.analyses().iter().map(|analysis| analysis.id);
        if let Some(unknown) = list.analyses.iter().find(|name| names().all(|known| known != name.get_ref()))
        {
            let hint = did_you_mean(unknown.get_ref(), names());
            return Err(Error::Invalid(format!(
                "{}: watchlist {}: there is no analysis {:?}{hint}",
                place(unknown),
                list.name,
                unknown.get_ref(),
            )));
        }
        let is_none = |entry: &&Spanned<String>| !Watchlist::is_entry(list.kind, entry.get_ref());
        if let Some(entry) = list.entries.iter().find(is_none) {
            return Err(Watchlist::no_entry(&place(entry), &list.name, entry.get_ref()));
        }
    }
    Ok(())
}

/// The entries of a watchlist, ready for lookups.
#[derive(Debug)]
pub struct WatchlistIndex {
    kind: EntityKind,
    names: BTreeSet<Entity>,
    networks: Vec<IpNet>,
}

impl Default for WatchlistIndex {
    fn default() -> Self {
        Self { kind: EntityKind::Ip, names: BTreeSet::new(), networks: Vec::new() }
    }
}

impl WatchlistIndex {
    /// Whether `entity` is on the list. A user without a domain in the list matches users of any domain.
    pub fn has(&self, entity: &Entity) -> bool {
        if entity.kind != self.kind {
            return false;
        }
        let first = Entity { full_name: None, ..entity.clone() };
        let is_named = self
            .names
            .range(first..)
            .take_while(|listed| listed.name == entity.name)
            .any(|listed| entity.kind != EntityKind::User || domains_agree(listed, entity));
        is_named
            || entity
                .name
                .parse::<IpAddr>()
                .is_ok_and(|address| self.networks.iter().any(|network| network.contains(&address)))
    }
}

fn domains_agree(listed: &Entity, entity: &Entity) -> bool {
    match (listed.domain(), entity.domain()) {
        (Some(listed), Some(named)) => listed == named,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(kind: EntityKind, entries: &[&str]) -> WatchlistIndex {
        Watchlist {
            name: "mine".into(),
            kind,
            effect: Effect::Raise,
            weight: 1.0,
            analyses: Vec::new(),
            file: None,
            column: None,
            entries: entries.iter().map(|entry| (*entry).to_owned()).collect(),
        }
        .index()
    }

    fn has(index: &WatchlistIndex, kind: EntityKind, name: &str) -> bool {
        index.has(&Entity::of(kind, name).unwrap())
    }

    #[test]
    fn entries_match_by_canonical_name_and_network() {
        let addresses = index(EntityKind::Ip, &["192.0.2.7:443", "198.51.100.0/24", "2001:DB8::1"]);
        for address in ["192.0.2.7", "198.51.100.200", "2001:db8:0::1", "::ffff:192.0.2.7"] {
            assert!(has(&addresses, EntityKind::Ip, address), "{address}");
        }
        assert!(!has(&addresses, EntityKind::Ip, "192.0.2.8"));
        assert!(!has(&addresses, EntityKind::Device, "192.0.2.7"));
        let devices = index(EntityKind::Device, &["DC-1.corp.example"]);
        assert!(has(&devices, EntityKind::Device, "dc-1"));
        assert!(!has(&devices, EntityKind::Device, "dc-10"));
    }

    #[test]
    fn a_listed_domain_must_agree() {
        let users = index(EntityKind::User, &["ada@corp.example", "bob"]);
        assert!(has(&users, EntityKind::User, "CORP\\Ada"));
        assert!(has(&users, EntityKind::User, "ada"));
        assert!(!has(&users, EntityKind::User, "ada@other.example"));
        assert!(has(&users, EntityKind::User, "bob@other.example"));
        assert!(!has(&users, EntityKind::User, "bobby"));
    }
}
