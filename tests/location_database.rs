//! A small location database for tests, in MaxMind's City format.

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use ipnet::IpNet;
use mmdb_writer::Writer;
use serde_json::{Value, json};

/// Network, country code, country, city, latitude and longitude.
const PLACES: [(&str, &str, &str, &str, f64, f64); 6] = [
    ("81.2.69.0/24", "GB", "United Kingdom", "London", 51.5142, -0.0931),
    ("81.2.70.0/24", "GB", "United Kingdom", "Leeds", 53.7965, -1.5478),
    ("89.160.20.0/24", "SE", "Sweden", "Linköping", 58.4167, 15.6167),
    ("175.45.176.0/24", "KP", "North Korea", "Pyongyang", 39.0194, 125.7547),
    ("2a02:ff00::/32", "IT", "Italy", "Milan", 45.4642, 9.19),
    // A country without a city.
    ("202.196.224.0/24", "PH", "Philippines", "", 13.0, 122.0),
];

/// Writes the database.
pub fn write_location_database(path: &Path) {
    let built = UNIX_EPOCH + Duration::from_secs(1_772_323_200);
    let mut writer = Writer::builder("Test-City").build_epoch(built).build();
    for (network, code, country, city, latitude, longitude) in PLACES {
        let mut record = json!({
            "country": { "iso_code": code, "names": { "en": country } },
            "location": { "latitude": latitude, "longitude": longitude },
        });
        if !city.is_empty() {
            record["city"] = json!({ "names": { "en": city } });
        }
        let network: IpNet = network.parse().expect("a network");
        writer.insert::<IpNet, Value>(network, &record).expect("a record");
    }
    fs::write(path, writer.to_bytes().expect("a database")).expect("a file");
}
