//! Opens lakes with their own configuration, and decides which places a request may name.

use std::collections::BTreeMap;
use std::time::Duration;

use hindcast_base::{Error, Result};
use hindcast_detections::config::{Config, Layer};
use hindcast_lake::{Lake, LakeRoot, Location, TableMapping, Tables, in_root, refuse_table_as_lake};

use crate::own_detections::{DetectionPolicy, OwnFiles, is_elsewhere, read_folders, take_folders};

/// Name of a lake's own configuration file, in its root.
const LAKE_CONFIG: &str = "hindcast.toml";
/// Bytes of that file at most.
const LAKE_CONFIG_BYTES: u64 = 4 << 20;
/// Time limit for reading it.
const LAKE_CONFIG_TIME: Duration = Duration::from_secs(30);

/// Places that may be read.
#[derive(Debug)]
pub enum Access {
    /// Everything that this process's credentials reach: its user has them.
    Any,
    /// These folders and everything below them.
    Only(Vec<Location>),
}

impl Access {
    /// Checks that a place is listed.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not.
    pub fn check(&self, place: &Location) -> Result<()> {
        let Access::Only(listed) = self else { return Ok(()) };
        let root = place.store_url()?;
        // On a local disk the targets of links are compared, whatever the form of the address.
        let real = place.real_path();
        let is_within = |listed: &Location| match (&real, listed.real_path()) {
            (Some(real), Some(listed)) => real.starts_with(listed),
            (None, None) => {
                listed.store_url().is_ok_and(|listed_root| listed_root == root)
                    && place.prefix().prefix_matches(listed.prefix())
            }
            _ => false,
        };
        if listed.iter().any(is_within) {
            return Ok(());
        }
        let names: Vec<&str> = listed.iter().map(Location::url).collect();
        Err(Error::Invalid(format!(
            "{} is not among the lakes this coordinator reads: {}",
            place.url(),
            if names.is_empty() { "it lists none".to_owned() } else { names.join(", ") }
        )))
    }

    /// The place, confined so that no link leads outside the listed places.
    fn confine(&self, place: Location) -> Location {
        match self {
            Access::Any => place,
            Access::Only(listed) => {
                place.confined(listed.iter().filter_map(Location::real_path).collect::<Vec<_>>().into())
            }
        }
    }

