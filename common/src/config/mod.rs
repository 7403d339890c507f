//! Parameters of a run: a preset, then the lake's own file, then the user's, laid over each other.

mod patterns;
mod ranges;
mod sections;
mod watchlist;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use patterns::{Patterns, Rule};
pub use sections::*;
pub use watchlist::{Effect, Watchlist, WatchlistIndex};

use crate::functions::PrivateSpace;
use crate::{Error, Result};

const DEFAULT_PRESET: &str = include_str!("../../data/presets/default.toml");
const NOTEBOOK_PRESET: &str = include_str!("../../data/presets/notebook.toml");

/// Names of the presets, the default first.
pub const PRESETS: [&str; 2] = ["default", "notebook"];

/// Everything a run can be told, one section an analysis. Values come from files; the code holds none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where single tables live and what their columns are called, by table name.
    pub tables: BTreeMap<String, TableMapping>,
    /// What counts as inside the network.
    pub network: PrivateSpace,
    /// Rows of the firewall suite.
    pub firewall: Firewall,
    /// Rows of the Office 365 suite.
    pub office365: Office365,
    /// Suite scores.
    pub score: Score,
    /// Risk of entities, incidents and the run.
    pub risk: Risk,
    /// What makes incidents of findings.
    pub incidents: Incidents,
    /// Entities a company knows something of.
    pub watchlists: Vec<Watchlist>,
    /// Lake tables written by `tables save`.
    pub save: Save,
    /// `compression_staging`.
    pub compression_staging: CompressionStaging,
    /// `cli_storage_uploads`.
    pub cli_storage_uploads: CliStorageUploads,
    /// `egress_spikes`.
    pub egress_spikes: EgressSpikes,
    /// `storage_audit`.
    pub storage_audit: StorageAudit,
    /// `event_timeline`.
    pub event_timeline: EventTimeline,
    /// `top_talkers`.
    pub top_talkers: Limit,
    /// `port_usage`.
    pub port_usage: Limit,
    /// `beaconing`.
    pub beaconing: Beaconing,
    /// `beacon_scores`.
    pub beacon_scores: BeaconScores,
    /// `dns_tunneling`.
    pub dns_tunneling: DnsTunneling,
    /// `data_exfiltration`.
    pub data_exfiltration: DataExfiltration,
    /// `attack_timeline`.
    pub attack_timeline: AttackTimeline,
    /// `multi_location_users`.
    pub multi_location_users: MultiLocationUsers,
    /// `top_accounts`.
    pub top_accounts: Limit,
    /// `rare_combinations`.
    pub rare_combinations: RareCombinations,
}

/// A configuration file's text and the name to call it by in errors.
pub struct Layer<'a> {
    /// Path or URL.
    pub name: &'a str,
    /// TOML.
    pub text: &'a str,
}

