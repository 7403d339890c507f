//! The parameters of a run: a preset, then the lake's own file, then the user's file, each overriding the one before it.

mod bounds;
mod layer;
mod parameters;
mod ranges;
mod sections;
#[cfg(test)]
mod tests;
pub(crate) mod vendors;
mod watchlist;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use toml::de::DeTable;

pub use bounds::Range;
pub use layer::Layer;
pub use sections::*;
pub use vendors::{Meaning, MeaningRule};
pub use watchlist::{Effect, Watchlist, WatchlistIndex};

use self::parameters::Parameters;
use crate::Detections;
use hindcast_base::{Error, Result};
use hindcast_functions::PrivateSpace;
use hindcast_lake::{LakeRoot, TableMapping};

const DEFAULT_PRESET: &str = include_str!("../../data/presets/default.toml");
const NOTEBOOK_PRESET: &str = include_str!("../../data/presets/notebook.toml");

/// Names of the presets, the default first.
pub const PRESETS: [&str; 2] = ["default", "notebook"];

/// The sections of a configuration file that do not belong to one detection, in alphabetical order.
pub(crate) const SHARED_SECTIONS: [&str; 11] = [
    "firewall",
    "incidents",
    "network",
    "office365",
    "own_detections",
    "risk",
    "roots",
    "save",
    "score",
    "tables",
    "watchlists",
];

/// Everything that a run depends on apart from its data. All values come from files, none from the code.
///
/// As JSON it has one object per section, both for shared sections and for those of single detections.
///
/// ```
/// use hindcast_detections::config::{Config, Layer};
///
/// let own = Layer { name: "mine.toml", text: "[beaconing]\nmax_jitter = 0.25" };
/// let config = Config::load("default", &[own])?;
/// assert_eq!(config.number("beaconing.max_jitter"), 0.25);
///
/// let wrong = Layer { name: "mine.toml", text: "[beaconing]\nmax_jiter = 0.25" };
/// let error = Config::load("default", &[wrong]).unwrap_err().to_string();
/// assert!(error.starts_with("mine.toml, line 2: there is no parameter beaconing.max_jiter"));
/// # Ok::<(), hindcast_base::Error>(())
/// ```
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where single tables live and what their columns are called, by table name.
    pub tables: BTreeMap<String, TableMapping>,
    /// Further roots of the lake, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<LakeRoot>,
    /// What counts as inside the network.
    pub network: PrivateSpace,
    /// Rows that the firewall suite reads.
    pub firewall: Firewall,
    /// Rows that the Office 365 suite reads.
    pub office365: Office365,
    /// Suite scores.
    pub score: Score,
    /// Risk of entities, incidents and the run.
    pub risk: Risk,
    /// How findings are grouped into incidents.
    pub incidents: Incidents,
    /// Limits of users' own detections.
    pub own_detections: OwnDetections,
    /// Entities that a company knows something about.
    pub watchlists: Vec<Watchlist>,
    /// Lake tables written by `tables save`.
    pub save: Save,
    /// The detections of the run.
    #[serde(skip_serializing_if = "Detections::are_built_in")]
    pub detections: Detections,
    /// Every parameter of the detections, by section (a detection's id) and name. Patterns are lists of texts, durations are text.
    #[serde(flatten)]
    pub parameters: BTreeMap<String, Map<String, Value>>,
}