    /// Checks that no mapping leads outside the listed places.
    fn check_mappings(&self, root: &Location, tables: &BTreeMap<String, TableMapping>) -> Result<()> {
        if matches!(self, Access::Any) {
            return Ok(());
        }
        for mapping in tables.values() {
            // Parsed again, as a worker does: a URL resolves `..`.
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

/// What a run adds to the lake's own configuration.
pub struct LakeLayers<'a> {
    /// Name of the preset, which the lake's file overrides.
    pub preset: &'a str,
    /// A layer that overrides the lake's file.
    pub own: Option<Layer<'a>>,
    /// Detections in addition to the built-in ones and the lake's.
    pub detections: &'a OwnFiles,
}

/// The lake at `url` and the parameters of a run over it: the preset, the lake's own file, then that of `layers`; with the
/// detections of both.
///
/// # Errors
/// [`Error::Invalid`] if the lake is absent, may not be read or is itself a table with a log, or if a file is invalid;
/// [`Error::Denied`] if it brings detections that `policy` does not allow.
pub async fn open_lake(
    url: &str,
    layers: &LakeLayers<'_>,
    access: &Access,
    policy: &DetectionPolicy,
) -> Result<(Lake, Config)> {
    let root = Location::parse(url)?;
    access.check(&root)?;
    let root = access.confine(root);
    root.check_folder()?;
    let lake_name = config_name(url);
    let (folders, lake_text) = lake_config(&root, &lake_name).await?;
    if !folders.is_empty() {
        policy.check(&format!("the configuration of the lake, {lake_name},"))?;
    }
    let files = detections_of(&root, &folders, access).await?.joined(layers.detections)?;
    let own = layers.own.as_ref().map(|own| Layer { name: own.name, text: own.text });
    let lake_layer = lake_text.as_ref().map(|text| Layer { name: &lake_name, text });
    let texts: Vec<Layer<'_>> = lake_layer.into_iter().chain(own).collect();
    let config = Config::load_with(layers.preset, &texts, files.load()?)?;
    files.check(&config)?;
    access.check_mappings(&root, &config.tables)?;
    let lake = Lake::open(root, &config.tables, config.detections.tables())?;
    refuse_table_as_lake(lake.root()).await?;
    let lake = with_roots(lake, &config.roots, access).await?;
    Ok((lake, config))
}

/// The lake with its further roots, which may be read like the lake itself.
async fn with_roots(lake: Lake, roots: &[LakeRoot], access: &Access) -> Result<Lake> {
    for root in roots {
        let place = Location::parse(&root.url)?;
        let checked = access.check(&place).and_then(|()| access.check_mappings(&place, &root.tables));
        checked.map_err(|error| in_root(&root.name, error))?;
    }
    let main = lake.root().clone();
    let lake = lake.with_roots(roots, |root| main.elsewhere(&root.url))?;
    for root in roots {
        let Ok(part) = lake.only(Some(&root.name)) else { continue };
        match refuse_table_as_lake(part.root()).await {
            // Its tables can't be listed either, which is a gap.
            Err(Error::Storage(_)) if root.optional => {}
            checked => checked.map_err(|error| in_root(&root.name, error))?,
        }
    }
    Ok(lake)
}

/// The tables that the lake at `url` may have: the built-in ones, those in folders that its configuration names, and those of `own`; and
/// the mappings in that configuration. The lake need not exist yet.
///
/// # Errors
/// [`Error::Invalid`] if a file is invalid; [`Error::Storage`] if a store fails.
pub async fn tables_of(url: &str, own: &OwnFiles) -> Result<(Tables, BTreeMap<String, TableMapping>)> {
    let (root, name) = (Location::parse(url)?, config_name(url));
    let (folders, text) = lake_config(&root, &name).await?;
    let files = detections_of(&root, &folders, &Access::Any).await?.joined(own)?;
    let Some(text) = text else { return Ok((files.tables()?, BTreeMap::new())) };
    let config = Config::load_with("default", &[Layer { name: &name, text: &text }], files.load()?)?;
    Ok((files.tables()?, config.tables))
}

/// The name of the configuration file of the lake at `url`.
fn config_name(url: &str) -> String {
    format!("{}/{LAKE_CONFIG}", url.trim_end_matches('/'))
}

/// The folders that a lake's configuration `name` names, and its other text; none if the lake has none.
async fn lake_config(root: &Location, name: &str) -> Result<(Vec<String>, Option<String>)> {
    let Some(bytes) = root.read_bounded(LAKE_CONFIG, LAKE_CONFIG_BYTES, LAKE_CONFIG_TIME).await? else {
        return Ok((Vec::new(), None));
    };
    let text = String::from_utf8(bytes.to_vec());
    let text = text.map_err(|_| Error::Invalid(format!("{name} is not UTF-8 text")))?;
    let (folders, text) = take_folders(name, &text)?;
    Ok((folders, Some(text)))
}

/// The files of the folders that a lake's configuration names: below the lake, or elsewhere if that place may be read.
async fn detections_of(root: &Location, folders: &[String], access: &Access) -> Result<OwnFiles> {
    let mut places = Vec::new();
    for folder in folders {
        let place = if is_elsewhere(folder) { root.elsewhere(folder)? } else { root.join(below(folder)) };
        access.check(&place)?;
        places.push(access.confine(place));
    }
    read_folders(&places).await
}

/// A path without a leading `./`.
fn below(path: &str) -> &str {
    path.trim_start_matches("./")
}

#[cfg(test)]
mod tests {
    use hindcast_base::ErrorKind;

    use super::*;

    fn place(url: &str) -> Location {
        Location::parse(url).unwrap()
    }

    async fn open(url: &str, access: &Access) -> Result<(Lake, Config)> {
        let layers = LakeLayers { preset: "default", own: None, detections: &OwnFiles::default() };
        open_lake(url, &layers, access, &DetectionPolicy::of_own_process()).await
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

    #[cfg(unix)]
    #[tokio::test]
    async fn no_form_of_an_address_leads_out_by_a_link() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for name in ["lakes/a/AuditLogs/date=2026-01-01", "secret/AuditLogs/date=2026-01-01"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        symlink(path("secret"), path("lakes/out")).unwrap();
        symlink(path("lakes/a"), path("lakes/in")).unwrap();
        symlink(path("lakes"), path("listed")).unwrap();
        let access = Access::Only(vec![place(&path("listed"))]);
        for url in [path("lakes/in"), format!("file://{}", path("lakes/in")), path("listed/a")] {
            access.check(&place(&url)).unwrap();
        }
        for name in [
            "lakes/out",
            "lakes/out/AuditLogs",
            "lakes/a/../out",
            "lakes/%6fut",
            "lakes/a/%2e%2e/out",
            "lakes/../secret",
        ] {
            for url in [path(name), format!("file://{}", path(name))] {
                // A path does not decode percent signs: no such name exists, and it leads nowhere.
                let is_other = !url.starts_with("file") && name.contains('%');
                assert_eq!(access.check(&place(&url)).is_ok(), is_other, "{url}");
            }
        }
        // Links inside the lake are refused too, whether for the file, a table, or a mapping.
        symlink(path("secret/AuditLogs"), path("lakes/a/OfficeActivity")).unwrap();
        let error = open(&path("lakes/a"), &access).await.unwrap_err();
        assert!(matches!(&error, Error::Invalid(text) if text.contains("secret/AuditLogs")), "{error}");
        std::fs::remove_file(path("lakes/a/OfficeActivity")).unwrap();
        open(&path("lakes/a"), &access).await.unwrap();
        let mapped = format!("[tables.AuditLogs]\nurl = \"file://{}\"", path("lakes/out/AuditLogs"));
        std::fs::write(path("lakes/a/hindcast.toml"), mapped).unwrap();
        assert!(open(&path("lakes/a"), &access).await.is_err());
        std::fs::remove_file(path("lakes/a/hindcast.toml")).unwrap();
        std::fs::write(path("secret/own.toml"), "").unwrap();
        symlink(path("secret/own.toml"), path("lakes/a/hindcast.toml")).unwrap();
        let error = open(&path("lakes/a"), &access).await.unwrap_err();
        assert!(matches!(&error, Error::Invalid(text) if text.contains("secret/own.toml")), "{error}");
    }

    #[tokio::test]
    async fn a_lakes_detections_lie_below_it_or_where_may_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for name in ["lakes/a/AuditLogs/date=2026-01-01", "secret/own"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        let access = Access::Only(vec![place(&path("lakes"))]);
        for (named, hint) in [
            (path("secret/own"), "not among the lakes"),
            ("../../secret/own".to_owned(), "holds no detection"),
            ("none".to_owned(), "holds no detection"),
        ] {
            std::fs::write(path("lakes/a/hindcast.toml"), format!("detections = [{named:?}]")).unwrap();
            let error = open(&path("lakes/a"), &access).await.unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
        let layers = LakeLayers { preset: "default", own: None, detections: &OwnFiles::default() };
        let strict = DetectionPolicy::of_coordinator(OwnFiles::default(), false);
        let error = open_lake(&path("lakes/a"), &layers, &access, &strict).await.unwrap_err();
        assert!(matches!(&error, Error::Denied(text) if text.contains("allow_detections")), "{error}");
    }

    #[tokio::test]
    async fn a_lake_has_roots_only_where_may_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for name in ["lakes/a", "lakes/b", "secret"] {
            std::fs::create_dir_all(path(&format!("{name}/AuditLogs/date=2026-01-01"))).unwrap();
        }
        let access = Access::Only(vec![place(&path("lakes"))]);
        let root = |url: String| format!("[[roots]]\nname = \"emea\"\nurl = {url:?}\n");
        for (text, hint) in [
            (root(path("secret")), "root emea"),
            (root(path("lakes/../secret")), "not among the lakes"),
            (format!("{}optional = true", root(path("secret"))), "not among the lakes"),
            (
                format!(
                    "{}[roots.tables.AuditLogs]\nurl = {:?}",
                    root(path("lakes/b")),
                    path("secret/AuditLogs")
                ),
                "not among the lakes",
            ),
            (root(path("lakes/a")), "is the same place as"),
            (root(path("lakes/gone")), "root emea: there is no lake at"),
        ] {
            std::fs::write(path("lakes/a/hindcast.toml"), text).unwrap();
            let error = open(&path("lakes/a"), &access).await.unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
        std::fs::write(path("lakes/a/hindcast.toml"), root(path("lakes/b"))).unwrap();
        let (lake, _) = open(&path("lakes/a"), &access).await.unwrap();
        assert_eq!(lake.roots().len(), 2);
        // A link in a root is followed no further than one in the lake.
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(path("secret/AuditLogs"), path("lakes/b/OfficeActivity")).unwrap();
            let error = open(&path("lakes/a"), &access).await.unwrap_err().to_string();
            assert!(error.contains("secret/AuditLogs"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_lakes_tables_are_known_before_the_lake_has_rows() {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().join("lake");
        let known = async || tables_of(&lake.display().to_string(), &OwnFiles::default()).await;
        assert!(known().await.unwrap().0.by_name("AuditLogs").is_some());
        std::fs::create_dir_all(lake.join("own/tables")).unwrap();
        std::fs::write(lake.join("hindcast.toml"), "detections = ['own']").unwrap();
        let text = "time_column = 'T'\n[columns]\nT = 'time'";
        std::fs::write(lake.join("own/tables/Proxy_CL.toml"), text).unwrap();
        assert!(known().await.unwrap().0.by_name("Proxy_CL").is_some());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_lakes_file_is_a_regular_one_and_short() {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().display().to_string();
        let file = folder.path().join(LAKE_CONFIG);
        let refused = async |hint: &str| {
            let opened = tokio::time::timeout(Duration::from_secs(5), open(&lake, &Access::Any));
            let error = opened.await.expect("it does not wait").unwrap_err();
            let text = error.to_string();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
            assert!(text.contains(hint) && text.contains(LAKE_CONFIG), "{text}");
        };
        assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
        refused("not a regular file").await;
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        refused("not a regular file").await;
        std::fs::remove_dir(&file).unwrap();
        // A sparse file: its length is not on the disk.
        std::fs::File::create(&file).unwrap().set_len(10 << 30).unwrap();
        refused("longer than").await;
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
            assert!(access.check_mappings(&root, &config.tables).is_err(), "{text}");
        }
        let config: Config = toml::from_str("[tables.AuditLogs]\nworkspace = \"soc\"").unwrap();
        access.check_mappings(&root, &config.tables).unwrap();
    }
}
