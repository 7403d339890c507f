//! Partition values: folders `key=value` between a table and its files.

use std::borrow::Cow;
use std::collections::BTreeMap;

use object_store::path::Path;

use crate::location::Location;
use hindcast_schema::Layout;

/// How Hive and Spark write a null value.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The partition values of the file at `path` of `table`, by its folders. The folder `date=YYYY-MM-DD` of the standard layout is no
/// partition value: its tables have no such column.
pub(crate) fn partition_of(table: &Location, path: &Path) -> BTreeMap<String, Option<String>> {
    let Some(below) = path.prefix_match(table.prefix()) else { return BTreeMap::new() };
    let names: Vec<_> = below.collect();
    let folders = names.split_last().map(|(_, folders)| folders).unwrap_or_default();
    let mut values = BTreeMap::new();
    for (depth, folder) in folders.iter().enumerate() {
        let name = plain_name(folder.as_ref());
        if depth == 0 && Layout::standard_date(&name).is_some() {
            continue;
        }
        if let Some((key, value)) = name.split_once('=').filter(|(key, _)| !key.is_empty()) {
            values.insert(key.to_owned(), (value != NULL).then(|| value.to_owned()));
        }
    }
    values
}

/// The name of a folder without percent-encoding: Hive, Spark and Flink encode colons and other characters of values.
pub(super) fn plain_name(name: &str) -> Cow<'_, str> {
    if !name.contains('%') {
        return Cow::Borrowed(name);
    }
    let bytes = name.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = name.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).map_or(Cow::Borrowed(name), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(path: &str) -> String {
        let table = Location::parse("s3://bucket/lake/T").unwrap();
        let values = partition_of(&table, &Path::parse(format!("lake/T/{path}")).unwrap());
        let values =
            values.iter().map(|(key, value)| format!("{key}={}", value.as_deref().unwrap_or("null")));
        values.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn folders_of_keys_and_values_are_partition_values() {
        for (path, values) in [
            ("a.parquet", ""),
            ("date=2026-01-05/a.parquet", ""),
            ("date=2026-01-05/region=eu/a=b.parquet", "region=eu"),
            ("region=eu/accountId=1/eventDay=20260105/a.parquet", "accountId=1 eventDay=20260105 region=eu"),
            ("vendor=Palo%20Alto/ts=2026-01-05T08%3A00/x/a.parquet", "ts=2026-01-05T08:00 vendor=Palo Alto"),
            ("user=__HIVE_DEFAULT_PARTITION__/dt=20260105/a.parquet", "dt=20260105 user=null"),
            ("share=100%/a.parquet", "share=100%"),
            ("formula=a=b/=c/a.parquet", "formula=a=b"),
        ] {
            assert_eq!(partition(path), values, "{path}");
        }
    }
}