impl Config {
    /// The named preset of the built-in detections, overridden by `layers` in order. A list in a layer replaces the list below it.
    ///
    /// # Errors
    /// Those of [`Config::load_with`].
    pub fn load(preset: &str, layers: &[Layer<'_>]) -> Result<Self> {
        Self::load_with(preset, layers, Detections::built_in())
    }

    /// Like [`Config::load`], for other detections.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown preset, or with the layer and line of a mistake in it.
    pub fn load_with(preset: &str, layers: &[Layer<'_>], detections: Detections) -> Result<Self> {
        let mut shared = parse_table(&Layer { name: "preset default", text: DEFAULT_PRESET })?;
        match preset {
            "default" => {}
            "notebook" => {
                let notebook = Layer { name: "preset notebook", text: NOTEBOOK_PRESET };
                lay_over(&mut shared, parse_table(&notebook)?);
            }
            other => {
                return Err(Error::Invalid(format!(
                    "unknown preset {other:?}: there are {}",
                    PRESETS.join(" and ")
                )));
            }
        }
        let mut of_detections = parameters::of_preset(preset, detections);
        for layer in layers {
            parameters::lay_over(&mut of_detections, read_layer(layer, detections)?);
            let own = parse_table(layer)?;
            remove_replaced_sources(&mut shared, &own);
            lay_over(&mut shared, own);
        }
        // The sections of detections were read above, into values without cases.
        shared.retain(|section, _| SHARED_SECTIONS.contains(&section));
        let shared: Config =
            shared.try_into().map_err(|error: toml::de::Error| Error::Invalid(error.message().to_owned()))?;
        let mut config = Config { detections, parameters: of_detections, ..shared };
        // The order in which a file names them changes nothing.
        config.roots.sort_by(|left, right| left.name.cmp(&right.name));
        config.check().map_err(|error| in_layers(error, layers))?;
        Ok(config)
    }

    /// Checks a layer by itself, so that errors have the line in the user's file.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the layer and line of an unknown section or parameter, a value outside its range, a pattern that
    /// disagrees with its own cases, or a watchlist with an unknown analysis.
    pub fn check_layer(layer: &Layer<'_>, detections: Detections) -> Result<()> {
        read_layer(layer, detections).map(|_| ())
    }

    /// The part that tasks need: without watchlists, which may be long and are applied to the tasks' results.
    pub fn for_tasks(&self) -> Self {
        Self { watchlists: Vec::new(), ..self.clone() }
    }

    /// Hexadecimal hash of every parameter and of the texts of detections that are not built in. Two runs of one version with
    /// the same hash computed the same thing.
    ///
    /// # Errors
    /// [`Error::Internal`] if the parameters can't be written as JSON.
    pub fn hash(&self) -> Result<String> {
        let json = serde_json::to_vec(self).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(blake3::hash(&json).to_hex()[..16].to_owned())
    }

    /// Checks for values that contradict each other.
    fn check(&self) -> Result<()> {
        let (score, risk) = (&self.score, &self.risk);
        ordered(("score.medium", score.medium), ("score.high", score.high))?;
        ordered(("risk.medium_level", risk.medium_level), ("risk.high_level", risk.high_level))?;
        self.firewall.check()?;
        self.check_detections()?;
        self.watchlists.iter().try_for_each(Watchlist::check)?;
        self.roots.iter().try_for_each(LakeRoot::check_name)?;
        if self.save.suffix.is_empty() {
            return Err(Error::Invalid("save.suffix must not be empty".into()));
        }
        Ok(())
    }
}

/// Checks a layer and reads its parameters of detections.
fn read_layer(layer: &Layer<'_>, detections: Detections) -> Result<Parameters> {
    let table = DeTable::parse(layer.text).map_err(|error| layer.error(&error))?;
    ranges::check_ranges(layer, table.get_ref())?;
    let of_detections = parameters::of_layer(layer, table.get_ref(), detections)?;
    toml::from_str::<Config>(layer.text).map_err(|error| layer.error(&error))?;
    watchlist::check_lists(layer, detections)?;
    Ok(of_detections)
}

/// Fails if the first value is above the second.
fn ordered(lower: (&str, u64), upper: (&str, u64)) -> Result<()> {
    if lower.1 <= upper.1 {
        return Ok(());
    }
    Err(Error::Invalid(format!("{} is {}, above the {} of {}", lower.0, lower.1, upper.1, upper.0)))
}

fn parse_table(layer: &Layer<'_>) -> Result<toml::Table> {
    let mut table: toml::Table = toml::from_str(layer.text).map_err(|error| layer.error(&error))?;
    // The former name of the key. Both names in different layers must override each other.
    if let Some(toml::Value::Table(firewall)) = table.get_mut("firewall")
        && let Some(vendor) = firewall.remove("vendor")
    {
        firewall.insert("vendors".to_owned(), vendor);
    }
    Ok(table)
}

/// Adds the names of all layers to an error about values that may be in several of them.
fn in_layers(error: Error, layers: &[Layer<'_>]) -> Error {
    match (error, layers) {
        (Error::Invalid(message), [layer]) => Error::of_file(layer.name, message),
        // No one file is at fault.
        (Error::Invalid(message), [_, ..]) => {
            let names: Vec<&str> = layers.iter().map(|layer| layer.name).collect();
            Error::Invalid(format!("{}: {message}", names.join(" and ")))
        }
        (other, _) => other,
    }
}

/// Removes the sources of columns that `above` replaces: a column has one source, so two are not merged.
fn remove_replaced_sources(below: &mut toml::Table, above: &toml::Table) {
    let Some(mappings) = above.get("tables").and_then(toml::Value::as_table) else { return };
    let Some(below) = below.get_mut("tables") else { return };
    for (table, mapping) in mappings {
        let known = below.get_mut(table).and_then(|mapping| mapping.get_mut("columns"));
        let known = known.and_then(toml::Value::as_table_mut);
        let own = mapping.get("columns").and_then(toml::Value::as_table);
        if let (Some(known), Some(own)) = (known, own) {
            known.retain(|column, _| !own.contains_key(column));
        }
    }
}

fn lay_over(below: &mut toml::Table, above: toml::Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(value)) => lay_over(inner, value),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}
