//! The objects that the paths of a Delta log name.

use object_store::ObjectStoreScheme;
use object_store::path::Path;
use url::Url;

use super::super::location::Location;

/// The object that `text` names: a URI, either relative to the table's folder or absolute. It must lie in that folder, so that a log
/// does not decide what else is read.
///
/// # Errors
/// The reason, as the end of a sentence about the path.
pub(super) fn object_of(table: &Location, text: &str) -> Result<Path, String> {
    let malformed = |error: &dyn std::fmt::Display| format!("is not a path of an object: {error}");
    match Url::parse(text) {
        // A scheme of one letter is a drive, not a store.
        Ok(url) if url.scheme().len() > 1 => {
            let (_, path) = ObjectStoreScheme::parse(&url).map_err(|error| malformed(&error))?;
            let is_own = is_same_store(&url, table) && path.prefix_matches(table.prefix());
            is_own.then_some(path).ok_or_else(|| {
                "lies outside the table's folder, as in a shallow clone; Hindcast reads only files of that folder"
                    .to_owned()
            })
        }
        _ => {
            let relative = Path::from_url_path(text).map_err(|error| malformed(&error))?;
            Ok(table.prefix().parts().chain(relative.parts()).collect())
        }
    }
}

fn is_same_store(url: &Url, table: &Location) -> bool {
    let Ok(own) = Url::parse(table.url()) else { return false };
    let scheme = |url: &Url| if url.scheme() == "s3a" { "s3".to_owned() } else { url.scheme().to_owned() };
    let authority = |url: &Url| url[url::Position::BeforeUsername..url::Position::BeforePath].to_owned();
    scheme(url) == scheme(&own) && authority(url) == authority(&own)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    fn table(url: &str) -> Location {
        Location::parse_with(url, |_| Ok(Arc::new(InMemory::new()))).unwrap()
    }

    #[test]
    fn paths_are_decoded_once_and_stay_in_the_table() {
        let bucket = table("s3://bucket/lake/T");
        for (text, expected) in [
            ("date=2026-01-05/a.parquet", "lake/T/date=2026-01-05/a.parquet"),
            ("ts=2026-01-05%2010%253A00/a.parquet", "lake/T/ts=2026-01-05 10%3A00/a.parquet"),
            ("%C3%BC.parquet", "lake/T/ü.parquet"),
            ("s3://bucket/lake/T/b.parquet", "lake/T/b.parquet"),
            ("s3a://bucket/lake/T/b.parquet", "lake/T/b.parquet"),
        ] {
            assert_eq!(object_of(&bucket, text).unwrap().as_ref(), expected, "{text}");
        }
        let disk = table("/data/lake/T");
        assert_eq!(
            object_of(&disk, "file:/data/lake/T/a.parquet").unwrap().as_ref(),
            "data/lake/T/a.parquet"
        );
        for (table, text) in [
            (&bucket, "../secret.parquet"),
            (&bucket, "a/%2E%2E/%2E%2E/secret.parquet"),
            (&bucket, "s3://bucket/lake/secret.parquet"),
            (&bucket, "s3://other/lake/T/a.parquet"),
            (&bucket, "http://169.254.169.254/latest?sp=1"),
            (&disk, "file:///data/lake/secret.parquet"),
            (&disk, "file:///data/lake/T/../secret.parquet"),
        ] {
            assert!(object_of(table, text).is_err(), "{text}");
        }
    }
}
