//! Locations of addresses, from a database in MaxMind's format.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringViewArray};
use hindcast_base::time::{MICROS_PER_SECOND, format_micros};
use hindcast_base::{Error, Result};
use hindcast_detections::analyses::LOCATIONS;
use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde::{Deserialize, Serialize};

/// Networks looked at to find out whether a database has countries.
const NETWORKS_TRIED: usize = 1000;

/// A location database, held in memory.
#[derive(Debug)]
pub struct LocationDatabase {
    /// Path, for errors.
    name: String,
    reader: Reader<Vec<u8>>,
}

/// The location database that a scan used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocationSource {
    /// The type it declares, such as `GeoLite2-City`.
    pub database: String,
    /// When it was built, RFC 3339.
    pub built: String,
}

/// The record of a network in a database of cities or countries; missing fields stay empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow)]
    country: Area<'a>,
    #[serde(borrow)]
    city: Area<'a>,
    location: Position,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Area<'a> {
    iso_code: Option<&'a str>,
    #[serde(borrow)]
    names: Names<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Names<'a> {
    en: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Position {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

impl LocationDatabase {
    /// Opens a database.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the file name if it can't be read, has another format, or has no countries.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let reader = Reader::open_readfile(path).map_err(|error| unreadable(&name, &error))?;
        let database = Self { name, reader };
        if !database.has_countries()? {
            return Err(Error::Invalid(format!(
                "the location database {} is of type {}, which has no countries: use one of cities or countries",
                database.name,
                database.reader.metadata().database_type
            )));
        }
        Ok(database)
    }

    /// Its type and build time, for summaries.
    pub fn source(&self) -> LocationSource {
        let metadata = self.reader.metadata();
        let built_us =
            i64::try_from(metadata.build_epoch).unwrap_or_default().saturating_mul(MICROS_PER_SECOND);
        LocationSource { database: metadata.database_type.clone(), built: format_micros(built_us) }
    }

    /// Rows of [`LOCATIONS`] for the addresses that the database knows, in their order.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the database is damaged.
    pub fn locate<'t>(&self, addresses: impl IntoIterator<Item = &'t str>) -> Result<RecordBatch> {
        // Networks share records: each is decoded once.
        let mut records: HashMap<usize, Record<'_>> = HashMap::new();
        let mut located: Vec<(&str, usize)> = Vec::new();
        for text in addresses {
            let Some(address) = text.parse().ok().filter(|address| self.can_hold(address)) else { continue };
            let found = self.reader.lookup(address).map_err(|error| unreadable(&self.name, &error))?;
            let Some(offset) = found.offset() else { continue };
            if let Entry::Vacant(vacant) = records.entry(offset) {
                let record = found.decode().map_err(|error| unreadable(&self.name, &error))?;
                vacant.insert(record.unwrap_or_default());
            }
            located.push((text, offset));
        }
        let texts = |of: fn(&Record<'_>) -> Option<String>| -> ArrayRef {
            let values = located.iter().map(|(_, offset)| of(&records[offset]));
            Arc::new(values.collect::<StringViewArray>())
        };
        let numbers = |of: fn(&Record<'_>) -> Option<f64>| -> ArrayRef {
            Arc::new(located.iter().map(|(_, offset)| of(&records[offset])).collect::<Float64Array>())
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringViewArray::from_iter_values(located.iter().map(|(text, _)| *text))),
            texts(|record| record.country.iso_code.map(str::to_owned)),
            texts(|record| record.country.names.en.map(str::to_owned)),
            texts(|record| record.city.names.en.map(str::to_owned)),
            numbers(|record| record.location.latitude),
            numbers(|record| record.location.longitude),
        ];
        RecordBatch::try_new(LOCATIONS.schema(), columns).map_err(|error| Error::Engine(error.into()))
    }

    /// A database of IPv4 has no IPv6 addresses.
    fn can_hold(&self, address: &IpAddr) -> bool {
        address.is_ipv4() || self.reader.metadata().ip_version == 6
    }

    fn has_countries(&self) -> Result<bool> {
        let networks = self.reader.networks(WithinOptions::default());
        let networks = networks.map_err(|error| unreadable(&self.name, &error))?;
        for network in networks.take(NETWORKS_TRIED) {
            let record = network.and_then(|network| network.decode::<Record<'_>>());
            if record
                .map_err(|error| unreadable(&self.name, &error))?
                .is_some_and(|it| it.country.iso_code.is_some())
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn unreadable(name: &str, error: &MaxMindDbError) -> Error {
    Error::Invalid(format!("the location database {name} can't be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hindcast_detections::findings::Row;
    use serde_json::{Value, json};

    /// A database with one record per network.
    fn written(networks: &[(&str, Value)]) -> tempfile::NamedTempFile {
        let built = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_772_323_200);
        let mut writer = mmdb_writer::Writer::builder("Test-City").build_epoch(built).build();
        for (network, record) in networks {
            writer.insert(network.parse::<ipnet::IpNet>().unwrap(), record).unwrap();
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), writer.to_bytes().unwrap()).unwrap();
        file
    }

    #[test]
    fn addresses_are_placed_as_far_as_the_database_goes() {
        let london = json!({
            "city": { "names": { "de": "London (de)", "en": "London" } },
            "continent": { "code": "EU" },
            "country": { "iso_code": "GB", "names": { "en": "United Kingdom" } },
            "location": { "latitude": 51.5, "longitude": -0.1, "time_zone": "Europe/London" },
        });
        let file = written(&[
            ("81.2.69.0/24", london),
            ("2a02:ff00::/32", json!({ "country": { "iso_code": "IT" } })),
            ("5.83.0.0/16", json!({ "registered_country": { "iso_code": "US" } })),
        ]);
        let database = LocationDatabase::open(file.path()).unwrap();
        assert_eq!(
            database.source(),
            LocationSource { database: "Test-City".into(), built: "2026-03-01T00:00:00Z".into() }
        );
        let addresses = ["81.2.69.160", "2a02:ff00::1", "5.83.1.1", "9.9.9.9", "host", "81.2.69.5"];
        let rows = database.locate(addresses).unwrap();
        let texts = |column: &str| -> Vec<Option<&str>> {
            (0..rows.num_rows()).map(|row| Row::new(&rows, row).text(column)).collect()
        };
        // Unknown addresses have no row; the registered country of a network is not its location.
        assert_eq!(
            texts("address"),
            [Some("81.2.69.160"), Some("2a02:ff00::1"), Some("5.83.1.1"), Some("81.2.69.5")]
        );
        assert_eq!(texts("country_code"), [Some("GB"), Some("IT"), None, Some("GB")]);
        assert_eq!(texts("country"), [Some("United Kingdom"), None, None, Some("United Kingdom")]);
        assert_eq!(texts("city"), [Some("London"), None, None, Some("London")]);
        assert_eq!(Row::new(&rows, 0).number("longitude"), Some(-0.1));
        assert_eq!(Row::new(&rows, 1).number("longitude"), None);
    }

    #[test]
    fn a_file_without_countries_is_refused_by_name() {
        let systems = written(&[("81.2.69.0/24", json!({ "autonomous_system_number": 1221 }))]);
        let error = LocationDatabase::open(systems.path()).unwrap_err().to_string();
        assert!(error.contains("Test-City, which has no countries"), "{error}");
        assert!(error.contains(&systems.path().display().to_string()), "{error}");
        let text = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(text.path(), "no database").unwrap();
        for path in [text.path(), Path::new("/nowhere.mmdb")] {
            let error = LocationDatabase::open(path).unwrap_err();
            assert!(matches!(error, Error::Invalid(_)), "{error}");
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        }
    }
}