impl Config {
    /// The named preset with `layers` laid over it, later ones last. A list in a layer replaces the list below it.
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown preset, or naming the layer, line and column of what is wrong in it.
    pub fn load(preset: &str, layers: &[Layer<'_>]) -> Result<Self> {
        let mut merged = parse_table(&Layer { name: "preset default", text: DEFAULT_PRESET })?;
        match preset {
            "default" => {}
            "notebook" => {
                let notebook = Layer { name: "preset notebook", text: NOTEBOOK_PRESET };
                lay_over(&mut merged, parse_table(&notebook)?);
            }
            other => {
                return Err(Error::Config(format!(
                    "unknown preset {other:?}: there are {}",
                    PRESETS.join(" and ")
                )));
            }
        }
        for layer in layers {
            Self::check_layer(layer)?;
            lay_over(&mut merged, parse_table(layer)?);
        }
        let config: Config =
            merged.try_into().map_err(|error: toml::de::Error| Error::Config(error.message().to_owned()))?;
        config.check().map_err(|error| in_layers(error, layers))?;
        Ok(config)
    }

    /// Whether a layer can be read, on its own: only then do errors carry the line in the user's file.
    ///
    /// # Errors
    /// [`Error::Config`] naming the layer and the line of what is wrong in it: a value outside its range, a pattern that
    /// disagrees with its own cases, a watchlist of an unknown analysis.
    pub fn check_layer(layer: &Layer<'_>) -> Result<()> {
        ranges::check_ranges(layer)?;
        let own: Config = toml::from_str(layer.text).map_err(|error| layer_error(layer, &error))?;
        for (list, patterns) in own.pattern_lists() {
            patterns.check_cases().map_err(|case| case.in_file(layer, list))?;
        }
        watchlist::check_lists(layer)
    }

    /// What tasks need of it: no watchlist, which may be long and is applied to their results.
    pub fn for_tasks(&self) -> Self {
        Self { watchlists: Vec::new(), ..self.clone() }
    }

    /// Hash of every parameter, hexadecimal: two runs with the same hash computed the same thing.
    ///
    /// # Errors
    /// [`Error::Internal`] where the parameters can't be written as JSON.
    pub fn hash(&self) -> Result<String> {
        let json = serde_json::to_vec(self).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(blake3::hash(&json).to_hex()[..16].to_owned())
    }

    /// What no value alone tells: two that contradict each other.
    fn check(&self) -> Result<()> {
        let (score, risk, spikes) = (&self.score, &self.risk, &self.egress_spikes);
        ordered(("score.medium", score.medium), ("score.high", score.high))?;
        ordered(("risk.medium_level", risk.medium_level), ("risk.high_level", risk.high_level))?;
        if spikes.baseline == Baseline::PrecedingHours && spikes.min_history > spikes.hours {
            return Err(Error::Config(format!(
                "egress_spikes.min_history is {}, above the {} of egress_spikes.hours: no hour would be a spike",
                spikes.min_history, spikes.hours
            )));
        }
        self.watchlists.iter().try_for_each(Watchlist::check)?;
        if self.save.suffix.is_empty() {
            return Err(Error::Config("save.suffix must not be empty".into()));
        }
        Ok(())
    }
}

/// Fails where the first is above the second.
fn ordered(lower: (&str, u64), upper: (&str, u64)) -> Result<()> {
    if lower.1 <= upper.1 {
        return Ok(());
    }
    Err(Error::Config(format!("{} is {}, above the {} of {}", lower.0, lower.1, upper.1, upper.0)))
}

fn parse_table(layer: &Layer<'_>) -> Result<toml::Table> {
    toml::from_str(layer.text).map_err(|error| layer_error(layer, &error))
}

fn layer_error(layer: &Layer<'_>, error: &toml::de::Error) -> Error {
    match patterns::line_of_bad_pattern(error.message(), layer.text) {
        Some(line) => Error::Config(format!("{}, line {line}: {}", layer.name, error.message())),
        None => Error::Config(format!("{}: {}", layer.name, error.to_string().trim_end())),
    }
}

/// An error of values that may stand in several files: named with all of them.
fn in_layers(error: Error, layers: &[Layer<'_>]) -> Error {
    let names: Vec<&str> = layers.iter().map(|layer| layer.name).collect();
    match error {
        Error::Config(told) if !names.is_empty() => Error::Config(format!("{}: {told}", names.join(" and "))),
        other => other,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn load_user(text: &str) -> Result<Config> {
        Config::load("default", &[Layer { name: "mine.toml", text }])
    }

    #[test]
    fn every_rule_of_every_preset_hits_and_misses_as_it_says() {
        for preset in PRESETS {
            let config = Config::load(preset, &[]).unwrap();
            for (list, patterns) in config.pattern_lists() {
                patterns.check_cases().unwrap_or_else(|error| panic!("{preset}, {list}: {error}"));
            }
        }
    }

    #[test]
    fn default_patterns_all_carry_cases() {
        let config = Config::load("default", &[]).unwrap();
        for (list, patterns) in config.pattern_lists() {
            for rule in patterns.rules() {
                assert!(!rule.hits.is_empty() && !rule.misses.is_empty(), "{list}: {}", rule.pattern);
            }
        }
    }

    #[test]
    fn errors_name_file_and_line() {
        let error = load_user("[beaconing]\nmax_jitter = 0.4\nmax_jiter = 1").unwrap_err().to_string();
        assert!(error.contains("mine.toml") && error.contains("line 3"), "{error}");
        let error = load_user("[storage_audit]\noperation_patterns = [\n'fine',\n'broken(',\n]")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("mine.toml") && error.contains("line 4") && error.contains("unclosed"),
            "{error}"
        );
        assert!(Config::load("notebok", &[]).is_err());
        assert!(load_user("[event_timeline]\nbin_minutes = 0").is_err());
        let service = "known_services = [{ name = 'poll', port = 9, factor = 1.5 }]";
        let error = load_user(&format!("[beacon_scores]\n{service}")).unwrap_err().to_string();
        assert!(
            error.contains("mine.toml, line 2: beacon_scores.known_services[0].factor is 1.5"),
            "{error}"
        );
    }

    #[test]
    fn values_that_contradict_each_other_are_refused() {
        for (text, told) in [
            (
                "[risk]\nmedium_level = 80",
                "mine.toml: risk.medium_level is 80, above the 70 of risk.high_level",
            ),
            ("[score]\nmedium = 30", "score.medium is 30, above the 20 of score.high"),
            ("[egress_spikes]\nmin_history = 25", "egress_spikes.min_history is 25, above the 24"),
        ] {
            let error = load_user(text).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_pattern_that_disagrees_with_its_cases_is_refused_where_it_stands() {
        for (case, told) in [
            ("hits = ['copy a b']", "pattern \"robocopy\" does not match \"copy a b\", which its hits name"),
            (
                "misses = ['ROBOCOPY a b']",
                "pattern \"robocopy\" matches \"ROBOCOPY a b\", which its misses name",
            ),
        ] {
            let text = format!(
                "[compression_staging]\nallowed_commands = [\n'fine',\n{{ pattern = 'robocopy', {case} }},\n]"
            );
            let error = load_user(&text).unwrap_err().to_string();
            assert!(error.contains("mine.toml, line 4: compression_staging.allowed_commands: "), "{error}");
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_watchlist_of_an_unknown_analysis_is_refused_with_the_nearest() {
        let list =
            "[[watchlists]]\nname = 'scanners'\nkind = 'ip'\neffect = 'allow'\nentries = ['192.0.2.7']";
        load_user(&format!("{list}\nanalyses = ['beaconing', 'beacon_scores']")).unwrap();
        let error = load_user(&format!("{list}\nanalyses = [\n'beaconing',\n'beacon_score']"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("mine.toml, line 8: watchlist scanners: there is no analysis \"beacon_score\"; did you mean beacon_scores?"),
            "{error}"
        );
    }

    #[test]
    fn an_entry_that_is_no_address_is_named_with_its_list_and_line() {
        let list = |kind: &str, entries: &str| {
            let head = format!("[[watchlists]]\nname = 'bad'\nkind = '{kind}'\neffect = 'raise'");
            format!("{head}\nentries = [\n{entries}\n]\n")
        };
        let good = "'192.0.2.7', '192.0.2.7:443',\n'198.51.100.0/24', '[2001:DB8::1]', '2001:db8::/32'";
        load_user(&list("ip", good)).unwrap();
        load_user(&list("device", "'not-an-ip'")).unwrap();
        for entry in ["not-an-ip", "192.0.2.300", "198.51.100.0/33", ""] {
            let text = format!("# {entry}\n{}", list("ip", &format!("'192.0.2.7',\n'{entry}',")));
            let error = load_user(&text).unwrap_err().to_string();
            let told = format!("mine.toml, line 8: watchlist bad: {entry:?} is no address and no network");
            assert!(error.contains(&told), "{error}");
        }
    }

    #[test]
    fn a_layer_changes_only_what_it_names() {
        let config = load_user("[compression_staging]\nallowed_accounts = ['svc-zip']").unwrap();
        assert_eq!(config.compression_staging.allowed_accounts, ["svc-zip"]);
        assert!(!config.compression_staging.command_patterns.rules().is_empty());
        assert_ne!(config.hash().unwrap(), Config::load("default", &[]).unwrap().hash().unwrap());
    }
}
