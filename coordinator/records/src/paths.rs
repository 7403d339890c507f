//! Finds values within JSON objects by their paths, and names all values within an object by them.

use std::borrow::Cow;

use super::format::Record;
use super::json::{broken_field, is_object, members, read};
use super::source::Source;

/// Adds fields within objects by their paths, unless a field has that name.
///
/// # Errors
/// Which object can't be read.
pub(crate) fn add_paths(record: &mut Record<'_>, paths: &[String]) -> Result<(), String> {
    let is_no_field = |path: &&String| !record.iter().any(|(field, _)| field == path.as_str());
    let wanted = paths.iter().enumerate().filter(|(_, path)| is_no_field(path));
    let wanted: Vec<(usize, &str)> = wanted.map(|(index, path)| (index, path.as_str())).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut found = vec![None; paths.len()];
    find_paths(record, &wanted, &mut found)?;
    for (path, value) in paths.iter().zip(found) {
        record.extend(value.map(|value| (Cow::Owned(path.clone()), Cow::Owned(value))));
    }
    Ok(())
}

/// Replaces the objects that a source spreads by all values within.
///
/// # Errors
/// Which object can't be read.
pub(crate) fn spread_leaves(record: &mut Record<'_>, source: &Source) -> Result<(), String> {
    for name in &source.leaves {
        if let Some(at) = record.iter().position(|(field, value)| field == name && is_object(value)) {
            let (_, object) = record.remove(at);
            add_leaves(record, name, object, source)?;
        }
    }
    Ok(())
}

/// Adds all values within an object, at any depth, as fields named by their paths.
fn add_leaves<'a>(
    record: &mut Record<'a>,
    path: &str,
    object: Cow<'a, str>,
    source: &Source,
) -> Result<(), String> {
    for (name, value) in members(path, object)? {
        let path = format!("{path}.{name}");
        match is_object(&value) && !source.names_field(&path) {
            true => add_leaves(record, &path, value, source)?,
            false => record.push((Cow::Owned(path), value)),
        }
    }
    Ok(())
}

/// Finds values within objects of the record: those at `wanted` paths, which have indexes in `found`. Each object is read once.
fn find_paths(
    record: &Record<'_>,
    wanted: &[(usize, &str)],
    found: &mut [Option<String>],
) -> Result<(), String> {
    for (name, object) in record.iter().filter(|(_, value)| is_object(value)) {
        let within = |path: &str| path.strip_prefix(name.as_ref()).is_some_and(|rest| rest.starts_with('.'));
        let inside = wanted.iter().filter(|(index, path)| found[*index].is_none() && within(path));
        let inside: Vec<(usize, &str)> =
            inside.map(|(index, path)| (*index, &path[name.len() + 1..])).collect();
        if inside.is_empty() {
            continue;
        }
        let mut inner = Record::new();
        read(object, &mut inner).map_err(|reason| broken_field(name, &reason))?;
        for (index, path) in &inside {
            let value = inner.iter().find(|(field, _)| field == path);
            found[*index] = value.map(|(_, value)| value.clone().into_owned());
        }
        find_paths(&inner, &inside, found)?;
    }
    Ok(())
}
