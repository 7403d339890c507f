//! Opens lakes with their own configuration, and decides which places a request may name.

use hindcast_common::catalog::{Lake, Location, refuse_log};
use hindcast_common::config::{Config, Layer};
use hindcast_common::{Error, Result};

/// Name of a lake's own configuration, in its root.
const LAKE_CONFIG: &str = "hindcast.toml";

/// Places that may be read.
#[derive(Debug)]
pub enum Access {
    /// Whatever this process's credentials reach: who starts it has them.
    Any,
    /// These folders and what is below them.
    Only(Vec<Location>),
}

impl Access {
    /// Fails for a place that is not listed.
    ///
    /// # Errors
    /// [`Error::Config`] then.
    pub fn check(&self, place: &Location) -> Result<()> {
        let Access::Only(listed) = self else { return Ok(()) };
        let root = place.store_url()?;
        let is_within = |listed: &Location| {
            listed.store_url().is_ok_and(|listed_root| listed_root == root)
                && place.prefix().prefix_matches(listed.prefix())
        };
        if listed.iter().any(is_within) {
            return Ok(());
        }
        let names: Vec<&str> = listed.iter().map(Location::url).collect();
        Err(Error::Config(format!(
            "{} is not among the lakes this coordinator reads: {}",
            place.url(),
            if names.is_empty() { "it lists none".to_owned() } else { names.join(", ") }
        )))
    }

    /// Fails where a mapping leads to a place that is not listed.
    fn check_mappings(&self, root: &Location, config: &Config) -> Result<()> {
        if matches!(self, Access::Any) {
            return Ok(());
        }
        for mapping in config.tables.values() {
            // Parsed anew, as a worker will: a URL takes `..` for what it is.
            if let Some(url) = &mapping.url {
                self.check(&Location::parse(url)?)?;
            }
            if let Some(workspace) = &mapping.workspace {
                self.check(&Location::parse(root.join(workspace).url())?)?;
            }
        }
        Ok(())
    }
}

/// The lake at `url` and the parameters of a run over it: the preset, then the lake's own file, then `own`.
///
/// # Errors
/// [`Error::Config`] where the lake is not there, may not be read or is itself a table with a log, or a file is wrong.
pub async fn open_lake(
    url: &str,
    preset: &str,
    own: Option<Layer<'_>>,
    access: &Access,
) -> Result<(Lake, Config)> {
    let root = Location::parse(url)?;
    access.check(&root)?;
    let lake_name = format!("{}/{LAKE_CONFIG}", url.trim_end_matches('/'));
    let lake_text = match root.read(LAKE_CONFIG).await? {
        Some(bytes) => Some(
            String::from_utf8(bytes.to_vec())
                .map_err(|_| Error::Config(format!("{lake_name} is not UTF-8 text")))?,
        ),
        None => None,
    };
    let lake_layer = lake_text.as_ref().map(|text| Layer { name: &lake_name, text });
    let layers: Vec<Layer<'_>> = lake_layer.into_iter().chain(own).collect();
    let config = Config::load(preset, &layers)?;
    access.check_mappings(&root, &config)?;
    let lake = Lake::open(root, &config)?;
    refuse_log(lake.root(), "the lake").await?;
    Ok((lake, config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Location {
        Location::parse(url).unwrap()
    }

    #[test]
    fn only_what_is_listed_and_below_it_may_be_read() {
        let access = Access::Only(vec![place("s3://telemetry/lake"), place("/srv/lakes")]);
        for url in ["s3://telemetry/lake", "s3://telemetry/lake/", "s3://telemetry/lake/a/b", "/srv/lakes/x"]
        {
            access.check(&place(url)).unwrap();
        }
        for url in [
            "s3://telemetry/lake2",
            "s3://telemetry",
            "s3://other/lake",
            "s3://telemetry/lake/../secret",
            "s3://telemetry/lake/%2e%2e/secret",
            "/srv/lakes/../secret",
            "/srv/lakesx",
            "/",
        ] {
            assert!(access.check(&place(url)).is_err(), "{url}");
        }
        assert!(Access::Only(vec![]).check(&place("/srv")).is_err());
    }

    #[test]
    fn a_mapping_leads_nowhere_else() {
        let access = Access::Only(vec![place("s3://telemetry/lake")]);
        let root = place("s3://telemetry/lake");
        for text in [
            "[tables.AuditLogs]\nurl = \"s3://telemetry/secret\"",
            "[tables.AuditLogs]\nworkspace = \"../secret\"",
            "[tables.AuditLogs]\nworkspace = \"a/../../secret\"",
        ] {
            let config: Config = toml::from_str(text).unwrap();
            assert!(access.check_mappings(&root, &config).is_err(), "{text}");
        }
        let config: Config = toml::from_str("[tables.AuditLogs]\nworkspace = \"soc\"").unwrap();
        access.check_mappings(&root, &config).unwrap();
    }
}
