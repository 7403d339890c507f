//! Patterns as written in files: as text, or in a table with the texts that they must and must not match.

use toml::Spanned;
use toml::de::DeValue;

use super::values::Given;
use hindcast_base::Result;
use hindcast_base::nearest::did_you_mean;
use hindcast_functions::Patterns;

/// The keys of a pattern written as a table.
const KEYS: [&str; 3] = ["pattern", "hits", "misses"];

/// The pattern of an element of the list at path `list`.
///
/// # Errors
/// [`hindcast_base::Error::Invalid`] with file and line, if it does not compile or disagrees with its own cases.
pub(super) fn pattern(item: &Given<'_>, list: &str) -> Result<String> {
    let DeValue::Table(table) = item.value.get_ref() else {
        return compiled(item).map(|(pattern, _)| pattern);
    };
    if let Some((name, _)) = table.iter().find(|(name, _)| !KEYS.contains(&&**name.get_ref())) {
        let hint = did_you_mean(name.get_ref(), KEYS.into_iter());
        let what = format!("{} has no field {}{hint}", item.path, name.get_ref());
        return Err(item.layer.error_at(name.span().start, what));
    }
    let Some(written) = table.get(KEYS[0]) else {
        return Err(item.fault(format!("{} lacks its field pattern", item.path)));
    };
    let path = format!("{}.pattern", item.path);
    let written = Given { layer: item.layer, path: &path, value: written };
    let (pattern, alone) = compiled(&written)?;
    let mut scratch = String::new();
    for (key, is_hit) in [("hits", true), ("misses", false)] {
        for text in texts(item, key, table.get(key))? {
            if alone.is_match(&text, &mut scratch) != is_hit {
                let found = if is_hit { "does not match" } else { "matches" };
                return Err(written
                    .fault(format!("{list}: pattern {pattern:?} {found} {text:?}, which its {key} name")));
            }
        }
    }
    Ok(pattern)
}

/// A pattern, and a list of only this pattern.
fn compiled(written: &Given<'_>) -> Result<(String, Patterns)> {
    let pattern = written.text()?;
    let alone = Patterns::of(&[pattern]).map_err(|error| written.fault(error))?;
    Ok((pattern.to_owned(), alone))
}

/// The texts under `key`; empty if it is absent.
fn texts(item: &Given<'_>, key: &str, written: Option<&Spanned<DeValue<'_>>>) -> Result<Vec<String>> {
    let Some(written) = written else { return Ok(Vec::new()) };
    let path = format!("{}.{key}", item.path);
    let DeValue::Array(items) = written.get_ref() else {
        let what = format!("{path} must be a list of texts");
        return Err(item.layer.error_at(written.span().start, what));
    };
    let text = |value| Given { layer: item.layer, path: &path, value }.text().map(str::to_owned);
    items.iter().map(text).collect()
}
