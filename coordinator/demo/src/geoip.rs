//! `geoip.mmdb`: the location database of the demo's networks, in MaxMind's City format.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use mmdb_writer::Writer;
use serde::Serialize;

use super::places::{self, Place};
use super::{DemoError, DemoOptions, midnight_us};

/// The file's name in the lake.
pub const FILE: &str = "geoip.mmdb";

/// The record of a network, with the names and nesting of MaxMind's City databases.
#[derive(Serialize)]
struct Record {
    city: City,
    country: Country,
    location: Location,
}

#[derive(Serialize)]
struct City {
    names: BTreeMap<&'static str, &'static str>,
}

#[derive(Serialize)]
struct Country {
    iso_code: &'static str,
    names: BTreeMap<&'static str, &'static str>,
}

#[derive(Serialize)]
struct Location {
    latitude: f64,
    longitude: f64,
}

impl Record {
    fn of(place: &Place) -> Self {
        let (latitude, longitude) = place.position;
        Self {
            city: City { names: BTreeMap::from([("en", place.city)]) },
            country: Country { iso_code: place.country, names: BTreeMap::from([("en", place.country_name)]) },
            location: Location { latitude, longitude },
        }
    }
}

/// Writes `OUT/geoip.mmdb`. Its build date is the lake's first day, so that equal options give equal bytes.
pub fn write(options: &DemoOptions) -> Result<(), DemoError> {
    let path: &Path = &options.out.join(FILE);
    let bytes = database(options).map_err(|source| DemoError::Location { path: path.to_owned(), source })?;
    fs::write(path, bytes).map_err(|source| DemoError::io(path, source))
}

fn database(options: &DemoOptions) -> Result<Vec<u8>, mmdb_writer::Error> {
    let since_1970 = Duration::from_micros(midnight_us(options.start).try_into().unwrap_or(0));
    let mut writer = Writer::builder("Hindcast-Demo-City")
        .description(&[("en", "Places of a demo lake")])
        .build_epoch(SystemTime::UNIX_EPOCH + since_1970)
        .build();
    for place in places::all() {
        let record = Record::of(place);
        writer.insert(place.v4, &record)?;
        if let Some(network) = place.v6 {
            writer.insert(IpNet::from(network), &record)?;
        }
    }
    writer.to_bytes()
}
